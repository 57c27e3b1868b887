//! NVDEC as a [`Decoder`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nvidia_video_codec_sdk::sys::cuviddec::cudaVideoCodec;
use trickle_media::coder::Decoder;
use trickle_media::frame::{FramePool, Image};
use trickle_media::h264::annexb;
use trickle_media::{AccessUnit, Codec, CodecError, Timestamp, Unsupported, VideoFrame};

use super::callbacks::{Failure, Packet, Parser, Shown};
use crate::device::Gpu;
use crate::dl::CuResult;
use crate::error::GpuError;
use crate::stream::Stream;

/// As it stands in logs and status.
const NAME: &str = "nvdec";

/// Units whose pictures have not been shown; more than any stream reorders.
const MAX_PENDING: usize = 64;

/// How long, in the stream's time, an intact keyframe is waited for, as on the CPU.
const INTACT_WAIT: Duration = Duration::from_secs(2);

/// HEVC's NAL units of pictures have smaller types (ITU-T H.265, table 7-1).
const FIRST_NON_SLICE: u8 = 32;
/// `IDR_W_RADL` and `IDR_N_LP`.
const HEVC_IDR: std::ops::RangeInclusive<u8> = 19..=20;

/// A decoder on the GPU.
///
/// A picture comes out at the push of its unit, unless the stream itself shows it later than
/// others. A damaged picture is not shown, nor are those after it until the next keyframe; when no
/// intact keyframe has come for 2 s, a damaged one is made do with, and what follows it, concealed
/// by the hardware, until an intact IDR picture. All of it as on the CPU.
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
    /// Decoding began with the picture shown then: what is shown before refers to what is not there.
    began: Option<Timestamp>,
    /// Timestamp of the last keyframe that had all its bytes, and whether it is an IDR picture,
    /// until its picture comes out.
    keyframe: Option<(i64, bool)>,
    /// Since when no intact keyframe has come, where one is missing.
    broken_since: Option<Timestamp>,
    /// Damaged pictures are made do with, as there was no intact keyframe for too long.
    concealing: bool,
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
            began: None,
            keyframe: None,
            broken_since: None,
            concealing: false,
        })
    }

    /// Parses, and takes what was shown.
    fn run(&mut self, packet: Packet<'_>, pts: &dyn std::fmt::Display) -> Result<(), CodecError> {
        let parsed = self.parser.parse(packet);
        let state = self.parser.state();
        let failure = state.error.take();
        let shown = std::mem::take(&mut state.shown);
        let make_do = self.concealing;
        let mut damaged = false;
        for shown in shown {
            damaged |= shown.image.is_none();
            if !shown.damaged
                && self
                    .keyframe
                    .is_some_and(|(ticks, _)| ticks == shown.timestamp)
            {
                self.mend();
            }
            // A picture after a damaged one refers to it: it waits for the keyframe, too.
            if !damaged || make_do {
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
                        code,
                        ..
                    } if !CuResult(code).is_sticky() => self.damaged(pts, error.to_string()),
                    error => broken(&error),
                })
            }
            Some(Failure::Panic) => Err(CodecError::Broken {
                backend: NAME,
                detail: "a panic in a callback".into(),
            }),
            None if damaged => {
                self.waiting = !make_do;
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

    /// The last keyframe came out intact.
    fn mend(&mut self) {
        if let Some((_, idr)) = self.keyframe.take()
            && (idr || !self.concealing)
        {
            self.broken_since = None;
            self.concealing = false;
        }
    }

    /// Whether a keyframe that may be damaged is to be made do with.
    fn waited_enough(&mut self, unit: &AccessUnit) -> bool {
        let waited = self.broken_since.and_then(|since| unit.dts.since(since));
        if waited.is_none() {
            // Nothing was damaged before, or the clock has jumped back.
            self.broken_since = Some(unit.dts);
        }
        waited.is_some_and(|waited| waited >= INTACT_WAIT)
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
        let packet = Packet::Unit {
            data: &unit.data,
            timestamp: unit.pts.ticks,
        };
        if !unit.keyframe {
            if !has_picture(unit) {
                // Parameter sets may come in a unit of their own.
                return self.run(packet, &unit.pts);
            }
            let why = if self.waiting {
                "skipped until the next keyframe"
            } else if self.began.is_some_and(|began| unit.pts < began) {
                "it refers to pictures of before the one that decoding began with"
            } else {
                ""
            };
            if !why.is_empty() {
                return Err(self.damaged(&unit.pts, why.into()));
            }
        } else {
            if self.broken_since.is_some() || unit.flags.damaged {
                self.concealing = self.waited_enough(unit);
            }
            self.began = (self.waiting || self.concealing).then_some(unit.pts);
            self.keyframe = (!unit.flags.damaged).then(|| (unit.pts.ticks, is_idr(unit)));
        }
        if unit.flags.damaged && !self.concealing {
            self.waiting = true;
            self.broken_since.get_or_insert(unit.dts);
            return Err(self.damaged(&unit.pts, "bytes of it are missing".into()));
        }
        self.waiting = false;
        self.parser.state().make_do = self.concealing;
        if self.pending.len() == MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(Pending {
            pts: unit.pts,
            received: unit.received,
        });
        let decoded = self.run(packet, &unit.pts);
        if matches!(decoded, Err(CodecError::Damaged { .. })) {
            self.broken_since.get_or_insert(unit.dts);
        }
        decoded
    }

    fn pull(&mut self) -> Option<VideoFrame> {
        self.ready.pop_front()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        let ended = self.run(Packet::End, &"the end");
        self.pending.clear();
        self.waiting = true;
        self.last_shown = false;
        self.keyframe = None;
        self.broken_since = None;
        self.concealing = false;
        ended
    }
}

/// Types of the unit's HEVC NAL units that are of a picture.
fn hevc_slices(unit: &AccessUnit) -> impl Iterator<Item = u8> {
    let kinds = annexb::nal_units(&unit.data).filter_map(|nal| nal.bytes.first());
    kinds
        .map(|header| header >> 1 & 0x3f)
        .filter(|&kind| kind < FIRST_NON_SLICE)
}

/// Whether the unit holds more than parameter sets and the like.
fn has_picture(unit: &AccessUnit) -> bool {
    match unit.codec {
        Codec::Hevc => hevc_slices(unit).next().is_some(),
        _ => annexb::nal_units(&unit.data).any(|nal| nal.kind().is_slice()),
    }
}

/// Whether nothing that follows the unit refers to what is before it.
fn is_idr(unit: &AccessUnit) -> bool {
    match unit.codec {
        Codec::Hevc => hevc_slices(unit).any(|kind| HEVC_IDR.contains(&kind)),
        _ => annexb::has_idr(&unit.data),
    }
}

fn broken(error: &GpuError) -> CodecError {
    CodecError::Broken {
        backend: NAME,
        detail: error.to_string(),
    }
}
