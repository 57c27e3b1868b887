//! What the fuzz targets do with their bytes: no panic, and what must always hold does.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub
)]

use std::io::Cursor;

use trickle_media::audio::aac_config::AudioSpecificConfig;
use trickle_media::audio::adts::AdtsHeader;
use trickle_media::audio::frame_header;
use trickle_media::audio::latm::{self, LatmReader};
use trickle_media::audio::opus::{ControlHeader, packet_samples, params_of_code};
use trickle_media::codec::open_audio_decoder;
use trickle_media::frame::FramePool;
use trickle_media::h264::AccessUnitDetector;
use trickle_media::h264::annexb::nal_units;
use trickle_media::h264::pps::Pps;
use trickle_media::h264::sps::Sps;
use trickle_media::hevc;
use trickle_media::mp4;
use trickle_media::ts::crc::crc32;
use trickle_media::ts::packet::Packet;
use trickle_media::ts::pes::PesHeader;
use trickle_media::ts::psi::{SectionAssembler, parse_pat, parse_pmt};
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};
use trickle_media::{AccessUnit, AudioParams, Codec, TrackId};

type Unit = (TrackId, i64, i64, bool, Vec<u8>);

fn demuxed<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Unit> {
    let mut demuxer = Demuxer::new(DemuxOptions {
        max_unit: 100_000,
        ..DemuxOptions::default()
    });
    let mut units = Vec::new();
    let mut take = |demuxer: &mut Demuxer| {
        while let Some(event) = demuxer.next_event() {
            match event {
                DemuxEvent::Unit(AccessUnit {
                    track,
                    pts,
                    dts,
                    flags,
                    data,
                    ..
                }) => {
                    assert!(data.len() <= 300_000);
                    units.push((track, pts.ticks, dts.ticks, flags.damaged, data.to_vec()));
                }
                DemuxEvent::Fault(fault) => drop(fault.to_string()),
                DemuxEvent::Streams(streams) => drop(streams),
            }
        }
    };
    for piece in pieces {
        demuxer.push(piece, None);
        take(&mut demuxer);
    }
    demuxer.finish();
    take(&mut demuxer);
    let report = demuxer.report();
    assert!(matches!(report.stats.packet_len, 188 | 192 | 204));
    units
}

/// Any bytes demux to the same units whole and in pieces. The first byte is the size of the pieces.
pub fn demux(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else {
        return;
    };
    let whole = demuxed(std::iter::once(stream));
    let pieces = demuxed(stream.chunks(usize::from(size) + 1));
    assert_eq!(whole, pieces);
}

/// Packets, PES headers, sections, tables.
pub fn tables(data: &[u8]) {
    if let Some(packet) = data.first_chunk() {
        let _ = Packet::parse(packet);
    }
    if let Ok(Some(header)) = PesHeader::parse(data) {
        assert!(header.header_len <= data.len());
    }
    let mut sections = SectionAssembler::default();
    for payload in data.chunks(184) {
        let start = payload.first().is_some_and(|byte| byte % 2 == 0);
        sections.push(start, payload, |section| {
            if let Ok(section) = section {
                let _ = (parse_pat(section), parse_pmt(section));
            }
        });
    }
    // With a CRC that is right.
    let mut section = data.to_vec();
    section.extend(crc32(data).to_be_bytes());
    if let Some(pmt) = parse_pmt(&section) {
        for stream in pmt.streams {
            let _ = (
                stream.codec(),
                stream.language(),
                stream.opus_channel_code(),
            );
        }
    }
    let _ = parse_pat(&section);
}

/// Parameter sets of H.265, alone and in units.
pub fn hevc(data: &[u8]) {
    let _ = hevc::is_random_access(data);
    for header in [[0x40, 1], [0x42, 1]] {
        let unit = [&[0, 0, 0, 1], &header[..], data].concat();
        let whole = [&unit, data].concat();
        for unit in [&unit, &whole] {
            if let Some(params) = hevc::video_params(unit) {
                assert!(params.width > 0 && params.height > 0);
                assert!(params.reorder.is_none_or(|most| most <= 16));
            }
        }
    }
}

/// Parameter sets, and byte streams cut into access units at places that lie in order.
pub fn h264(data: &[u8]) {
    if let Ok(sps) = Sps::parse(data) {
        let params = sps.video_params();
        assert!(params.width <= sps.coded_width && params.height <= sps.coded_height);
    }
    let _ = Pps::parse(data);
    let mut detector = AccessUnitDetector::new();
    let mut last = 0;
    for nal in nal_units(data) {
        if nal.bytes.first().is_some_and(|header| header & 31 == 7) {
            let _ = Sps::parse(nal.bytes);
        }
        if let (Some(boundary), _) = detector.push(nal) {
            assert!(boundary.offset >= last && boundary.offset <= nal.offset);
            last = boundary.offset;
        }
    }
}

/// ADTS, LATM, AudioSpecificConfig, Opus, MPEG audio and AC-3 headers; what is read never reaches
/// beyond them.
pub fn audio(data: &[u8]) {
    if let Ok(header) = AdtsHeader::parse(data) {
        assert!(header.header_len < header.frame_len);
        assert!(AdtsHeader::of_config(&header.config()).is_ok());
    }
    if let Ok(config) = AudioSpecificConfig::parse(data) {
        assert!(config.sample_rate > 0 && config.channels().is_ok());
        let _ = config.to_bytes();
    }
    if let Ok(header) = ControlHeader::parse(data) {
        assert!(header.header_len + header.packet_len <= data.len());
    }
    if let Ok(samples) = packet_samples(data) {
        assert!((120..=5_760).contains(&samples));
    }
    let _ = params_of_code(data.first().copied().unwrap_or_default());
    let mut reader = LatmReader::default();
    let mut rest = data;
    while let Some(element) = latm::element_len(rest).ok().and_then(|len| rest.get(..len)) {
        if let Ok(frames) = reader.frames(element) {
            let bytes: usize = frames.iter().map(bytes::Bytes::len).sum();
            assert!(bytes <= element.len());
        }
        rest = rest.get(element.len()..).unwrap_or_default();
    }
    for codec in [Codec::Mpeg, Codec::Ac3, Codec::Eac3] {
        let _ = frame_header::params(codec, data);
    }
    // An OpusHead is believed by the decoder that it opens.
    let _ = open_audio_decoder(
        &AudioParams {
            codec: Codec::Opus,
            sample_rate: 48_000,
            channels: data.get(1).copied().unwrap_or_default(),
            config: data.to_vec().into(),
        },
        &FramePool::new(),
    );
}

/// MP4 files: whatever is claimed is checked, and reading ends.
pub fn mp4(data: &[u8]) {
    let Ok(mut reader) = mp4::Reader::open(Cursor::new(data), data.len() as u64) else {
        return;
    };
    let mut writer = mp4::Writer::new(reader.streams()).ok();
    let mut out = bytes::BytesMut::new();
    // Units may overlap in the file, so their number is bounded by the boxes alone.
    for _ in 0..10_000 {
        match reader.next_unit() {
            Ok(Some(unit)) => {
                assert!(unit.data.len() <= 2 * data.len() + 4_096);
                if let Some(writer) = &mut writer {
                    let _ = writer.write(&unit, &mut out);
                    out.clear();
                }
            }
            Ok(None) => break,
            Err(error) => drop(error.to_string()),
        }
    }
}
