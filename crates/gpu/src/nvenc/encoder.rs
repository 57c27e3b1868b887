//! NVENC as an [`Encoder`].

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use bytes::Bytes;
use trickle_media::access_unit::{TrackId, UnitFlags};
use trickle_media::coder::{Encoder, VideoEncoderSettings};
use trickle_media::frame::{DeviceImage, Image};
use trickle_media::{AccessUnit, Codec, CodecError, FrameError, Timestamp, VideoFrame};

use super::buffers::Channel;
use super::config;
use super::session::Session;
use crate::device::Gpu;
use crate::error::GpuError;
use crate::image::{CudaImage, Layout};
use crate::stream::Stream;

/// As it stands in logs and status.
const NAME: &str = "nvenc";

/// An H.264 encoder on the GPU.
///
/// Each frame gives its access unit at once: Main profile, no B pictures, constant bit rate.
/// Frames may be on the device or the host, NV12 or tensors; whatever they are, they are brought
/// into one picture that the encoder knows. Keyframes are IDR pictures with parameter sets, when
/// [`VideoEncoderSettings::gop`] of presentation time has passed, when asked for, and when time
/// jumps back.
pub(crate) struct NvEncoder {
    // Taken out by drop only: not given back when the device is unusable.
    parts: ManuallyDrop<Parts>,
    settings: VideoEncoderSettings,
    ready: VecDeque<AccessUnit>,
    /// Time of the last keyframe.
    keyframe: Option<Timestamp>,
    forced: bool,
}

/// What lives on the device, in the order in which it must go.
struct Parts {
    channel: Channel,
    input: CudaImage,
    stream: Stream,
}

impl NvEncoder {
    /// An encoder with these settings, which the device was checked against.
    pub(crate) fn open(gpu: &Gpu, settings: &VideoEncoderSettings) -> Result<Self, GpuError> {
        let shared = Arc::clone(&gpu.shared);
        let stream = gpu.stream()?;
        let (width, height) = (settings.width as usize, settings.height as usize);
        let input = stream.produce(Layout::nv12(width), width, height, |_| Ok(()))?;
        let view = input.nv12().ok_or(FrameError::Size { width, height })?;
        let _entered = shared.enter()?;
        let session = Session::open(shared.context_handle(), Arc::clone(&shared))?;
        config::initialize(&session, settings)?;
        let channel = Channel::new(session, view)?;
        Ok(Self {
            parts: ManuallyDrop::new(Parts {
                channel,
                input,
                stream,
            }),
            settings: settings.clone(),
            ready: VecDeque::new(),
            keyframe: None,
            forced: false,
        })
    }

    /// Brings the frame's pixels into the encoder's input, and waits until they are there.
    fn load(&mut self, frame: &VideoFrame) -> Result<(), CodecError> {
        let (width, height) = (frame.width(), frame.height());
        let expected = (self.settings.width as usize, self.settings.height as usize);
        if (width, height) != expected {
            return Err(CodecError::Frame(FrameError::OtherSize {
                width,
                height,
                expected_width: expected.0,
                expected_height: expected.1,
            }));
        }
        let color = self.settings.color;
        let Parts { input, stream, .. } = &mut *self.parts;
        let loaded = match frame.image() {
            Image::Planar(image) => stream
                .upload(image)
                .and_then(|image| stream.copy_to(&image, input, color)),
            Image::Tensor(tensor) => stream
                .upload_tensor(tensor)
                .and_then(|image| stream.copy_to(&image, input, color)),
            Image::Device(image) => match CudaImage::of_frame(frame) {
                // Addresses hold within one device's primary context, whoever opened it.
                Some(image) if image.device() == input.device() => {
                    stream.copy_to(image, input, color)
                }
                _ => {
                    return Err(CodecError::Frame(FrameError::OnDevice {
                        device: image.device().to_owned(),
                    }));
                }
            },
        };
        loaded
            .and_then(|()| stream.synchronize())
            .map_err(|error| broken(&error))
    }

    /// Whether the frame shown at `pts` is to be a keyframe.
    fn is_due(&self, pts: Timestamp) -> bool {
        let since = self.keyframe.and_then(|keyframe| pts.since(keyframe));
        self.forced || since.is_none_or(|since| since >= self.settings.gop)
    }
}

impl Encoder for NvEncoder {
    type Frame = VideoFrame;

    fn name(&self) -> &'static str {
        NAME
    }

    fn push(&mut self, frame: VideoFrame) -> Result<(), CodecError> {
        self.load(&frame)?;
        let pts = frame.pts();
        let due = self.is_due(pts);
        let shared = Arc::clone(self.parts.stream.shared());
        let coded = shared
            .enter()
            .and_then(|_entered| self.parts.channel.encode(due))
            .map_err(|error| broken(&error))?;
        if coded.keyframe {
            self.keyframe = Some(pts);
            self.forced = false;
        }
        self.ready.push_back(AccessUnit {
            track: TrackId(0),
            codec: Codec::H264,
            data: Bytes::from(coded.data),
            pts,
            dts: pts,
            keyframe: coded.keyframe,
            flags: UnitFlags::default(),
            received: frame.times().received,
        });
        Ok(())
    }

    fn pull(&mut self) -> Option<AccessUnit> {
        self.ready.pop_front()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        // Every unit is out already. What comes next is another stream.
        self.forced = true;
        Ok(())
    }

    fn force_keyframe(&mut self) {
        self.forced = true;
    }
}

impl Drop for NvEncoder {
    fn drop(&mut self) {
        let shared = Arc::clone(self.parts.stream.shared());
        // On a device that is unusable the session's handles are abandoned.
        if let Ok(_entered) = shared.enter() {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.parts) };
        }
    }
}

fn broken(error: &GpuError) -> CodecError {
    CodecError::Broken {
        backend: NAME,
        detail: error.to_string(),
    }
}
