//! The muxer: access units in, the packets of one program out.

use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use thiserror::Error;

use super::clock::MAX_STEP;
use super::mux_stream::MuxStream;
use super::packet::{
    DISCONTINUITY, MAX_PAYLOAD, PACKET_LEN, PCR_FLAG, PCR_LEN, Pid, RANDOM_ACCESS, SYNC_BYTE,
    pcr_bytes,
};
use super::pes;
use super::psi::{self, PmtStream};
use crate::access_unit::{AccessUnit, Codec, MediaKind, TrackId};
use crate::audio::adts::AdtsWriteError;
use crate::stream::StreamInfo;
use crate::time::TimeBase;

/// PID of the PMT written here, as FFmpeg numbers it.
const PMT_PID: Pid = Pid(0x1000);
/// PID of the first elementary stream; the others follow.
const FIRST_PID: u16 = 0x100;
/// Elementary streams that a PMT written here has room for.
const MAX_STREAMS: usize = 16;
/// By how much the program clock runs behind the video's decoding times. What is written later,
/// such as sound that waited for its video, may be this much earlier; a decoder's buffer allows
/// for a second (ISO/IEC 13818-1, 2.4.2.7).
const PCR_LEAD: Duration = Duration::from_millis(700);
/// What is muxed beside the streams.
#[derive(Clone, Debug, Default)]
pub struct MuxOptions {
    /// Name of the service, for a service description table; none is written without.
    pub service_name: Option<String>,
}

/// What the muxer cannot write.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MuxError {
    /// There are no streams, or more than one PMT takes here.
    #[error("a program has 1 to {MAX_STREAMS} streams, got {0}")]
    Streams(usize),
    /// A stream's codec has no stream type.
    #[error("track {track}: {codec} cannot be carried in a transport stream")]
    Codec {
        /// The track.
        track: TrackId,
        /// Its codec.
        codec: Codec,
    },
    /// A stream's parameters are missing or do not allow to write it.
    #[error("track {track}: {reason}")]
    Params {
        /// The track.
        track: TrackId,
        /// What is wrong with them.
        reason: String,
    },
    /// A unit belongs to none of the streams.
    #[error("track {0} is not one of the streams that are muxed")]
    Track(TrackId),
    /// An AAC frame does not fit behind an ADTS header.
    #[error("track {track}: {error}")]
    Adts {
        /// The track.
        track: TrackId,
        /// Why.
        error: AdtsWriteError,
    },
}

/// Writes access units as transport packets of one program.
///
/// Each call completes the packets of its unit: they can be sent at once. PES headers state their
/// length where it fits, and the packet that ends a unit, and no other, has stuffing, so that a
/// receiver knows the end without waiting. Continuity counters run on over tables and segments.
#[derive(Debug)]
pub struct Muxer {
    service: Option<TableWriter>,
    pat: TableWriter,
    pmt: TableWriter,
    /// `version_number` of the next PMT.
    version: u8,
    streams: Vec<MuxStream>,
    /// Which of the streams carries the program clock: the first video, else the first.
    clock: usize,
    last_clock: Option<i64>,
    /// PES header of the unit being written, and what goes between it and the unit's own bytes;
    /// kept for their memory.
    head: BytesMut,
    prefix: BytesMut,
}

impl Muxer {
    /// A muxer for these streams. Their tracks are those that the units name; PIDs are given in
    /// order, from 0x100 on.
    ///
    /// # Errors
    /// [`MuxError`] names the stream that cannot be carried and says why.
    pub fn new(streams: &[StreamInfo], options: &MuxOptions) -> Result<Self, MuxError> {
        let service = options.service_name.as_deref();
        let mut muxer = Self {
            service: service.map(|name| TableWriter::new(Pid::SDT, psi::write_sdt(name))),
            pat: TableWriter::new(Pid::PAT, psi::write_pat(PMT_PID)),
            pmt: TableWriter::new(PMT_PID, Vec::new()),
            version: 0,
            streams: Vec::new(),
            clock: 0,
            last_clock: None,
            head: BytesMut::new(),
            prefix: BytesMut::new(),
        };
        muxer.set_streams(streams)?;
        Ok(muxer)
    }

    /// Changes the streams. A new version of the PMT goes out with the next
    /// [`write_tables`](Self::write_tables), which should follow at once. Streams that stay keep
    /// their PID and continuity.
    ///
    /// # Errors
    /// As for [`new`](Self::new); the streams then stay as they were.
    pub fn set_streams(&mut self, streams: &[StreamInfo]) -> Result<(), MuxError> {
        if streams.is_empty() || streams.len() > MAX_STREAMS {
            return Err(MuxError::Streams(streams.len()));
        }
        let mut next: Vec<MuxStream> = Vec::with_capacity(streams.len());
        for info in streams {
            let known = self
                .streams
                .iter()
                .find(|stream| stream.track == info.track);
            let taken = |pid: u16| {
                let of = |stream: &MuxStream| stream.entry.pid.0 == pid;
                self.streams.iter().any(of) || next.iter().any(of)
            };
            let pid = match known {
                Some(stream) => stream.entry.pid,
                None => Pid((FIRST_PID..PMT_PID.0)
                    .find(|&pid| !taken(pid))
                    .unwrap_or(FIRST_PID)),
            };
            let mut stream = MuxStream::new(info, pid)?;
            if let Some(known) = known {
                stream.continuity = known.continuity;
                if known.codec == stream.codec && stream.codec == Codec::H264 {
                    stream.framing = known.framing.clone();
                }
            }
            next.push(stream);
        }
        self.streams = next;
        let video = |stream: &MuxStream| stream.codec.kind() == MediaKind::Video;
        self.clock = self.streams.iter().position(video).unwrap_or(0);
        let entries: Vec<PmtStream> = self
            .streams
            .iter()
            .map(|stream| stream.entry.clone())
            .collect();
        let clock_pid = self
            .streams
            .get(self.clock)
            .map_or(Pid::NULL, |s| s.entry.pid);
        self.pmt.section = psi::write_pmt(self.version, clock_pid, &entries);
        self.version = (self.version + 1) & 0x1f;
        Ok(())
    }

    /// Goes on with a stream whose parameters are other ones now, where the tables need not say so:
    /// AAC and what is copied whole state theirs with every frame. False where they must.
    ///
    /// # Errors
    /// As for [`new`](Self::new); the stream then stays as it was.
    pub fn set_params(&mut self, info: &StreamInfo) -> Result<bool, MuxError> {
        let mut streams = self.streams.iter_mut();
        let Some(stream) = streams.find(|stream| stream.track == info.track) else {
            return Err(MuxError::Track(info.track));
        };
        stream.set_params(info)
    }

    /// Writes the tables: what a reader needs to start here.
    pub fn write_tables(&mut self, out: &mut BytesMut) {
        if let Some(service) = &mut self.service {
            service.write(out);
        }
        self.pat.write(out);
        self.pmt.write(out);
    }

    /// Writes one unit as one PES packet. H.264 gets an access unit delimiter where it has none,
    /// and its parameter sets in front of a keyframe that comes without; AAC gets its ADTS
    /// header, Opus its control header.
    ///
    /// # Errors
    /// [`MuxError::Track`] and [`MuxError::Adts`]; nothing is written then.
    pub fn write(&mut self, unit: &AccessUnit, out: &mut BytesMut) -> Result<(), MuxError> {
        let at = self
            .streams
            .iter()
            .position(|stream| stream.track == unit.track);
        let at = at.ok_or(MuxError::Track(unit.track))?;
        let Some(stream) = self.streams.get_mut(at) else {
            return Err(MuxError::Track(unit.track));
        };
        self.prefix.clear();
        let replaced = stream.write_prefix(unit, &mut self.prefix)?;
        let data = unit.data.get(replaced..).unwrap_or_default();
        let pts = unit.pts.in_base(TimeBase::MPEG);
        // No unit can be shown before it is decoded.
        let dts = unit.dts.in_base(TimeBase::MPEG).min(pts);
        let (mut clock, mut jump) = (None, false);
        if at == self.clock {
            let (next, jumps) = next_clock(self.last_clock, dts);
            self.last_clock = Some(next);
            (clock, jump) = (Some(next), jumps);
        }
        let video = stream.codec.kind() == MediaKind::Video;
        let fields = Fields::new(clock, unit.keyframe && (video || at == self.clock), jump);
        let length = self.prefix.len() + data.len();
        // A byte more in the header where the last packet would have no room for stuffing.
        let total = fields.len() + pes::written_len(pts, dts) + length;
        let stuffing = u8::from(total.is_multiple_of(MAX_PAYLOAD));
        self.head.clear();
        pes::write_header(stream.id, (pts, dts), length, stuffing, &mut self.head);
        let payload = self.head.as_ref().chain(self.prefix.as_ref()).chain(data);
        write_pes(stream, fields, payload, out);
        Ok(())
    }
}

/// The clock of a unit that is decoded at `dts`, and whether it jumps there. It never runs
/// backwards in small steps, whatever the units' times do.
fn next_clock(last: Option<i64>, dts: i64) -> (i64, bool) {
    let wanted = dts.saturating_sub(TimeBase::MPEG.ticks(PCR_LEAD));
    match last {
        None => (wanted, false),
        Some(last) if dts < last || wanted.saturating_sub(last) > MAX_STEP => (wanted, true),
        Some(last) => (wanted.max(last), false),
    }
}

/// Cuts a PES packet into transport packets; `fields` go into the first of them.
fn write_pes(stream: &mut MuxStream, fields: Fields, mut payload: impl Buf, out: &mut BytesMut) {
    let mut left = payload.remaining();
    out.reserve((left + fields.len()).div_ceil(MAX_PAYLOAD) * PACKET_LEN);
    let mut first = Some(fields);
    while left > 0 {
        let header = PacketHeader {
            pid: stream.entry.pid,
            unit_start: first.is_some(),
            continuity: stream.continuity,
        };
        let fields = first.take().unwrap_or_default();
        let taken = left.min(MAX_PAYLOAD - fields.len());
        header.write(fields, MAX_PAYLOAD - taken, out);
        out.put((&mut payload).take(taken));
        stream.continuity = (stream.continuity + 1) & 0x0f;
        left -= taken;
    }
}

/// Flags of an adaptation field, and what they announce.
#[derive(Clone, Copy, Default)]
struct Fields {
    flags: u8,
    clock: Option<[u8; PCR_LEN]>,
}

impl Fields {
    /// `clock`: program clock reference, in ticks of 90 kHz.
    fn new(clock: Option<i64>, random_access: bool, discontinuity: bool) -> Self {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        Self {
            flags: flag(clock.is_some(), PCR_FLAG)
                | flag(random_access, RANDOM_ACCESS)
                | flag(discontinuity, DISCONTINUITY),
            // The clock is 33 bits wide: two's complement makes negative times right.
            clock: clock.map(|ticks| pcr_bytes(ticks as u64)),
        }
    }

    /// Bytes of the adaptation field, its length byte included; none without flags.
    fn len(self) -> usize {
        match self.flags {
            0 => 0,
            _ => 2 + self.clock.map_or(0, |clock| clock.len()),
        }
    }
}

struct PacketHeader {
    pid: Pid,
    unit_start: bool,
    continuity: u8,
}

impl PacketHeader {
    /// Writes the header and an adaptation field of `length` bytes in all, stuffed as needed.
    fn write(&self, fields: Fields, length: usize, out: &mut BytesMut) {
        let [high, low] = self.pid.0.to_be_bytes();
        let unit_start = if self.unit_start { 0x40 } else { 0 };
        let control = if length > 0 { 0x30 } else { 0x10 };
        out.put_slice(&[
            SYNC_BYTE,
            unit_start | high & 0x1f,
            low,
            control | self.continuity,
        ]);
        if length == 0 {
            return;
        }
        // At most 183, by the size of a packet.
        out.put_u8((length - 1) as u8);
        if length == 1 {
            return;
        }
        out.put_u8(fields.flags);
        if let Some(clock) = fields.clock {
            out.put_slice(&clock);
        }
        out.put_bytes(0xff, length - fields.len().max(2));
    }
}

/// A table, in one section.
#[derive(Debug)]
struct TableWriter {
    pid: Pid,
    section: Vec<u8>,
    continuity: u8,
}

impl TableWriter {
    fn new(pid: Pid, section: Vec<u8>) -> Self {
        Self {
            pid,
            section,
            continuity: 0,
        }
    }

    fn write(&mut self, out: &mut BytesMut) {
        // A section begins where the pointer field says: right behind it.
        let mut payload = [0u8].as_slice().chain(self.section.as_slice());
        let mut unit_start = true;
        while payload.has_remaining() {
            let header = PacketHeader {
                pid: self.pid,
                unit_start,
                continuity: self.continuity,
            };
            header.write(Fields::default(), 0, out);
            let taken = payload.remaining().min(MAX_PAYLOAD);
            out.put((&mut payload).take(taken));
            // Behind a section's end the packet is filled up with ones (2.4.4).
            out.put_bytes(0xff, MAX_PAYLOAD - taken);
            self.continuity = (self.continuity + 1) & 0x0f;
            unit_start = false;
        }
    }
}

#[cfg(test)]
#[path = "mux_test.rs"]
mod tests;
