//! Elementary streams whose PES packets are handed out whole: HEVC, MPEG audio, AC-3, data.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::fault::FaultKind;
use super::output::Output;
use super::packet::Pid;
use super::timing::{UnitClock, ticks_of_frame};
use super::track::{End, PesTimes};
use crate::access_unit::{AccessUnit, Codec, TrackId, UnitFlags};
use crate::audio::frame_header;
use crate::hevc;
use crate::stream::{Rational, StreamParams};

/// One PES packet, one unit.
#[derive(Debug)]
pub(super) struct WholeAssembler {
    track: TrackId,
    codec: Codec,
    buf: BytesMut,
    times: PesTimes,
    damaged: bool,
    /// Units ahead of this one are missing.
    lost: bool,
    full: bool,
    clock: UnitClock,
    /// Of an H.265 stream.
    sets: hevc::ParameterSets,
    frame_rate: Option<Rational>,
    // What was handed out of the PES packet that is being read.
    emitted: Option<Bytes>,
}

impl WholeAssembler {
    pub(super) fn new(track: TrackId, codec: Codec) -> Self {
        Self {
            track,
            codec,
            buf: BytesMut::new(),
            times: PesTimes::default(),
            damaged: false,
            lost: false,
            full: false,
            clock: UnitClock::new(track),
            sets: hevc::ParameterSets::default(),
            frame_rate: None,
            emitted: None,
        }
    }

    pub(super) fn begin(&mut self, times: PesTimes) {
        self.buf.clear();
        self.times = times;
        self.damaged = false;
        self.full = false;
        self.emitted = None;
    }

    pub(super) fn damage(&mut self) {
        self.damaged = true;
    }

    /// No bytes of this PES packet were missing after all.
    pub(super) fn undo_damage(&mut self) {
        self.damaged = self.full;
    }

    /// A PES packet is missing, or its beginning is. Pictures may refer to what it held, and
    /// decoders of H.265 do not notice.
    pub(super) fn lose_unit(&mut self) {
        self.lost = self.codec == Codec::Hevc;
    }

    pub(super) fn is_pending(&self) -> bool {
        !self.buf.is_empty()
    }

    pub(super) fn append(&mut self, bytes: &[u8], out: &mut Output) {
        let before = self.emitted.as_ref().map_or(0, Bytes::len);
        if before + self.buf.len() + bytes.len() > out.max_unit {
            if !self.full {
                let limit = out.max_unit;
                out.fault(Pid::of(self.track), FaultKind::Oversized { limit });
            }
            self.full = true;
            self.damaged = true;
            return;
        }
        self.buf.extend_from_slice(bytes);
    }

    pub(super) fn end(&mut self, _: End, received: Option<Instant>, out: &mut Output) {
        if self.buf.is_empty() {
            return;
        }
        let replaces = self.emitted.is_some();
        let data = match self.emitted.take() {
            None => self.buf.split().freeze(),
            Some(earlier) => {
                let mut whole = BytesMut::with_capacity(earlier.len() + self.buf.len());
                whole.extend_from_slice(&earlier);
                whole.extend_from_slice(&self.buf.split());
                whole.freeze()
            }
        };
        self.emitted = Some(data.clone());
        let params = match self.codec {
            Codec::Hevc => hevc::video_params(&data).map(StreamParams::Video),
            codec => frame_header::params(codec, &data).map(StreamParams::Audio),
        };
        if let Some(params) = params {
            if let StreamParams::Video(video) = &params {
                self.frame_rate = video.frame_rate;
            }
            out.set_params(self.track, params);
        }
        let step = self.frame_rate.map(ticks_of_frame);
        let Some(placed) = self.clock.place(Some(self.times), step, replaces, out) else {
            return;
        };
        let keyframe = self.codec != Codec::Hevc || hevc::is_random_access(&data);
        let lost = std::mem::take(&mut self.lost);
        self.damaged |= lost && !keyframe;
        let data = match self.codec {
            Codec::Hevc => self.sets.complete(data, keyframe),
            _ => data,
        };
        out.unit(AccessUnit {
            track: self.track,
            codec: self.codec,
            keyframe,
            data,
            pts: placed.pts,
            dts: placed.dts,
            flags: UnitFlags {
                damaged: self.damaged,
                discontinuity: placed.discontinuity,
                replaces_previous: replaces,
                hidden: false,
            },
            received,
        });
    }
}
