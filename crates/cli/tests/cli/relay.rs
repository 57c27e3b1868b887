//! Commands that check and measure relays.

use serde_json::Value;

use crate::support::{Background, fail, succeed};

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
        "500ms",
        "--json",
    ]);
    let report: Value = serde_json::from_str(&json).unwrap();
    let number = |key: &str| report[key].as_f64().unwrap();
    assert_eq!(number("out_bytes"), 2.0 * number("in_bytes"));
    assert!(number("segments") > 0.0 && report["chunk_delay_ms"]["p99"].as_f64().unwrap() > 0.0);
}
