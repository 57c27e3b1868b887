//! Sound waits for pictures, never longer than it may.

use super::*;
use bytes::Bytes;
use std::sync::Arc;
use trickle_media::StreamInfo;
use trickle_media::access_unit::{AccessUnit, Codec, TrackId, UnitFlags};
use trickle_media::stream::StreamParams;

fn at(ms: i64) -> Timestamp {
    Timestamp::mpeg(ms * 90)
}

fn packet(ms: i64) -> Coded {
    Coded {
        unit: AccessUnit {
            track: TrackId(2),
            codec: Codec::Opus,
            data: Bytes::new(),
            pts: at(ms),
            dts: at(ms),
            keyframe: true,
            flags: UnitFlags::default(),
            received: None,
        },
        stream: Arc::new(StreamInfo {
            track: TrackId(2),
            codec: Codec::Opus,
            language: None,
            params: StreamParams::Unknown,
        }),
    }
}

fn ready(interleaver: &mut Interleaver, now: Option<Instant>) -> Vec<i64> {
    std::iter::from_fn(|| interleaver.pop(now))
        .map(|packet| packet.unit.pts.ticks / 90)
        .collect()
}

#[test]
fn sound_waits_for_pictures_of_its_time() {
    let start = Some(Instant::now());
    let mut interleaver = Interleaver::new(true);
    interleaver.expect_video(true);
    for ms in [0, 20, 40, 60] {
        assert_eq!(interleaver.audio(packet(ms), start), 0);
    }
    assert!(ready(&mut interleaver, start).is_empty());
    interleaver.video(at(40));
    assert_eq!(ready(&mut interleaver, start), [0, 20, 40]);
}

#[test]
fn sound_waits_half_a_second_and_no_longer() {
    let start = Instant::now();
    let mut interleaver = Interleaver::new(true);
    interleaver.expect_video(true);
    interleaver.audio(packet(0), Some(start));
    interleaver.audio(packet(20), Some(start + Duration::from_millis(20)));
    assert_eq!(interleaver.deadline(), Some(start + HOLD));
    let early = Some(start + HOLD - Duration::from_millis(1));
    assert!(ready(&mut interleaver, early).is_empty());
    assert_eq!(ready(&mut interleaver, Some(start + HOLD)), [0]);
}

#[test]
fn sound_alone_waits_for_nothing() {
    let mut interleaver = Interleaver::new(true);
    interleaver.audio(packet(0), Some(Instant::now()));
    assert_eq!(ready(&mut interleaver, Some(Instant::now())), [0]);
}

#[test]
fn offline_only_the_input_decides() {
    let mut interleaver = Interleaver::new(false);
    interleaver.expect_video(true);
    for ms in (0..=500).step_by(20) {
        interleaver.audio(packet(ms), None);
        assert!(ready(&mut interleaver, None).is_empty(), "{ms}");
    }
    interleaver.audio(packet(520), None);
    assert_eq!(ready(&mut interleaver, None), [0]);
    interleaver.expect_video(false);
    assert_eq!(ready(&mut interleaver, None).len(), 26);
}

#[test]
fn what_waits_is_bounded() {
    let mut interleaver = Interleaver::new(true);
    interleaver.expect_video(true);
    let now = Some(Instant::now());
    let dropped: u64 = (0..MAX_HELD as i64 + 3)
        .map(|ms| interleaver.audio(packet(ms), now))
        .sum();
    assert_eq!(dropped, 3);
    assert_eq!(interleaver.drop_before(at(10)), 7);
}
