//! What the meters say, in time that the test decides.

use super::*;
use proptest::prelude::*;

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

#[test]
fn percentiles_are_within_a_sixteenth() {
    let start = Instant::now();
    let mut histogram = Histogram::new();
    for value in 1..=1000 {
        histogram.record(ms(value), start);
    }
    let spread = histogram.percentiles(start);
    assert_eq!((spread.count, spread.max), (1000, 1000.0));
    assert!((500.0..=532.0).contains(&spread.p50), "{}", spread.p50);
    assert!((990.0..=1000.0).contains(&spread.p99), "{}", spread.p99);
}

#[test]
fn nothing_measured_is_zero() {
    let spread = Histogram::new().percentiles(Instant::now());
    assert_eq!(spread, Percentiles::default());
}

#[test]
fn what_is_old_is_forgotten() {
    let start = Instant::now();
    let mut histogram = Histogram::new();
    histogram.record(ms(900), start);
    histogram.record(ms(10), start + ms(6_000));
    assert_eq!(histogram.percentiles(start + ms(9_000)).count, 2);
    let later = histogram.percentiles(start + ms(11_100));
    assert_eq!((later.count, later.max), (1, 10.0));
    assert_eq!(histogram.percentiles(start + ms(60_000)).count, 0);
}

proptest! {
    #[test]
    fn a_bucket_holds_its_time_and_is_narrow(micros in 0u64..(1 << TOP_BIT)) {
        let edge = upper_edge(bucket(micros));
        prop_assert!(edge >= micros);
        prop_assert!(edge - micros <= micros / 16);
        prop_assert!(bucket(micros) < BUCKETS);
    }
}

#[test]
fn a_rate_counts_the_last_seconds() {
    let start = Instant::now();
    let mut rate = Rate::new();
    assert_eq!(rate.per_second(start), 0.0);
    for index in 0..500u32 {
        rate.tick(start + index * ms(40));
    }
    let end = start + 499 * ms(40);
    assert!((rate.per_second(end) - 25.0).abs() < 0.01);
    // A stream that has paused is not as fast as before.
    assert!((rate.per_second(end + ms(2_000)) - 12.5).abs() < 0.3);
    assert_eq!(rate.per_second(end + ms(5_000)), 0.0);
}

/// The first look at a stream often finds its first segment, come at once.
#[test]
fn a_burst_at_the_start_is_no_high_rate() {
    let start = Instant::now();
    let mut rate = Rate::new();
    for index in 0..50u32 {
        rate.tick(start + index * Duration::from_micros(20));
    }
    assert_eq!(rate.per_second(start + ms(1)), 49.0);
    assert_eq!(rate.per_second(start + ms(2_000)), 24.5);
}
