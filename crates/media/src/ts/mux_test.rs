//! Muxing: what comes out is read back as it went in, and every packet is as the standard wants.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::access_unit::UnitFlags;
use crate::stream::{AudioParams, StreamParams};
use crate::time::Timestamp;
use crate::ts::mux_stream::DELIMITER;
use crate::ts::packet::Packet;
use crate::ts::{DemuxEvent, DemuxOptions, Demuxer};

const VIDEO: TrackId = TrackId(7);
const AUDIO: TrackId = TrackId(9);

fn video() -> StreamInfo {
    StreamInfo {
        track: VIDEO,
        codec: Codec::H264,
        language: None,
        params: StreamParams::Unknown,
    }
}

fn opus() -> StreamInfo {
    let params = AudioParams {
        codec: Codec::Opus,
        sample_rate: 48_000,
        channels: 2,
        config: Bytes::new(),
    };
    StreamInfo {
        track: AUDIO,
        codec: Codec::Opus,
        language: Some("deu".into()),
        params: StreamParams::Audio(params),
    }
}

fn unit(track: TrackId, codec: Codec, time: i64, data: impl Into<Bytes>) -> AccessUnit {
    AccessUnit {
        track,
        codec,
        data: data.into(),
        pts: Timestamp::mpeg(time),
        dts: Timestamp::mpeg(time),
        keyframe: true,
        flags: UnitFlags::default(),
        received: None,
    }
}

/// A byte stream of NAL units with these headers, each of `length` bytes.
fn pictures(headers: &[u8], length: usize) -> Vec<u8> {
    let nal = |&header: &u8| {
        let mut nal = vec![0, 0, 1, header];
        nal.resize(3 + length.max(2), 0x55);
        nal
    };
    headers.iter().flat_map(nal).collect()
}

fn muxer(streams: &[StreamInfo]) -> (Muxer, BytesMut) {
    let mut muxer = Muxer::new(streams, &MuxOptions::default()).unwrap();
    let mut out = BytesMut::new();
    muxer.write_tables(&mut out);
    (muxer, out)
}

fn packets(bytes: &[u8]) -> Vec<Packet<'_>> {
    let (packets, rest) = bytes.as_chunks::<PACKET_LEN>();
    assert!(rest.is_empty(), "whole packets only");
    packets
        .iter()
        .map(|packet| Packet::parse(packet).unwrap())
        .collect()
}

fn events(bytes: &[u8]) -> Vec<DemuxEvent> {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(bytes, None);
    demuxer.finish();
    std::iter::from_fn(|| demuxer.next_event()).collect()
}

fn units(bytes: &[u8]) -> Vec<AccessUnit> {
    let unit = |event| match event {
        DemuxEvent::Unit(unit) => Some(unit),
        DemuxEvent::Streams(_) => None,
        DemuxEvent::Fault(fault) => panic!("{fault:?}"),
    };
    events(bytes).into_iter().filter_map(unit).collect()
}

proptest! {
    #[test]
    fn units_come_back_with_their_bytes_and_times(
        // Parameter sets of less bytes would be faults.
        sizes in prop::collection::vec((1usize..1275, 64usize..70_000), 1..8),
        start in 0i64..1 << 33,
    ) {
        let (mut muxer, mut out) = muxer(&[video(), opus()]);
        let mut sent = Vec::new();
        for (index, (sound, picture)) in sizes.into_iter().enumerate() {
            let time = start + 3_600 * index as i64;
            // A TOC byte of one 20 ms frame.
            let mut packet = vec![0xfc; sound];
            packet[0] = 0xf8;
            sent.push(unit(VIDEO, Codec::H264, time, pictures(&[9, 0x67, 0x68, 0x65], picture)));
            sent.push(unit(AUDIO, Codec::Opus, time, packet));
        }
        for unit in &sent {
            muxer.write(unit, &mut out).unwrap();
        }
        let got = units(&out);
        for codec in [Codec::H264, Codec::Opus] {
            let side = |units: &[AccessUnit]| -> Vec<(i64, Bytes)> {
                let first = units.iter().map(|unit| unit.pts.ticks).min().unwrap_or(0);
                let of = |unit: &&AccessUnit| unit.codec == codec;
                units.iter().filter(of).map(|u| (u.pts.ticks - first, u.data.clone())).collect()
            };
            prop_assert_eq!(side(&got), side(&sent));
        }
    }
}

#[test]
fn the_last_packet_of_each_unit_and_no_other_has_stuffing() {
    // Sizes around multiples of a packet's payload, with and without a stated length.
    for size in (200..800).chain(65_400..65_800) {
        let (mut muxer, _) = muxer(&[video()]);
        let mut out = BytesMut::new();
        let unit = unit(VIDEO, Codec::H264, 0, pictures(&[9, 0x41], size));
        muxer.write(&unit, &mut out).unwrap();
        let packets = packets(&out);
        let stuffed: Vec<usize> = (0..packets.len())
            .filter(|&at| packets[at].adaptation.stuffing)
            .collect();
        assert_eq!(stuffed, [packets.len() - 1], "unit of {size} bytes");
    }
}

#[test]
fn a_clock_that_jumps_says_so_and_follows() {
    let (mut muxer, _) = muxer(&[video()]);
    let mut seen = Vec::new();
    for time in [9_000_000, 9_003_600, 900_000, 903_600] {
        let mut out = BytesMut::new();
        let unit = unit(VIDEO, Codec::H264, time, pictures(&[9, 0x41], 9));
        muxer.write(&unit, &mut out).unwrap();
        let adaptation = packets(&out)[0].adaptation;
        let behind = time - (adaptation.pcr.unwrap() / 300) as i64;
        seen.push((behind, adaptation.discontinuity));
    }
    let lead = TimeBase::MPEG.ticks(PCR_LEAD);
    assert_eq!(seen, [false, false, true, false].map(|jump| (lead, jump)));
}

#[test]
fn a_stream_is_announced_with_its_codec_and_language() {
    let (mut muxer, mut out) = muxer(&[video(), opus()]);
    muxer
        .write(&unit(AUDIO, Codec::Opus, 0, vec![0xf8, 1]), &mut out)
        .unwrap();
    let all = events(&out);
    let streams = all.iter().find_map(|event| match event {
        DemuxEvent::Streams(streams) => Some(streams),
        _ => None,
    });
    let seen: Vec<_> = streams
        .unwrap()
        .iter()
        .map(|s| (s.track.0, s.codec, s.language.as_deref()))
        .collect();
    assert_eq!(
        seen,
        [
            (0x100, Codec::H264, None),
            (0x101, Codec::Opus, Some("deu"))
        ]
    );
}

#[test]
fn continuity_runs_on_over_tables_and_changes_of_the_streams() {
    let (mut muxer, mut out) = muxer(&[video()]);
    for index in 0..20 {
        if index == 10 {
            muxer.set_streams(&[video(), opus()]).unwrap();
        }
        muxer.write_tables(&mut out);
        let picture = pictures(&[9, 0x67, 0x68, 0x65], 400);
        muxer
            .write(&unit(VIDEO, Codec::H264, index * 3_600, picture), &mut out)
            .unwrap();
    }
    for pid in [Pid::PAT, PMT_PID, Pid(FIRST_PID)] {
        let counters: Vec<u8> = packets(&out)
            .iter()
            .filter(|packet| packet.pid == pid)
            .map(|packet| packet.continuity)
            .collect();
        let expected: Vec<u8> = (0..counters.len())
            .map(|index| index as u8 & 0x0f)
            .collect();
        assert_eq!(counters, expected, "PID {pid}");
    }
    // The demuxer takes the new table: it has another version.
    let announced =
        |event: &&DemuxEvent| matches!(event, DemuxEvent::Streams(streams) if streams.len() == 2);
    assert!(events(&out).iter().any(|event| announced(&event)));
}

#[test]
fn the_clock_is_behind_every_later_time_and_never_runs_backwards() {
    let (mut muxer, _) = muxer(&[video(), opus()]);
    let mut clocks = Vec::new();
    for time in [1_000_000, 1_003_600, 1_001_800, 1_007_200] {
        let mut out = BytesMut::new();
        muxer
            .write(
                &unit(VIDEO, Codec::H264, time, pictures(&[0x41], 9)),
                &mut out,
            )
            .unwrap();
        clocks.push((packets(&out)[0].adaptation.pcr.unwrap() / 300) as i64);
    }
    let lead = TimeBase::MPEG.ticks(PCR_LEAD);
    assert_eq!(
        clocks,
        [1_000_000, 1_003_600, 1_003_600, 1_007_200].map(|time| time - lead)
    );
    let mut out = BytesMut::new();
    muxer
        .write(
            &unit(AUDIO, Codec::Opus, 1_000_000, vec![0xf8, 1]),
            &mut out,
        )
        .unwrap();
    assert_eq!(packets(&out)[0].adaptation.pcr, None);
}

#[test]
fn a_picture_gets_a_delimiter_and_a_keyframe_the_parameter_sets_it_lacks() {
    let sps = [0x67, 66, 0xc0, 30, 0xf4, 0x0a, 0x0f, 0xc8];
    let pps = [0x68, 0xce, 0x3c, 0x80];
    let join = |nals: &[&[u8]]| -> Vec<u8> {
        nals.iter()
            .flat_map(|nal| [&[0, 0, 0, 1], *nal].concat())
            .collect()
    };
    let (mut muxer, mut out) = muxer(&[video()]);
    let with_sets = join(&[&sps, &pps, &[0x65, 1, 2]]);
    let without = join(&[&[9, 0xf0], &[0x65, 3, 4]]);
    muxer
        .write(&unit(VIDEO, Codec::H264, 0, with_sets.clone()), &mut out)
        .unwrap();
    muxer
        .write(&unit(VIDEO, Codec::H264, 3_600, without), &mut out)
        .unwrap();
    let got: Vec<Bytes> = units(&out).into_iter().map(|unit| unit.data).collect();
    assert_eq!(got[0], [&DELIMITER[..], &with_sets].concat());
    assert_eq!(got[1], join(&[&[9, 0xf0], &sps, &pps, &[0x65, 3, 4]]));
}

#[test]
fn what_cannot_be_carried_is_refused_by_name() {
    let refused = |streams: &[StreamInfo]| {
        Muxer::new(streams, &MuxOptions::default())
            .unwrap_err()
            .to_string()
    };
    assert!(refused(&[]).contains("1 to 16 streams"));
    let data = StreamInfo {
        codec: Codec::Other,
        ..video()
    };
    assert_eq!(
        refused(&[data]),
        "track 7: data cannot be carried in a transport stream"
    );
    let bare = StreamInfo {
        params: StreamParams::Unknown,
        ..opus()
    };
    assert_eq!(refused(&[bare]), "track 9: Opus needs its channels");
    let (mut muxer, mut out) = muxer(&[video()]);
    let before = out.len();
    let stray = muxer.write(&unit(AUDIO, Codec::Opus, 0, vec![0xf8]), &mut out);
    assert_eq!(stray, Err(MuxError::Track(AUDIO)));
    assert_eq!(out.len(), before);
}

#[test]
fn aac_states_its_own_parameters_and_opus_does_not() {
    use crate::audio::aac_config::AudioSpecificConfig;
    let aac = |rate: u32, channels: u8| StreamInfo {
        track: TrackId(2),
        codec: Codec::Aac,
        language: None,
        params: StreamParams::Audio(AudioParams {
            codec: Codec::Aac,
            sample_rate: rate,
            channels,
            config: AudioSpecificConfig::lc(rate, channels).to_bytes().into(),
        }),
    };
    let (mut muxer, mut out) = muxer(&[aac(48_000, 2)]);
    for (at, channels) in [2, 1, 6].into_iter().enumerate() {
        assert_eq!(muxer.set_params(&aac(48_000, channels)), Ok(true));
        for frame in 0..3 {
            let time = 90_000 + (3 * at as i64 + frame) * 1_920;
            muxer
                .write(&unit(TrackId(2), Codec::Aac, time, vec![1; 100]), &mut out)
                .unwrap();
        }
    }
    let channels: Vec<u8> = events(&out)
        .iter()
        .filter_map(|event| match event {
            DemuxEvent::Streams(streams) => match &streams[0].params {
                StreamParams::Audio(audio) => Some(audio.channels),
                _ => None,
            },
            _ => None,
        })
        .collect();
    assert_eq!(channels, [2, 1, 6]);
    assert_eq!(units(&out).len(), 9);
    assert!(matches!(muxer.set_params(&opus()), Ok(false) | Err(_)));
    let elsewhere = StreamInfo {
        track: TrackId(9),
        ..aac(48_000, 2)
    };
    assert_eq!(
        muxer.set_params(&elsewhere),
        Err(MuxError::Track(TrackId(9)))
    );
}
