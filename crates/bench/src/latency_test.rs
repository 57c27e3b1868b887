//! Matching output to input, and percentiles.

use super::*;
use proptest::prelude::*;

const FRAME: i64 = 3000;

fn input(index: u64) -> i64 {
    index as i64 * FRAME + jitter(index)
}

proptest! {
    #[test]
    fn frames_are_matched_under_any_offset_with_frames_missing(
        offset in -(1i64 << 33)..(1i64 << 33),
        skipped in 0u64..40,
        keep in 1u64..4,
    ) {
        let start = Instant::now();
        let at = |index: u64| start + Duration::from_millis(33 * index);
        let mut meter = LatencyMeter::default();
        for index in 0..100 {
            meter.sent(input(index), at(index));
        }
        for index in (skipped..100).step_by(keep as usize) {
            let out = at(index) + Duration::from_millis(7);
            meter.received(input(index) + offset, out);
        }
        meter.finish();
        prop_assert_eq!(meter.offset(), Some(offset));
        prop_assert_eq!(meter.unmatched(), 0);
        prop_assert!(meter.latencies(start).iter().all(|took| *took == Duration::from_millis(7)));
    }
}

#[test]
fn frames_of_the_warm_up_are_left_out() {
    let start = Instant::now();
    let later = start + Duration::from_secs(1);
    let mut meter = LatencyMeter::default();
    for index in 0..20 {
        let at = if index < 15 { start } else { later };
        meter.sent(input(index), at);
        meter.received(input(index), at);
    }
    assert_eq!(meter.latencies(later).len(), 5);
}

#[test]
fn frames_that_nobody_sent_are_counted() {
    let now = Instant::now();
    let mut meter = LatencyMeter::default();
    for index in 0..20 {
        meter.sent(input(index), now);
        meter.received(input(index), now);
    }
    meter.received(input(20), now);
    assert_eq!((meter.latencies(now).len(), meter.unmatched()), (20, 1));
}

#[test]
fn percentiles_are_values_that_were_measured() {
    let spread = Spread::of(&(1..=100).map(Duration::from_millis).collect::<Vec<_>>());
    assert_eq!(
        (spread.p50, spread.p90, spread.p99, spread.max),
        (50.0, 90.0, 99.0, 100.0)
    );
    assert_eq!(Spread::of(&[Duration::from_millis(4)]).p99, 4.0);
    assert_eq!(Spread::of(&[]), Spread::default());
}

#[test]
fn latency_that_grows_is_told_from_latency_that_is_high() {
    let start = Instant::now();
    let growth = |took: fn(u64) -> u64| {
        let mut meter = LatencyMeter::default();
        for index in 0..100 {
            let sent = start + Duration::from_millis(33 * index);
            meter.sent(input(index), sent);
            meter.received(input(index), sent + Duration::from_millis(took(index)));
        }
        meter.finish();
        meter.growth_ms(start)
    };
    assert_eq!(growth(|_| 500), 0.0);
    assert_eq!(growth(|index| 500 + index), 75.0);
    assert_eq!(LatencyMeter::default().growth_ms(start), 0.0);
}
