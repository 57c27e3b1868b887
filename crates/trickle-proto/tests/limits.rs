//! Each limit has a status of its own, and its breach touches nothing but the request that caused it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests may, like tests.

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt, Empty, Full};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use trickle_proto::{Limits, Relay, RelayConfig};

mod support;
use support::Server;

fn config(limits: Limits) -> RelayConfig {
    RelayConfig {
        autocreate: true,
        limits,
        ..RelayConfig::default()
    }
}

fn relay(limits: Limits) -> Relay {
    Relay::new(config(limits))
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

/// Answers a request that has nothing to wait for.
fn ask(relay: &Relay, method: Method, path: &str, body: &'static str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Full::from(body))
        .unwrap();
    let (head, body) = answer_now(relay, request).into_parts();
    let body = body.collect().now_or_never().expect("a whole body");
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.unwrap().to_bytes(),
    }
}

fn answer_now(relay: &Relay, request: Request<Full<Bytes>>) -> trickle_proto::RelayResponse {
    // What is queued comes with the second poll of a body.
    let mut answering = Box::pin(relay.handle(request));
    for _ in 0..10 {
        if let Some(answer) = answering.as_mut().now_or_never() {
            return answer;
        }
    }
    panic!("no answer at once");
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path).body(Empty::new()).unwrap()
}

fn content(relay: &Relay, path: &str) -> Bytes {
    let answer = ask(relay, Method::GET, path, "");
    assert_eq!(answer.status, 200, "{path}");
    answer.body
}

#[test]
fn a_segment_that_grows_too_large_is_413_and_ends() {
    let relay = relay(Limits {
        segment_bytes: 4,
        ..Limits::default()
    });
    assert_eq!(ask(&relay, Method::POST, "/other/0", "fits").status, 200);
    let answer = ask(&relay, Method::POST, "/a/0", "large");
    assert_eq!(answer.status, 413);
    assert_eq!(answer.headers.get(header::CONNECTION).unwrap(), "close");
    // The channel goes on.
    assert_eq!(content(&relay, "/a/0"), "");
    assert_eq!(ask(&relay, Method::POST, "/a/1", "fits").status, 200);
    assert_eq!(content(&relay, "/a/1"), "fits");
    assert_eq!(content(&relay, "/other/0"), "fits");
}

#[test]
fn a_channel_that_is_full_gives_its_oldest_segments_up() {
    let relay = relay(Limits {
        channel_bytes: 8,
        ..Limits::default()
    });
    for path in ["/other/0", "/a/0", "/a/1", "/a/2"] {
        assert_eq!(ask(&relay, Method::POST, path, "four").status, 200);
    }
    assert_eq!(ask(&relay, Method::GET, "/a/0", "").status, 470);
    for path in ["/other/0", "/a/1", "/a/2"] {
        assert_eq!(content(&relay, path), "four");
    }
    assert_eq!(ask(&relay, Method::POST, "/a/3", "nine bytes").status, 413);
}

#[tokio::test]
async fn too_many_waiting_segments_are_429() {
    let relay = relay(Limits {
        waiting_segments: 2,
        ..Limits::default()
    });
    relay.create_channel("a", None).unwrap();
    let endless = |seq: u32| {
        let body = http_body_util::StreamBody::new(futures_util::stream::pending::<
            Result<http_body::Frame<Bytes>, std::io::Error>,
        >());
        Request::post(format!("/a/{seq}")).body(body).unwrap()
    };
    let mut waiting: Vec<_> = (0..2).map(|n| Box::pin(relay.handle(endless(n)))).collect();
    for post in &mut waiting {
        assert!(futures_util::poll!(post).is_pending());
    }
    let refused = relay.handle(endless(2)).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(ask(&relay, Method::POST, "/other/0", "x").status, 200);
}

#[test]
fn one_channel_too_many_is_503() {
    let relay = relay(Limits {
        channels: 1,
        ..Limits::default()
    });
    assert_eq!(ask(&relay, Method::POST, "/a", "").status, 200);
    for path in ["/b", "/b/0"] {
        let refused = ask(&relay, Method::POST, path, "");
        assert_eq!(refused.status, 503, "{path}");
        assert!(refused.headers.contains_key(header::RETRY_AFTER));
    }
    assert_eq!(ask(&relay, Method::POST, "/a/0", "x").status, 200);
    assert_eq!(ask(&relay, Method::DELETE, "/a", "").status, 200);
    assert_eq!(ask(&relay, Method::POST, "/b/0", "x").status, 200);
}

#[tokio::test]
async fn one_reader_too_many_is_429_until_another_leaves() {
    let relay = relay(Limits {
        subscribers: 1,
        ..Limits::default()
    });
    relay.create_channel("a", None).unwrap();
    let mut first = Box::pin(relay.handle(get("/a/0")));
    assert!(futures_util::poll!(&mut first).is_pending());
    let refused = relay.handle(get("/a/0")).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key(header::RETRY_AFTER));
    drop(first);
    let mut second = Box::pin(relay.handle(get("/a/0")));
    assert!(futures_util::poll!(&mut second).is_pending());
}

#[test]
fn a_name_that_is_too_long_is_414() {
    let relay = relay(Limits {
        name_bytes: 3,
        ..Limits::default()
    });
    assert_eq!(ask(&relay, Method::POST, "/long/0", "x").status, 414);
    assert_eq!(ask(&relay, Method::POST, "/abc/0", "x").status, 200);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_before_its_end() {
    let server = Server::start(config(Limits {
        segment_bytes: 10,
        ..Limits::default()
    }))
    .await;
    let address = server.channel("a").socket_addrs(|| None).unwrap()[0];
    let mut publisher = TcpStream::connect(address).await.unwrap();
    publisher
        .write_all(b"POST /a/0 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    publisher.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn one_connection_too_many_waits_until_another_ends() {
    let server = Server::start(config(Limits {
        connections: 1,
        ..Limits::default()
    }))
    .await;
    let address = server.channel("a").socket_addrs(|| None).unwrap()[0];
    let ask = b"POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
    let mut answer = [0; 4096];
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(ask).await.unwrap();
    assert_ne!(first.read(&mut answer).await.unwrap(), 0);

    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(ask).await.unwrap();
    // The first goes on, and while it does, nothing comes of the second.
    first.write_all(ask).await.unwrap();
    assert_ne!(first.read(&mut answer).await.unwrap(), 0);
    assert!(second.read(&mut answer).now_or_never().is_none());
    drop(first);
    let read = second.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200 "));
}
