//! H.264 access units from PES packets, however the two are laid over one another.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};

use super::display::DisplayTimes;
use super::fault::FaultKind;
use super::output::Output;
use super::packet::Pid;
use super::timing::{Placed, UnitClock, ticks_of_frame};
use super::track::{End, PesTimes};
use crate::access_unit::{AccessUnit, Codec, TrackId, UnitFlags};
use crate::h264::annexb::nal_units_from;
use crate::h264::{AccessUnitDetector, Boundary, NalKind, PicOrderCount, UnitFacts};
use crate::stream::{Rational, StreamParams};

/// A stream whose access units went on in the next PES packet so many times is no longer taken
/// to have one unit per PES packet: its units end where the next one begins, or in silence.
const JOINS: u8 = 3;

/// Gathers payload, finds access units in it, places them in time.
///
/// Most streams have one access unit per PES packet, so the end of a PES packet is taken as the
/// end of a unit, which is then handed out at once. Where that proves wrong, because bytes of the
/// same unit follow, the unit is handed out again, whole, as a replacement.
#[derive(Debug)]
pub(super) struct VideoAssembler {
    track: TrackId,
    /// Begins where a unit begins.
    buf: BytesMut,
    /// NAL units that begin before this place were seen by the detector.
    scanned: usize,
    detector: AccessUnitDetector,
    /// Where PES packets begin in `buf`, and the times they state.
    marks: VecDeque<(usize, PesTimes)>,
    /// Where bytes are missing in `buf`.
    damage: Vec<usize>,
    /// Bytes of the PES packet were left out because it is too large.
    full: bool,
    /// The unit that was handed out last, if bytes of it may still follow.
    emitted: Option<Emitted>,
    /// The unit at the start of `buf` was handed out before, with so many bytes.
    replaces: Option<usize>,
    joins: u8,
    clock: UnitClock,
    order: PicOrderCount,
    display: DisplayTimes,
    frame_rate: Option<Rational>,
    params_known: bool,
    // Kept for its allocation.
    boundaries: Vec<Boundary>,
}

#[derive(Debug)]
struct Emitted {
    data: Bytes,
    times: PesTimes,
    damaged: bool,
}

impl VideoAssembler {
    pub(super) fn new(track: TrackId) -> Self {
        Self {
            track,
            buf: BytesMut::new(),
            scanned: 0,
            detector: AccessUnitDetector::new(),
            marks: VecDeque::new(),
            damage: Vec::new(),
            full: false,
            emitted: None,
            replaces: None,
            joins: 0,
            clock: UnitClock::new(track),
            order: PicOrderCount::default(),
            display: DisplayTimes::default(),
            frame_rate: None,
            params_known: false,
            boundaries: Vec::new(),
        }
    }

    /// A PES packet begins.
    pub(super) fn begin(&mut self, times: PesTimes) {
        self.full = false;
        // Of packets without payload in between only the last can matter.
        if let Some((at, last)) = self.marks.back_mut()
            && *at == self.buf.len()
        {
            *last = times;
        } else {
            self.marks.push_back((self.buf.len(), times));
        }
    }

    /// A PES packet goes on whose beginning is missing.
    pub(super) fn begin_orphan(&mut self) {
        if self.buf.is_empty() {
            self.emitted = None;
            self.detector.restart_unit();
            self.begin(PesTimes::default());
        }
        self.damage();
    }

    /// Bytes are missing here.
    pub(super) fn damage(&mut self) {
        if self.damage.last() != Some(&self.buf.len()) {
            self.damage.push(self.buf.len());
        }
    }

    /// No bytes of the PES packet that is being read were missing after all.
    pub(super) fn undo_damage(&mut self) {
        if let Some(&(begin, times)) = self.marks.back()
            && !self.full
        {
            // Of an orphan no time is known, and its beginning is missing in any case.
            let orphan = times == PesTimes::default();
            self.damage
                .retain(|&at| at < begin || (at == begin && orphan));
        }
    }

    pub(super) fn is_pending(&self) -> bool {
        !self.buf.is_empty()
    }

    /// Time between units, as far as known.
    pub(super) fn unit_time(&self) -> Option<Duration> {
        self.clock.unit_time()
    }

    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8], out: &mut Output) {
        if self.buf.len() + bytes.len() > out.max_unit {
            return self.append_to_full(bytes, out);
        }
        self.buf.extend_from_slice(bytes);
    }

    /// A PES packet may hold many units: those that are complete make room.
    #[cold]
    fn append_to_full(&mut self, bytes: &[u8], out: &mut Output) {
        if !self.full {
            self.scan(End::Packet, false, None, out);
        }
        let limit = out.max_unit;
        if self.buf.len() + bytes.len() <= limit {
            self.buf.extend_from_slice(bytes);
            return;
        }
        if !self.full {
            out.fault(Pid::of(self.track), FaultKind::Oversized { limit });
        }
        self.full = true;
        self.damage();
    }

    /// What is in `buf` ends a PES packet, or nothing came for a while, or the stream ends.
    pub(super) fn end(&mut self, end: End, received: Option<Instant>, out: &mut Output) {
        let whole_unit = end != End::Packet || self.joins < JOINS;
        self.scan(end, whole_unit, received, out);
        if end == End::Stream {
            self.buf.clear();
            self.marks.clear();
            self.damage.clear();
            self.emitted = None;
            self.replaces = None;
            self.detector.restart_unit();
            self.scanned = 0;
        }
    }

    /// Hands out the units that are complete; `whole_unit`: the last one, too.
    fn scan(&mut self, end: End, whole_unit: bool, received: Option<Instant>, out: &mut Output) {
        if self.buf.is_empty() {
            return;
        }
        if self.emitted.is_some() && !self.resolve_emitted(whole_unit, out) {
            return;
        }
        if self.scanned == 0 {
            self.strip(whole_unit);
        }
        self.find_boundaries(whole_unit, out);
        let mut begin = 0;
        let mut boundaries = std::mem::take(&mut self.boundaries);
        for boundary in boundaries.drain(..) {
            self.emit(boundary.offset - begin, &boundary.ended, received, out);
            begin = boundary.offset;
        }
        self.boundaries = boundaries;
        self.detector.advance(begin);
        self.scanned -= begin;
        if !whole_unit {
            return;
        }
        let facts = *self.detector.unit();
        let second_field_may_follow = facts.single_field && end == End::Packet;
        if self.buf.is_empty() {
            self.marks.clear();
            self.damage.clear();
            self.scanned = 0;
            return;
        }
        if facts.slices == 0 || second_field_may_follow {
            // Not a unit yet. What follows is read together with it.
            self.detector.restart_unit();
            self.scanned = 0;
            return;
        }
        let (data, times, damaged) = self.emit(self.buf.len(), &facts, received, out);
        self.scanned = 0;
        self.damage.clear();
        self.emitted = Some(Emitted {
            data,
            times,
            damaged,
        });
    }

    /// Drops what stands before the first start code: the end of a unit whose beginning is
    /// missing.
    fn strip(&mut self, whole_unit: bool) {
        let cut = match nal_units_from(&self.buf, 0).next() {
            Some(nal) => nal.offset,
            None if whole_unit => self.buf.len(),
            None => return,
        };
        if self.buf.iter().take(cut).all(|&byte| byte == 0) {
            return;
        }
        self.buf.advance(cut);
        self.damage.retain(|at| *at > cut);
        for at in &mut self.damage {
            *at -= cut;
        }
        // Of the PES packets that began in it the last one counts. Unless that began right here,
        // the beginning of its unit is missing.
        while self.marks.get(1).is_some_and(|(at, _)| *at <= cut) {
            self.marks.pop_front();
        }
        if self.marks.front().is_none_or(|(at, _)| *at < cut) {
            self.damage.insert(0, 0);
        }
        for (at, _) in &mut self.marks {
            *at = at.saturating_sub(cut);
        }
        self.replaces = None;
    }

    /// Finds out whether `buf` goes on with the unit that was handed out. Returns whether that
    /// could be told; if so nothing is left in `emitted`.
    fn resolve_emitted(&mut self, whole_unit: bool, out: &mut Output) -> bool {
        let mut nals = nal_units_from(&self.buf, 0);
        let first = nals.next();
        if let Some(nal) = first {
            if !whole_unit && nals.next().is_none() {
                return false;
            }
            let aligned = self.buf.iter().take(nal.offset).all(|&byte| byte == 0);
            let after = nal.offset + 4;
            if aligned {
                let (boundary, parsed) = self.detector.push(nal);
                if let Err(error) = parsed {
                    out.fault(Pid::of(self.track), error);
                }
                if boundary.is_some() {
                    self.emitted = None;
                    self.scanned = after.min(self.buf.len());
                    return true;
                }
            }
        }
        self.rejoin();
        true
    }

    /// `buf` goes on with the unit that was handed out: puts that in front of it again.
    fn rejoin(&mut self) {
        let Some(emitted) = self.emitted.take() else {
            return;
        };
        let length = emitted.data.len();
        let mut joined = BytesMut::with_capacity(length + self.buf.len());
        joined.extend_from_slice(&emitted.data);
        joined.extend_from_slice(&self.buf);
        self.buf = joined;
        if self.marks.front().is_some_and(|(at, _)| *at == 0) {
            self.joins = self.joins.saturating_add(1);
        }
        for (at, _) in &mut self.marks {
            *at += length;
        }
        for at in &mut self.damage {
            *at += length;
        }
        if emitted.damaged {
            self.damage.insert(0, 0);
        }
        self.marks.push_front((0, emitted.times));
        self.replaces = Some(length);
        self.detector.restart_unit();
        self.scanned = 0;
    }

    /// Shows the detector the NAL units that it has not seen. Unless all of `buf` is there, the
    /// last one may go on and is left for the next time.
    fn find_boundaries(&mut self, all: bool, out: &mut Output) {
        let mut nals = nal_units_from(&self.buf, self.scanned).peekable();
        while let Some(nal) = nals.next() {
            if !all && nals.peek().is_none() {
                self.scanned = nal.offset;
                return;
            }
            let (boundary, parsed) = self.detector.push(nal);
            if let Err(error) = parsed {
                out.fault(Pid::of(self.track), error);
            }
            self.boundaries.extend(boundary);
        }
        if all {
            self.scanned = self.buf.len();
        }
    }

    /// Hands out the first `length` bytes of `buf` as a unit.
    fn emit(
        &mut self,
        length: usize,
        facts: &UnitFacts,
        received: Option<Instant>,
        out: &mut Output,
    ) -> (Bytes, PesTimes, bool) {
        let data = self.buf.split_to(length).freeze();
        let times = self.take_times(length);
        let damaged = self.take_damage(length);
        let before = self.replaces.take();
        let nothing_new = before == Some(length);
        let mut stated = times.unwrap_or_default();
        if nothing_new {
            return (data, stated, damaged);
        }
        self.learn_params(facts, out);
        let step = self.frame_rate.map(ticks_of_frame);
        let Some(mut placed) = self.clock.place(times, step, before.is_some(), out) else {
            return (data, stated, damaged);
        };
        self.show(&mut placed, stated.pts.is_some(), step, facts);
        stated.pts = Some(placed.pts.ticks);
        stated.dts = Some(placed.dts.ticks);
        out.unit(AccessUnit {
            track: self.track,
            codec: Codec::H264,
            data: self.with_sets(&data, facts),
            pts: placed.pts,
            dts: placed.dts,
            keyframe: facts.is_random_access(),
            flags: UnitFlags {
                damaged,
                discontinuity: placed.discontinuity,
                replaces_previous: before.is_some(),
                hidden: false,
            },
            received,
        });
        (data, stated, damaged)
    }

    /// Puts a picture that does not state when it is shown among those that do.
    fn show(&mut self, placed: &mut Placed, stated: bool, step: Option<i64>, facts: &UnitFacts) {
        let sets = self.detector.parameter_sets();
        let Some((slice, sps)) = facts
            .first_slice
            .and_then(|slice| Some((slice, sets.active_sps(&slice)?)))
        else {
            return;
        };
        let Some(count) = self.order.next(&slice, sps) else {
            return;
        };
        if stated {
            let (pts, dts) = (placed.pts, placed.dts);
            self.display.stated(count, slice.idr, pts, dts);
        } else if let Some(pts) = self.display.guessed(count, slice.idr, placed.dts, step) {
            placed.pts = pts;
            placed.dts = placed.dts.min(pts);
        }
    }

    /// The bytes of a unit; a keyframe that comes without its parameter sets gets those of earlier
    /// ones, behind its delimiter, so that a decoder can start with it.
    fn with_sets(&self, data: &Bytes, facts: &UnitFacts) -> Bytes {
        if !facts.is_random_access() || (facts.sps && facts.pps) {
            return data.clone();
        }
        let sets = self.detector.parameter_sets().to_annexb();
        let mut nals = nal_units_from(data, 0);
        let delimited = nals.next().is_some_and(|nal| nal.kind() == NalKind::AUD);
        let at = match nals.next() {
            Some(second) if delimited => second.offset,
            _ => 0,
        };
        let (delimiter, rest) = data.split_at(at.min(data.len()));
        [delimiter, &sets, rest].concat().into()
    }

    /// The times that belong to the unit at the start of `buf`: those of the last PES packet that
    /// began at or before it. A PES packet that began inside it speaks of the next unit, the
    /// first one to begin in that packet (ISO/IEC 13818-1, 2.4.3.7).
    fn take_times(&mut self, length: usize) -> Option<PesTimes> {
        let mut times = None;
        while let Some((0, mark)) = self.marks.front() {
            times = Some(*mark);
            self.marks.pop_front();
        }
        for (at, _) in &mut self.marks {
            *at = at.saturating_sub(length);
        }
        times
    }

    fn take_damage(&mut self, length: usize) -> bool {
        let damaged = self.damage.first().is_some_and(|at| *at <= length);
        // Damage at the very end may be the next unit's as well.
        self.damage.retain(|at| *at >= length);
        for at in &mut self.damage {
            *at -= length;
        }
        damaged
    }

    fn learn_params(&mut self, facts: &UnitFacts, out: &mut Output) {
        if self.params_known && !facts.sps {
            return;
        }
        let sets = self.detector.parameter_sets();
        let Some(sps) = facts.first_slice.and_then(|slice| sets.active_sps(&slice)) else {
            return;
        };
        let params = sps.video_params();
        self.params_known = true;
        self.frame_rate = params.frame_rate;
        out.set_params(self.track, StreamParams::Video(params));
    }
}
