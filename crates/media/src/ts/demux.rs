//! The demuxer: bytes of a transport stream in, access units out.

use std::time::{Duration, Instant};

use super::assembler::Coding;
use super::fault::{FaultKind, TsFault};
use super::output::{Output, TransportReport, TsStats};
use super::packet::{PACKET_LEN, Packet, Pid, pid_of};
use super::psi::{Pmt, PmtStream, StreamType};
use super::sync::{Framed, Framer};
use super::tables::Tables;
use super::track::Track;
use crate::access_unit::{AccessUnit, Codec, TrackId};
use crate::audio::opus;
use crate::stream::{StreamInfo, StreamParams};

/// How a [`Demuxer`] reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemuxOptions {
    /// `program_number` to read; `None` reads the first one that the PAT lists.
    pub program: Option<u16>,
    /// Silence of at least this long ends an access unit whose end nothing else marks. Where a
    /// stream pauses inside units it is drawn out, up to the time between units.
    pub quiet: Duration,
    /// Bytes that a unit may have; the rest is left out and the unit flagged as damaged.
    pub max_unit: usize,
}

impl Default for DemuxOptions {
    /// The first program, 5 ms, 16 MiB (an uncompressed 4K picture has 12).
    fn default() -> Self {
        Self {
            program: None,
            quiet: Duration::from_millis(5),
            max_unit: 16 << 20,
        }
    }
}

/// What a [`Demuxer`] finds.
#[derive(Clone, Debug)]
pub enum DemuxEvent {
    /// The streams of the program, all of them: at the first PMT, and whenever the list or
    /// anything known of a stream changes. It comes before the units that it speaks of.
    Streams(Vec<StreamInfo>),
    /// An access unit.
    Unit(AccessUnit),
    /// Something wrong, which the demuxer goes on after.
    Fault(TsFault),
}

/// An incremental demuxer of one program.
///
/// It has no clock: the caller says when bytes came ([`push`](Self::push)) and calls
/// [`flush_quiet`](Self::flush_quiet) at the [`deadline`](Self::deadline). After each of these
/// the events are taken with [`next_event`](Self::next_event) until there are none; between calls
/// at most a unit per stream is held.
///
/// ```
/// use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};
/// # let stream = trickle_testkit::clip_bytes("live_720p25_baseline_opus.ts");
/// let mut demuxer = Demuxer::new(DemuxOptions::default());
/// let mut units = 0;
/// for piece in stream.chunks(1_316) {
///     demuxer.push(piece, None);
///     while let Some(event) = demuxer.next_event() {
///         if let DemuxEvent::Unit(_) = event {
///             units += 1;
///         }
///     }
/// }
/// demuxer.finish();
/// # while let Some(event) = demuxer.next_event() {
/// #     if let DemuxEvent::Unit(_) = event { units += 1 }
/// # }
/// # assert_eq!(units, 125 + 251);
/// ```
///
/// **The end of an access unit** is known without waiting for the next one wherever the stream
/// allows it: from the length that the PES header states, or from the stuffing of the packet that
/// ends a PES packet. Else the next PES packet tells it, or silence. A unit that was handed out
/// too early is handed out again, whole, with
/// [`replaces_previous`](crate::access_unit::UnitFlags::replaces_previous), so that late bytes
/// are never lost; a stream on which that happens repeatedly is trusted less.
#[derive(Debug)]
pub struct Demuxer {
    framer: Framer,
    core: Core,
}

#[derive(Debug)]
struct Core {
    options: DemuxOptions,
    tables: Tables,
    tracks: Vec<Track>,
    routes: Box<[Route]>,
    // PID of the packet that was read last.
    last_pid: Pid,
    out: Output,
}

/// What is done with the packets of a PID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Route {
    #[default]
    Ignore,
    Null,
    Pat,
    Pmt,
    // Index of the track; a PMT has room for some 200.
    Track(u8),
}

impl Demuxer {
    /// A demuxer at the start of a stream.
    pub fn new(options: DemuxOptions) -> Self {
        let mut core = Core {
            tables: Tables::new(options.program),
            tracks: Vec::new(),
            routes: vec![Route::Ignore; Pid::COUNT].into_boxed_slice(),
            last_pid: Pid::NULL,
            out: Output::new(options.max_unit),
            options,
        };
        core.reset_routes();
        Self {
            framer: Framer::default(),
            core,
        }
    }

    /// Takes the next bytes of the stream, which arrived at `received`; `None` where time does
    /// not matter, as for files.
    pub fn push(&mut self, data: &[u8], received: Option<Instant>) {
        self.core.out.stats.bytes += data.len() as u64;
        let core = &mut self.core;
        self.framer
            .push(data, |framed| core.framed(framed, received));
    }

    /// Takes the next event.
    pub fn next_event(&mut self) -> Option<DemuxEvent> {
        self.core.out.events.pop_front()
    }

    /// When silence would end a unit; `None` while nothing waits for it.
    pub fn deadline(&self) -> Option<Instant> {
        self.core.tracks.iter().filter_map(Track::deadline).min()
    }

    /// Hands out the units whose deadline has passed.
    pub fn flush_quiet(&mut self, now: Instant) {
        for track in &mut self.core.tracks {
            track.flush_quiet(now, &mut self.core.out);
        }
    }

    /// Ends the stream: what is held is handed out. The demuxer can then go on with another
    /// stream of the same program.
    pub fn finish(&mut self) {
        let core = &mut self.core;
        self.framer.finish(|framed| core.framed(framed, None));
        for track in &mut core.tracks {
            track.finish(&mut core.out);
        }
        if core.tracks.is_empty() && core.out.stats.bytes > 0 {
            // That the program asked for is not there was told when the PAT came.
            if core.out.programs.is_empty() || core.tables.program().is_some() {
                core.out.fault(None, FaultKind::NoProgram);
            }
        }
    }

    /// The streams known so far, as the last [`DemuxEvent::Streams`] listed them.
    pub fn streams(&self) -> &[StreamInfo] {
        &self.core.out.streams
    }

    /// What is known of the stream as a whole.
    pub fn report(&self) -> TransportReport {
        TransportReport {
            programs: self.core.out.programs.clone(),
            program: self.core.tables.program(),
            stats: self.stats(),
        }
    }

    /// What went through so far.
    pub fn stats(&self) -> TsStats {
        let mut stats = self.core.out.stats;
        stats.skipped_bytes += self.framer.skipping();
        stats.packet_len = self.framer.stride();
        stats
    }
}

impl Core {
    #[inline]
    fn framed(&mut self, framed: Framed<'_>, now: Option<Instant>) {
        match framed {
            Framed::Packet { bytes, offset } => {
                self.out.offset = offset;
                self.packet(bytes, now);
            }
            Framed::Skipped { offset, count } => self.skipped(offset, count),
        }
    }

    fn skipped(&mut self, offset: u64, count: u64) {
        self.out.stats.skipped_bytes += count;
        self.out.offset = offset;
        self.out.fault(None, FaultKind::LostSync { skipped: count });
        // The packet before the garbage may have been cut short, and filled up with it.
        let last = self.last_pid;
        if let Some(track) = self.track_mut(last) {
            track.lose();
        }
    }

    fn packet(&mut self, bytes: &[u8; PACKET_LEN], now: Option<Instant>) {
        self.out.stats.packets += 1;
        let pid = pid_of(bytes);
        self.last_pid = pid;
        let route = self.route(pid);
        match route {
            Route::Ignore => return,
            Route::Null => {
                self.out.stats.null_packets += 1;
                return;
            }
            Route::Pat | Route::Pmt | Route::Track(_) => {}
        }
        let packet = match Packet::parse(bytes) {
            Ok(packet) => packet,
            Err(error) => {
                self.out.fault(pid, error);
                if let Some(track) = self.track_mut(pid) {
                    track.lose();
                }
                return;
            }
        };
        match route {
            Route::Track(index) => {
                if let Some(track) = self.tracks.get_mut(usize::from(index)) {
                    track.packet(&packet, now, &mut self.out);
                }
            }
            Route::Pat => {
                if self.tables.pat_packet(&packet, &mut self.out) {
                    self.reset_routes();
                }
            }
            Route::Pmt => {
                if let Some(pmt) = self.tables.pmt_packet(&packet, &mut self.out) {
                    self.set_streams(&pmt);
                }
            }
            Route::Ignore | Route::Null => {}
        }
    }

    #[inline]
    fn route(&self, pid: Pid) -> Route {
        let route = self.routes.get(usize::from(pid.0));
        route.copied().unwrap_or_default()
    }

    fn track_mut(&mut self, pid: Pid) -> Option<&mut Track> {
        match self.route(pid) {
            Route::Track(index) => self.tracks.get_mut(usize::from(index)),
            _ => None,
        }
    }

    fn set_route(&mut self, pid: Pid, route: Route) {
        if let Some(slot) = self.routes.get_mut(usize::from(pid.0)) {
            *slot = route;
        }
    }

    /// Writes the routes of all PIDs anew.
    fn reset_routes(&mut self) {
        self.routes.fill(Route::Ignore);
        let pids: Vec<Pid> = self.tracks.iter().map(|track| track.pid).collect();
        for (index, pid) in pids.into_iter().enumerate() {
            self.set_route(pid, Route::Track(index as u8));
        }
        if let Some(pid) = self.tables.pmt_pid() {
            self.set_route(pid, Route::Pmt);
        }
        self.set_route(Pid::PAT, Route::Pat);
        self.set_route(Pid::NULL, Route::Null);
    }

    /// A new PMT: streams that stay are read on, others end or begin.
    fn set_streams(&mut self, pmt: &Pmt) {
        let mut before = std::mem::take(&mut self.tracks);
        let mut infos: Vec<StreamInfo> = Vec::new();
        for stream in &pmt.streams {
            let track = TrackId(u32::from(stream.pid.0));
            let codec = pmt.codec(stream);
            let coding = Coding {
                codec,
                latm: stream.stream_type == StreamType::AAC_LATM,
                unnamed: stream.is_unnamed(codec),
            };
            // A PID listed twice, or beyond what a route can number, would be nobody's.
            let known = infos.iter().any(|info| info.track == track);
            if known || self.tracks.len() > usize::from(u8::MAX) {
                continue;
            }
            let kept = before
                .iter()
                .position(|track| (track.pid, track.coding) == (stream.pid, coding))
                .map(|at| before.swap_remove(at));
            let earlier = kept.as_ref().and_then(|_| {
                let mut earlier = self.out.streams.iter();
                earlier.find(|info| info.track == track)
            });
            // What its packets told stands.
            let (codec, params) = match earlier {
                Some(info) => (info.codec, info.params.clone()),
                None => (codec, first_params(stream, codec)),
            };
            infos.push(StreamInfo {
                track,
                codec,
                language: stream.language(),
                params,
            });
            if !pmt.is_sections(stream) {
                let quiet = self.options.quiet;
                let track = kept.unwrap_or_else(|| Track::new(stream.pid, coding, quiet));
                self.tracks.push(track);
            }
        }
        for mut ended in before {
            ended.finish(&mut self.out);
        }
        self.out.streams = infos;
        self.out.announce();
        self.reset_routes();
    }
}

/// What the table alone tells of a stream.
fn first_params(stream: &PmtStream, codec: Codec) -> StreamParams {
    if codec != Codec::Opus {
        return StreamParams::Unknown;
    }
    // Without the descriptor: stereo, as nearly all streams are.
    match opus::params_of_code(stream.opus_channel_code().unwrap_or(2)) {
        Ok(params) => StreamParams::Audio(params),
        Err(_) => StreamParams::Unknown,
    }
}

#[cfg(test)]
#[path = "demux_test.rs"]
mod tests;
#[cfg(test)]
#[path = "wild_test.rs"]
mod wild_tests;
