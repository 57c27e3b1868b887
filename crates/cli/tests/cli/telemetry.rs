//! Spans of sessions reach an OpenTelemetry collector, here a stand-in that reads what comes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::support::{Background, fail, http, trickle};

/// Longest wait for what comes by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request as it came.
struct Received {
    head: String,
    body: Vec<u8>,
}

/// A collector on a port of its own, and what it receives. Every request is answered so.
fn collector(status: &'static str) -> (String, Receiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, received) = channel();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let tell = tell.clone();
            std::thread::spawn(move || serve(stream.unwrap(), status, |it| tell.send(it).is_ok()));
        }
    });
    (url, received)
}

fn serve(mut stream: TcpStream, status: &str, mut told: impl FnMut(Received) -> bool) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        head.make_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|it| it.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        if !told(Received { head, body }) || stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// The messages and strings in one field of a protobuf message.
fn field(message: &[u8], wanted: u64) -> Vec<&[u8]> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let (mut rest, mut found) = (message, Vec::new());
    while !rest.is_empty() {
        let key = varint(&mut rest);
        let length = match key & 7 {
            0 => {
                varint(&mut rest);
                continue;
            }
            1 => 8,
            2 => varint(&mut rest) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (value, after) = rest.split_at(length);
        rest = after;
        if key & 7 == 2 && key >> 3 == wanted {
            found.push(value);
        }
    }
    found
}

fn text(message: &[u8], wanted: u64) -> String {
    let values = field(message, wanted);
    values
        .first()
        .map_or_else(String::new, |it| String::from_utf8_lossy(it).into_owned())
}

/// Attributes that are strings, from a list of `KeyValue`.
fn attribute(message: &[u8], list: u64, key: &str) -> Option<String> {
    let all = field(message, list);
    let it = all.into_iter().find(|it| text(it, 1) == key)?;
    Some(text(field(it, 2)[0], 1))
}

/// Runs a session from its start to its stop on a worker that exports, and ends the worker; its log.
fn session(id: &str, environment: &[(&str, &str)]) -> String {
    let (_relay, relay) = Background::server(&["relay", "--addr", "127.0.0.1:0", "--autocreate"]);
    let mut command = trickle(&["serve", "--addr", "127.0.0.1:0"]);
    command
        .envs(environment.iter().copied())
        .stderr(Stdio::piped());
    let (mut worker, url) = Background::spawn(command);
    let mut log = worker.stderr();
    let created = http(
        "POST",
        &format!("{relay}in"),
        "Expect-Content: video/mp2t\r\n",
        "",
    );
    assert!(created.contains(" 200 "), "{created}");
    let body = format!(
        r#"{{"gateway_request_id":"{id}","subscribe_url":"{relay}in","publish_url":"{relay}out"}}"#
    );
    let started = http("POST", &format!("{url}/stream/start"), "", &body);
    assert!(started.contains(" 200 "), "{started}");
    let stopped = http("POST", &format!("{url}/stream/stop"), "", "");
    assert!(stopped.contains(" 200 "), "{stopped}");
    assert!(worker.terminate().success());
    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_session_is_one_span_with_its_id_its_end_and_what_happened_in_it() {
    let (url, received) = collector("200 OK");
    session(
        "r1",
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=video"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"),
        ],
    );
    // The worker has ended: all that it sends has come.
    let request = received.recv_timeout(PATIENCE).unwrap();
    assert!(
        request.head.starts_with("post /v1/traces http/1.1"),
        "{}",
        request.head
    );
    assert!(
        request
            .head
            .contains("content-type: application/x-protobuf"),
        "{}",
        request.head
    );
    assert!(request.head.contains("x-team: video"), "{}", request.head);
    let resource_spans = field(&request.body, 1);
    let [one] = resource_spans[..] else {
        panic!("{} resources", resource_spans.len())
    };
    let resource = field(one, 1)[0];
    assert_eq!(attribute(resource, 1, "service.name").unwrap(), "trickle");
    assert_eq!(
        attribute(resource, 1, "deployment.environment").unwrap(),
        "test"
    );
    let spans: Vec<_> = field(one, 2)
        .into_iter()
        .flat_map(|scope| field(scope, 2))
        .collect();
    let names: Vec<_> = spans.iter().map(|span| text(span, 5)).collect();
    assert_eq!(names, ["session"]);
    assert_eq!(attribute(spans[0], 9, "id").unwrap(), "r1");
    assert_eq!(attribute(spans[0], 9, "reason").unwrap(), "stopped");
    // What was logged in it, by whichever thread.
    let events: Vec<_> = field(spans[0], 11)
        .into_iter()
        .map(|event| text(event, 2))
        .collect();
    assert!(events.iter().any(|event| event == "stopping"), "{events:?}");
    assert!(
        received.try_recv().is_err(),
        "one span came in two requests"
    );
}

#[test]
fn a_collector_that_fails_is_logged_and_harms_nothing() {
    let (url, received) = collector("400 Bad Request");
    let log = session(
        "r1",
        &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &format!("{url}/mine"))],
    );
    let request = received.recv_timeout(PATIENCE).unwrap();
    assert!(
        request.head.starts_with("post /mine http/1.1"),
        "{}",
        request.head
    );
    assert!(
        log.contains("HTTP export failed with status code: 400"),
        "{log}"
    );
}

#[test]
fn nothing_is_exported_unless_a_collector_is_named_and_wanted() {
    let (url, received) = collector("200 OK");
    for (name, value) in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ] {
        session(
            "r1",
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), (name, value)],
        );
    }
    assert!(received.try_recv().is_err());
}

#[test]
fn what_cannot_be_is_said_at_the_start() {
    let serve = ["serve", "--addr", "127.0.0.1:0", "--otlp-endpoint"];
    let wrong = fail(2, &[&serve[..], &["http://[nowhere"]].concat());
    assert!(wrong.contains("invalid endpoint"), "{wrong}");
    let mut command = trickle(&[&serve[..], &["http://127.0.0.1:4317"]].concat());
    let output = command
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("http/protobuf"), "{said}");
}
