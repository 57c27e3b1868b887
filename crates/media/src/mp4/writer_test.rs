//! MP4 writing: what was written is read back, fragment by fragment; refusals.

use std::io::Cursor;

use super::*;
use crate::mp4::Reader;

fn clip(name: &str) -> (Vec<StreamInfo>, Vec<AccessUnit>) {
    let path = trickle_testkit::clip("../mp4").join(name);
    let file = std::fs::read(&path).unwrap();
    read(&file)
}

fn read(file: &[u8]) -> (Vec<StreamInfo>, Vec<AccessUnit>) {
    let mut reader = Reader::open(Cursor::new(file), file.len() as u64).unwrap();
    let units = std::iter::from_fn(|| reader.next_unit().unwrap()).collect();
    (reader.streams().to_vec(), units)
}

fn written(streams: &[StreamInfo], units: &[AccessUnit]) -> BytesMut {
    let mut writer = Writer::new(streams).unwrap();
    let mut out = BytesMut::new();
    for unit in units {
        writer.write(unit, &mut out).unwrap();
    }
    writer.finish(&mut out);
    out
}

fn count(file: &[u8], kind: &[u8; 4]) -> usize {
    file.windows(4).filter(|bytes| bytes == kind).count()
}

/// Times in microseconds since the first decode time of all.
fn times(units: &[AccessUnit], codec: Codec) -> Vec<(i64, i64)> {
    let first = units.iter().map(|unit| unit.dts).min().unwrap();
    let micros = |time: Timestamp| time.in_base(TimeBase::MICROS) - first.in_base(TimeBase::MICROS);
    units
        .iter()
        .filter(|unit| unit.codec == codec)
        .map(|unit| (micros(unit.pts), micros(unit.dts)))
        .collect()
}

#[test]
fn units_come_back_with_their_times() {
    for name in ["bframes.mp4", "opus.mp4", "fragments.mp4", "delayed.mp4"] {
        let (streams, units) = clip(name);
        let (got_streams, got) = read(&written(&streams, &units));
        assert_eq!(got_streams.len(), streams.len());
        for (stream, got_stream) in streams.iter().zip(&got_streams) {
            assert_eq!(got_stream.codec, stream.codec);
            assert_eq!(got_stream.language, stream.language);
            if let StreamParams::Audio(_) = stream.params {
                assert_eq!(got_stream.params, stream.params, "{name}");
            }
            let codec = stream.codec;
            let data = |units: &[AccessUnit]| -> Vec<Bytes> {
                let mine = units.iter().filter(|unit| unit.codec == codec);
                mine.map(|unit| unit.data.clone()).collect()
            };
            assert_eq!(data(&got), data(&units), "{codec} of {name}");
            let (expected, got) = (times(&units, codec), times(&got, codec));
            assert_eq!(got.len(), expected.len());
            for (got, expected) in got.iter().zip(&expected) {
                // A tick of the track's clock is up to 23 µs long.
                assert!(
                    (got.0 - expected.0).abs() <= 23,
                    "{codec} of {name}: {got:?} {expected:?}"
                );
                assert!(
                    (got.1 - expected.1).abs() <= 23,
                    "{codec} of {name}: {got:?} {expected:?}"
                );
            }
        }
    }
}

#[test]
fn each_group_of_pictures_is_a_fragment_that_plays_alone() {
    let (streams, units) = clip("bframes.mp4");
    let file = written(&streams, &units);
    assert_eq!(count(&file, b"moof"), 3);
    // Cut after the first fragment.
    let second = file
        .windows(4)
        .enumerate()
        .filter(|(_, bytes)| bytes == b"moof");
    let (second, _) = second.collect::<Vec<_>>()[1];
    let (_, got) = read(&file[..second - 4]);
    let pictures = got.iter().filter(|unit| unit.codec == Codec::H264).count();
    assert_eq!(pictures, 10);
}

#[test]
fn sound_of_before_the_picture_that_comes_behind_it_keeps_its_time() {
    let (streams, units) = clip("bframes.mp4");
    // All pictures of half a second, then the sound.
    let (mut pictures, mut sound): (Vec<_>, Vec<_>) = units
        .into_iter()
        .filter(|unit| unit.dts.as_secs_f64() < 0.5)
        .partition(|unit| unit.codec == Codec::H264);
    for unit in &mut sound {
        let earlier = unit.dts.base.ticks(Duration::from_millis(300));
        (unit.dts, unit.pts) = (unit.dts.offset(-earlier), unit.pts.offset(-earlier));
    }
    pictures.append(&mut sound);
    let (_, got) = read(&written(&streams, &pictures));
    for codec in [Codec::H264, Codec::Aac] {
        assert_eq!(times(&got, codec).len(), times(&pictures, codec).len());
        let apart = times(&got, codec)
            .iter()
            .zip(times(&pictures, codec))
            .map(|(got, wanted)| (got.0 - wanted.0).abs())
            .max();
        assert!(apart <= Some(23), "{codec}: {apart:?} µs");
    }
}

#[test]
fn a_change_of_parameter_sets_and_back_brings_both() {
    let (streams, units) = clip("bframes.mp4");
    let keyframes: Vec<_> = units
        .iter()
        .filter(|unit| unit.codec == Codec::H264 && unit.keyframe)
        .take(3)
        .cloned()
        .collect();
    let [first, mut second, third] = <[AccessUnit; 3]>::try_from(keyframes).unwrap();
    // Another picture parameter set for the second: one with a byte more.
    let pps = nal_units(&second.data).find(|nal| nal.kind() == NalKind::PPS);
    let end = pps.map(|nal| nal.offset + 4 + nal.bytes.len()).unwrap();
    let mut data = second.data.to_vec();
    data.insert(end, 0x80);
    second.data = data.into();
    let all = [first, second, third];
    let (_, got) = read(&written(&streams[..1], &all));
    for (got, wanted) in got.iter().zip(&all) {
        let sets = |unit: &AccessUnit| -> Vec<Vec<u8>> {
            let kept = |kind: NalKind| matches!(kind, NalKind::SPS | NalKind::PPS);
            nal_units(&unit.data)
                .filter(|nal| kept(nal.kind()))
                .map(|nal| nal.bytes.to_vec())
                .collect()
        };
        assert_eq!(sets(got), sets(wanted));
    }
}

#[test]
fn nothing_is_written_before_the_first_keyframe() {
    let (streams, units) = clip("bframes.mp4");
    let late: Vec<_> = units
        .iter()
        .skip_while(|unit| unit.codec != Codec::H264)
        .skip(1)
        .cloned()
        .collect();
    let mut writer = Writer::new(&streams).unwrap();
    let mut out = BytesMut::new();
    for unit in &late {
        writer.write(unit, &mut out).unwrap();
        if unit.codec == Codec::H264 && unit.keyframe {
            break;
        }
        assert!(out.is_empty());
    }
    assert_eq!(count(&out, b"moov"), 1);
}

#[test]
fn sound_alone_is_cut_every_second() {
    let (streams, units) = clip("bframes.mp4");
    let sound: Vec<_> = units
        .into_iter()
        .filter(|u| u.codec == Codec::Aac)
        .collect();
    let file = written(&streams[1..], &sound);
    // 53 frames of 23 ms.
    assert_eq!(count(&file, b"moof"), 2);
    assert_eq!(read(&file).1.len(), 53);
}

#[test]
fn surround_opus_keeps_its_mapping() {
    let head = [
        1, 6, 0x38, 1, 0x80, 0xbb, 0, 0, 0, 0xff, 1, 4, 2, 0, 4, 1, 2, 3, 5,
    ];
    let stream = StreamInfo {
        track: TrackId(7),
        codec: Codec::Opus,
        language: None,
        params: StreamParams::Audio(AudioParams {
            codec: Codec::Opus,
            sample_rate: 48_000,
            channels: 6,
            config: Bytes::copy_from_slice(&head),
        }),
    };
    let (_, mut units) = clip("opus.mp4");
    units.retain(|unit| unit.codec == Codec::Opus);
    for unit in &mut units {
        unit.track = TrackId(7);
    }
    let (streams, _) = read(&written(std::slice::from_ref(&stream), &units));
    assert_eq!(streams[0].params, stream.params);
}

#[test]
fn what_cannot_be_written_is_named_and_the_rest_goes_on() {
    let (streams, units) = clip("bframes.mp4");
    let mut hevc = streams.clone();
    hevc[0].codec = Codec::Hevc;
    assert_eq!(
        Writer::new(&hevc).unwrap_err(),
        Mp4WriteError::Codec(Codec::Hevc)
    );
    let twice = [streams[1].clone(), streams[1].clone()];
    assert_eq!(
        Writer::new(&twice).unwrap_err(),
        Mp4WriteError::Track(TrackId(2))
    );
    let mut bare = streams.clone();
    if let StreamParams::Audio(params) = &mut bare[1].params {
        params.config = Bytes::new();
    }
    assert_eq!(
        Writer::new(&bare).unwrap_err(),
        Mp4WriteError::AacConfig(TrackId(2))
    );

    let mut writer = Writer::new(&streams).unwrap();
    let mut out = BytesMut::new();
    let mut strange = units[0].clone();
    strange.track = TrackId(9);
    let error = writer.write(&strange, &mut out).unwrap_err();
    assert_eq!(error, Mp4WriteError::UnknownTrack(TrackId(9)));
    strange = units[0].clone();
    strange.data = Bytes::new();
    assert!(matches!(
        writer.write(&strange, &mut out),
        Err(Mp4WriteError::Size { .. })
    ));
    for unit in &units {
        writer.write(unit, &mut out).unwrap();
    }
    // The past again.
    let again = writer.write(&units[5], &mut out).unwrap_err();
    assert!(matches!(again, Mp4WriteError::Order { .. }), "{again}");
    writer.finish(&mut out);
    assert_eq!(read(&out).1.len(), units.len());
}

#[test]
fn a_stream_of_which_nothing_comes_has_no_track() {
    let (streams, units) = clip("bframes.mp4");
    let pictures: Vec<_> = units
        .iter()
        .filter(|unit| unit.codec == Codec::H264)
        .cloned()
        .collect();
    let (tracks, read_back) = read(&written(&streams, &pictures));
    assert_eq!(tracks.len(), 1);
    assert_eq!(read_back.len(), pictures.len());

    // Sound that is late is waited for, but not for ever.
    let mut writer = Writer::new(&streams).unwrap();
    let mut out = BytesMut::new();
    let later = |unit: &AccessUnit, seconds: i64| {
        let mut unit = unit.clone();
        let ticks = seconds * i64::from(unit.dts.base.den());
        unit.pts = unit.pts.offset(ticks);
        unit.dts = unit.dts.offset(ticks);
        unit
    };
    writer.write(&pictures[0], &mut out).unwrap();
    writer.write(&later(&pictures[1], 4), &mut out).unwrap();
    assert!(out.is_empty());
    writer.write(&later(&pictures[2], 6), &mut out).unwrap();
    assert_eq!(count(&out, b"trak"), 1);
    let sound = units.iter().find(|unit| unit.codec == Codec::Aac).unwrap();
    let error = writer.write(&later(sound, 7), &mut out).unwrap_err();
    assert_eq!(error, Mp4WriteError::UnknownTrack(sound.track));
}
