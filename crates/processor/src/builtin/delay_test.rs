//! Delay: the time it takes, on a clock that does not run by itself.

use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::builtin::test_frames::frame;

async fn time_of(delay: &mut Delay) -> Duration {
    let start = Instant::now();
    let out = delay.process_video(frame(3, &[0.5; 3])).await.unwrap();
    assert!(out.is_some());
    start.elapsed()
}

fn params(value: serde_json::Value) -> Params {
    serde_json::from_value(value).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_frame_waits_for_the_time_set() {
    let mut delay = Delay::new(Duration::from_millis(250));
    assert_eq!(time_of(&mut delay).await, Duration::from_millis(250));
    delay.update_params(&params(json!({"ms": 1000}))).unwrap();
    assert_eq!(time_of(&mut delay).await, Duration::from_secs(1));
    delay.update_params(&params(json!({"ms": 0}))).unwrap();
    assert!(time_of(&mut delay).await <= Duration::from_millis(1));
}

#[test]
fn a_time_that_makes_no_sense_is_rejected() {
    for bad in [json!(-1), json!(60_001), json!("soon"), json!([])] {
        let mut delay = Delay::default();
        let error = delay
            .update_params(&params(json!({"ms": bad})))
            .unwrap_err();
        assert_eq!(error.field, "ms");
        assert_eq!(delay, Delay::default());
    }
}
