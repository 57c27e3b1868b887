//! Mapping of times: one constant offset, until the input's clock jumps.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use trickle_media::access_unit::{Codec, TrackId, UnitFlags};

fn unit(codec: Codec, dts: Timestamp, pts: Timestamp) -> AccessUnit {
    AccessUnit {
        track: TrackId(1),
        codec,
        data: Bytes::new(),
        pts,
        dts,
        keyframe: true,
        flags: UnitFlags::default(),
        received: None,
    }
}

/// Output time and flag of a unit at `ms`.
fn map(timeline: &mut Timeline, codec: Codec, ms: i64) -> (i64, bool) {
    let at = Timestamp::mpeg(ms * 90);
    let mut unit = unit(codec, at, at);
    timeline.map(&mut unit);
    (unit.dts.ticks / 90, unit.flags.discontinuity)
}

const V: Codec = Codec::H264;
const A: Codec = Codec::Opus;

#[test]
fn output_is_input_plus_whole_seconds() {
    let mut timeline = Timeline::new();
    assert_eq!(map(&mut timeline, V, 95_443_717), (10_717, false));
    assert_eq!(map(&mut timeline, A, 95_443_200), (10_200, false));
    assert_eq!(map(&mut timeline, V, 95_443_757), (10_757, false));
    assert_eq!(timeline.rebases(), 0);
}

#[test]
fn both_times_and_every_time_base_move_alike() {
    let mut timeline = Timeline::new();
    let base = TimeBase::per_second(48_000);
    let mut video = unit(V, Timestamp::mpeg(90_000), Timestamp::mpeg(97_200));
    let mut audio = unit(
        A,
        Timestamp::new(48_960, base),
        Timestamp::new(48_960, base),
    );
    timeline.map(&mut video);
    timeline.map(&mut audio);
    assert_eq!((video.dts.ticks, video.pts.ticks), (900_000, 907_200));
    assert_eq!((audio.pts.ticks, audio.pts.base), (480_960, base));
}

#[test]
fn a_loop_goes_on_after_the_last_unit_of_either_track_and_keeps_them_together() {
    let mut timeline = Timeline::new();
    for ms in (0..2000).step_by(40) {
        map(&mut timeline, V, ms);
        map(&mut timeline, A, ms + 30);
    }
    // The video starts over: after the audio's 11,990 + 40.
    let (video, flagged) = map(&mut timeline, V, 0);
    assert_eq!((video, flagged), (12_030, true));
    // Audio that was on its way still belongs to the old time …
    assert_eq!(map(&mut timeline, A, 2030), (12_030, false));
    // … and follows with the same offset, which is no second jump.
    assert_eq!(map(&mut timeline, A, 10), (12_040, true));
    assert_eq!(map(&mut timeline, V, 40), (12_070, false));
    assert_eq!(timeline.rebases(), 1);
}

#[test]
fn more_than_ten_seconds_forward_is_a_jump_and_less_is_a_pause() {
    let mut timeline = Timeline::new();
    map(&mut timeline, V, 0);
    map(&mut timeline, V, 40);
    assert_eq!(map(&mut timeline, V, 9_040), (19_040, false));
    assert_eq!(map(&mut timeline, V, 19_041), (19_080, true));
    assert_eq!(timeline.rebases(), 1);
}

#[test]
fn one_wild_timestamp_does_not_shift_what_follows() {
    let mut timeline = Timeline::new();
    map(&mut timeline, V, 0);
    map(&mut timeline, V, 40);
    assert_eq!(map(&mut timeline, V, 5_000_000), (10_080, true));
    assert_eq!(map(&mut timeline, V, 120), (10_120, true));
    assert_eq!(map(&mut timeline, V, 160), (10_160, false));
    assert_eq!(timeline.rebases(), 1);
}

#[test]
fn a_track_on_a_clock_of_its_own_is_brought_to_the_other() {
    let mut timeline = Timeline::new();
    for ms in (900_000..901_000).step_by(40) {
        map(&mut timeline, V, ms);
    }
    let (audio, flagged) = map(&mut timeline, A, 0);
    assert_eq!((audio, flagged), (11_000, true));
    assert_eq!(map(&mut timeline, V, 901_000), (11_000, false));
    assert_eq!(map(&mut timeline, A, 20), (11_020, false));
}

#[test]
fn jitter_is_no_jump() {
    let mut timeline = Timeline::new();
    map(&mut timeline, A, 1000);
    assert_eq!(map(&mut timeline, A, 997), (9_997, false));
    assert_eq!(timeline.rebases(), 0);
}

proptest! {
    #[test]
    fn whatever_comes_output_steps_stay_within_the_limits(
        inputs in prop::collection::vec((any::<bool>(), -(1i64 << 40)..(1i64 << 40)), 1..200)
    ) {
        let mut timeline = Timeline::new();
        let mut last: [Option<i64>; 2] = [None, None];
        for (video, ticks) in inputs {
            let at = Timestamp::mpeg(ticks);
            let mut unit = unit(if video { V } else { A }, at, at);
            timeline.map(&mut unit);
            let slot = &mut last[usize::from(video)];
            if let Some(last) = *slot {
                let step = unit.dts.ticks - last;
                let longest = APART + TimeBase::MPEG.ticks(LONGEST_STEP);
                prop_assert!((-NEAR..=longest).contains(&step), "step {step}");
            }
            *slot = Some(unit.dts.ticks);
        }
    }
}

/// Thirty hours, past the wrap of 33 bits, with sound 50 ppm off: nothing is ever corrected.
#[test]
fn the_offset_of_both_tracks_is_the_same_after_thirty_hours() {
    let mut timeline = Timeline::new();
    let (first, _) = map(&mut timeline, V, 0);
    for second in 1..30 * 3600 {
        let (video, sound) = (second * 1000, second * 1000 + second / 20);
        assert_eq!(map(&mut timeline, V, video), (first + video, false));
        assert_eq!(map(&mut timeline, A, sound), (first + sound, false));
    }
    assert_eq!(timeline.rebases(), 0);
}
