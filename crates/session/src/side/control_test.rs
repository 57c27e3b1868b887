//! What a control message says.

use super::*;

#[test]
fn an_object_is_an_update() {
    let params = parse(br#" {"prompt":"cat","strength":0.5} "#)
        .unwrap()
        .unwrap();
    assert_eq!(
        Value::Object(params),
        json!({"prompt": "cat", "strength": 0.5})
    );
    let params = parse(br#"{"gateway_request_id":"r","prompt":"cat"}"#);
    assert_eq!(
        Value::Object(params.unwrap().unwrap()),
        json!({"prompt": "cat"})
    );
}

#[test]
fn keepalives_and_nothing_are_no_updates() {
    for message in [
        &br#"{"keep":"alive"}"#[..],
        b"{ \"keep\" : \"alive\" }\n",
        b"",
        b" \n",
    ] {
        assert_eq!(parse(message), Ok(None));
    }
    assert!(parse(br#"{"keep":"warm"}"#).unwrap().is_some());
}

#[test]
fn anything_else_is_refused_with_the_place() {
    assert_eq!(parse(b"[1]").unwrap_err(), "it is not a JSON object");
    let error = parse(b"{\"a\":}").unwrap_err();
    assert!(error.contains("line 1 column 6"), "{error}");
    assert!(parse(b"\xff\xfe").is_err());
}
