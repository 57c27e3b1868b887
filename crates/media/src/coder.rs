//! The traits that every codec backend implements.

use crate::access_unit::{AccessUnit, Codec};
use crate::error::{CodecError, Unsupported};
use crate::frame::{AudioFrame, VideoFrame};
use crate::stream::{ColorDescription, Rational};

/// Turns access units into frames.
///
/// Push one unit, then pull until `None`. Frames come in display order; a decoder of a stream
/// without reordering gives each frame at the push of its unit. After an error the decoder stays
/// usable, except after [`CodecError::Broken`].
pub trait Decoder: Send {
    /// What comes out.
    type Frame;

    /// Name of the implementation, for logs and status, such as `openh264`.
    fn name(&self) -> &'static str;

    /// Feeds one unit.
    ///
    /// # Errors
    /// [`CodecError::Damaged`] when the unit gives no frame; the next keyframe recovers.
    fn push(&mut self, unit: &AccessUnit) -> Result<(), CodecError>;

    /// Takes the next frame that is ready.
    fn pull(&mut self) -> Option<Self::Frame>;

    /// Ends the stream: frames held for reordering become ready. The decoder can then start
    /// again at a keyframe.
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    fn flush(&mut self) -> Result<(), CodecError>;
}

/// Turns frames into access units; the counterpart of [`Decoder`].
pub trait Encoder: Send {
    /// What goes in.
    type Frame;

    /// Name of the implementation, for logs and status.
    fn name(&self) -> &'static str;

    /// Feeds one frame, wherever its pixels are: an encoder brings them to where it needs them.
    ///
    /// # Errors
    /// [`CodecError::Frame`] when the frame does not fit; the encoder stays usable.
    fn push(&mut self, frame: Self::Frame) -> Result<(), CodecError>;

    /// Whether it makes I420 planes of a tensor in host memory before all else. Whoever holds the
    /// tensor may as well do that, while it is in the caches.
    fn takes_planes(&self) -> bool {
        false
    }

    /// Takes the next unit that is ready.
    fn pull(&mut self) -> Option<AccessUnit>;

    /// Ends the stream: units held back become ready.
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    fn flush(&mut self) -> Result<(), CodecError>;

    /// The next frame becomes a keyframe. Nothing to do for audio.
    fn force_keyframe(&mut self) {}

    /// Goes on with other settings, and a keyframe, where that is less than a new encoder; every
    /// frame pushed before has given its unit then.
    ///
    /// # Errors
    /// [`Unsupported`] where it is not: the encoder is as it was, and a new one is needed.
    fn reconfigure(&mut self, settings: &VideoEncoderSettings) -> Result<(), Unsupported> {
        Err(Unsupported::new(
            settings.codec,
            "this encoder cannot be reconfigured",
        ))
    }
}

/// A video decoder of any backend.
pub type VideoDecoder = Box<dyn Decoder<Frame = VideoFrame>>;
/// A video encoder of any backend.
pub type VideoEncoder = Box<dyn Encoder<Frame = VideoFrame>>;
/// An audio decoder.
pub type AudioDecoder = Box<dyn Decoder<Frame = AudioFrame>>;
/// An audio encoder.
pub type AudioEncoder = Box<dyn Encoder<Frame = AudioFrame>>;

/// How an encoder spends its bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateControl {
    /// The bit rate is kept within a short time: for live streams.
    #[default]
    Constant,
    /// The bit rate is kept on average; busy pictures may take up to twice of it.
    Variable,
}

/// How video is encoded.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoEncoderSettings {
    /// Coding format.
    pub codec: Codec,
    /// Columns of the picture shown. Sizes that are no multiple of a macroblock are coded through
    /// cropping; an odd one gains a column, since 4:2:0 cannot be cropped to it.
    pub width: u32,
    /// Rows of the picture shown; as for the columns.
    pub height: u32,
    /// Target bit rate in bits per second.
    pub bitrate: u32,
    /// How strictly the bit rate is kept, by encoders that know both ways; OpenH264 knows one.
    pub rate_control: RateControl,
    /// Nominal frame rate, for rate control and the VUI. Timestamps decide everything else.
    pub frame_rate: Rational,
    /// Longest time between keyframes, by presentation time.
    pub gop: std::time::Duration,
    /// Colour written to the VUI, and the matrix and range of the conversion from RGB.
    pub color: ColorDescription,
    /// Threads that one picture is coded with at most, one slice each; small pictures are coded
    /// with fewer. It decides the output's bytes: fix it where output must be reproducible.
    pub threads: u8,
}

impl VideoEncoderSettings {
    /// Bits per second that look good for live H.264 of this size: 0.1 bit per pixel, 300 kbit/s
    /// at least.
    pub fn default_bitrate(width: u32, height: u32, frame_rate: Rational) -> u32 {
        let pixels = f64::from(width) * f64::from(height) * frame_rate.as_f64();
        (pixels * 0.1).clamp(300_000.0, 50_000_000.0) as u32
    }
}
