//! How many frames pass, and how evenly.

use super::*;

/// Indices of the frames that pass, of `seconds` of `input` fps with times rounded to `round`
/// ticks of 90 kHz.
fn passed(rate: f64, input: i64, seconds: i64, round: i64) -> Vec<i64> {
    let mut pacer = Pacer::new();
    pacer.set_rate(Some(rate));
    (0..input * seconds)
        .filter(|index| pacer.admit(Timestamp::mpeg(index * 90_000 / input / round * round)))
        .collect()
}

#[test]
fn without_a_rate_all_pass() {
    let mut pacer = Pacer::new();
    assert!((0..100).all(|tick| pacer.admit(Timestamp::mpeg(tick))));
}

#[test]
fn a_rate_that_divides_the_input_takes_every_nth() {
    let every_second: Vec<i64> = (0..300).step_by(2).collect();
    assert_eq!(passed(15.0, 30, 10, 1), every_second);
}

#[test]
fn a_rate_that_does_not_is_kept_and_spread() {
    let frames = passed(15.0, 25, 60, 1);
    assert_eq!(frames.len(), 15 * 60);
    let gaps: Vec<i64> = frames.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (1..=2).contains(gap)));
    // No second holds more than one frame above its share.
    for start in 0..59 {
        let count = frames
            .iter()
            .filter(|frame| (start * 25..(start + 1) * 25).contains(*frame))
            .count();
        assert!((14..=16).contains(&count), "{count} in second {start}");
    }
}

#[test]
fn times_rounded_to_milliseconds_lose_nothing_at_the_same_rate() {
    assert_eq!(passed(30.0, 30, 10, 90).len(), 300);
    assert_eq!(passed(60.0, 60, 10, 90).len(), 600);
}

#[test]
fn a_slower_input_passes_whole_and_saves_nothing_up() {
    assert_eq!(passed(30.0, 25, 10, 1).len(), 250);
    let mut pacer = Pacer::new();
    pacer.set_rate(Some(10.0));
    assert!(pacer.admit(Timestamp::mpeg(0)));
    // After a pause of a minute, frames 1 ms apart do not all pass.
    let burst = (0..50)
        .filter(|ms| pacer.admit(Timestamp::mpeg(60 * 90_000 + ms * 90)))
        .count();
    assert_eq!(burst, 1);
}

#[test]
fn a_clock_that_jumps_back_does_not_block() {
    let mut pacer = Pacer::new();
    pacer.set_rate(Some(25.0));
    assert!(pacer.admit(Timestamp::mpeg(90_000_000)));
    assert!(pacer.admit(Timestamp::mpeg(0)));
}

/// Gaps, in ms, of 60 fps that jitter by up to 6 ms and are let through at `rate`, then `then`;
/// between the two, the gap over the change.
fn gaps_across_a_change(rate: f64, then: f64) -> (Vec<i64>, i64, Vec<i64>) {
    let mut pacer = Pacer::new();
    pacer.set_rate(Some(rate));
    let mut passed = Vec::new();
    let mut change = 0;
    for index in 0..1200i64 {
        if index == 600 {
            pacer.set_rate(Some(then));
            change = passed.len();
        }
        // Deterministic jitter, spread over -6 to 6 ms.
        let at = index * 1000 / 60 + (index * 7919) % 13 - 6;
        if pacer.admit(Timestamp::mpeg(at * 90)) {
            passed.push(at);
        }
    }
    let gaps: Vec<i64> = passed.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let (before, after) = (&gaps[..change - 1], &gaps[change..]);
    (before.to_vec(), gaps[change - 1], after.to_vec())
}

#[test]
fn frames_stay_evenly_spaced_when_the_rate_changes_under_jitter() {
    for (rate, then) in [(10.0, 30.0), (30.0, 10.0), (24.0, 15.0), (15.0, 24.0)] {
        let (before, over, after) = gaps_across_a_change(rate, then);
        let (shortest, longest) = (1000.0 / rate.max(then), 1000.0 / rate.min(then));
        assert!(
            (shortest as i64 - 12..=longest as i64 + 29).contains(&over),
            "{over}"
        );
        for (gaps, rate) in [(before, rate), (after, then)] {
            let even = (1000.0 / rate) as i64;
            // As near as frames 17 ms apart, that jitter by 6, can lie.
            assert!(
                gaps.iter().all(|gap| (gap - even).abs() <= 17 + 12),
                "{rate} fps: {gaps:?}"
            );
            let length: i64 = gaps.iter().sum();
            let measured = gaps.len() as f64 * 1000.0 / length as f64;
            assert!(
                (measured / rate - 1.0).abs() < 0.03,
                "{measured} of {rate} fps"
            );
        }
    }
}

#[test]
fn a_limit_that_is_set_later_counts_from_the_last_frame() {
    let mut pacer = Pacer::new();
    assert!(pacer.admit(Timestamp::mpeg(0)));
    pacer.set_rate(Some(10.0));
    assert!(!pacer.admit(Timestamp::mpeg(40 * 90)));
    assert!(pacer.admit(Timestamp::mpeg(100 * 90)));
}
