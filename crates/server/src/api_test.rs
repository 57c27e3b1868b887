//! Start bodies, good and bad.

use super::*;
use http::StatusCode;
use serde_json::json;

fn parse(body: Value) -> Result<StartRequest, ApiError> {
    parse_as(body, IdRule::Required)
}

fn parse_as(body: Value, rule: IdRule) -> Result<StartRequest, ApiError> {
    let Value::Object(map) = body else {
        panic!("not an object")
    };
    StartRequest::parse(map, rule)
}

fn message(body: Value) -> String {
    let error = parse(body).unwrap_err();
    assert_eq!(error.status, StatusCode::BAD_REQUEST);
    error.message
}

#[test]
fn a_full_body() {
    let request = parse(json!({
        "gateway_request_id": "r1",
        "stream_id": "s1",
        "manifest_id": "m1",
        "model_id": "whatever",
        "subscribe_url": "http://o:8935/ai/trickle/in",
        "publish_url": "https://o:8935/ai/trickle/out",
        "control_url": "http://o/c",
        "events_url": "",
        "data_url": null,
        "params": {"prompt": "cat", "max_framerate": 10},
        "max_framerate": 20,
    }))
    .unwrap();
    assert_eq!(request.request_id, "r1");
    assert_eq!(request.stream_id.as_deref(), Some("m1"));
    assert_eq!(request.subscribe_url.unwrap().path(), "/ai/trickle/in");
    assert_eq!(request.publish_url.unwrap().scheme(), "https");
    assert_eq!(request.control_url.unwrap().path(), "/c");
    assert_eq!((request.events_url, request.data_url), (None, None));
    assert_eq!(request.params.integer("max_framerate"), Ok(Some(10)));
    assert_eq!(request.params.text("prompt"), Ok(Some("cat")));
}

#[test]
fn everything_but_the_id_is_optional() {
    let request = parse(json!({"gateway_request_id": "r", "params": null})).unwrap();
    assert_eq!(request.subscribe_url, None);
    assert_eq!(request.publish_url, None);
    assert!(request.params.is_empty());
}

#[test]
fn max_framerate_may_stand_beside_params() {
    let request = parse(json!({"gateway_request_id": "r", "max_framerate": "15"})).unwrap();
    assert_eq!(request.params.integer("max_framerate"), Ok(Some(15)));
    let request = parse(json!({"gateway_request_id": "r", "max_framerate": null})).unwrap();
    assert!(request.params.is_empty());
}

#[test]
fn a_wrong_field_is_named() {
    for (body, expected) in [
        (json!({}), "gateway_request_id"),
        (json!({"gateway_request_id": ""}), "gateway_request_id"),
        (json!({"gateway_request_id": 7}), "gateway_request_id"),
        (
            json!({"gateway_request_id": "x".repeat(513)}),
            "gateway_request_id",
        ),
        (
            json!({"gateway_request_id": "r", "subscribe_url": 5}),
            "subscribe_url",
        ),
        (
            json!({"gateway_request_id": "r", "publish_url": "not a url"}),
            "publish_url",
        ),
        (
            json!({"gateway_request_id": "r", "events_url": "file:///etc/passwd"}),
            "events_url",
        ),
        (
            json!({"gateway_request_id": "r", "data_url": format!("http://h/{}", "x".repeat(9000))}),
            "data_url",
        ),
        (json!({"gateway_request_id": "r", "params": []}), "params"),
        (
            json!({"gateway_request_id": "r", "stream_id": {}}),
            "stream_id",
        ),
    ] {
        let message = message(body);
        assert!(
            message.starts_with(&format!("field {expected:?}: ")),
            "{message}"
        );
    }
}

#[test]
fn the_alias_takes_an_empty_id() {
    let request = parse_as(
        json!({"gateway_request_id": "", "manifest_id": "m"}),
        IdRule::Optional,
    )
    .unwrap();
    assert_eq!(request.request_id, "");
    assert_eq!(request.stream_id.as_deref(), Some("m"));
    assert!(parse_as(json!({"gateway_request_id": 3}), IdRule::Optional).is_err());
}
