//! Units and streams made for the tests of this module.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::packet::{MAX_PAYLOAD, Pid, SYNC_BYTE};
use super::pes::{StreamId, write_header};
use super::psi::{PmtStream, StreamType, write_pat, write_pmt};
use super::{DemuxEvent, DemuxOptions, Demuxer, MuxOptions, Muxer, TsFault};
use crate::access_unit::{AccessUnit, Codec, TrackId, UnitFlags};
use crate::audio::opus;
use crate::h264::fixtures::{self, AUD, Slice, annexb};
use crate::stream::{StreamInfo, StreamParams};
use crate::time::Timestamp;

/// A track of its own for each codec.
fn track_of(codec: Codec) -> TrackId {
    TrackId(codec.name().bytes().map(u32::from).sum())
}

/// A unit at this time, in ticks of 90 kHz.
pub(crate) fn unit(codec: Codec, time: i64, data: impl Into<Bytes>) -> AccessUnit {
    AccessUnit {
        track: track_of(codec),
        codec,
        data: data.into(),
        pts: Timestamp::mpeg(time),
        dts: Timestamp::mpeg(time),
        keyframe: true,
        flags: UnitFlags::default(),
        received: None,
    }
}

/// A video unit with delimiter; keyframes carry parameter sets of 320×320. `size`: about how
/// many bytes it has.
pub(crate) fn video(time: i64, keyframe: bool, size: usize) -> AccessUnit {
    video_of(picture(time, keyframe, size), time, keyframe)
}

/// NAL units of a picture.
pub(crate) fn picture(time: i64, keyframe: bool, size: usize) -> Vec<Vec<u8>> {
    let number = (time / 3_000).rem_euclid(256) as u32;
    let slice = Slice {
        idr: keyframe,
        frame_num: number,
        order: number,
        ..Slice::default()
    };
    let mut nal = slice.nal();
    nal.resize(nal.len().max(size), 0x55);
    let mut nals = vec![AUD.to_vec()];
    if keyframe {
        nals.extend([fixtures::sps(0, 20, false), fixtures::pps(0, 0)]);
    }
    nals.push(nal);
    nals
}

/// A unit of these NAL units.
pub(crate) fn video_of(nals: Vec<Vec<u8>>, time: i64, keyframe: bool) -> AccessUnit {
    AccessUnit {
        keyframe,
        ..unit(Codec::H264, time, annexb(nals))
    }
}

/// An Opus packet of 20 ms.
pub(crate) fn sound(time: i64, size: usize) -> AccessUnit {
    let mut data = vec![0x55; size.max(2)];
    data[0] = 31 << 3;
    unit(Codec::Opus, time, data)
}

fn stream(codec: Codec) -> StreamInfo {
    StreamInfo {
        track: track_of(codec),
        codec,
        language: None,
        params: match codec {
            Codec::Opus => StreamParams::Audio(opus::params_of_code(2).unwrap()),
            _ => StreamParams::Unknown,
        },
    }
}

/// Muxes units, each into its own bytes; tables come with the first.
pub(crate) fn mux_each(units: &[AccessUnit]) -> Vec<Vec<u8>> {
    let has = |codec: &Codec| units.iter().any(|unit| unit.codec == *codec);
    let codecs = [Codec::H264, Codec::Opus].into_iter().filter(has);
    let streams: Vec<StreamInfo> = codecs.map(stream).collect();
    let mut muxer = Muxer::new(&streams, &MuxOptions::default()).unwrap();
    let mut out = BytesMut::new();
    muxer.write_tables(&mut out);
    let mut each = |unit| {
        muxer.write(unit, &mut out).unwrap();
        out.split().to_vec()
    };
    units.iter().map(&mut each).collect()
}

/// What comes out of a demuxer now.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) streams: Vec<StreamInfo>,
    pub(crate) units: Vec<AccessUnit>,
    pub(crate) faults: Vec<TsFault>,
}

pub(crate) fn take(demuxer: &mut Demuxer) -> Found {
    let mut found = Found::default();
    while let Some(event) = demuxer.next_event() {
        match event {
            DemuxEvent::Streams(streams) => found.streams = streams,
            DemuxEvent::Unit(unit) => found.units.push(unit),
            DemuxEvent::Fault(fault) => found.faults.push(fault),
        }
    }
    found
}

pub(crate) fn demux(stream: &[u8]) -> Found {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(stream, None);
    demuxer.finish();
    take(&mut demuxer)
}

/// The same coded data at the same times.
pub(crate) fn assert_same(got: &[AccessUnit], wanted: &[AccessUnit]) {
    let times = |units: &[AccessUnit]| -> Vec<(Codec, i64, i64, bool)> {
        let unit = |unit: &AccessUnit| (unit.codec, unit.pts.ticks, unit.dts.ticks, unit.keyframe);
        units.iter().map(unit).collect()
    };
    assert_eq!(times(got), times(wanted));
    for (got, wanted) in got.iter().zip(wanted) {
        assert!(got.data == wanted.data, "{} at {}", got.codec, got.dts);
    }
}

pub(crate) const VIDEO: Pid = Pid(0x100);
pub(crate) const AUDIO: Pid = Pid(0x101);
pub(crate) const PMT: Pid = Pid(0x1000);

/// Writes packets by hand, with all that can be wrong with them.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) out: Vec<u8>,
    version: u8,
    pub(crate) counters: BTreeMap<Pid, u8>,
}

impl Writer {
    /// A stream with tables for these elementary streams.
    pub(crate) fn new(streams: &[(Pid, StreamType)]) -> Self {
        let mut writer = Self::default();
        writer.tables(streams);
        writer
    }

    pub(crate) fn tables(&mut self, streams: &[(Pid, StreamType)]) {
        self.section(Pid::PAT, &write_pat(PMT));
        self.map(streams);
    }

    /// A new version of the PMT alone.
    pub(crate) fn map(&mut self, streams: &[(Pid, StreamType)]) {
        let streams = pmt_streams(streams);
        self.version += 1;
        self.section(PMT, &write_pmt(self.version, VIDEO, &streams));
    }

    pub(crate) fn section(&mut self, pid: Pid, section: &[u8]) {
        let mut payload = vec![0];
        payload.extend(section);
        payload.resize(MAX_PAYLOAD, 0xff);
        self.packet(pid, true, &payload);
    }

    /// One packet; a payload that is too short is led by stuffing.
    pub(crate) fn packet(&mut self, pid: Pid, start: bool, payload: &[u8]) {
        let counter = self.counters.entry(pid).or_default();
        let [high, low] = (pid.0 | if start { 0x4000 } else { 0 }).to_be_bytes();
        let field = MAX_PAYLOAD - payload.len();
        let control = if field > 0 { 0x30 } else { 0x10 };
        self.out.extend([SYNC_BYTE, high, low, control | *counter]);
        *counter = (*counter + 1) & 0x0f;
        if field > 0 {
            self.out.push(field as u8 - 1);
        }
        if field > 1 {
            self.out.push(0);
            self.out.resize(self.out.len() + field - 2, 0xff);
        }
        self.out.extend(payload);
    }

    /// A PES packet without a stated length; stuffing where its payload ends.
    pub(crate) fn pes(&mut self, pid: Pid, time: Option<i64>, payload: &[u8]) {
        let mut bytes = BytesMut::new();
        match time {
            Some(time) => write_header(StreamId::VIDEO, (time, time), 100_000, 0, &mut bytes),
            None => bytes.extend_from_slice(&[0, 0, 1, 0xe0, 0, 0, 0x80, 0, 0]),
        }
        bytes.extend_from_slice(payload);
        for (at, part) in bytes.chunks(MAX_PAYLOAD).enumerate() {
            self.packet(pid, at == 0, part);
        }
    }
}

/// A stream with one H.264 stream.
pub(crate) fn video_writer() -> Writer {
    Writer::new(&[(VIDEO, StreamType::H264)])
}

/// Streams of a PMT, without descriptors.
pub(crate) fn pmt_streams(streams: &[(Pid, StreamType)]) -> Vec<PmtStream> {
    streams
        .iter()
        .map(|&(pid, stream_type)| PmtStream {
            stream_type,
            pid,
            descriptors: Vec::new(),
        })
        .collect()
}
