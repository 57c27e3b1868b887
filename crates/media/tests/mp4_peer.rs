//! Our MP4 reader beside the `mp4` crate, on a file that both can read.

#![allow(clippy::unwrap_used)] // Helpers of tests may, like tests.

use std::fs::File;
use std::io::BufReader;

use trickle_media::mp4::Reader;
use trickle_media::{AccessUnit, Codec, MediaKind, TrackId};
use trickle_testkit::clip;

const CLIP: &str = "bunny_720p25_main_aac51.mp4";
/// Bytes of a NAL unit's length in the file, and of the start code that takes its place.
const PREFIX: usize = 4;

fn open() -> (BufReader<File>, u64) {
    let file = File::open(clip(CLIP)).unwrap();
    let size = file.metadata().unwrap().len();
    (BufReader::new(file), size)
}

fn ours() -> Vec<AccessUnit> {
    let (source, size) = open();
    let mut reader = Reader::open(source, size).unwrap();
    std::iter::from_fn(|| reader.next_unit().unwrap()).collect()
}

/// Samples of a track, as the file holds them.
fn theirs(track: TrackId) -> Vec<mp4::Mp4Sample> {
    let (source, size) = open();
    let mut reader = mp4::Mp4Reader::read_header(source, size).unwrap();
    let count = reader.sample_count(track.0).unwrap();
    (1..=count)
        .map(|index| reader.read_sample(track.0, index).unwrap().unwrap())
        .collect()
}

#[test]
fn audio_frames_are_the_same_bytes() {
    let units: Vec<AccessUnit> = ours()
        .into_iter()
        .filter(|unit| unit.codec == Codec::Aac)
        .collect();
    let samples = theirs(units[0].track);
    assert_eq!(units.len(), samples.len());
    for (unit, sample) in units.iter().zip(samples) {
        assert_eq!(unit.data, sample.bytes);
    }
}

#[test]
fn pictures_have_the_same_bytes_steps_and_keyframes() {
    let units: Vec<AccessUnit> = ours()
        .into_iter()
        .filter(|unit| unit.codec.kind() == MediaKind::Video)
        .collect();
    let samples = theirs(units[0].track);
    assert_eq!(units.len(), samples.len());
    for (unit, sample) in units.iter().zip(&samples) {
        assert_eq!(unit.keyframe, sample.is_sync);
        // Only what stands for the first length differs; parameter sets go before a keyframe.
        let tail = &sample.bytes[PREFIX..];
        if unit.keyframe {
            let last_nal = tail.len().min(1_000);
            assert!(unit.data.ends_with(&tail[tail.len() - last_nal..]));
        } else {
            assert_eq!(unit.data.len(), sample.bytes.len());
        }
    }
    for (ours, theirs) in units.windows(2).zip(samples.windows(2)) {
        let step = ours[1].dts.ticks - ours[0].dts.ticks;
        assert_eq!(
            step,
            theirs[1].start_time as i64 - theirs[0].start_time as i64
        );
    }
}
