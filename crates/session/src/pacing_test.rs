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
