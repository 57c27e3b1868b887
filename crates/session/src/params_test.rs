//! Which parameters are the worker's, and which values they may have.

use super::*;
use serde_json::{Value, json};

fn params(value: Value) -> Params {
    serde_json::from_value(value).unwrap()
}

fn rejected(value: Value) -> String {
    WorkerParams::default()
        .updated(&params(value))
        .unwrap_err()
        .field
}

#[test]
fn the_worker_takes_its_own_and_leaves_the_rest_untouched() {
    let update = params(json!({
        "width": "512", "height": 288, "max_framerate": "15", "detect_out_resolution": "false",
        "input_program": "7", "prompt": "a cat", "nested": {"width": 1}
    }));
    let (new, rest) = WorkerParams::default().updated(&update).unwrap();
    assert_eq!(
        new,
        WorkerParams {
            size: Some((512, 288)),
            max_framerate: Some(15.0),
            detect_out_resolution: false,
            show_loading: false,
            input_program: Some(7),
        }
    );
    assert_eq!(
        rest,
        params(json!({"prompt": "a cat", "nested": {"width": 1}}))
    );
}

#[test]
fn an_update_changes_only_what_it_names() {
    let before = WorkerParams {
        size: Some((64, 64)),
        max_framerate: Some(10.0),
        ..WorkerParams::default()
    };
    let (after, _) = before
        .updated(&params(
            json!({"max_framerate": 30, "width": null, "height": null}),
        ))
        .unwrap();
    assert_eq!(after.size, Some((64, 64)));
    assert_eq!(after.max_framerate, Some(30.0));
}

#[test]
fn a_value_that_cannot_be_is_rejected_by_name() {
    assert_eq!(rejected(json!({"input_program": 0})), "input_program");
    assert_eq!(rejected(json!({"input_program": 65_536})), "input_program");
    assert_eq!(rejected(json!({"width": 640})), "height");
    assert_eq!(rejected(json!({"height": 640})), "width");
    assert_eq!(rejected(json!({"width": 0, "height": 10})), "width");
    assert_eq!(rejected(json!({"width": 10, "height": -5})), "height");
    assert_eq!(rejected(json!({"width": 1.5, "height": 10})), "width");
    assert_eq!(rejected(json!({"width": 16384, "height": 16384})), "width");
    assert_eq!(rejected(json!({"max_framerate": 0})), "max_framerate");
    assert_eq!(rejected(json!({"max_framerate": 61})), "max_framerate");
    assert_eq!(rejected(json!({"max_framerate": "fast"})), "max_framerate");
    assert_eq!(
        rejected(json!({"detect_out_resolution": 3})),
        "detect_out_resolution"
    );
}
