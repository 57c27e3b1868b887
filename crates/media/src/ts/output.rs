//! Where the demuxer's parts put what they find: events, statistics, the program's clock.

use std::collections::VecDeque;

use serde::Serialize;

use super::clock::ProgramClock;
use super::demux::DemuxEvent;
use super::fault::{FaultCounts, FaultKind, TsFault};
use super::packet::Pid;
use crate::access_unit::{AccessUnit, Codec, TrackId};
use crate::stream::{StreamInfo, StreamParams};

/// What went through a demuxer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TsStats {
    /// Bytes pushed.
    pub bytes: u64,
    /// Bytes from one packet to the next: 188; 192 with a time in front of each packet, 204 with an
    /// error-correcting code behind it.
    pub packet_len: usize,
    /// Packets, null packets and unknown PIDs included.
    pub packets: u64,
    /// Null packets.
    pub null_packets: u64,
    /// Packets that repeat the one before, which is allowed once.
    pub duplicates: u64,
    /// Bytes that were no packets.
    pub skipped_bytes: u64,
    /// Units handed out, replacements included.
    pub units: u64,
    /// Units that replaced the one before, because bytes of it came late.
    pub replacements: u64,
    /// Units handed out with bytes missing.
    pub damaged_units: u64,
    /// Faults by kind.
    pub faults: FaultCounts,
}

/// What a demuxer knows of its stream as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TransportReport {
    /// Programs that the stream holds, by their numbers.
    pub programs: Vec<u16>,
    /// The one that is read, once it was found.
    pub program: Option<u16>,
    /// What went through.
    #[serde(flatten)]
    pub stats: TsStats,
}

#[derive(Debug)]
pub(super) struct Output {
    pub(super) events: VecDeque<DemuxEvent>,
    pub(super) streams: Vec<StreamInfo>,
    pub(super) stats: TsStats,
    pub(super) clock: ProgramClock,
    /// Programs that the PAT lists.
    pub(super) programs: Vec<u16>,
    /// Place of the packet that is being read.
    pub(super) offset: u64,
    /// Bytes that a unit may have.
    pub(super) max_unit: usize,
}

impl Output {
    pub(super) fn new(max_unit: usize) -> Self {
        Self {
            events: VecDeque::new(),
            streams: Vec::new(),
            stats: TsStats::default(),
            clock: ProgramClock::default(),
            programs: Vec::new(),
            offset: 0,
            max_unit,
        }
    }

    pub(super) fn fault(&mut self, pid: impl Into<Option<Pid>>, kind: impl Into<FaultKind>) {
        let kind = kind.into();
        self.stats.faults.count(&kind);
        self.events.push_back(DemuxEvent::Fault(TsFault {
            pid: pid.into(),
            offset: self.offset,
            kind,
        }));
    }

    pub(super) fn unit(&mut self, unit: AccessUnit) {
        self.stats.units += 1;
        self.stats.replacements += u64::from(unit.flags.replaces_previous);
        self.stats.damaged_units += u64::from(unit.flags.damaged);
        self.events.push_back(DemuxEvent::Unit(unit));
    }

    /// Notes what a stream is coded in, and announces it if it is new.
    pub(super) fn set_codec(&mut self, track: TrackId, codec: Codec) {
        let stream = self.streams.iter_mut().find(|stream| stream.track == track);
        if let Some(stream) = stream
            && stream.codec != codec
        {
            stream.codec = codec;
            self.announce();
        }
    }

    /// Notes the parameters of a stream, and announces them if they are new.
    pub(super) fn set_params(&mut self, track: TrackId, params: StreamParams) {
        let stream = self.streams.iter_mut().find(|stream| stream.track == track);
        if let Some(stream) = stream
            && stream.params != params
        {
            stream.params = params;
            self.announce();
        }
    }

    pub(super) fn announce(&mut self) {
        self.events
            .push_back(DemuxEvent::Streams(self.streams.clone()));
    }
}
