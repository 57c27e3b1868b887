//! Every message of the events channel, byte by byte.

use super::*;

const AT: u64 = 1_700_000_000_123;

fn params(value: Value) -> Params {
    match value {
        Value::Object(map) => Params(map),
        other => panic!("{other}"),
    }
}

#[track_caller]
fn is(message: &Bytes, expected: &str) {
    assert_eq!(std::str::from_utf8(message).unwrap(), expected);
}

#[test]
fn what_happens_to_a_stream() {
    let message = |event: Event| event.message(AT);
    is(
        &message(Event::StreamStarted {
            params: params(json!({"prompt": "cat", "strength": 0.5})),
        }),
        r#"{"event":{"type":"stream_started","timestamp":1700000000123,"params":{"prompt":"cat","strength":0.5}},"queue_event_type":"ai_stream_events"}"#,
    );
    is(
        &message(Event::ReceiveFirstIngestSegment),
        r#"{"event":{"type":"receive_first_ingest_segment","timestamp":1700000000123},"queue_event_type":"ai_stream_events"}"#,
    );
    is(
        &message(Event::SendFirstProcessedSegment),
        r#"{"event":{"type":"send_first_processed_segment","timestamp":1700000000123},"queue_event_type":"ai_stream_events"}"#,
    );
    is(
        &message(Event::ParamsUpdated {
            params: params(json!({"prompt": "dog"})),
        }),
        r#"{"event":{"type":"params_updated","timestamp":1700000000123,"params":{"prompt":"dog"}},"queue_event_type":"ai_stream_events"}"#,
    );
    is(
        &message(Event::Error {
            source: "processor",
            message: "it \"failed\"".into(),
            count: 3,
        }),
        r#"{"event":{"type":"error","timestamp":1700000000123,"source":"processor","message":"it \"failed\"","count":3},"queue_event_type":"ai_stream_events"}"#,
    );
    is(
        &message(Event::BackendLost(BackendLost {
            direction: "decode",
            backend: "cuda:0".into(),
            next: "cpu".into(),
            reason: "cuda:0 is unusable until the process ends".into(),
        })),
        r#"{"event":{"type":"backend_lost","timestamp":1700000000123,"direction":"decode","backend":"cuda:0","next":"cpu","reason":"cuda:0 is unusable until the process ends"},"queue_event_type":"ai_stream_events"}"#,
    );
    is(
        &message(Event::StreamStopped {
            reason: "the input ended".into(),
        }),
        r#"{"event":{"type":"stream_stopped","timestamp":1700000000123,"reason":"the input ended"},"queue_event_type":"ai_stream_events"}"#,
    );
}

#[test]
fn a_processors_own_event() {
    let custom = |fields: Value| {
        let Params(fields) = params(fields);
        let kind = "face_found".to_owned();
        Event::Custom { kind, fields }.message(AT)
    };
    is(
        &custom(json!({"faces": [1, 2]})),
        r#"{"event":{"type":"face_found","timestamp":1700000000123,"faces":[1,2]},"queue_event_type":"ai_stream_events"}"#,
    );
    // Type and time are the session's to say.
    is(
        &custom(json!({"type": "stream_stopped", "timestamp": 0, "x": null})),
        r#"{"event":{"type":"face_found","timestamp":1700000000123,"x":null},"queue_event_type":"ai_stream_events"}"#,
    );
}

#[test]
fn a_heartbeat() {
    let url = |text: &str| Some(text.parse().unwrap());
    let urls = Urls {
        subscribe: url("http://o:8935/ai/trickle/in"),
        publish: None,
        control: url("http://o:8935/ai/trickle/in-control"),
        events: url("http://o:8935/ai/trickle/in-events"),
        data: None,
    };
    let pulse = Pulse {
        width: 1280,
        height: 720,
        fps: Fps {
            ingress_video_fps: 29.9712,
            ingress_audio_fps: 50.0,
            inference_video_fps: 15.004,
            egress_video_fps: 15.0,
            egress_audio_fps: 0.0,
        },
    };
    is(
        &pulse.message(AT, &urls),
        concat!(
            r#"{"event":{"type":"heartbeat","timestamp":1700000000123,"#,
            r#""urls":{"subscribe":"http://o:8935/ai/trickle/in","publish":"","#,
            r#""control":"http://o:8935/ai/trickle/in-control","#,
            r#""events":"http://o:8935/ai/trickle/in-events","data":""},"#,
            r#""dimensions":{"width":1280,"height":720},"#,
            r#""fps":{"ingress_video_fps":29.97,"ingress_audio_fps":50.0,"#,
            r#""inference_video_fps":15.0,"egress_video_fps":15.0,"egress_audio_fps":0.0}},"#,
            r#""queue_event_type":"stream_heartbeat"}"#,
        ),
    );
}

#[test]
fn a_status() {
    let new = Condition {
        start_time: 1_700_000_000_000,
        state: "OFFLINE",
        last_params_update_time: 1_700_000_000_000,
        ..Condition::default()
    };
    is(
        &new.message(AT),
        concat!(
            r#"{"event":{"type":"status","timestamp":1700000000123,"#,
            r#""start_time":1700000000000,"state":"OFFLINE","#,
            r#""input_status":{"last_input_time":null,"fps":0.0},"#,
            r#""inference_status":{"last_output_time":null,"fps":0.0,"#,
            r#""last_params_update_time":1700000000000,"last_params":null,"#,
            r#""last_error_time":null,"last_error":null,"#,
            r#""last_restart_time":null,"last_restart_logs":null,"restart_count":0}},"#,
            r#""queue_event_type":"ai_stream_events"}"#,
        ),
    );
    let running = Condition {
        state: "ONLINE",
        input_fps: 30.0,
        last_input_time: Some(1_700_000_000_100),
        output_fps: 29.996,
        last_output_time: Some(1_700_000_000_120),
        last_params: Some(params(json!({"prompt": "cat"}))),
        last_error: Some("processor: no".into()),
        last_error_time: Some(1_700_000_000_050),
        last_restart_time: Some(1_700_000_000_060),
        restart_count: 2,
        ..new
    };
    is(
        &running.message(AT),
        concat!(
            r#"{"event":{"type":"status","timestamp":1700000000123,"#,
            r#""start_time":1700000000000,"state":"ONLINE","#,
            r#""input_status":{"last_input_time":1700000000100,"fps":30.0},"#,
            r#""inference_status":{"last_output_time":1700000000120,"fps":30.0,"#,
            r#""last_params_update_time":1700000000000,"last_params":{"prompt":"cat"},"#,
            r#""last_error_time":1700000000050,"last_error":"processor: no","#,
            r#""last_restart_time":1700000000060,"last_restart_logs":null,"restart_count":2}},"#,
            r#""queue_event_type":"ai_stream_events"}"#,
        ),
    );
}

#[test]
fn pictures_in_parameters_are_not_told() {
    let picture = "A".repeat(3_000_000);
    let told = abridged(&params(json!({
        "prompt": "cat",
        "image": picture,
        "more": [{"mask": "B".repeat(1025)}, "C".repeat(1024)],
    })));
    assert_eq!(
        told,
        json!({
            "prompt": "cat",
            "image": "(3000000 bytes omitted)",
            "more": [{"mask": "(1025 bytes omitted)"}, "C".repeat(1024)],
        })
    );
    let many = abridged(&params(json!({"numbers": vec![1.25; 10_000]})));
    assert_eq!(many, json!({"omitted": "50013 bytes of parameters"}));
}
