//! Recordings: every picture and packet with its time, whatever was cut, and what is refused.

use std::io::Cursor;

use trickle_media::access_unit::{AccessUnit, Codec};
use trickle_media::{TimeBase, Timestamp};
use trickle_testkit::clip_bytes;

use super::*;
use crate::feed::{MediaEvent, MediaReader, ReadOptions};

fn recorded(stream: &[u8], piece: usize) -> io::Result<Vec<u8>> {
    recorded_of(stream, piece, ReadOptions::default())
}

fn recorded_of(stream: &[u8], piece: usize, options: ReadOptions) -> io::Result<Vec<u8>> {
    let mut recorder = Mp4Recorder::new(Vec::new(), options);
    for piece in stream.chunks(piece) {
        recorder.write_all(piece)?;
    }
    recorder.finish()
}

fn units(file: &[u8]) -> Vec<AccessUnit> {
    let file = file.to_vec();
    let open = move || Ok(Cursor::new(file.clone()));
    let mut reader = MediaReader::open(ReadOptions::default(), open).unwrap();
    let mut units = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        match event {
            MediaEvent::Unit(unit) => units.push(unit),
            MediaEvent::Fault(fault) => panic!("{fault}"),
            MediaEvent::Streams(_) => {}
        }
    }
    units
}

/// Presentation times of a codec's units in microseconds, from the first decoding time of all.
fn times(units: &[AccessUnit], codec: Codec) -> Vec<i64> {
    let first = units.iter().map(|unit| unit.dts).min().unwrap();
    let micros = |time: Timestamp| time.in_base(TimeBase::MICROS);
    units
        .iter()
        .filter(|unit| unit.codec == codec)
        .map(|unit| micros(unit.pts) - micros(first))
        .collect()
}

#[test]
fn every_unit_is_in_the_recording_at_its_time() {
    for (name, sound) in [
        ("bframes_360p30_high_aac.ts", Some(Codec::Aac)),
        ("live_720p25_baseline_opus.ts", Some(Codec::Opus)),
        ("crop_854x482_videoonly.ts", None),
        ("ptswrap_180p30.ts", None),
        ("audioonly_opus.ts", Some(Codec::Opus)),
    ] {
        let stream = clip_bytes(name);
        let (before, after) = (units(&stream), units(&recorded(&stream, 1_316).unwrap()));
        for codec in [Some(Codec::H264), sound].into_iter().flatten() {
            let (before, after) = (times(&before, codec), times(&after, codec));
            assert_eq!(after.len(), before.len(), "{codec} of {name}");
            let far = before.iter().zip(&after).map(|(a, b)| (a - b).abs()).max();
            // A tick of a track's clock is up to 23 µs long.
            assert!(far <= Some(23), "{codec} of {name}: {far:?} µs apart");
        }
    }
}

#[test]
fn a_recording_that_is_cut_plays_up_to_there() {
    let stream = clip_bytes("live_720p25_baseline_opus.ts");
    // Killed: nobody finishes it.
    let mut recorder = Mp4Recorder::new(Vec::new(), ReadOptions::default());
    recorder.write_all(&stream).unwrap();
    let whole = recorder.file;
    let all = units(&recorded(&stream, 1_316).unwrap()).len();
    let mut last = 0;
    for part in 1..=8 {
        let read = units_of_cut(&whole[..whole.len() * part / 8]);
        assert!(read >= last && read < all, "{read} of {all}");
        last = read;
    }
    assert!(last > all / 2, "{last} of {all}");
}

/// Units that can be read of a file whose last bytes are missing.
fn units_of_cut(file: &[u8]) -> usize {
    let file = file.to_vec();
    let open = move || Ok(Cursor::new(file.clone()));
    let mut reader = MediaReader::open(ReadOptions::default(), open).unwrap();
    let mut count = 0;
    while let Some(event) = reader.next_event().unwrap() {
        count += usize::from(matches!(event, MediaEvent::Unit(_)));
    }
    count
}

#[test]
fn a_stream_that_starts_over_leaves_no_gap() {
    let stream = clip_bytes("crop_854x482_videoonly.ts");
    let once = units(&recorded(&stream, 1_316).unwrap());
    let twice = units(&recorded(&[&stream[..], &stream].concat(), 1_316).unwrap());
    assert_eq!(twice.len(), 2 * once.len());
    let times = times(&twice, Codec::H264);
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(longest < Some(100_000), "{longest:?} µs");
}

#[test]
fn what_mp4_cannot_hold_is_refused_with_the_reason() {
    let error = recorded(&clip_bytes("hevc_240p25.ts"), 1_316).unwrap_err();
    let told = error.to_string();
    assert!(
        told.contains("nothing could be recorded") && told.contains("hevc"),
        "{told}"
    );
    let error = recorded(&[0x55; 4_000], 1_316).unwrap_err();
    assert!(error.to_string().contains("no keyframe"), "{error}");
}

#[test]
fn one_of_several_programs_is_recorded() {
    let stream = clip_bytes("two_programs.ts");
    let size = |program: Option<u16>| {
        let file = recorded_of(&stream, 1_316, ReadOptions { program }).unwrap();
        let reader = mp4::Reader::open(Cursor::new(&file), file.len() as u64).unwrap();
        // Program 3 has MP2, which is left out.
        let [video] = reader.streams() else {
            panic!("{:?}", reader.streams())
        };
        let trickle_media::stream::StreamParams::Video(video) = &video.params else {
            panic!("{video:?}")
        };
        (video.width, video.height)
    };
    assert_eq!(size(None), (128, 96));
    assert_eq!(size(Some(8)), (96, 64));
    let error = recorded_of(&stream, 1_316, ReadOptions { program: Some(5) }).unwrap_err();
    assert!(
        error.to_string().contains("nothing could be recorded"),
        "{error}"
    );
}

#[test]
fn sound_is_recorded_whatever_the_tables_call_it_and_refused_by_its_name() {
    let mut stream = clip_bytes("ac3_51.ts");
    let alone = recorded(&stream, 1_316).unwrap_err();
    assert!(alone.to_string().contains("ac3"), "{alone}");
    stream = clip_bytes("aac_unnamed.m2ts");
    let file = recorded(&stream, 1_316).unwrap();
    let reader = mp4::Reader::open(Cursor::new(&file), file.len() as u64).unwrap();
    let codecs: Vec<_> = reader.streams().iter().map(|stream| stream.codec).collect();
    assert_eq!(codecs, [Codec::H264, Codec::Aac]);
}

#[test]
fn sound_that_becomes_another_than_its_track_says_is_left_out_until_it_is_back() {
    let stereo = clip_bytes("bframes_360p30_high_aac.ts");
    let mono = clip_bytes("portrait_360x640_aac44k_mono.ts");
    let aac = |stream: &[u8]| -> Vec<Vec<u8>> {
        let all = units(stream).into_iter();
        let sound = all.filter(|unit| unit.codec == Codec::Aac);
        sound.map(|unit| unit.data.to_vec()).collect()
    };
    let once = aac(&stereo);
    let file = recorded(&[&stereo[..], &mono, &stereo].concat(), 1_316).unwrap();
    // The clock of the one after jumps, so its first frames may be before the end of the last.
    let recorded = aac(&file);
    assert!(recorded.len() > 2 * once.len() - 4, "{}", recorded.len());
    assert!(recorded.iter().all(|frame| once.contains(frame)));
}
