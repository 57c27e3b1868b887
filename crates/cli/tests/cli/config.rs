//! Settings in layers: defaults, a file, the environment, flags.

use crate::support::{Background, Dir, fail, http, succeed, trickle};

/// A file with this text, and its path.
fn file(dir: &Dir, text: &str) -> String {
    let path = dir.file("t.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// The line of `config show` on a setting.
#[track_caller]
fn setting<'a>(shown: &'a str, key: &str) -> &'a str {
    let prefix = format!("{key} = ");
    shown
        .lines()
        .map(|line| line.trim_start_matches("# "))
        .find(|line| line.starts_with(&prefix))
        .unwrap_or_else(|| panic!("no {key} in {shown}"))
}

#[test]
fn each_layer_wins_over_the_one_below_and_is_named() {
    let dir = Dir::new("config_layers");
    let path = file(
        &dir,
        "log-format = \"json\"\n[serve]\ncapacity = 2\ngop = \"1s\"\naudio = \"copy\"\ninsecure = true\n\
         auth_token = \"s3cret\"\n",
    );
    let arguments = ["--config", &path, "config", "show", "serve", "--gop", "3s"];
    let output = trickle(&arguments)
        .env("TRICKLE_AUDIO", "none")
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let ends = |key, value: &str, origin: &str| {
        let line = setting(&shown, key);
        assert!(line.starts_with(&format!("{key} = {value}")), "{line}");
        assert!(line.ends_with(&format!("# {origin}")), "{line}");
    };
    ends("log-format", "\"json\"", &format!("{path}:1"));
    ends("capacity", "2", &format!("{path}:3"));
    ends("gop", "\"3s\"", "flag");
    ends("audio", "\"none\"", "environment: TRICKLE_AUDIO");
    ends("insecure", "true", &format!("{path}:6"));
    ends("pipeline", "\"byoc\"", "default");
    // Secrets stay secret.
    assert!(setting(&shown, "auth-token").contains("(hidden)"));
    assert!(!shown.contains("s3cret"));
    assert!(!shown.contains("[relay]"));
}

#[test]
fn what_is_shown_is_a_file_that_can_be_used() {
    let dir = Dir::new("config_round");
    let shown = succeed(&["config", "show"]);
    assert!(shown.contains("\n[serve]\n") && shown.contains("\n[relay]\n"));
    let path = file(&dir, &shown);
    let again = succeed(&["--config", &path, "config", "show"]);
    let values = |text: &str| {
        let lines = text
            .lines()
            .map(|line| line.split(" #").next().unwrap().to_owned());
        lines.collect::<Vec<_>>()
    };
    assert_eq!(values(&again), values(&shown));
}

#[test]
fn a_switch_can_be_switched_off_again() {
    let dir = Dir::new("config_switch");
    let path = file(&dir, "[relay]\nautocreate = true\n");
    let show = |flags: &[&str]| {
        let mut arguments = vec!["--config", &path, "config", "show", "relay"];
        arguments.extend(flags);
        setting(&succeed(&arguments), "autocreate").to_owned()
    };
    assert!(show(&[]).starts_with("autocreate = true"));
    assert!(show(&["--autocreate=false"]).starts_with("autocreate = false"));
    assert!(show(&["--autocreate"]).starts_with("autocreate = true"));
}

#[test]
fn the_servers_use_the_file() {
    let dir = Dir::new("config_used");
    let path = file(
        &dir,
        "[serve]\naddr = \"127.0.0.1:0\"\ncapacity = 3\ncapability-name = \"cats\"\n\
         [relay]\naddr = \"127.0.0.1:0\"\nbase-path = \"/live\"\n",
    );
    let (_worker, url) = Background::server(&["serve", "--config", &path]);
    let status = http("GET", &format!("{url}/api/stream/status"), "", "");
    assert!(status.contains("\"capacity\":3"), "{status}");
    let version = http("GET", &format!("{url}/version"), "", "");
    assert!(version.contains("\"model_id\":\"cats\""), "{version}");
    let (_relay, url) = Background::server(&["relay", "--config", &path]);
    assert!(url.ends_with("/live/"), "{url}");
}

#[test]
fn a_setting_that_cannot_be_names_file_and_line() {
    let dir = Dir::new("config_wrong");
    for (text, line, words) in [
        (
            "[serve]\n\ncapacty = 2",
            3,
            &["capacty", "hint: did you mean \"capacity\""][..],
        ),
        ("[serve]\ncapacity = 0", 2, &["--capacity", "zero"]),
        ("[serve]\ngop = \"1h\"", 2, &["--gop", "1h"]),
        ("[serve]\nprocessor = \"nope\"", 2, &["passthrough"]),
        ("[serve]\ngop = [\"1s\", \"2s\"]", 2, &["one value"]),
        (
            "[sevre]\ncapacity = 1",
            2,
            &["[sevre]", "hint: did you mean \"serve\""],
        ),
        ("log-format = \"xml\"", 1, &["json"]),
        ("capacity = 1", 1, &["above the tables"]),
        ("[serve\n", 1, &[]),
    ] {
        let path = file(&dir, text);
        let message = fail(2, &["--config", &path, "config", "show"]);
        assert!(
            message.contains(&format!("{path}:{line}: ")),
            "{text}: {message}"
        );
        for word in words {
            assert!(message.contains(word), "{text}: {message}");
        }
    }
    let missing = dir.file("missing.toml");
    assert!(fail(1, &["serve", "--config", &missing]).contains(&missing));
    assert!(fail(2, &["config", "show", "demo"]).contains("relay"));
}

#[test]
fn certificates_and_origins_are_checked_before_anything_starts() {
    assert!(fail(2, &["serve", "--tls-cert", "x.pem"]).contains("--tls-key"));
    assert!(fail(2, &["relay", "--tls-key", "x.pem"]).contains("--tls-certificate"));
    assert!(fail(2, &["serve", "--cors-origin", "example.org"]).contains("example.org"));
    assert!(fail(1, &["serve", "--tls-cert", "no.pem", "--tls-key", "no.pem"]).contains("no.pem"));
}
