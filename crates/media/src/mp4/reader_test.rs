//! MP4 reading: equal to ffprobe and ffmpeg, file by file; bad files; damaged files.

use std::io::Cursor;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::access_unit::Codec;
use crate::h264::NalKind;
use crate::h264::annexb::{START_CODE, has_idr, nal_units};
use crate::stream::{Orientation, StreamParams};
use crate::time::Timestamp;

fn test_data(path: &str) -> Vec<u8> {
    let path = trickle_testkit::clip("..").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn open(file: &[u8]) -> Result<Reader<Cursor<&[u8]>>, Mp4Error> {
    Reader::open(Cursor::new(file), file.len() as u64)
}

/// Every unit of a file that has nothing wrong with it.
fn units(file: &[u8]) -> Vec<AccessUnit> {
    let mut reader = open(file).unwrap();
    std::iter::from_fn(|| reader.next_unit().unwrap()).collect()
}

fn fnv1a(data: impl IntoIterator<Item = u8>) -> String {
    let hash = data
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{hash:016x}")
}

/// NAL units but parameter sets, behind start codes of four bytes: what the figures hash.
fn plain_annexb(data: &[u8]) -> Vec<u8> {
    nal_units(data)
        .filter(|nal| !matches!(nal.kind(), NalKind::SPS | NalKind::PPS))
        .flat_map(|nal| [&START_CODE, nal.bytes].concat())
        .collect()
}

fn figures() -> serde_json::Map<String, Value> {
    let all: Value = serde_json::from_slice(&test_data("figures/mp4_tracks.json")).unwrap();
    all.as_object().unwrap().clone()
}

fn times(figures: &Value, key: &str) -> Vec<i64> {
    figures[key]
        .as_array()
        .unwrap()
        .iter()
        .map(|time| time.as_i64().unwrap())
        .collect()
}

#[test]
fn every_file_gives_the_units_that_ffprobe_and_ffmpeg_give() {
    for (name, tracks) in figures() {
        let file = test_data(&name);
        let reader = open(&file).unwrap();
        let all = units(&file);
        let tracks = tracks.as_array().unwrap();
        assert_eq!(reader.streams().len(), tracks.len(), "{name}");
        for (stream, figures) in reader.streams().iter().zip(tracks) {
            let codec = figures["codec"].as_str().unwrap();
            let context = format!("{codec} of {name}");
            assert_eq!(stream.codec.name(), codec);
            assert_eq!(u64::from(stream.track.0), figures["id"].as_u64().unwrap());
            assert_eq!(stream.language.as_deref(), figures["language"].as_str());
            let mine: Vec<_> = all.iter().filter(|u| u.track == stream.track).collect();
            let pts: Vec<_> = mine.iter().map(|unit| unit.pts.ticks).collect();
            let dts: Vec<_> = mine.iter().map(|unit| unit.dts.ticks).collect();
            assert_eq!(pts, times(figures, "pts"), "pts, {context}");
            assert_eq!(dts, times(figures, "dts"), "dts, {context}");
            let data = mine.iter().flat_map(|unit| match unit.codec {
                Codec::H264 => plain_annexb(&unit.data),
                _ => unit.data.to_vec(),
            });
            assert_eq!(fnv1a(data), figures["fnv1a"].as_str().unwrap(), "{context}");
            let discarded = times(figures, "discarded");
            for (at, unit) in (0..).zip(mine) {
                assert_eq!(unit.codec, stream.codec);
                assert_eq!(u64::from(unit.pts.base.den()), figures["timescale"]);
                let hidden = discarded.contains(&at);
                let flags = UnitFlags {
                    hidden,
                    ..UnitFlags::default()
                };
                assert_eq!(unit.flags, flags, "unit {at}, {context}");
            }
            match &stream.params {
                StreamParams::Video(video) => {
                    assert_eq!(u64::from(video.width), figures["width"]);
                    assert_eq!(u64::from(video.height), figures["height"]);
                    assert_eq!(video.frame_rate.unwrap().as_f64(), 25.0, "{context}");
                }
                StreamParams::Audio(audio) => {
                    assert_eq!(u64::from(audio.sample_rate), figures["sample_rate"]);
                    assert_eq!(u64::from(audio.channels), figures["channels"]);
                }
                StreamParams::Unknown => panic!("{context}: unknown"),
            }
        }
    }
}

#[test]
fn tracks_are_interleaved_by_decode_time() {
    for name in figures().keys() {
        let times: Vec<_> = units(&test_data(name)).iter().map(|u| u.dts).collect();
        assert!(times.is_sorted(), "{name}");
    }
}

#[test]
fn every_idr_picture_brings_its_parameter_sets() {
    for name in ["mp4/bframes.mp4", "mp4/fragments.mp4"] {
        let all = units(&test_data(name));
        let video: Vec<_> = all.iter().filter(|u| u.codec == Codec::H264).collect();
        let mut keyframes = 0;
        for unit in video {
            let kinds: Vec<_> = nal_units(&unit.data).map(|nal| nal.kind()).collect();
            assert_eq!(unit.keyframe, kinds.contains(&NalKind::IDR));
            assert_eq!(
                unit.keyframe,
                kinds.starts_with(&[NalKind::SPS, NalKind::PPS])
            );
            keyframes += usize::from(unit.keyframe);
        }
        // 30 pictures in groups of 10.
        assert_eq!(keyframes, 3, "{name}");
    }
}

#[test]
fn recovery_points_of_open_groups_are_keyframes() {
    let all = units(&test_data("mp4/open_gop_cut.mp4"));
    // What ffprobe marks as such.
    let keyframes: Vec<_> = (0..all.len()).filter(|&at| all[at].keyframe).collect();
    assert_eq!(keyframes, [0, 11, 26]);
    let first = &all[0].data;
    assert!(!has_idr(first));
    let kinds: Vec<_> = nal_units(first).map(|nal| nal.kind()).take(3).collect();
    assert_eq!(kinds, [NalKind::AUD, NalKind::SPS, NalKind::PPS]);
}

#[test]
fn the_aac_of_the_5_1_clip_decodes_to_ffmpegs_levels() {
    let name = "bunny_720p25_main_aac51.mp4";
    let file = test_data(&format!("media/{name}"));
    let reader = open(&file).unwrap();
    let StreamParams::Audio(params) = &reader.streams()[1].params else {
        panic!("audio is the second track");
    };
    let pool = crate::frame::FramePool::new();
    let mut decoder = crate::codec::open_audio_decoder(params, &pool).unwrap();
    let mut frames = Vec::new();
    for unit in units(&file).iter().filter(|u| u.codec == Codec::Aac) {
        decoder.push(unit).unwrap();
        frames.extend(decoder.pull());
    }
    let levels: Value =
        serde_json::from_slice(&test_data("figures/mp4_audio_levels.json")).unwrap();
    for (channel, rms) in levels[name]["rms"].as_array().unwrap().iter().enumerate() {
        let samples = crate::audio::tone::joined(&frames, channel);
        assert_eq!(samples.len() as u64, levels[name]["samples"]);
        let seconds = samples.chunks(48_000).map(|second| {
            let power: f64 = second.iter().map(|v| f64::from(*v).powi(2)).sum();
            (power / second.len() as f64).sqrt()
        });
        for (got, expected) in seconds.zip(rms.as_array().unwrap()) {
            let expected = expected.as_f64().unwrap();
            assert!(
                (got - expected).abs() < 1e-7,
                "channel {channel}: {got}, {expected}"
            );
        }
    }
}

#[test]
fn the_clip_is_the_same_in_mp4_and_in_a_transport_stream() {
    use crate::ts::{DemuxEvent, DemuxOptions, Demuxer};
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(&test_data("media/bunny_720p25_main_aac51.ts"), None);
    demuxer.finish();
    let mut in_ts = Vec::new();
    while let Some(event) = demuxer.next_event() {
        if let DemuxEvent::Unit(unit) = event {
            in_ts.push(unit);
        }
    }
    let in_mp4 = units(&test_data("media/bunny_720p25_main_aac51.mp4"));
    for codec in [Codec::H264, Codec::Aac] {
        let of = |units: &[AccessUnit]| -> Vec<AccessUnit> {
            units.iter().filter(|u| u.codec == codec).cloned().collect()
        };
        let (mp4, ts) = (of(&in_mp4), of(&in_ts));
        assert_eq!(mp4.len(), ts.len(), "{codec}");
        for (mp4, ts) in mp4.iter().zip(&ts) {
            assert_eq!(mp4.keyframe, ts.keyframe);
            if codec == Codec::Aac {
                assert_eq!(mp4.data, ts.data);
            } else {
                // The transport stream adds delimiters.
                let content = |data: &[u8]| -> Vec<Vec<u8>> {
                    nal_units(data)
                        .filter(|nal| nal.kind() != NalKind::AUD)
                        .map(|nal| nal.bytes.to_vec())
                        .collect()
                };
                assert!(content(&mp4.data) == content(&ts.data), "at {}", mp4.pts);
            }
            // It starts at 1.4 s, and its clock has 90 kHz.
            let moved = ts.pts.ticks - mp4.pts.in_base(crate::TimeBase::MPEG);
            assert!((moved - 126_000).abs() <= 1, "{moved} at {}", mp4.pts);
        }
    }
}

#[test]
fn a_recording_that_was_cut_is_read_as_far_as_it_goes() {
    let file = test_data("mp4/fragments.mp4");
    let all = units(&file);
    // Into the last fragment's data: its samples beyond the cut are told, one by one.
    let cut = &file[..file.len() - 1500];
    let mut reader = open(cut).unwrap();
    let (mut given, mut missing) = (0, 0);
    loop {
        match reader.next_unit() {
            Ok(Some(unit)) => {
                assert!(all.iter().any(|u| u.dts == unit.dts && u.data == unit.data));
                given += 1;
            }
            Ok(None) => break,
            Err(error) => {
                assert!(error.to_string().contains("beyond the end of the file"));
                missing += 1;
            }
        }
    }
    assert_eq!(given + missing, all.len());
    assert!(given > all.len() / 2 && missing > 0, "{given} {missing}");
    // Inside a fragment's boxes: the fragment is left out.
    let moof = file.windows(4).rposition(|bytes| bytes == b"moof").unwrap();
    assert!(units(&file[..moof + 20]).len() < all.len());
}

#[test]
fn a_file_that_is_none_says_so() {
    let text = open(b"this is a plain text file, longer than a header").unwrap_err();
    assert!(text.to_string().contains("no moov box"), "{text}");
    assert!(open(b"").unwrap_err().to_string().contains("no moov box"));
    // A download that was cut before the moov at its end.
    let file = test_data("mp4/bframes.mp4");
    let error = open(&file[..file.len() - 100]).unwrap_err();
    assert!(error.to_string().contains("no moov box"), "{error}");
}

/// A copy of `file` in which the box `kind` is overwritten from its content's byte `at` on.
fn patched(file: &[u8], kind: &[u8; 4], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let start = 4 + at + file.windows(4).rposition(|found| found == kind).unwrap();
    file[start..start + bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn what_a_box_claims_is_checked() {
    let file = test_data("mp4/bframes.mp4");
    // (box, byte of its content, bytes written there, part of the error)
    let cases: [(&[u8; 4], usize, &[u8], &str); 8] = [
        (
            b"mdhd",
            12,
            &[0; 4],
            "box 'mdhd' is malformed: its timescale is 0",
        ),
        (
            b"stsz",
            8,
            &[0xff; 4],
            "box 'stsz' is malformed: its table ends too early",
        ),
        (
            b"stsz",
            4,
            &[0, 0, 1, 0, 0xff, 0, 0, 0],
            "its samples exceed the file",
        ),
        (
            b"stco",
            4,
            &[0xff; 4],
            "box 'stco' is malformed: its table ends too early",
        ),
        (b"stsc", 16, &[0, 0, 0, 2], "changes its sample description"),
        (
            b"avcC",
            0,
            &[9],
            "box 'avcC' is malformed: its version is not 1",
        ),
        (b"avcC", 4, &[0xfe], "NAL unit lengths of 3 bytes"),
        (
            b"avcC",
            6,
            &[0xff; 2],
            "box 'avcC' is malformed: it ends too early",
        ),
    ];
    for (kind, at, bytes, expected) in cases {
        let error = open(&patched(&file, kind, at, bytes))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error} instead of {expected}");
    }
    // Two tracks of one id.
    let error = open(&patched(&file, b"tkhd", 12, &[0, 0, 0, 1])).unwrap_err();
    assert!(error.to_string().contains("track id is taken"), "{error}");
}

#[test]
fn an_offset_that_makes_no_sense_moves_no_other_sample() {
    let file = test_data("mp4/negative_offsets.mp4");
    let dts = |file: &[u8]| -> Vec<_> { units(file).iter().map(|unit| unit.dts).collect() };
    // The third entry of `ctts`: version and flags, count; count and offset of each.
    let broken = patched(&file, b"ctts", 8 + 2 * 8 + 4, &i32::MIN.to_be_bytes());
    assert_eq!(dts(&broken), dts(&file));
}

#[test]
fn how_pictures_lie_is_told() {
    let file = test_data("mp4/bframes.mp4");
    let orientation = |file: &[u8]| {
        let reader = open(file).unwrap();
        let kind = MediaKind::Video;
        StreamInfo::choose(reader.streams(), kind, None)
            .unwrap()
            .orientation()
    };
    assert_eq!(orientation(&file), Orientation::UPRIGHT);
    // The video's `tkhd` is the first: a, b, u, c, d.
    let at = 44 + file.windows(4).position(|found| found == b"tkhd").unwrap();
    let mut turned = file.clone();
    let matrix = [0, 1 << 16, 0, -1 << 16, 0i32].map(i32::to_be_bytes);
    turned[at..at + 20].copy_from_slice(&matrix.concat());
    let clockwise = Orientation {
        mirrored: false,
        quarter_turns: 1,
    };
    assert_eq!(orientation(&turned), clockwise);
    // Nonsense turns nothing.
    turned[at..at + 20].fill(0x55);
    assert_eq!(orientation(&turned), Orientation::UPRIGHT);
}

#[test]
fn a_sample_with_a_wrong_length_keeps_its_good_part_and_is_marked() {
    let file = test_data("mp4/opus.mp4");
    let first = units(&file)
        .into_iter()
        .find(|u| u.codec == Codec::H264)
        .unwrap();
    // The picture itself is the sample's last NAL unit.
    let picture = nal_units(&first.data).last().unwrap().bytes;
    let at = file
        .windows(picture.len())
        .position(|bytes| bytes == picture)
        .unwrap();
    let mut damaged = file.clone();
    damaged[at - 4] = 0x7f;
    let all = units(&damaged);
    assert_eq!(all.len(), units(&file).len());
    let marked: Vec<_> = all.iter().filter(|unit| unit.flags.damaged).collect();
    assert_eq!(marked.len(), 1);
    assert_eq!(marked[0].pts, Timestamp::new(0, first.pts.base));
    assert!(!marked[0].data.is_empty());
}

#[test]
fn h265_is_what_it_is_in_a_transport_stream() {
    use crate::ts::{DemuxEvent, DemuxOptions, Demuxer};
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(&trickle_testkit::clip_bytes("hevc_240p25.ts"), None);
    let mut theirs = Vec::new();
    while let Some(event) = demuxer.next_event() {
        if let DemuxEvent::Unit(unit) = event {
            theirs.push(unit);
        }
    }
    let file = test_data("mp4/hevc.mp4");
    let reader = open(&file).unwrap();
    let StreamParams::Video(params) = &reader.streams()[0].params else {
        panic!("nothing is known of the stream")
    };
    assert_eq!((params.width, params.height), (320, 240));
    let ours = units(&file);
    assert_eq!(ours.len(), 15);
    let slices = |unit: &AccessUnit| -> Vec<u8> {
        nal_units(&unit.data)
            .filter(|nal| nal.bytes[0] >> 1 < 32)
            .flat_map(|nal| nal.bytes.to_vec())
            .collect()
    };
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours.keyframe, theirs.keyframe);
        assert_eq!(slices(ours), slices(theirs));
    }
    assert!(ours[0].keyframe && !ours[1].keyframe);
}

#[test]
fn unknown_tracks_are_listed_and_passed_over() {
    let file = test_data("mp4/bframes.mp4");
    let at = file.windows(4).position(|found| found == b"avc1").unwrap();
    // The first is the brand in ftyp; the entry in stsd is the last.
    let entry = file.windows(4).rposition(|found| found == b"avc1").unwrap();
    assert!(at < entry);
    for (entry_name, name) in [(b"vp09", "vp9"), (b"xyz!", "unknown video")] {
        let mut file = file.clone();
        file[entry..entry + 4].copy_from_slice(entry_name);
        let reader = open(&file).unwrap();
        assert_eq!(reader.streams()[0].codec, Codec::OtherVideo(name));
        let all = units(&file);
        assert_eq!(all.len(), 53);
        assert!(all.iter().all(|unit| unit.codec == Codec::Aac));
    }
}

#[test]
fn opus_of_a_plain_layout_needs_no_header() {
    let reader_streams = open(&test_data("mp4/opus.mp4")).unwrap().streams().to_vec();
    let StreamParams::Audio(audio) = &reader_streams[1].params else {
        panic!("audio is the second track");
    };
    assert_eq!((audio.sample_rate, audio.channels), (48_000, 1));
    assert!(audio.config.is_empty());
}

/// Opens a file whatever it holds and reads all of it.
fn read_all(file: &[u8]) -> usize {
    let Ok(mut reader) = open(file) else {
        return 0;
    };
    let mut calls = 0;
    while !matches!(reader.next_unit(), Ok(None)) {
        calls += 1;
        assert!(calls <= 1_000_000, "it does not end");
    }
    calls
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_files_never_panic_and_end(
        name in prop::sample::select(vec!["bframes", "fragments", "separate_fragments", "opus"]),
        damage in prop::collection::vec(
            (
                any::<prop::sample::Index>(),
                prop::sample::select(vec![0u8, 1, 0x7f, 0x80, 0xff]),
                1usize..5,
            ),
            1..5,
        ),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = test_data(&format!("mp4/{name}.mp4"));
        // Damage to the boxes: they stand at the end, at the start, or between the data.
        let boxes: Vec<usize> = (0..file.len().saturating_sub(8))
            .filter(|at| matches!(&file[at + 4..at + 8], b"moov" | b"moof"))
            .flat_map(|at| at..(at + 1600).min(file.len()))
            .collect();
        for (at, value, length) in damage {
            let at = boxes[at.index(boxes.len())];
            let end = (at + length).min(file.len());
            file[at..end].fill(value);
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        read_all(&file);
    }

    #[test]
    fn noise_behind_box_headers_never_panics(
        kind in prop::sample::select(vec![*b"moov", *b"trak", *b"moof", *b"traf"]),
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut file = (noise.len() as u32 + 8).to_be_bytes().to_vec();
        file.extend(kind);
        file.extend(noise);
        read_all(&file);
    }
}

/// `elst` of the first track of a file: its only edit is this one.
fn edited(file: &[u8], milliseconds: u32, media_time: i32) -> Vec<u8> {
    let mut file = file.to_vec();
    let at = 8 + file.windows(4).position(|found| found == b"elst").unwrap();
    file[at..at + 4].copy_from_slice(&1u32.to_be_bytes());
    file[at + 4..at + 8].copy_from_slice(&milliseconds.to_be_bytes());
    file[at + 8..at + 12].copy_from_slice(&media_time.to_be_bytes());
    file
}

#[test]
fn what_an_edit_leaves_out_is_given_where_decoders_need_it_and_hidden() {
    let file = test_data("mp4/bframes.mp4");
    let video = |file: &[u8]| -> Vec<AccessUnit> {
        let all = units(file).into_iter();
        all.filter(|unit| unit.codec == Codec::H264).collect()
    };
    let whole = video(&file);
    assert!(whole.iter().all(|unit| !unit.flags.hidden));
    let base = whole[0].pts.base;
    let tick = |unit: &AccessUnit| unit.pts.ticks;
    let mut shown: Vec<i64> = whole.iter().map(tick).collect();
    shown.sort_unstable();
    // From the tenth picture that is shown to before the twentieth.
    let delay = whole[0].pts.ticks - whole[0].dts.ticks;
    let start = shown[10] + delay;
    let length =
        Timestamp::new(shown[20] - shown[10], base).in_base(crate::TimeBase::per_second(1000));
    let cut = video(&edited(&file, length as u32, start as i32));
    let mut kept: Vec<i64> = cut
        .iter()
        .filter(|unit| !unit.flags.hidden)
        .map(tick)
        .collect();
    kept.sort_unstable();
    let expected: Vec<i64> = shown[10..20].iter().map(|at| at - shown[10]).collect();
    assert_eq!(kept, expected);
    // All of before is there, and nothing of what is decoded after the last.
    let before = cut.iter().filter(|unit| tick(unit) < 0);
    assert_eq!(before.count(), 10);
    assert!(!cut.last().unwrap().flags.hidden);
}

#[test]
fn an_edit_that_shows_nothing_is_not_believed_where_it_ends() {
    let file = test_data("mp4/bframes.mp4");
    let all = units(&file).len();
    // Beyond the end of the media, and for no time.
    for (milliseconds, media_time) in [(1, 1 << 30), (0, 0)] {
        assert_eq!(units(&edited(&file, milliseconds, media_time)).len(), all);
    }
}
