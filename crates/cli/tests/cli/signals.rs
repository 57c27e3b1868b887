//! The worker's start and its end on signals.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{ChildStderr, Stdio};

use serde_json::Value;

use crate::support::{Background, http, trickle};

/// A worker whose log can be read.
fn worker(arguments: &[&str]) -> (Background, String, BufReader<ChildStderr>) {
    let mut command = trickle(&["serve", "--addr", "127.0.0.1:0"]);
    command.args(arguments).stderr(Stdio::piped());
    let (mut worker, url) = Background::spawn(command);
    let stderr = BufReader::new(worker.stderr());
    (worker, url, stderr)
}

fn wait_for(lines: &mut impl BufRead, text: &str) -> String {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(
            lines.read_line(&mut line).unwrap() > 0,
            "no {text:?} in the log"
        );
    }
    line
}

/// A request whose body never comes: it is under way until its connection is cut.
fn hanging_request(url: &str) -> TcpStream {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "POST /stream/start HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\n\
         Content-Length: 5\r\n\r\n"
    )
    .unwrap();
    // The handler asks for the body: it runs.
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    assert!(line.contains("100"), "{line}");
    stream
}

#[test]
fn a_second_signal_ends_a_worker_that_still_drains() {
    let (worker, url, mut log) = worker(&[]);
    let _request = hanging_request(&url);
    worker.signal("TERM");
    wait_for(&mut log, "once more to stop at once");
    worker.signal("INT");
    // 0 would mean that it had waited for the request.
    assert_eq!(worker.wait().code(), Some(130));
}

#[test]
fn log_lines_of_a_session_name_it() {
    let (_relay, relay) = Background::server(&["relay", "--addr", "127.0.0.1:0", "--autocreate"]);
    let (worker, url, log) = worker(&["--log-format", "json"]);
    let body = format!(
        r#"{{"gateway_request_id":"r1","subscribe_url":"{relay}in","publish_url":"{relay}out"}}"#
    );
    let created = http(
        "POST",
        &format!("{relay}in"),
        "Expect-Content: video/mp2t\r\n",
        "",
    );
    assert!(created.contains(" 200 "), "{created}");
    let started = http("POST", &format!("{url}/stream/start"), "", &body);
    assert!(started.contains(" 200 "), "{started}");
    let stopped = http("POST", &format!("{url}/stream/stop"), "", "");
    assert!(stopped.contains(" 200 "), "{stopped}");
    assert!(worker.terminate().success());
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(&line.unwrap()).ok())
        .collect();
    let of_session = |line: &&Value| {
        let target = line["target"].as_str().unwrap();
        target.starts_with("trickle_session") || target == "trickle_server::slots"
    };
    let named: Vec<_> = lines.iter().filter(of_session).collect();
    assert!(!named.is_empty(), "{lines:#?}");
    for line in named {
        assert_eq!(line["span"]["name"], "session", "{line}");
        assert_eq!(line["span"]["id"], "r1", "{line}");
    }
}
