//! Help, wrong arguments, the servers' start and end.

use crate::support::{Background, fail, http, run, succeed};

#[test]
fn help_lists_the_commands_on_stdout() {
    let help = succeed(&["--help"]);
    for command in [
        "demo",
        "serve",
        "relay",
        "publish",
        "subscribe",
        "process",
        "probe",
        "devices",
    ] {
        assert!(help.contains(command), "{help}");
        assert!(succeed(&[command, "--help"]).contains("Example"));
    }
    assert!(succeed(&["serve", "--help"]).contains("passthrough"));
}

#[test]
fn wrong_arguments_are_status_2() {
    assert_eq!(run(&[]).status.code(), Some(2));
    fail(2, &["nonsense"]);
    assert!(fail(2, &["serve", "--processor", "nope"]).contains("passthrough"));
    assert!(fail(2, &["serve", "--gop", "1h"]).contains("1h"));
    assert!(fail(2, &["serve", "--bitrate", "5"]).contains("bitrate"));
    assert!(fail(2, &["publish", "x.ts", "nonsense"]).contains("http://HOST:PORT/NAME"));
}

#[test]
fn devices_are_listed() {
    assert!(succeed(&["devices"]).contains("cpu"));
    let devices: serde_json::Value =
        serde_json::from_str(&succeed(&["devices", "--json"])).unwrap();
    let backends = devices["backends"].as_array().unwrap();
    assert_eq!(backends.last().unwrap()["name"], "cpu");
    // A device, or why there is none.
    assert!(backends[0]["name"].as_str().unwrap().starts_with("cuda"));
    assert!(backends[0]["decoder"].is_string());
}

#[test]
fn a_worker_prints_its_url_answers_and_ends_on_sigterm() {
    let (worker, url) = Background::server(&["serve", "--addr", "127.0.0.1:0"]);
    let health = http("GET", &format!("{url}/health"), "", "");
    assert!(
        health.starts_with("HTTP/1.1 200") || health.starts_with("HTTP/1.1 503"),
        "{health}"
    );
    let version = http("GET", &format!("{url}/version"), "", "");
    assert!(
        version.contains("\"model_id\":\"custom-processor\""),
        "{version}"
    );
    let addr = url.trim_start_matches("http://");
    // The model is loaded in the background.
    while !run(&["health", "--addr", addr]).status.success() {}
    assert!(succeed(&["health", "--addr", addr]).contains("\"ok\""));
    assert!(worker.terminate().success());
    assert!(fail(1, &["health", "--addr", addr]).contains(addr));
}

#[test]
fn a_relay_prints_its_url_answers_and_ends_on_sigterm() {
    let arguments = [
        "relay",
        "--addr",
        "127.0.0.1:0",
        "--base-path",
        "/ai/trickle/",
    ];
    let (relay, url) = Background::server(&arguments);
    assert!(url.ends_with("/ai/trickle/"), "{url}");
    let created = http(
        "POST",
        &format!("{url}x"),
        "Expect-Content: video/mp2t\r\n",
        "",
    );
    // Creation over HTTP must be allowed.
    assert!(created.starts_with("HTTP/1.1 404"), "{created}");
    assert!(relay.terminate().success());
}

#[test]
fn an_address_that_is_taken_is_explained() {
    let (_relay, url) = Background::server(&["relay", "--addr", "127.0.0.1:0"]);
    let addr = url.trim_start_matches("http://").trim_end_matches('/');
    let message = fail(1, &["serve", "--addr", addr]);
    assert!(
        message.contains(addr) && message.contains("hint:"),
        "{message}"
    );
}
