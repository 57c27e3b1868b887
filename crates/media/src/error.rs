//! Errors of codecs and frames. Container and bitstream parsers have their own, beside them.

use thiserror::Error;

use crate::access_unit::Codec;

/// A stream or a setting that a codec backend cannot serve, and why. Another may.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{codec} is not supported: {reason}")]
pub struct Unsupported {
    /// Coding format asked for.
    pub codec: Codec,
    /// What of it is not supported and what would be, as a clause for a person.
    pub reason: String,
}

impl Unsupported {
    /// `codec` cannot be served because of `reason`.
    pub fn new(codec: Codec, reason: impl Into<String>) -> Self {
        Self {
            codec,
            reason: reason.into(),
        }
    }
}

/// A decoder or encoder failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The stream turned into something that this backend cannot serve.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The unit is damaged. The codec goes on and recovers at the next keyframe.
    #[error("damaged {codec} data at pts {pts}: {detail}")]
    Damaged {
        /// Coding format.
        codec: Codec,
        /// Presentation time of the unit, in seconds as text.
        pts: String,
        /// What the codec said.
        detail: String,
    },
    /// The codec itself is broken and must be replaced by a new one.
    #[error("{backend} failed: {detail}")]
    Broken {
        /// Name of the backend.
        backend: &'static str,
        /// What it said.
        detail: String,
    },
    /// The frame does not fit what the encoder was opened for.
    #[error("frame cannot be encoded: {0}")]
    Frame(#[from] FrameError),
}

/// An operation on a frame or tensor that its shape or place does not allow.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The number of values does not match the shape.
    #[error("a tensor of shape [{height}, {width}, {channels}] has {expected} values, got {got}")]
    Shape {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Values per pixel.
        channels: usize,
        /// Values that the shape needs.
        expected: usize,
        /// Values given.
        got: usize,
    },
    /// A side is zero or beyond [`frame::MAX_SIDE`](crate::frame::MAX_SIDE).
    #[error("{width}×{height} is not a frame size: sides go from 1 to {max}", max = crate::frame::MAX_SIDE)]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// The frame is not of the size that the encoder was opened for.
    #[error(
        "it is {width}×{height}, the encoder was opened for {expected_width}×{expected_height}"
    )]
    OtherSize {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Columns expected.
        expected_width: usize,
        /// Rows expected.
        expected_height: usize,
    },
    /// Only 1 (gray), 3 (RGB) and 4 (RGB and an ignored alpha) channels have a meaning.
    #[error("a frame takes tensors of 1, 3 or 4 channels, got {0}")]
    Channels(usize),
    /// Sound has 1 to 8 channels, and an operation may take fewer.
    #[error("{0} audio channels cannot be handled here")]
    AudioChannels(usize),
    /// The sample rate is none that sound has.
    #[error("a sample rate of {rate} Hz is outside {min} to {max} Hz")]
    SampleRate {
        /// Samples per second.
        rate: u32,
        /// Lowest rate taken.
        min: u32,
        /// Highest rate taken.
        max: u32,
    },
    /// The resampler's transform failed.
    #[error("resampling failed: {0}")]
    Resample(String),
    /// Pixels live in device memory: download them first, or use the device's operations.
    #[error("the frame is in the memory of {device}; call to_host() first")]
    OnDevice {
        /// Name of the device.
        device: String,
    },
    /// Pixels live in host memory, where the device's operations were asked for.
    #[error("the frame is in host memory, not on a device")]
    OnHost,
    /// The device could not do it.
    #[error("{device}: {detail}")]
    Device {
        /// Name of the device.
        device: String,
        /// What it said.
        detail: String,
    },
}
