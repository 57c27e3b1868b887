//! Latency per stage, from the times that a frame carries.

use super::*;
use std::time::Duration;

#[test]
fn each_stage_is_measured_from_the_one_before() {
    let start = Instant::now();
    let at = |ms: u64| Some(start + Duration::from_millis(ms));
    let stats = Stats::new();
    let times = StageTimes {
        received: at(0),
        decoded: at(4),
        process_start: at(5),
        processed: at(25),
        encoded: at(28),
    };
    let sent = start + Duration::from_millis(29);
    stats.sent(&times, sent);
    let latency = stats.snapshot(sent).latency_ms;
    let stages = [
        latency.decode.max,
        latency.wait.max,
        latency.process.max,
        latency.encode.max,
        latency.publish.max,
        latency.total.max,
    ];
    assert_eq!(stages, [4.0, 1.0, 20.0, 3.0, 1.0, 29.0]);
}

#[test]
fn a_frame_without_times_is_not_measured() {
    let stats = Stats::new();
    stats.sent(&StageTimes::default(), Instant::now());
    assert_eq!(stats.snapshot(Instant::now()).latency_ms.total.count, 0);
}

#[test]
fn all_causes_add_up() {
    let stats = Stats::new();
    stats.dropped.max_framerate.add(3);
    stats.dropped.stopped.add(1);
    assert_eq!(stats.snapshot(Instant::now()).frames.dropped.total(), 4);
}
