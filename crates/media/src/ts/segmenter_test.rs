//! Where segments begin.

use super::*;
use crate::access_unit::{Codec, TrackId, UnitFlags};
use crate::stream::{AudioParams, StreamParams};
use bytes::Bytes;

const SECOND: i64 = 90_000;

fn stream(codec: Codec) -> StreamInfo {
    let params = match codec.kind() {
        MediaKind::Audio => StreamParams::Audio(AudioParams {
            codec,
            sample_rate: 48_000,
            channels: 2,
            config: Bytes::new(),
        }),
        _ => StreamParams::Unknown,
    };
    StreamInfo {
        track: TrackId(u32::from(codec == Codec::Opus)),
        codec,
        language: None,
        params,
    }
}

fn unit(codec: Codec, time: i64, keyframe: bool) -> AccessUnit {
    AccessUnit {
        track: stream(codec).track,
        codec,
        data: Bytes::from_static(&[0, 0, 1, 0x65, 1, 2, 3]),
        pts: Timestamp::mpeg(time),
        dts: Timestamp::mpeg(time),
        keyframe,
        flags: UnitFlags::default(),
        received: None,
    }
}

fn segmenter(codecs: &[Codec]) -> Segmenter {
    let streams: Vec<StreamInfo> = codecs.iter().copied().map(stream).collect();
    Segmenter::new(&streams, &SegmenterOptions::default()).unwrap()
}

/// Places the unit, and checks that tables stand where a segment begins and only there.
fn place(segmenter: &mut Segmenter, unit: &AccessUnit) -> Placed {
    let mut out = BytesMut::new();
    let placed = segmenter.write(unit, &mut out).unwrap();
    assert_eq!(
        out.starts_with(&[0x47, 0x40, 0]),
        placed == Placed::NewSegment
    );
    assert_eq!(out.is_empty(), placed == Placed::BeforeKeyframe);
    placed
}

#[test]
fn segments_begin_at_keyframes_and_nothing_comes_before_the_first() {
    let mut cut = segmenter(&[Codec::H264, Codec::Opus]);
    let video = |time, key| unit(Codec::H264, time, key);
    assert_eq!(
        place(&mut cut, &unit(Codec::Opus, 0, true)),
        Placed::BeforeKeyframe
    );
    assert_eq!(place(&mut cut, &video(0, false)), Placed::BeforeKeyframe);
    assert_eq!(place(&mut cut, &video(3_600, true)), Placed::NewSegment);
    assert_eq!(
        place(&mut cut, &unit(Codec::Opus, 3_000, true)),
        Placed::SameSegment
    );
    assert_eq!(place(&mut cut, &video(7_200, true)), Placed::SameSegment);
    assert_eq!(
        place(&mut cut, &video(2 * SECOND, false)),
        Placed::SameSegment
    );
    assert_eq!(
        place(&mut cut, &video(2 * SECOND - 90, true)),
        Placed::NewSegment
    );
}

#[test]
fn sound_alone_is_cut_every_two_seconds() {
    let mut cut = segmenter(&[Codec::Opus]);
    let begins = (0..300)
        .filter(|i| place(&mut cut, &unit(Codec::Opus, i * 1_800, true)) == Placed::NewSegment);
    assert_eq!(begins.collect::<Vec<_>>(), [0, 100, 200]);
}

#[test]
fn sound_is_cut_when_its_video_stays_away() {
    let mut cut = segmenter(&[Codec::H264, Codec::Opus]);
    place(&mut cut, &unit(Codec::H264, 0, true));
    let begins = (0..450)
        .filter(|i| place(&mut cut, &unit(Codec::Opus, i * 1_800, true)) == Placed::NewSegment);
    assert_eq!(begins.collect::<Vec<_>>(), [200, 300, 400]);
}

#[test]
fn a_clock_that_jumps_back_begins_a_segment_at_the_next_keyframe() {
    let mut cut = segmenter(&[Codec::H264]);
    place(&mut cut, &unit(Codec::H264, 100 * SECOND, true));
    assert_eq!(
        place(&mut cut, &unit(Codec::H264, 0, false)),
        Placed::SameSegment
    );
    assert_eq!(
        place(&mut cut, &unit(Codec::H264, 3_600, true)),
        Placed::NewSegment
    );
}

#[test]
fn new_streams_begin_a_segment_at_once() {
    let mut cut = segmenter(&[Codec::H264]);
    place(&mut cut, &unit(Codec::H264, 0, true));
    cut.set_streams(&[stream(Codec::H264), stream(Codec::Opus)])
        .unwrap();
    assert_eq!(
        place(&mut cut, &unit(Codec::H264, 3_600, true)),
        Placed::NewSegment
    );
    assert_eq!(
        place(&mut cut, &unit(Codec::Opus, 3_600, true)),
        Placed::SameSegment
    );
}

#[test]
fn a_unit_that_cannot_be_written_begins_no_segment() {
    let mut cut = segmenter(&[Codec::Opus]);
    let mut out = BytesMut::new();
    assert!(cut.write(&unit(Codec::H264, 0, true), &mut out).is_err());
    assert!(out.is_empty());
    assert_eq!(
        place(&mut cut, &unit(Codec::Opus, 0, true)),
        Placed::NewSegment
    );
}
