//! Commands that check and measure relays.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::Value;

use crate::support::{Background, fail, http, succeed};

#[test]
fn our_relay_conforms() {
    let (_relay, url) = Background::server(&[
        "relay",
        "--addr",
        "127.0.0.1:0",
        "--autocreate",
        "--changefeed",
        "--ring",
        "7",
    ]);
    let all: Value =
        serde_json::from_str(&succeed(&["conformance", "--url", &url, "--json"])).unwrap();
    let checks = all["checks"].as_array().unwrap();
    assert!(checks.len() > 40);
    assert!(
        checks.iter().all(|check| check["outcome"] != "failed"),
        "{all}"
    );
    let changefeed = checks.iter().find(|check| check["name"] == "changefeed");
    assert_eq!(changefeed.unwrap()["outcome"], "passed");
    let some = succeed(&["conformance", "--url", &url, "--only", "minus_two"]);
    assert!(some.contains("1 passed, 0 failed, 0 skipped"), "{some}");
    fail(
        2,
        &["conformance", "--url", &url, "--only", "no such check"],
    );
}

#[test]
fn a_relay_that_keeps_no_segment_is_refused() {
    let message = fail(2, &["relay", "--ring", "0"]);
    assert!(message.contains("a number of 1 or more"), "{message}");
}

#[test]
fn a_channel_has_tokens_of_its_own() {
    let (_relay, url) = Background::server(&[
        "relay",
        "--addr",
        "127.0.0.1:0",
        "--autocreate",
        "--channel-publish-token",
        "a=write=",
        "--channel-subscribe-token",
        "a=read",
    ]);
    let status = |method: &str, path: &str, token: &str| {
        let header = format!("Authorization: Bearer {token}\r\n");
        let answer = http(method, &format!("{url}{path}"), &header, "");
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status("POST", "a/0", "read"), "401");
    assert_eq!(status("POST", "a/0", "write="), "200");
    assert_eq!(status("GET", "a/0", "write="), "401");
    assert_eq!(status("GET", "a/0", "read"), "200");
    assert_eq!(status("POST", "b/0", "none"), "200");
    let message = fail(2, &["relay", "--channel-publish-token", "secret"]);
    assert!(
        message.contains("CHANNEL=TOKEN") && !message.contains("secret"),
        "{message}"
    );
}

#[test]
fn a_relay_that_is_told_to_stop_ends_its_streams_first() {
    let (relay, url) = Background::server(&["relay", "--addr", "127.0.0.1:0", "--autocreate"]);
    assert!(http("POST", &format!("{url}a/0"), "", "x").starts_with("HTTP/1.1 200"));
    let mut waiting = TcpStream::connect(url.trim_start_matches("http://").trim_end_matches('/'));
    let waiting = waiting.as_mut().unwrap();
    // Answers on one connection are in order: after the first, the relay has the second request.
    waiting
        .write_all(b"HEAD /a/0 HTTP/1.1\r\nHost: x\r\n\r\nGET /a/1 HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut first = [0; 12];
    waiting.read_exact(&mut first).unwrap();
    assert!(relay.terminate().success());
    let mut rest = String::new();
    waiting.read_to_string(&mut rest).unwrap();
    let (_, end) = rest.split_once("HTTP/1.1 200").unwrap();
    assert!(end.contains("Lp-Trickle-Closed: terminated"), "{rest}");
}

#[test]
fn what_is_no_relay_does_not_conform() {
    let message = fail(
        1,
        &[
            "conformance",
            "--url",
            "http://127.0.0.1:1/",
            "--only",
            "minus_two",
        ],
    );
    assert!(message.contains("breaks rules"), "{message}");
}

#[test]
fn a_relay_is_measured() {
    let (_relay, url) = Background::server(&["relay", "--addr", "127.0.0.1:0", "--autocreate"]);
    let channel = format!("{url}bench");
    let json = succeed(&[
        "bench",
        "relay",
        "--url",
        &channel,
        "--subscribers",
        "2",
        "--segment-bytes",
        "65536",
        "--chunk-bytes",
        "4096",
        "--seconds",
        "50ms",
        "--json",
    ]);
    let report: Value = serde_json::from_str(&json).unwrap();
    let number = |key: &str| report[key].as_f64().unwrap();
    assert_eq!(number("out_bytes"), 2.0 * number("in_bytes"));
    assert!(number("segments") > 0.0 && report["chunk_delay_ms"]["p99"].as_f64().unwrap() > 0.0);
}
