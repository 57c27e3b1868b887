//! NVENC as an [`Encoder`].

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use trickle_media::access_unit::{TrackId, UnitFlags};
use trickle_media::coder::{Encoder, VideoEncoderSettings};
use trickle_media::frame::Image;
use trickle_media::{AccessUnit, CodecError, FrameError, Timestamp, Unsupported, VideoFrame};

use super::buffers::{Channel, Coded};
use super::config;
use super::session::Session;
use crate::device::{Gpu, Shared};
use crate::error::GpuError;
use crate::image::CudaImage;

/// As it stands in logs and status.
const NAME: &str = "nvenc";

/// An H.264 or HEVC encoder on the GPU.
///
/// Each frame gives its access unit at once: Main profile, no B pictures. Frames may be on the
/// device or the host, NV12 or tensors; whatever they are, they are brought into a picture that
/// the encoder knows. Keyframes are IDR pictures with parameter sets, when
/// [`VideoEncoderSettings::gop`] of presentation time has passed, when asked for, and when time
/// jumps back.
pub(crate) struct NvEncoder {
    // Taken out by drop only: not given back when the device is unusable.
    channel: ManuallyDrop<Channel>,
    shared: Arc<Shared>,
    settings: VideoEncoderSettings,
    /// Frames in the encoder, in order.
    held: VecDeque<Held>,
    ready: VecDeque<AccessUnit>,
    /// Time of the last keyframe.
    keyframe: Option<Timestamp>,
    forced: bool,
}

/// A frame whose picture has not come out.
struct Held {
    number: u64,
    pts: Timestamp,
    received: Option<Instant>,
}

impl NvEncoder {
    /// An encoder with these settings, which the device was checked against; it encodes pictures
    /// up to `device`, columns first.
    pub(crate) fn open(
        gpu: &Gpu,
        settings: &VideoEncoderSettings,
        device: (u32, u32),
    ) -> Result<Self, GpuError> {
        let shared = Arc::clone(&gpu.shared);
        let stream = gpu.stream()?;
        let entered = shared.enter()?;
        let session = Session::open(shared.context_handle(), Arc::clone(&shared))?;
        let largest = config::largest(settings, device);
        let channel = Channel::new(session, stream, settings, largest)?;
        drop(entered);
        Ok(Self {
            channel: ManuallyDrop::new(channel),
            shared,
            settings: settings.clone(),
            held: VecDeque::new(),
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
        // Addresses hold within one device's primary context, whoever opened it. What is on
        // another device comes by way of the host.
        let away = frame
            .device()
            .is_some_and(|image| image.device() != self.shared.name());
        if away {
            return self.load(&frame.clone().to_host()?);
        }
        let color = self.settings.color;
        let _entered = self.shared.enter().map_err(|error| broken(&error))?;
        let (stream, input) = self.channel.input().map_err(|error| broken(&error))?;
        let loaded = match frame.image() {
            Image::Planar(image) => stream
                .upload(image)
                .and_then(|image| stream.copy_to(&image, input, color)),
            Image::Tensor(tensor) => stream
                .upload_tensor(tensor)
                .and_then(|image| stream.copy_to(&image, input, color)),
            Image::Device(image) => match CudaImage::of_frame(frame) {
                Some(image) => stream.copy_to(image, input, color),
                None => {
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

    /// Makes access units of coded pictures, each with the time of its own frame.
    fn hand_out(&mut self, coded: Vec<Coded>) {
        for picture in coded {
            while let Some(held) = self.held.pop_front() {
                // Others before it were lost in the encoder.
                if held.number != picture.number {
                    continue;
                }
                self.ready.push_back(AccessUnit {
                    track: TrackId(0),
                    codec: self.settings.codec,
                    data: Bytes::from(picture.data),
                    pts: held.pts,
                    dts: held.pts,
                    keyframe: picture.keyframe,
                    flags: UnitFlags::default(),
                    received: held.received,
                });
                break;
            }
        }
    }

    /// Takes out what the encoder holds back.
    fn drain(&mut self) -> Result<(), GpuError> {
        let shared = Arc::clone(&self.shared);
        let _entered = shared.enter()?;
        let mut coded = Vec::new();
        let drained = self.channel.drain(&mut coded);
        self.hand_out(coded);
        self.held.clear();
        drained
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
        let shared = Arc::clone(&self.shared);
        let _entered = shared.enter().map_err(|error| broken(&error))?;
        self.held.push_back(Held {
            number: self.channel.next_number(),
            pts,
            received: frame.times().received,
        });
        let mut coded = Vec::new();
        let encoded = self.channel.encode(due, &mut coded);
        self.hand_out(coded);
        encoded.map_err(|error| broken(&error))?;
        if due {
            self.keyframe = Some(pts);
            self.forced = false;
        }
        Ok(())
    }

    fn pull(&mut self) -> Option<AccessUnit> {
        self.ready.pop_front()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        // What comes next is another stream.
        self.forced = true;
        self.drain().map_err(|error| broken(&error))
    }

    fn force_keyframe(&mut self) {
        self.forced = true;
    }

    fn reconfigure(&mut self, settings: &VideoEncoderSettings) -> Result<(), Unsupported> {
        let unsupported = |reason: String| Unsupported::new(settings.codec, reason);
        if settings.codec != self.settings.codec || settings.color != self.settings.color {
            return Err(unsupported("codec and colour stay as they are".to_owned()));
        }
        if !self.channel.has_room(settings) {
            return Err(unsupported(
                "the encoder has no room to grow so far".to_owned(),
            ));
        }
        let changed = self.drain().and_then(|()| {
            let shared = Arc::clone(&self.shared);
            let _entered = shared.enter()?;
            self.channel.reconfigure(settings)
        });
        changed.map_err(|error| unsupported(error.to_string()))?;
        self.settings = settings.clone();
        self.forced = true;
        Ok(())
    }
}

impl Drop for NvEncoder {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.shared);
        // On a device that is unusable the session's handles are abandoned.
        if let Ok(_entered) = shared.enter() {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.channel) };
        }
    }
}

fn broken(error: &GpuError) -> CodecError {
    CodecError::Broken {
        backend: NAME,
        detail: error.to_string(),
    }
}
