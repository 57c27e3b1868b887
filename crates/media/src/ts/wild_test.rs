//! Transport streams as they are met outside: several programs, tables that change, streams beside
//! the programme, counters and lengths that are wrong, clocks that wrap.

use bytes::BytesMut;

use super::super::crc::crc32;
use super::super::packet::MAX_PAYLOAD;
use super::super::pes::{StreamId, write_header};
use super::super::psi::write_pmt;
use super::super::testing::{
    AUDIO, Found, PMT, VIDEO, Writer, assert_same, demux, mux_each, picture, pmt_streams, sound,
    take, video, video_of, video_writer,
};
use super::*;
use crate::h264::fixtures::{self, AUD, Slice, annexb};
use crate::h264::{NalKind, annexb::nal_units};
use crate::stream::AudioParams;

/// Ends a section whose CRC is missing.
fn with_crc(mut section: Vec<u8>) -> Vec<u8> {
    let crc = crc32(&section);
    section.extend(crc.to_be_bytes());
    section
}

/// A PAT of programs and the PIDs of their PMTs.
fn pat(programs: &[(u16, Pid)]) -> Vec<u8> {
    let length = 9 + 4 * programs.len() as u8;
    let mut section = vec![0, 0xb0, length, 0, 1, 0xc1, 0, 0];
    for (number, pid) in programs {
        section.extend(number.to_be_bytes());
        section.extend((0xe000 | pid.0).to_be_bytes());
    }
    with_crc(section)
}

/// A PMT of another program than the one that `write_pmt` writes.
fn pmt_of(program: u16, streams: &[(Pid, StreamType)]) -> Vec<u8> {
    let streams = pmt_streams(streams);
    let mut section = write_pmt(1, VIDEO, &streams);
    section.truncate(section.len() - 4);
    section[3..5].copy_from_slice(&program.to_be_bytes());
    with_crc(section)
}

fn demux_program(stream: &[u8], program: Option<u16>) -> (Found, Demuxer) {
    let mut demuxer = Demuxer::new(DemuxOptions {
        program,
        ..DemuxOptions::default()
    });
    demuxer.push(stream, None);
    demuxer.finish();
    (take(&mut demuxer), demuxer)
}

/// Pictures whose packets all differ; a keyframe in ten.
fn lively(count: i64) -> Vec<AccessUnit> {
    lively_of(count, |_| 900)
}

fn lively_of(count: i64, size: impl Fn(bool) -> usize) -> Vec<AccessUnit> {
    let mut units: Vec<_> = (0..count)
        .map(|at| (at * 3_000, at % 10 == 0))
        .map(|(time, keyframe)| video(time, keyframe, size(keyframe)))
        .collect();
    for (number, unit) in units.iter_mut().enumerate() {
        let mut data = unit.data.to_vec();
        for (at, byte) in data.iter_mut().enumerate().skip(100) {
            *byte = (1 + (at * 37 + number * 11) % 250) as u8;
        }
        unit.data = data.into();
    }
    units
}

fn frames(count: i64, size: usize) -> Vec<AccessUnit> {
    let frame = |at| video(at * 3_000, at == 0, size);
    (0..count).map(frame).collect()
}

#[test]
fn one_of_several_programs_is_read() {
    const OTHER: Pid = Pid(0x200);
    let mut writer = Writer::default();
    writer.section(
        Pid::PAT,
        &pat(&[(0, Pid(0x10)), (3, PMT), (8, Pid(0x1001))]),
    );
    writer.section(PMT, &pmt_of(3, &[(VIDEO, StreamType::H264)]));
    writer.section(Pid(0x1001), &pmt_of(8, &[(OTHER, StreamType::H264)]));
    let (first, second) = (video(0, true, 300), video(90_000, true, 400));
    writer.pes(VIDEO, Some(0), &first.data);
    writer.pes(OTHER, Some(90_000), &second.data);

    for (program, unit) in [(None, &first), (Some(3), &first), (Some(8), &second)] {
        let (found, demuxer) = demux_program(&writer.out, program);
        assert_eq!(found.faults, []);
        assert_eq!(found.units.len(), 1);
        assert_eq!(found.units[0].data, unit.data);
        assert_eq!(demuxer.report().programs, [3, 8]);
        assert_eq!(demuxer.report().program, program.or(Some(3)));
    }
    let (found, _) = demux_program(&writer.out, Some(5));
    assert!(found.units.is_empty());
    let said: Vec<String> = found.faults.iter().map(ToString::to_string).collect();
    assert!(
        matches!(&said[..], [one] if one.contains("no program 5; the stream holds 3, 8")),
        "{said:?}"
    );
}

#[test]
fn a_program_that_moves_to_another_pmt_is_followed() {
    let mut writer = Writer::default();
    writer.section(Pid::PAT, &pat(&[(1, PMT)]));
    writer.section(PMT, &pmt_of(1, &[(VIDEO, StreamType::H264)]));
    writer.pes(VIDEO, Some(0), &video(0, true, 300).data);
    writer.section(Pid::PAT, &pat(&[(1, Pid(0x900))]));
    writer.section(Pid(0x900), &pmt_of(1, &[(AUDIO, StreamType::H264)]));
    writer.pes(AUDIO, Some(3_000), &video(3_000, true, 300).data);
    let found = demux(&writer.out);
    assert_eq!(found.faults, []);
    let pids: Vec<u32> = found.units.iter().map(|unit| unit.track.0).collect();
    assert_eq!(pids, [0x100, 0x101]);
}

#[test]
fn a_pid_that_changes_its_codec_begins_anew() {
    let mut writer = Writer::new(&[(AUDIO, StreamType::MPEG1_AUDIO)]);
    let mpeg = [0xff, 0xfd, 0xe8, 0xc4, 1, 2];
    writer.pes(AUDIO, Some(0), &mpeg);
    writer.map(&[(AUDIO, StreamType::AC3)]);
    let ac3 = [0x0b, 0x77, 0x0d, 0xce, 0x5e, 0x40, 0xeb, 0xf8];
    writer.pes(AUDIO, Some(3_000), &ac3);
    let (found, _) = demux_program(&writer.out, None);
    let units: Vec<_> = found
        .units
        .iter()
        .map(|unit| (unit.codec, unit.data.len()))
        .collect();
    assert_eq!(units, [(Codec::Mpeg, 6), (Codec::Ac3, 8)]);
    let StreamParams::Audio(AudioParams {
        sample_rate,
        channels,
        ..
    }) = found.streams[0].params
    else {
        panic!("{:?}", found.streams)
    };
    assert_eq!((sample_rate, channels), (44_100, 6));
}

#[test]
fn the_clock_may_have_a_pid_of_its_own() {
    const CLOCK: Pid = Pid(0x1ff);
    let units = frames(5, 700);
    let mut stream = Vec::new();
    for (at, bytes) in mux_each(&units).iter().enumerate() {
        stream.extend(bytes);
        // A packet without payload: its counter stands still.
        let mut packet = [0xff; 188];
        packet[..5].copy_from_slice(&[0x47, 0x01, CLOCK.0 as u8, 0x20, 183]);
        packet[5] = 0x10;
        packet[6..12].copy_from_slice(&[0, 0, 0, at as u8, 0x7e, 0]);
        stream.extend(packet);
    }
    let found = demux(&stream);
    assert_eq!(found.faults, []);
    assert_same(&found.units, &units);
}

#[test]
fn what_is_beside_the_programme_is_listed_and_does_not_disturb() {
    const SPLICES: Pid = Pid(0x110);
    const PRIVATE: Pid = Pid(0x111);
    const UNKNOWN: Pid = Pid(0x112);
    let mut writer = Writer::new(&[
        (VIDEO, StreamType::H264),
        (SPLICES, StreamType::SCTE35),
        (PRIVATE, StreamType::PRIVATE_DATA),
    ]);
    let units = frames(3, 300);
    for unit in &units {
        writer.pes(VIDEO, Some(unit.pts.ticks), &unit.data);
        // A splice_null, and what no table speaks of.
        writer.section(
            SPLICES,
            &[0xfc, 0x30, 0x11, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xf0, 0],
        );
        writer.packet(UNKNOWN, true, &[7; MAX_PAYLOAD]);
        writer.packet(Pid::NULL, false, &[0xff; MAX_PAYLOAD]);
    }
    writer.pes(
        PRIVATE,
        Some(0),
        b"teletext, or a position, or anything else",
    );
    let (found, demuxer) = demux_program(&writer.out, None);
    assert_eq!(found.faults, []);
    let codecs: Vec<Codec> = found.streams.iter().map(|stream| stream.codec).collect();
    assert_eq!(codecs, [Codec::H264, Codec::Scte35, Codec::Other]);
    let (data, pictures): (Vec<_>, Vec<_>) = found
        .units
        .into_iter()
        .partition(|unit| unit.codec == Codec::Other);
    assert_same(&pictures, &units);
    assert_eq!(data.len(), 1);
    assert_eq!(demuxer.stats().null_packets, 3);
}

#[test]
fn packets_of_192_and_204_bytes_hold_the_same_units() {
    let units = frames(6, 900);
    let stream = mux_each(&units).concat();
    for (before, behind) in [(4, 0), (0, 16)] {
        let spaced: Vec<u8> = stream
            .chunks(188)
            .flat_map(|packet| [&vec![9; before][..], packet, &vec![9; behind]].concat())
            .collect();
        for piece in [spaced.len(), 100, 1_316] {
            let mut demuxer = Demuxer::new(DemuxOptions::default());
            for piece in spaced.chunks(piece) {
                demuxer.push(piece, None);
            }
            demuxer.finish();
            let found = take(&mut demuxer);
            assert_same(&found.units, &units);
            assert_eq!(found.faults, []);
            assert_eq!(demuxer.stats().packet_len, 188 + before + behind);
        }
    }
}

#[test]
fn counters_that_are_always_wrong_are_told_once_and_then_left_alone() {
    // All zero, as some hardware encoders write them; and at random.
    for next in [(|_| 0) as fn(usize) -> u8, |at| {
        (at * at * 7 % 31) as u8 & 0x0f
    }] {
        let units = lively(40);
        let mut stream = mux_each(&units).concat();
        for (at, packet) in stream.chunks_mut(188).enumerate().skip(2) {
            packet[3] = packet[3] & 0xf0 | next(at);
        }
        let (found, demuxer) = demux_program(&stream, None);
        let told = found
            .faults
            .iter()
            .filter(|fault| fault.kind == FaultKind::Counters);
        assert_eq!(told.count(), 1);
        let sound = found
            .units
            .iter()
            .filter(|unit| !unit.flags.damaged)
            .count();
        assert!(sound >= 30, "{sound}");
        assert_same(&found.units[20..], &units[20..]);
        assert!(demuxer.stats().faults.continuity < 20);
    }
}

#[test]
fn counters_that_are_wrong_from_the_start_do_not_cost_the_first_keyframe() {
    let units = lively_of(12, |keyframe| if keyframe { 8_000 } else { 500 });
    for next in [(|_| 0) as fn(usize) -> u8, |at| (at * 5 % 16) as u8] {
        let mut stream = mux_each(&units).concat();
        for (at, packet) in stream.chunks_mut(188).enumerate().skip(2) {
            packet[3] = packet[3] & 0xf0 | next(at);
        }
        let found = demux(&stream);
        assert_same(&found.units, &units);
        assert!(found.units.iter().all(|unit| !unit.flags.damaged));
    }
}

#[test]
fn nor_one_whose_first_packet_holds_a_header_alone() {
    let units = lively_of(3, |keyframe| if keyframe { 8_000 } else { 500 });
    let mut writer = video_writer();
    for unit in &units {
        let (time, mut head) = (unit.pts.ticks, BytesMut::new());
        write_header(StreamId::VIDEO, (time, time), 100_000, 0, &mut head);
        writer.packet(VIDEO, true, &head);
        for part in unit.data.chunks(MAX_PAYLOAD) {
            writer.packet(VIDEO, false, part);
        }
    }
    for packet in writer.out.chunks_mut(188).skip(2) {
        packet[3] &= 0xf0;
    }
    let found = demux(&writer.out);
    assert_same(&found.units, &units);
    assert!(!found.units[0].flags.damaged);
}

#[test]
fn missing_packets_are_noticed_again_once_the_counters_are_right() {
    let units = lively(60);
    let streams = mux_each(&units);
    let mut stream = streams.concat();
    for packet in stream.chunks_mut(188).skip(2).take(40) {
        packet[3] &= 0xf0;
    }
    let last = stream.len() - streams[59].len();
    stream.drain(last + 188..last + 376);
    let found = demux(&stream);
    assert!(found.units.last().unwrap().flags.damaged);
    assert!(!found.units[50].flags.damaged);
}

#[test]
fn pictures_beyond_64_kib_are_whole_whether_their_length_is_left_open_or_wrong() {
    let units = [
        video(0, true, 200_000),
        video(3_000, false, 150_000),
        video(6_000, false, 500),
    ];
    assert_same(&demux(&mux_each(&units).concat()).units, &units);

    // The lower 16 bits of the length, as some muxers write it.
    let mut writer = video_writer();
    for unit in &units {
        let before = writer.out.len();
        writer.pes(VIDEO, Some(unit.pts.ticks), &unit.data);
        let pes = writer.out[before..]
            .windows(4)
            .position(|bytes| bytes == [0, 0, 1, 0xe0]);
        let at = before + pes.unwrap() + 4;
        let length = (unit.data.len() + 8) as u16;
        writer.out[at..at + 2].copy_from_slice(&length.to_be_bytes());
    }
    let found = demux(&writer.out);
    let kinds: Vec<_> = found
        .faults
        .iter()
        .map(|fault| fault.kind.clone())
        .collect();
    assert_eq!(kinds, [FaultKind::PesLength]);
    let last_of_each: Vec<_> = found
        .units
        .iter()
        .enumerate()
        .filter(|(at, _)| {
            let next = found.units.get(at + 1);
            !next.is_some_and(|next| next.flags.replaces_previous)
        })
        .map(|(_, unit)| unit.clone())
        .collect();
    assert_same(&last_of_each, &units);
}

#[test]
fn a_stream_joined_inside_a_group_of_pictures_begins_with_the_next_packet_of_its_tables() {
    let units: Vec<_> = (0..20)
        .map(|at| video(at * 3_000, at % 10 == 0, 900))
        .collect();
    let streams = mux_each(&units);
    // From the middle of a packet of the third picture on; tables come again with the keyframe.
    let tables = &streams[0][..2 * 188];
    let mut stream = streams[2][100..].to_vec();
    stream.extend(streams[3..10].concat());
    stream.extend(tables);
    stream.extend(streams[10..].concat());
    let found = demux(&stream);
    assert!(found.units[0].keyframe);
    assert_same(&found.units, &units[10..]);
    assert_eq!(found.faults.len(), 1, "{:?}", found.faults);

    // With tables at the start, pictures ahead of the keyframe come and say that they are none.
    let stream = [tables, &streams[2..].concat()].concat();
    let found = demux(&stream);
    assert_same(&found.units, &units[2..]);
}

#[test]
fn parameter_sets_that_came_once_go_with_every_keyframe() {
    let mut writer = video_writer();
    for at in 0..6 {
        let keyframe = at % 3 == 0;
        let mut nals = picture(at * 3_000, keyframe, 300);
        if at == 3 {
            nals.retain(|nal| !matches!(nal[0] & 0x1f, 7 | 8));
        }
        let unit = video_of(nals, at * 3_000, keyframe);
        writer.pes(VIDEO, Some(at * 3_000), &unit.data);
    }
    let found = demux(&writer.out);
    assert_eq!(found.faults, []);
    let kinds = |at: usize| -> Vec<NalKind> {
        nal_units(&found.units[at].data)
            .map(|nal| nal.kind())
            .collect()
    };
    assert_eq!(
        kinds(0),
        [NalKind::AUD, NalKind::SPS, NalKind::PPS, NalKind::IDR]
    );
    assert_eq!(kinds(3), kinds(0));
    assert_eq!(kinds(4), [NalKind::AUD, NalKind::SLICE]);
}

#[test]
fn decoding_can_start_at_the_recovery_points_of_open_groups() {
    let recovery = |frames: u8| vec![6, 6, 1, if frames == 0 { 0xc4 } else { 0x24 }, 0x80];
    let i_slice = |at: u32| Slice {
        intra: true,
        frame_num: at,
        order: at,
        ..Slice::default()
    };
    let mut writer = video_writer();
    writer.pes(VIDEO, Some(0), &video(0, true, 300).data);
    // An I picture that is one, one that takes three more frames, one that says nothing.
    for (at, sei) in [(1, Some(0)), (2, Some(3)), (3, None)] {
        let mut nals = vec![AUD.to_vec()];
        nals.extend(sei.map(recovery));
        nals.push(i_slice(at).nal());
        writer.pes(VIDEO, Some(i64::from(at) * 3_000), &annexb(nals));
    }
    // One that brings its parameter sets, and one of which a slice is none of an I picture.
    for (at, inter) in [(4, false), (5, true)] {
        let second = Slice {
            first_mb: 10,
            intra: !inter,
            ..i_slice(at)
        };
        let sets = [fixtures::sps(0, 20, false), fixtures::pps(0, 0)];
        let nals = [AUD.to_vec()].into_iter().chain(sets);
        let nals = annexb(nals.chain([i_slice(at).nal(), second.nal()]));
        writer.pes(VIDEO, Some(i64::from(at) * 3_000), &nals);
    }
    let found = demux(&writer.out);
    let keyframes: Vec<bool> = found.units.iter().map(|unit| unit.keyframe).collect();
    assert_eq!(keyframes, [true, true, false, false, true, false]);
}

#[test]
fn aac_is_read_however_the_table_says_that_it_is_framed() {
    let path = trickle_testkit::clip("../audio/tones_3.0.aac");
    let adts = std::fs::read(path).unwrap();
    let pid = Pid(0x101);
    let named = |stream_type| {
        let mut writer = Writer::default();
        writer.section(Pid::PAT, &pat(&[(1, PMT)]));
        writer.section(PMT, &pmt_of(1, &[(pid, stream_type)]));
        writer.pes(pid, Some(0), &adts);
        demux(&writer.out)
    };
    let (right, wrong) = (named(StreamType::AAC_ADTS), named(StreamType::AAC_LATM));
    assert!(right.units.len() > 2);
    assert_eq!(wrong.faults, right.faults);
    assert_same(&wrong.units, &right.units);
}

#[test]
fn audio_and_video_that_wrap_at_different_moments_stay_together() {
    const WRAP: i64 = 1 << 33;
    // Sound 100 ms ahead of its picture in the stream, as muxers write it.
    let mut units = Vec::new();
    for at in 0..20 {
        units.push(video(WRAP - 30_000 + at * 3_000, at == 0, 300));
        units.push(sound(WRAP - 21_000 + at * 1_800, 100));
    }
    let found = demux(&mux_each(&units).concat());
    assert_eq!(found.faults, []);
    assert!(found.units.iter().all(|unit| !unit.flags.discontinuity));
    assert_same(&found.units, &units);
}

#[test]
fn sound_that_drifts_against_the_picture_keeps_the_times_it_states() {
    // Its clock runs 1 % fast: each packet of 20 ms comes 19.8 ms after the one before.
    let units: Vec<_> = (0..500)
        .flat_map(|at| [video(at * 1_800, at == 0, 60), sound(at * 1_782, 60)])
        .collect();
    let found = demux(&mux_each(&units).concat());
    assert_eq!(found.faults, []);
    assert_same(&found.units, &units);
}
