//! Buckets and sums.

use super::*;

#[test]
fn a_measurement_falls_into_the_first_bucket_whose_bound_it_does_not_exceed() {
    let mut histogram = LatencyHistogram::default();
    for micros in [0, 1_000, 1_001, 10_000_000, 10_000_001] {
        histogram.record(Duration::from_micros(micros));
    }
    assert_eq!(histogram.counts[..3], [2, 1, 0]);
    assert_eq!(histogram.counts[13..], [1, 1]);
    assert_eq!(histogram.count(), 5);
    assert_eq!(histogram.sum, Duration::from_micros(20_002_002));
}

#[test]
fn totals_of_sessions_add_up_stage_by_stage() {
    let mut one = LatencyTotals::default();
    one.process.record(Duration::from_millis(7));
    let mut sum = one;
    sum += one;
    let counts = sum
        .by_stage()
        .map(|(stage, histogram)| (stage, histogram.count()));
    assert!(counts.contains(&("process", 2)) && counts.contains(&("decode", 0)));
    assert_eq!(sum.process.sum, Duration::from_millis(14));
}
