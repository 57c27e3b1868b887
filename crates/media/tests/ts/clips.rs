//! Every undamaged clip through the demuxer: packets, times, keyframes, sizes and parameters are
//! those that ffprobe finds.

use trickle_media::stream::StreamParams;
use trickle_media::ts::FaultKind;
use trickle_media::{AccessUnit, Codec};
use trickle_testkit::{StreamFigures, clip_bytes, figures};

use crate::support::{Demuxed, demux, demux_pieces};

/// Times that FFmpeg counts on by itself, between those that are stated, differ by rounding.
const ROUNDING: i64 = 1;
/// FFmpeg's packets of AAC from transport streams hold the ADTS header.
const ADTS_HEADER: usize = 7;

fn check(clip: &str) -> Demuxed {
    let found = demux(&clip_bytes(clip));
    if clip == "reschange_360p_to_240p.ts" {
        // Two streams one after the other: the counters begin anew.
        let kinds: Vec<_> = found.faults.iter().map(|fault| &fault.kind).collect();
        assert_eq!(kinds, [&FaultKind::Continuity { last: 12, got: 0 }]);
    } else {
        assert_eq!(found.faults, [], "{clip}");
    }
    let figures = figures(clip);
    assert_eq!(found.streams.len(), figures.streams.len(), "{clip}");
    for (stream, expected) in found.streams.iter().zip(&figures.streams) {
        assert_eq!(stream.track.0, expected.id(), "{clip}");
        assert_eq!(stream.codec.name(), expected.codec, "{clip}");
        check_params(&stream.params, expected, clip);
        let units = found.track(expected.id());
        check_units(&units, expected, clip);
    }
    found
}

fn check_params(params: &StreamParams, expected: &StreamFigures, clip: &str) {
    match params {
        StreamParams::Video(video) => {
            // H.265 counts thirty a level where H.264 counts ten, and FFmpeg tells either as it is.
            let unit = if video.codec == Codec::Hevc { 3 } else { 1 };
            assert_eq!(
                Some(unit * i32::from(video.level)),
                expected.level,
                "{clip}"
            );
            let rate = video
                .frame_rate
                .map(|rate| format!("{}/{}", rate.num, rate.den));
            assert_eq!(video.reorder, expected.reorder, "{clip}");
            // Of variable rates FFmpeg gives a guess instead of what the stream states.
            if clip != "vfr_240p.ts" {
                assert_eq!(rate, expected.frame_rate, "{clip}");
            }
            if clip != "reschange_360p_to_240p.ts" {
                assert_eq!(Some(video.width), expected.width, "{clip}");
                assert_eq!(Some(video.height), expected.height, "{clip}");
            }
        }
        StreamParams::Audio(audio) => {
            assert_eq!(Some(audio.sample_rate), expected.sample_rate, "{clip}");
            assert_eq!(Some(audio.channels), expected.channels, "{clip}");
        }
        StreamParams::Unknown => assert_eq!(expected.codec, "hevc", "{clip}"),
    }
}

fn check_units(units: &[&AccessUnit], expected: &StreamFigures, clip: &str) {
    let codec = &expected.codec;
    let header = if codec == "aac" { ADTS_HEADER } else { 0 };
    assert_eq!(units.len(), expected.size.len(), "{clip} {codec}");
    for (at, (unit, &wanted)) in units.iter().zip(&expected.size).enumerate() {
        // FFmpeg's HEVC parser gives a zero byte between two pictures to the one before.
        let slack = usize::from(codec == "hevc");
        let size = unit.data.len() + header;
        assert!(
            size.abs_diff(wanted) <= slack,
            "{clip} {codec} packet {at}: {size} bytes, not {wanted}"
        );
    }
    let keys: Vec<usize> = (0..units.len()).filter(|&at| units[at].keyframe).collect();
    assert_eq!(keys, expected.key, "{clip} {codec}");
    let audio = units
        .iter()
        .all(|unit| unit.codec.kind() == trickle_media::MediaKind::Audio);
    let tolerance = if audio { ROUNDING } else { 0 };
    // FFmpeg moves a stream whose times wrap by one whole wrap.
    let wrap = |time: i64| time.rem_euclid(1 << 33);
    for (at, unit) in units.iter().enumerate() {
        let times = [(unit.pts, expected.pts[at]), (unit.dts, expected.dts[at])];
        for (got, wanted) in times {
            let Some(wanted) = wanted else {
                panic!("{clip} {codec} packet {at}: a packet without times")
            };
            let off = (wrap(got.ticks) - wrap(wanted)).abs();
            assert!(
                off <= tolerance,
                "{clip} {codec} packet {at}: {} is not {wanted}",
                got.ticks
            );
        }
        assert!(
            !unit.flags.damaged && !unit.flags.discontinuity,
            "{clip} {codec} packet {at}"
        );
        assert!(!unit.flags.replaces_previous, "{clip} {codec} packet {at}");
    }
}

#[test]
fn real_content_with_aac_of_six_channels() {
    let found = check("bunny_720p25_main_aac51.ts");
    let StreamParams::Audio(audio) = &found.streams[1].params else {
        panic!("no audio parameters")
    };
    // AAC-LC, 48 kHz, 5.1.
    assert_eq!(audio.config[..], [0x11, 0xb0]);
}

#[test]
fn what_a_webrtc_gateway_sends() {
    let found = check("live_720p25_baseline_opus.ts");
    assert!(found.units.iter().any(|unit| unit.codec == Codec::Opus));
}

#[test]
fn b_frames_come_in_decode_order() {
    let found = check("bframes_360p30_high_aac.ts");
    let video = found.track(0x100);
    assert!(video.iter().any(|unit| unit.pts > unit.dts));
    assert!(video.windows(2).all(|pair| pair[0].dts < pair[1].dts));
}

#[test]
fn timestamps_go_on_over_the_wrap() {
    let found = check("ptswrap_180p30.ts");
    let before = found.units.iter().find(|unit| unit.dts.ticks < 1 << 32);
    assert!(
        before.is_none(),
        "a whole wrap before the others: {before:?}"
    );
    for track in [0x100, 0x101] {
        let units = found.track(track);
        assert!(units.windows(2).all(|pair| pair[0].dts < pair[1].dts));
        assert!(units.iter().any(|unit| unit.dts.ticks >= 1 << 33));
    }
}

#[test]
fn cropping_and_no_audio() {
    check("crop_854x482_videoonly.ts");
}

#[test]
fn mono_at_another_rate() {
    check("portrait_360x640_aac44k_mono.ts");
}

#[test]
fn audio_alone_with_several_packets_in_each_pes_packet() {
    check("audioonly_opus.ts");
}

#[test]
fn a_change_of_size_is_announced_before_its_first_picture() {
    let found = check("reschange_360p_to_240p.ts");
    let StreamParams::Video(video) = &found.streams[0].params else {
        panic!("no video parameters")
    };
    assert_eq!((video.width, video.height), (320, 240));
    // From the table, from the first set, from the second.
    assert_eq!(found.announcements, 3);
}

#[test]
fn variable_frame_rate() {
    check("vfr_240p.ts");
}

#[test]
fn what_the_cpu_cannot_decode_is_demuxed_all_the_same() {
    check("interlaced_576i.ts");
    check("h264_high10_240p25.ts");
    check("hevc_240p25.ts");
}

#[test]
fn how_a_stream_is_cut_does_not_matter() {
    let stream = clip_bytes("bframes_360p30_high_aac.ts");
    let whole = demux(&stream);
    for size in [1, 7, 187, 188, 189, 1_316, 65_536] {
        let pieces = demux_pieces(stream.chunks(size));
        assert_eq!(pieces.units.len(), whole.units.len(), "pieces of {size}");
        for (got, wanted) in pieces.units.iter().zip(&whole.units) {
            assert_eq!(
                (got.track, got.pts, got.dts),
                (wanted.track, wanted.pts, wanted.dts)
            );
            assert!(got.data == wanted.data && got.flags == wanted.flags);
        }
    }
}

/// FFmpeg calls AAC private data in its `.m2ts`, and reads it by its frames.
#[test]
fn sound_that_the_tables_do_not_name() {
    let found = check("aac_unnamed.m2ts");
    assert_eq!(found.stats.packet_len, 192);
}

/// Bytes of every PES header of `pid` in packets of 188 bytes.
fn pes_headers(stream: &mut [u8], pid: u16, mut each: impl FnMut(usize, &mut [u8])) {
    let mut number = 0;
    for packet in stream.chunks_exact_mut(188) {
        let of_pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) == pid;
        if of_pid && packet[1] & 0x40 != 0 {
            let adaptation = packet[3] & 0x20 != 0;
            let begin = if adaptation {
                5 + usize::from(packet[4])
            } else {
                4
            };
            each(number, &mut packet[begin..]);
            number += 1;
        }
    }
}

/// Takes the times out of a PES header, which become stuffing.
fn forget_times(header: &mut [u8]) {
    header[7] &= 0x3f;
    let length = usize::from(header[8]);
    header[9..9 + length].fill(0xff);
}

#[test]
fn b_frames_without_times_are_put_where_their_order_says() {
    for name in [
        "bframes_360p30_high_aac.ts",
        "h264_paff.ts",
        "h264_mbaff_bframes.ts",
    ] {
        let mut stream = clip_bytes(name);
        let times = |stream: &[u8]| -> Vec<_> {
            let found = demux(stream);
            let video = found.track(0x100);
            video
                .iter()
                .map(|unit| (unit.pts.ticks, unit.dts.ticks))
                .collect()
        };
        let stated = times(&stream);
        let mut without = 0;
        // Keyframes among them.
        pes_headers(&mut stream, 0x100, |number, header| {
            if number % 3 != 0 {
                forget_times(header);
                without += 1;
            }
        });
        assert!(without > stated.len() / 2, "{name}");
        let guessed = times(&stream);
        assert_eq!(guessed.len(), stated.len(), "{name}");
        for (at, (guessed, stated)) in guessed.iter().zip(&stated).enumerate() {
            // Where frames do not last a whole number of ticks.
            let off = (guessed.0 - stated.0)
                .abs()
                .max((guessed.1 - stated.1).abs());
            assert!(
                off <= 3,
                "{name} picture {at}: {guessed:?} instead of {stated:?}"
            );
        }
    }
}
