//! NVDEC as a [`Decoder`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use nvidia_video_codec_sdk::sys::cuviddec::cudaVideoCodec;
use trickle_media::coder::Decoder;
use trickle_media::frame::{FramePool, Image};
use trickle_media::{AccessUnit, Codec, CodecError, Timestamp, Unsupported, VideoFrame};

use super::callbacks::{Failure, Packet, Parser, Shown};
use crate::device::Gpu;
use crate::error::GpuError;
use crate::stream::Stream;

/// As it stands in logs and status.
const NAME: &str = "nvdec";

/// Units whose pictures have not been shown; more than any stream reorders.
const MAX_PENDING: usize = 64;

/// A decoder on the GPU.
///
/// A picture comes out at the push of its unit, unless the stream itself shows it later than
/// others. A damaged picture is not shown, nor are those after it until the next keyframe, as on
/// the CPU.
pub(crate) struct NvDecoder {
    parser: Parser,
    codec: Codec,
    /// Where work on decoded pictures is done: the decoder waits for its own.
    work: Stream,
    pool: FramePool,
    /// Times of units whose pictures are not shown yet: several can be shown at once, in another
    /// order.
    pending: VecDeque<Pending>,
    ready: VecDeque<VideoFrame>,
    /// Nothing is decoded before the next keyframe.
    waiting: bool,
    /// The unit before gave its picture.
    last_shown: bool,
}

struct Pending {
    pts: Timestamp,
    received: Option<Instant>,
}

impl NvDecoder {
    pub(crate) fn open(gpu: &Gpu, codec: Codec, pool: &FramePool) -> Result<Self, GpuError> {
        let kind = match codec {
            Codec::Hevc => cudaVideoCodec::cudaVideoCodec_HEVC,
            _ => cudaVideoCodec::cudaVideoCodec_H264,
        };
        Ok(Self {
            parser: Parser::new(kind, gpu.stream()?)?,
            codec,
            work: gpu.stream()?,
            pool: pool.clone(),
            pending: VecDeque::new(),
            ready: VecDeque::new(),
            waiting: true,
            last_shown: false,
        })
    }

    /// Parses, and takes what was shown.
    fn run(&mut self, packet: Packet<'_>, pts: &dyn std::fmt::Display) -> Result<(), CodecError> {
        let parsed = self.parser.parse(packet);
        let state = self.parser.state();
        let failure = state.error.take();
        let mut damaged = false;
        for shown in std::mem::take(&mut state.shown) {
            damaged |= shown.image.is_none();
            // A picture after a damaged one refers to it: it waits for the keyframe, too.
            if !damaged {
                self.show(shown);
            }
        }
        parsed.map_err(|error| broken(&error))?;
        match failure {
            Some(Failure::Unsupported(reason)) => {
                self.waiting = true;
                Err(Unsupported::new(self.codec, reason).into())
            }
            Some(Failure::Device(error)) => {
                self.waiting = true;
                Err(match error {
                    // A picture that the hardware refuses; the device itself is well.
                    GpuError::Cuda {
                        call: "cuvidDecodePicture",
                        ..
                    } => self.damaged(pts, error.to_string()),
                    error => broken(&error),
                })
            }
            Some(Failure::Panic) => Err(CodecError::Broken {
                backend: NAME,
                detail: "a panic in a callback".into(),
            }),
            None if damaged => {
                self.waiting = true;
                Err(self.damaged(pts, "the hardware found errors in it".into()))
            }
            None => Ok(()),
        }
    }

    fn show(&mut self, shown: Shown) {
        let Some(image) = shown.image else {
            return;
        };
        let at = self
            .pending
            .iter()
            .position(|unit| unit.pts.ticks == shown.timestamp);
        let Some(unit) = at.and_then(|at| self.pending.remove(at)) else {
            return;
        };
        let image = Image::Device(Arc::new(image.with_stream(&self.work)));
        let mut frame = VideoFrame::new(image, unit.pts, shown.color, self.pool.clone());
        frame.times_mut().received = unit.received;
        self.last_shown = true;
        self.ready.push_back(frame);
    }

    fn damaged(&self, pts: &dyn std::fmt::Display, detail: String) -> CodecError {
        CodecError::Damaged {
            codec: self.codec,
            pts: pts.to_string(),
            detail,
        }
    }
}

impl Decoder for NvDecoder {
    type Frame = VideoFrame;

    fn name(&self) -> &'static str {
        NAME
    }

    fn push(&mut self, unit: &AccessUnit) -> Result<(), CodecError> {
        if unit.codec != self.codec {
            let reason = format!("this decoder is open for {}", self.codec);
            return Err(Unsupported::new(unit.codec, reason).into());
        }
        // The bytes that came late were not needed.
        if unit.flags.replaces_previous && self.last_shown {
            return Ok(());
        }
        self.last_shown = false;
        if unit.flags.damaged {
            self.waiting = true;
            return Err(self.damaged(&unit.pts, "bytes of it are missing".into()));
        }
        if self.waiting && !unit.keyframe {
            return Err(self.damaged(&unit.pts, "skipped until the next keyframe".into()));
        }
        self.waiting = false;
        if self.pending.len() == MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(Pending {
            pts: unit.pts,
            received: unit.received,
        });
        let packet = Packet::Unit {
            data: &unit.data,
            timestamp: unit.pts.ticks,
        };
        self.run(packet, &unit.pts)
    }

    fn pull(&mut self) -> Option<VideoFrame> {
        self.ready.pop_front()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        let ended = self.run(Packet::End, &"the end");
        self.pending.clear();
        self.waiting = true;
        self.last_shown = false;
        ended
    }
}

fn broken(error: &GpuError) -> CodecError {
    CodecError::Broken {
        backend: NAME,
        detail: error.to_string(),
    }
}
