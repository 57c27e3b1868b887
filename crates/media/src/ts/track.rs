//! One elementary stream: continuity, PES packets, and when one is complete.

use std::time::{Duration, Instant};

use super::assembler::{Assembler, Coding};
use super::fault::FaultKind;
use super::output::Output;
use super::packet::{Packet, Pid};
use super::pes::{MAX_HEADER_LEN, PesHeader};
use super::unnamed::Named;
use crate::access_unit::{Codec, TrackId};

/// Stuffing that turned out to stand in the middle of a PES packet so many times is no longer
/// taken for the end of one.
const FALSE_ENDS: u8 = 3;
/// Continuity counters that are wrong so many times more than they are right are not believed.
const WRONG_COUNTERS: u8 = 16;
/// Of a stream whose counters are found to be wrong so many at most were right by chance.
const RIGHT_BY_CHANCE: u8 = 4;
/// The longest pause awaited inside a unit, where the time between units is not known.
const MAX_QUIET: Duration = Duration::from_millis(40);

/// Times that a PES header states, unwrapped, in ticks of 90 kHz.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PesTimes {
    pub(super) pts: Option<i64>,
    pub(super) dts: Option<i64>,
    /// The clock jumps here by intent.
    pub(super) discontinuity: bool,
}

/// Why a PES packet is taken to be complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It has the length that it states, its last packet is filled up, or the next one begins.
    Packet,
    /// Nothing came for a while.
    Quiet,
    /// The stream ends, or the track.
    Stream,
}

/// Enough of a payload to tell, together with the continuity counter, that it came before: its
/// length, its first and its last bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fingerprint(usize, u64, u64);

impl Fingerprint {
    #[inline]
    fn of(payload: &[u8]) -> Self {
        let number = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        Self(
            payload.len(),
            number(payload.first_chunk()),
            number(payload.last_chunk()),
        )
    }
}

#[derive(Debug)]
enum Pes {
    /// Waits for a PES packet to begin.
    Idle,
    /// The header is not complete yet.
    Header(Vec<u8>),
    /// Payload follows; so many bytes, where the header states it.
    Body(Option<usize>),
    /// All payload is there. `stuffed`: only because of stuffing, which may mislead.
    Done { stuffed: bool },
}

#[derive(Debug)]
pub(super) struct Track {
    pub(super) pid: Pid,
    /// What the tables say of it.
    pub(super) coding: Coding,
    /// How many more of the last continuity counters were wrong than right.
    wrong_counters: u8,
    /// How many were right, as far as that matters.
    right_counters: u8,
    /// The length that PES headers state was wrong.
    wrong_lengths: bool,
    continuity: Option<u8>,
    fingerprint: Fingerprint,
    scrambled: bool,
    discontinuity: bool,
    pes: Pes,
    assembler: Assembler,
    false_ends: u8,
    quiet: QuietTime,
}

impl Track {
    pub(super) fn new(pid: Pid, coding: Coding, quiet: Duration) -> Self {
        Self {
            pid,
            coding,
            wrong_counters: 0,
            right_counters: 0,
            wrong_lengths: false,
            continuity: None,
            fingerprint: Fingerprint::default(),
            scrambled: false,
            discontinuity: false,
            pes: Pes::Idle,
            assembler: coding.assembler(TrackId(u32::from(pid.0))),
            false_ends: 0,
            quiet: QuietTime::new(quiet),
        }
    }

    /// Takes the next packet of this PID.
    pub(super) fn packet(&mut self, packet: &Packet<'_>, now: Option<Instant>, out: &mut Output) {
        self.discontinuity |= packet.adaptation.discontinuity;
        let Some(payload) = packet.payload else {
            return;
        };
        if packet.scrambled {
            if !self.scrambled {
                out.fault(self.pid, FaultKind::Scrambled);
            } else {
                out.stats.faults.scrambled += 1;
            }
            self.scrambled = true;
            self.continuity = None;
            return;
        }
        self.scrambled = false;
        let fingerprint = Fingerprint::of(payload);
        let earlier = std::mem::replace(&mut self.fingerprint, fingerprint);
        let last = self.continuity.replace(packet.continuity);
        match last {
            Some(last) if packet.continuity == (last + 1) & 0x0f => {
                self.wrong_counters = self.wrong_counters.saturating_sub(1);
                self.right_counters = self.right_counters.saturating_add(1);
            }
            Some(last) if !packet.adaptation.discontinuity => {
                if packet.continuity == last && fingerprint == earlier {
                    out.stats.duplicates += 1;
                    return;
                }
                self.counter_is_wrong(last, packet, out);
            }
            _ => {}
        }
        if packet.unit_start {
            self.end_by_next(out);
            self.quiet.unit_starts(now);
            self.begin(payload, packet.adaptation.stuffing, out);
        } else {
            self.quiet.bytes_come(now, matches!(self.pes, Pes::Body(_)));
            self.go_on(payload, packet.adaptation.stuffing, out);
        }
    }

    /// Packets are missing, unless the counters of this stream are wrong altogether.
    fn counter_is_wrong(&mut self, last: u8, packet: &Packet<'_>, out: &mut Output) {
        let believed = self.wrong_counters < WRONG_COUNTERS;
        self.wrong_counters = (self.wrong_counters + 1).min(2 * WRONG_COUNTERS);
        if !believed {
            return;
        }
        if self.wrong_counters == WRONG_COUNTERS {
            if self.right_counters <= RIGHT_BY_CHANCE {
                // They were wrong from the start, and what they spoiled is mostly a first keyframe.
                self.assembler.undo_damage();
            }
            return out.fault(self.pid, FaultKind::Counters);
        }
        let got = packet.continuity;
        out.fault(self.pid, FaultKind::Continuity { last, got });
        match self.pes {
            Pes::Done { .. } if packet.unit_start => self.begin_orphan(true),
            Pes::Done { .. } | Pes::Idle => self.begin_orphan(packet.unit_start),
            Pes::Header(_) | Pes::Body(_) => self.lose(),
        }
    }

    /// Packets are missing, or one is damaged: what was begun lacks bytes.
    pub(super) fn lose(&mut self) {
        match self.pes {
            Pes::Idle | Pes::Done { .. } => {}
            Pes::Header(_) => {
                self.pes = Pes::Idle;
                if let Assembler::Whole(whole) = &mut self.assembler {
                    whole.lose_unit();
                }
            }
            Pes::Body(_) => self.assembler.damage(),
        }
    }

    /// The packet that began a PES packet is among those missing. Of video the slices that are
    /// left make a damaged unit, so that nobody takes the stream for complete; of others nothing
    /// can be used.
    fn begin_orphan(&mut self, unit_start: bool) {
        self.pes = Pes::Idle;
        match &mut self.assembler {
            Assembler::H264(video) if !unit_start => {
                video.begin_orphan();
                self.pes = Pes::Body(None);
            }
            Assembler::H264(_) | Assembler::Audio(_) | Assembler::Unnamed(_) => {}
            Assembler::Whole(whole) => whole.lose_unit(),
        }
    }

    fn begin(&mut self, payload: &[u8], stuffed: bool, out: &mut Output) {
        match PesHeader::parse(payload) {
            Ok(Some(header)) => self.begin_body(&header, payload, stuffed, out),
            Ok(None) => self.pes = Pes::Header(payload.to_vec()),
            Err(error) => {
                self.pes = Pes::Idle;
                out.fault(self.pid, error);
            }
        }
    }

    fn begin_body(&mut self, header: &PesHeader, bytes: &[u8], stuffed: bool, out: &mut Output) {
        if header.is_padding() {
            self.pes = Pes::Idle;
            return;
        }
        if header.scrambled {
            self.pes = Pes::Idle;
            return out.fault(self.pid, FaultKind::Scrambled);
        }
        // Decoding times come in order, so the clock follows them rather than the others.
        let dts = header.dts.map(|time| out.clock.unwrap(time));
        let pts = header.pts.map(|time| out.clock.unwrap(time));
        if pts.is_none() {
            out.fault(self.pid, FaultKind::NoTimestamp);
        }
        let times = PesTimes {
            pts,
            dts,
            discontinuity: std::mem::take(&mut self.discontinuity),
        };
        self.assembler.begin(times);
        self.pes = Pes::Body(header.payload_len.filter(|_| !self.wrong_lengths));
        let payload = bytes.get(header.header_len..).unwrap_or_default();
        // A header alone in a packet that is filled up: the payload follows.
        let stuffed = stuffed && !payload.is_empty();
        self.body(payload, stuffed, out);
    }

    fn go_on(&mut self, payload: &[u8], stuffed: bool, out: &mut Output) {
        match &mut self.pes {
            Pes::Idle => {}
            Pes::Header(head) => {
                head.extend_from_slice(payload);
                // A parsable header has at most that many bytes, so this ends.
                debug_assert!(head.len() <= MAX_HEADER_LEN + super::packet::MAX_PAYLOAD);
                let head = std::mem::take(head);
                self.begin(&head, stuffed, out);
            }
            Pes::Body(_) => self.body(payload, stuffed, out),
            Pes::Done { stuffed: true } => {
                self.false_ends = self.false_ends.saturating_add(1);
                self.pes = Pes::Body(None);
                self.body(payload, stuffed, out);
            }
            Pes::Done { stuffed: false } => self.beyond_length(payload, stuffed, out),
        }
    }

    /// Payload of a PES packet that has the length it states. Some muxers state only the lower 16
    /// bits of the length of a large picture.
    fn beyond_length(&mut self, payload: &[u8], stuffed: bool, out: &mut Output) {
        let filler = payload.iter().all(|&byte| byte == 0xff || byte == 0);
        if filler || !matches!(self.assembler, Assembler::H264(_)) {
            return;
        }
        out.fault(self.pid, FaultKind::PesLength);
        self.wrong_lengths = true;
        self.pes = Pes::Body(None);
        self.body(payload, stuffed, out);
    }

    fn body(&mut self, payload: &[u8], stuffed: bool, out: &mut Output) {
        let Pes::Body(left) = &mut self.pes else {
            return;
        };
        let take = left.unwrap_or(payload.len()).min(payload.len());
        let bytes = payload.get(..take).unwrap_or_default();
        self.assembler.append(bytes, out);
        match left {
            Some(left) => {
                *left -= take;
                if *left == 0 {
                    self.pes = Pes::Done { stuffed: false };
                    self.end(End::Packet, out);
                    let more = payload.get(take..).unwrap_or_default();
                    self.beyond_length(more, stuffed, out);
                }
            }
            None if stuffed && self.false_ends < FALSE_ENDS => {
                self.pes = Pes::Done { stuffed: true };
                self.end(End::Packet, out);
            }
            None => {}
        }
    }

    /// The next PES packet begins.
    fn end_by_next(&mut self, out: &mut Output) {
        match self.pes {
            Pes::Body(Some(missing)) if missing > 0 => {
                out.fault(self.pid, FaultKind::PesCut { missing });
                self.lose();
                self.end(End::Packet, out);
            }
            Pes::Body(_) => self.end(End::Packet, out),
            Pes::Idle | Pes::Header(_) | Pes::Done { .. } => {}
        }
    }

    fn end(&mut self, end: End, out: &mut Output) {
        let received = self.quiet.last;
        if let Some(named) = self.assembler.end(end, received, out) {
            self.named(named, end, out);
        }
    }

    /// What it is is known: it is told, and what was held goes its way.
    fn named(&mut self, named: Named, end: End, out: &mut Output) {
        let track = TrackId(u32::from(self.pid.0));
        let undetermined = self.coding.codec == Codec::UNDETERMINED_AUDIO;
        let codec = named.codec.unwrap_or(if undetermined {
            Codec::UNKNOWN_AUDIO
        } else {
            self.coding.codec
        });
        let coding = Coding {
            codec,
            latm: named.latm,
            unnamed: false,
        };
        out.set_codec(track, codec);
        let before = std::mem::replace(&mut self.assembler, coding.assembler(track));
        let Assembler::Unnamed(unnamed) = before else {
            return;
        };
        for held in unnamed.into_held() {
            self.assembler.begin(held.times);
            self.assembler.append(&held.data, out);
            if held.damaged {
                self.assembler.damage();
            }
            self.assembler.end(End::Packet, held.received, out);
        }
        if end == End::Stream {
            self.assembler.end(end, None, out);
        }
    }

    /// The stream ends, or goes on without this track. What comes after counts anew.
    pub(super) fn finish(&mut self, out: &mut Output) {
        if let Pes::Body(Some(missing)) = self.pes
            && missing > 0
        {
            out.fault(self.pid, FaultKind::PesCut { missing });
            self.lose();
        }
        self.pes = Pes::Idle;
        self.continuity = None;
        self.end(End::Stream, out);
    }

    /// When silence means that what is there is a unit.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let more_must_come = match self.pes {
            Pes::Body(left) => left.is_some(),
            Pes::Header(_) => true,
            Pes::Idle | Pes::Done { .. } => false,
        };
        let (pending, unit_time) = match &self.assembler {
            Assembler::H264(video) => (video.is_pending(), video.unit_time()),
            Assembler::Audio(audio) => (audio.is_pending(), None),
            Assembler::Whole(whole) => (whole.is_pending(), None),
            Assembler::Unnamed(_) => (false, None),
        };
        (pending && !more_must_come)
            .then(|| self.quiet.deadline(unit_time))
            .flatten()
    }

    pub(super) fn flush_quiet(&mut self, now: Instant, out: &mut Output) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.quiet.flushed = true;
            self.end(End::Quiet, out);
        }
    }
}

/// How long silence must last to mean the end of a unit: the least time configured, or longer
/// where the stream was seen to pause inside units.
#[derive(Debug)]
struct QuietTime {
    least: Duration,
    /// The longest pause inside a unit, forgotten slowly.
    pause: Duration,
    /// When the last bytes came.
    last: Option<Instant>,
    /// Silence was acted on, and nothing came since.
    flushed: bool,
}

impl QuietTime {
    fn new(least: Duration) -> Self {
        Self {
            least,
            pause: Duration::ZERO,
            last: None,
            flushed: false,
        }
    }

    fn unit_starts(&mut self, now: Option<Instant>) {
        // A pause counts less by 1/32 with each unit: after two seconds at 30 fps, 15 % of it.
        self.pause -= self.pause / 32;
        self.last = now;
        self.flushed = false;
    }

    fn bytes_come(&mut self, now: Option<Instant>, inside: bool) {
        if inside && let (Some(now), Some(last)) = (now, self.last) {
            self.pause = self.pause.max(now.saturating_duration_since(last));
        }
        self.last = now;
        self.flushed = false;
    }

    /// `unit_time`: time between units; a pause as long as that is none inside a unit.
    fn deadline(&self, unit_time: Option<Duration>) -> Option<Instant> {
        if self.flushed {
            return None;
        }
        let longest = unit_time.unwrap_or(MAX_QUIET).max(self.least);
        let quiet = (self.pause * 3 / 2).clamp(self.least, longest);
        self.last?.checked_add(quiet)
    }
}
