//! AAC frames (ADTS or LATM) and Opus packets from PES packets, several in one, some over two.

use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr_iter;

use super::fault::FaultKind;
use super::output::Output;
use super::packet::Pid;
use super::timing::UnitClock;
use super::track::{End, PesTimes};
use crate::access_unit::{AccessUnit, Codec, TrackId, UnitFlags};
use crate::audio::adts::{self, AdtsError, AdtsHeader};
use crate::audio::latm::{self, LatmError, LatmReader};
use crate::audio::opus::{self, ControlHeader, OpusError};
use crate::stream::StreamParams;

/// Gathers payload, finds frames in it, counts their times on from those that PES packets state.
#[derive(Debug)]
pub(super) struct AudioAssembler {
    track: TrackId,
    format: Format,
    buf: BytesMut,
    /// Where the PES packets begin in `buf` whose times no frame took yet.
    mark: Option<(usize, PesTimes)>,
    damage: Option<usize>,
    full: bool,
    /// The frame at the start of `buf` may be one that is cut: it goes on in what follows.
    counter: Counter,
    clock: UnitClock,
    /// A frame was found, so that it comes in the format that the tables say.
    found: bool,
}

#[derive(Debug)]
enum Format {
    Aac {
        header: Option<AdtsHeader>,
        lost: bool,
    },
    Latm {
        reader: LatmReader,
        lost: bool,
    },
    Opus,
}

/// Times counted in samples from the last time stated, so that rounding never adds up.
#[derive(Debug, Default)]
struct Counter {
    anchor: Option<PesTimes>,
    samples: u64,
    rate: u32,
}

/// A frame at the start of a buffer.
enum Frame {
    /// Bytes to pass over, then bytes of the frame, and how long it lasts.
    Whole {
        skip: usize,
        length: usize,
        samples: u32,
        rate: u32,
    },
    /// Frames that are not cut from the stream's bytes, in so many of those.
    Packed {
        length: usize,
        frames: Vec<Bytes>,
        samples: u32,
        rate: u32,
    },
    /// No frame here: bytes to pass over.
    Garbage(usize),
    /// More bytes are needed.
    Part,
}

impl AudioAssembler {
    pub(super) fn adts(track: TrackId) -> Self {
        let format = Format::Aac {
            header: None,
            lost: false,
        };
        Self::new(track, format)
    }

    pub(super) fn latm(track: TrackId) -> Self {
        let format = Format::Latm {
            reader: LatmReader::default(),
            lost: false,
        };
        Self::new(track, format)
    }

    pub(super) fn opus(track: TrackId) -> Self {
        Self::new(track, Format::Opus)
    }

    fn new(track: TrackId, format: Format) -> Self {
        Self {
            track,
            format,
            buf: BytesMut::new(),
            mark: None,
            damage: None,
            full: false,
            counter: Counter::default(),
            clock: UnitClock::new(track),
            found: false,
        }
    }

    /// Some muxers name ADTS where they write LATM, or the other way round: what is at the start of
    /// the first PES packet counts.
    fn recognise(&mut self, start: &[u8]) {
        let lost = false;
        match &self.format {
            Format::Latm { .. } if AdtsHeader::parse(start).is_ok() => {
                self.format = Format::Aac { header: None, lost };
            }
            Format::Aac { .. } if latm::element_len(start).is_ok() => {
                let reader = LatmReader::default();
                self.format = Format::Latm { reader, lost };
            }
            _ => {}
        }
    }

    /// A PES packet begins. AAC frames may go on from the one before; Opus packets never do.
    pub(super) fn begin(&mut self, times: PesTimes) {
        self.full = false;
        if matches!(self.format, Format::Opus) {
            self.buf.clear();
            self.damage = None;
        }
        self.mark = Some((self.buf.len(), times));
    }

    pub(super) fn damage(&mut self) {
        self.damage.get_or_insert(self.buf.len());
    }

    /// Frames that are begun wait for their end, however long it takes.
    pub(super) fn is_pending(&self) -> bool {
        !self.buf.is_empty()
    }

    pub(super) fn append(&mut self, bytes: &[u8], out: &mut Output) {
        if self.buf.len() + bytes.len() > out.max_unit {
            if !self.full {
                let limit = out.max_unit;
                out.fault(Pid::of(self.track), FaultKind::Oversized { limit });
            }
            self.full = true;
            return self.damage();
        }
        self.buf.extend_from_slice(bytes);
    }

    pub(super) fn end(&mut self, end: End, received: Option<Instant>, out: &mut Output) {
        let mut rest = self.buf.split().freeze();
        if !self.found && matches!(self.mark, Some((0, _))) {
            self.recognise(&rest);
        }
        loop {
            let frame = match &mut self.format {
                Format::Aac { header, lost } => {
                    next_aac(&rest, header, lost, self.damage, self.track, out)
                }
                Format::Latm { reader, lost } => next_latm(&rest, reader, lost, self.track, out),
                Format::Opus => next_opus(&rest, end, self.track, out),
            };
            match frame {
                Frame::Whole {
                    skip,
                    length,
                    samples,
                    rate,
                } => {
                    let frame_len = skip + length;
                    let data = rest.slice(skip..frame_len);
                    self.emit(data, frame_len, samples, rate, received, out);
                    rest.advance(frame_len);
                }
                Frame::Packed {
                    length,
                    mut frames,
                    samples,
                    rate,
                } => {
                    // All take the place of the last, which has the bytes.
                    let last = frames.pop();
                    for data in frames {
                        self.emit(data, 0, samples, rate, received, out);
                    }
                    match last {
                        Some(data) => self.emit(data, length, samples, rate, received, out),
                        None => self.pass(length),
                    }
                    rest.advance(length);
                }
                Frame::Garbage(0) | Frame::Part => break,
                Frame::Garbage(skip) => {
                    rest.advance(skip);
                    self.pass(skip);
                }
            }
        }
        if end == End::Stream {
            self.mark = None;
            self.damage = None;
            self.counter.anchor = None;
            if !rest.is_empty() {
                self.fault_of_rest(&rest, out);
            }
        } else {
            self.buf.extend_from_slice(&rest);
        }
    }

    /// The stream ends inside a frame.
    fn fault_of_rest(&self, rest: &Bytes, out: &mut Output) {
        let wanted = match self.format {
            Format::Aac { .. } => AdtsHeader::parse(rest).ok().map(|header| header.frame_len),
            Format::Latm { .. } => latm::element_len(rest).ok(),
            Format::Opus => return,
        };
        if let Some(wanted) = wanted {
            let missing = wanted.saturating_sub(rest.len());
            out.fault(Pid::of(self.track), FaultKind::PesCut { missing });
        }
    }

    fn emit(
        &mut self,
        data: Bytes,
        frame_len: usize,
        samples: u32,
        rate: u32,
        received: Option<Instant>,
        out: &mut Output,
    ) {
        // The first frame that begins in a PES packet has the time that the packet states.
        if let Some((0, times)) = self.mark {
            self.mark = None;
            self.counter.restart(times, rate);
        }
        self.found = true;
        let damaged = self.damage.is_some_and(|at| at <= frame_len);
        self.pass(frame_len);
        let times = self.counter.next(samples, rate);
        let step = i64::from(samples) * 90_000 / i64::from(rate.max(1));
        let Some(placed) = self.clock.place(times, Some(step), false, out) else {
            return;
        };
        out.unit(AccessUnit {
            track: self.track,
            codec: match self.format {
                Format::Aac { .. } | Format::Latm { .. } => Codec::Aac,
                Format::Opus => Codec::Opus,
            },
            data,
            pts: placed.pts,
            dts: placed.dts,
            keyframe: true,
            flags: UnitFlags {
                damaged,
                discontinuity: placed.discontinuity,
                replaces_previous: false,
                hidden: false,
            },
            received,
        });
    }

    /// `length` bytes of `buf` are done with.
    fn pass(&mut self, length: usize) {
        if let Some((at, _)) = &mut self.mark {
            *at = at.saturating_sub(length);
        }
        self.damage = self
            .damage
            .and_then(|at| at.checked_sub(length))
            .filter(|at| *at > 0);
    }
}

impl Counter {
    fn restart(&mut self, times: PesTimes, rate: u32) {
        // A packet without a time goes on counting, but its marks stand.
        match (&mut self.anchor, times.pts) {
            (Some(anchor), None) => anchor.discontinuity |= times.discontinuity,
            _ => {
                *self = Self {
                    anchor: Some(times),
                    samples: 0,
                    rate,
                }
            }
        }
    }

    /// The time of a frame of so many samples.
    fn next(&mut self, samples: u32, rate: u32) -> Option<PesTimes> {
        if rate != self.rate {
            let anchor = self.now();
            self.anchor = anchor;
            self.samples = 0;
            self.rate = rate;
        }
        let times = self.now();
        self.samples += u64::from(samples);
        if let Some(anchor) = &mut self.anchor {
            anchor.discontinuity = false;
        }
        times
    }

    fn now(&self) -> Option<PesTimes> {
        let anchor = self.anchor?;
        let rate = u64::from(self.rate.max(1));
        let passed = ((self.samples * 90_000 + rate / 2) / rate) as i64;
        let pts = anchor.pts?.saturating_add(passed);
        Some(PesTimes {
            pts: Some(pts),
            dts: None,
            discontinuity: anchor.discontinuity,
        })
    }
}

/// The frame at the start of `bytes`. `lost`: the last bytes were garbage, reported already.
fn next_aac(
    bytes: &[u8],
    known: &mut Option<AdtsHeader>,
    lost: &mut bool,
    damage: Option<usize>,
    track: TrackId,
    out: &mut Output,
) -> Frame {
    let header = match AdtsHeader::parse(bytes) {
        Ok(header) => header,
        Err(AdtsError::Short(_)) => return Frame::Part,
        Err(error) => {
            if !std::mem::replace(lost, true) {
                out.fault(Pid::of(track), error);
            }
            return Frame::Garbage(1 + next_sync(bytes.get(1..).unwrap_or_default()));
        }
    };
    // After garbage, or where the stream seems to change, the next header must confirm it.
    let doubtful = *lost || known.is_some_and(|known| !known.same_stream(&header));
    if doubtful && !confirmed(bytes, &header) {
        *lost = true;
        return Frame::Garbage(1 + next_sync(bytes.get(1..).unwrap_or_default()));
    }
    let mut length = header.frame_len;
    if let Some(at) = damage
        && (1..length).contains(&at)
    {
        // Bytes are missing inside the frame: it ends where the next one begins.
        let rest = bytes.get(at..).unwrap_or_default();
        length = length.min(at + next_sync(rest)).max(header.header_len + 1);
    }
    if bytes.len() < length {
        return Frame::Part;
    }
    *lost = false;
    if !known.is_some_and(|known| known.same_stream(&header)) {
        out.set_params(track, StreamParams::Audio(header.audio_params()));
    }
    *known = Some(header);
    Frame::Whole {
        skip: header.header_len,
        length: length - header.header_len,
        samples: adts::FRAME_SAMPLES,
        rate: header.sample_rate(),
    }
}

/// The frame behind this one, if its header is there, belongs to the same stream.
fn confirmed(bytes: &[u8], header: &AdtsHeader) -> bool {
    match bytes.get(header.frame_len..).map(AdtsHeader::parse) {
        Some(Ok(next)) => next.same_stream(header),
        None | Some(Err(AdtsError::Short(_))) => true,
        Some(Err(_)) => false,
    }
}

/// Where the next ADTS header may begin; the end of `bytes` when nowhere.
fn next_sync(bytes: &[u8]) -> usize {
    memchr_iter(0xff, bytes)
        .find(|&at| {
            !matches!(
                AdtsHeader::parse(bytes.get(at..).unwrap_or_default()),
                Err(AdtsError::Sync(..))
            )
        })
        .unwrap_or(bytes.len())
}

/// The frames of the LATM element at the start of `bytes`. `lost`: as for ADTS.
fn next_latm(
    bytes: &[u8],
    reader: &mut LatmReader,
    lost: &mut bool,
    track: TrackId,
    out: &mut Output,
) -> Frame {
    let length = match latm::element_len(bytes) {
        Ok(length) => length,
        Err(LatmError::Short) => return Frame::Part,
        Err(error) => {
            if !std::mem::replace(lost, true) {
                out.fault(Pid::of(track), error);
            }
            let next = memchr_iter(latm::SYNC, bytes).find(|&at| at > 0);
            return Frame::Garbage(next.unwrap_or(bytes.len()));
        }
    };
    let Some(element) = bytes.get(..length) else {
        return Frame::Part;
    };
    let frames = match reader.frames(element) {
        Ok(frames) => frames,
        // A stream that is joined in the middle: the configuration comes soon.
        Err(LatmError::NoConfig) => return Frame::Garbage(length),
        Err(error) => {
            if !std::mem::replace(lost, true) {
                out.fault(Pid::of(track), error);
            }
            return Frame::Garbage(length);
        }
    };
    *lost = false;
    let Some(config) = reader.config() else {
        return Frame::Garbage(length);
    };
    out.set_params(track, StreamParams::Audio(config.params.clone()));
    Frame::Packed {
        length,
        frames,
        samples: config.frame_samples,
        rate: config.core_rate,
    }
}

/// The packet at the start of `bytes`.
fn next_opus(bytes: &[u8], end: End, track: TrackId, out: &mut Output) -> Frame {
    if bytes.is_empty() {
        return Frame::Part;
    }
    let found = ControlHeader::parse(bytes).and_then(|header| {
        let packet_end = header.header_len + header.packet_len;
        let packet = bytes.get(header.header_len..packet_end);
        let samples = opus::packet_samples(packet.unwrap_or_default())?;
        Ok(Frame::Whole {
            skip: header.header_len,
            length: header.packet_len,
            samples,
            rate: opus::SAMPLE_RATE,
        })
    });
    match found {
        Ok(frame) => frame,
        // After silence the rest of the packet may still come.
        Err(OpusError::Length { .. }) if end == End::Quiet => Frame::Part,
        Err(error) => {
            out.fault(Pid::of(track), error);
            Frame::Garbage(bytes.len())
        }
    }
}
