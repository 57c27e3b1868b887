//! H.264 encoding: frames in, access units out, one for one.

use std::collections::VecDeque;
use std::thread::available_parallelism;
use std::time::Duration;

use bytes::BytesMut;

use super::NAME;
use super::sps;
use super::sys::{Failed, Layout, RawEncoder, Source};
use crate::access_unit::{AccessUnit, Codec, TrackId, UnitFlags};
use crate::arena::Arena;
use crate::coder::{Encoder, VideoEncoderSettings};
use crate::convert::encoder_input;
use crate::error::{CodecError, Unsupported};
use crate::frame::VideoFrame;
use crate::h264::NalKind;
use crate::h264::annexb::{START_CODE, nal_units};
use crate::time::Timestamp;

/// Sides that OpenH264 encodes.
const MIN_SIDE: u32 = 16;
/// Macroblocks of a picture of level 5.2, its largest.
const MAX_MACROBLOCKS: u32 = 36_864;
/// Threads that OpenH264 uses at most, and slices that a picture is cut into.
const MAX_THREADS: u8 = 4;
/// Rows of macroblocks that a slice has at least: 720p makes four slices, 360p two. Smaller ones
/// cost more in bits and in handing over than they gain in time.
const MIN_SLICE_ROWS: u32 = 11;
/// Bytes by which rewriting a sequence parameter set may make it longer.
const REWRITING: usize = 64;
/// Milliseconds, which the rate control counts in.
const MILLISECOND: Duration = Duration::from_millis(1);

/// An H.264 encoder over OpenH264.
///
/// What comes out: Main profile (CABAC, one reference picture, no B pictures), the Annex B bytes
/// of one access unit for each frame, at once. Units carry parameter sets before each keyframe
/// and no access unit delimiters: those are the transport stream muxer's to add. Keyframes are
/// IDR pictures. They come when [`VideoEncoderSettings::gop`] of presentation time has passed,
/// when asked for, and when time jumps back.
pub(crate) struct H264Encoder {
    raw: RawEncoder,
    settings: VideoEncoderSettings,
    ready: VecDeque<AccessUnit>,
    /// Memory of the units.
    arena: Arena,
    rewritten: Rewritten,
    /// Time of the first frame.
    start: Option<Timestamp>,
    /// Time of the last keyframe.
    keyframe: Option<Timestamp>,
    forced: bool,
}

impl H264Encoder {
    /// An encoder with these settings.
    ///
    /// # Errors
    /// [`Unsupported`] for sizes and rates that OpenH264 does not encode.
    pub(crate) fn open(settings: &VideoEncoderSettings) -> Result<Self, Unsupported> {
        Self::open_with(settings, threads())
    }

    /// With so many threads for slices, where there are several.
    fn open_with(settings: &VideoEncoderSettings, threads: u8) -> Result<Self, Unsupported> {
        let unsupported = |reason: String| Unsupported::new(settings.codec, reason);
        if settings.codec != Codec::H264 {
            return Err(unsupported("OpenH264 encodes H.264 only".to_owned()));
        }
        let side = |value: u32| u16::try_from(value.next_multiple_of(2)).ok();
        let macroblocks =
            u64::from(settings.width.div_ceil(16)) * u64::from(settings.height.div_ceil(16));
        let size = match (side(settings.width), side(settings.height)) {
            (Some(width), Some(height))
                if settings.width.min(settings.height) >= MIN_SIDE
                    && macroblocks <= u64::from(MAX_MACROBLOCKS) =>
            {
                Some((width, height))
            }
            _ => None,
        };
        let (width, height) = size.ok_or_else(|| {
            unsupported(format!(
                "the picture is {}×{}, OpenH264 encodes sides from {MIN_SIDE} up and at most \
                 {MAX_MACROBLOCKS} macroblocks of 16×16",
                settings.width, settings.height
            ))
        })?;
        let bitrate = i32::try_from(settings.bitrate)
            .ok()
            .filter(|&rate| rate > 0);
        let mut layout = Layout {
            width,
            height,
            bitrate: bitrate.ok_or_else(|| {
                unsupported(format!("the bit rate is {} bit/s", settings.bitrate))
            })?,
            frame_rate: settings.frame_rate.as_f64() as f32,
            slices: slices(settings),
            threads,
        };
        // Some sizes cannot be cut into as many slices.
        let mut raw = RawEncoder::new(layout);
        while raw.is_err() && layout.slices > 1 {
            layout.slices -= 1;
            raw = RawEncoder::new(layout);
        }
        let raw = raw.map_err(|failed| unsupported(failed.to_string()))?;
        Ok(Self {
            raw,
            settings: settings.clone(),
            ready: VecDeque::new(),
            arena: Arena::new(usize::try_from(settings.bitrate / 8).unwrap_or(0)),
            rewritten: Rewritten::default(),
            start: None,
            keyframe: None,
            forced: false,
        })
    }

    /// Whether the frame shown at `pts` is to be a keyframe.
    fn is_due(&self, pts: Timestamp) -> bool {
        let since = self.keyframe.and_then(|keyframe| pts.since(keyframe));
        self.forced || since.is_none_or(|since| since >= self.settings.gop)
    }

    fn broken(failed: Failed) -> CodecError {
        CodecError::Broken {
            backend: NAME,
            detail: failed.to_string(),
        }
    }
}

impl Encoder for H264Encoder {
    type Frame = VideoFrame;

    fn name(&self) -> &'static str {
        NAME
    }

    fn push(&mut self, frame: VideoFrame) -> Result<(), CodecError> {
        let frame = frame.to_host_planes(self.settings.color)?;
        let picture = encoder_input(&frame, &self.settings)?;
        let pts = frame.pts();
        let start = *self.start.get_or_insert(pts);
        let time = pts.since(start).unwrap_or_default();
        let source = Source {
            planes: [picture.plane(0), picture.plane(1), picture.plane(2)],
            time_ms: i64::try_from(time.as_nanos() / MILLISECOND.as_nanos()).unwrap_or(i64::MAX),
            keyframe: self.is_due(pts),
        };
        let keyframe = self.raw.encode(source).map_err(Self::broken)?;
        let data = self.arena.fill(self.raw.coded_len() + REWRITING, |data| {
            self.raw
                .nal_units(|nal| append(nal, &self.settings, &mut self.rewritten, data));
        });
        if data.is_empty() {
            let detail = "it gave no bytes for a frame".to_owned();
            return Err(CodecError::Broken {
                backend: NAME,
                detail,
            });
        }
        if keyframe {
            self.keyframe = Some(pts);
            self.forced = false;
        }
        self.ready.push_back(AccessUnit {
            track: TrackId(0),
            codec: Codec::H264,
            data,
            pts,
            dts: pts,
            keyframe,
            flags: UnitFlags::default(),
            received: frame.times().received,
        });
        Ok(())
    }

    fn takes_planes(&self) -> bool {
        true
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

/// Threads that slices are coded by: one for each core. More only take turns.
fn threads() -> u8 {
    let cores = available_parallelism().map_or(MAX_THREADS.into(), usize::from);
    u8::try_from(cores).map_or(MAX_THREADS, |cores| cores.min(MAX_THREADS))
}

/// How many slices a picture is cut into: one for each thread that it may be coded with, as far as
/// it is high enough. That there may be fewer cores does not matter, so that every machine gives
/// the same bytes.
fn slices(settings: &VideoEncoderSettings) -> u8 {
    let rows = settings.height.div_ceil(16) / MIN_SLICE_ROWS;
    let most = u8::try_from(rows)
        .unwrap_or(MAX_THREADS)
        .clamp(1, MAX_THREADS);
    settings.threads.clamp(1, most)
}

/// The sequence parameter set that was rewritten last: every keyframe brings the same.
#[derive(Default)]
struct Rewritten {
    from: Vec<u8>,
    /// Empty where it cannot be rewritten.
    to: Vec<u8>,
}

impl Rewritten {
    /// `nal` with what the library leaves out of it; `None` where it goes out as it is.
    fn of(&mut self, nal: &[u8], settings: &VideoEncoderSettings) -> Option<&[u8]> {
        if self.from != nal {
            self.from.clear();
            self.from.extend_from_slice(nal);
            self.to.clear();
            if sps::from_encoder(nal, settings, &mut self.to).is_err() {
                self.to.clear();
            }
        }
        (!self.to.is_empty()).then_some(self.to.as_slice())
    }
}

/// Appends a NAL unit with its start code to `unit`; a sequence parameter set with what the
/// library leaves out of it.
fn append(
    nal: &[u8],
    settings: &VideoEncoderSettings,
    rewritten: &mut Rewritten,
    unit: &mut BytesMut,
) {
    for parsed in nal_units(nal) {
        let sets = (parsed.kind() == NalKind::SPS)
            .then(|| rewritten.of(parsed.bytes, settings))
            .flatten();
        match sets {
            Some(set) => {
                unit.extend_from_slice(&START_CODE);
                unit.extend_from_slice(set);
            }
            // Valid without the additions, too.
            None => unit.extend_from_slice(nal),
        }
    }
}

#[cfg(test)]
#[path = "encoder_test.rs"]
mod tests;
