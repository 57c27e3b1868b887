//! Connections of a relay in virtual time: what it sends while nothing happens, and whom it gives up.

use bytes::Bytes;
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::Instant,
};

use super::*;
use crate::RelayConfig;

/// A relay that lets publishers make channels.
fn open() -> Relay {
    Relay::new(RelayConfig {
        autocreate: true,
        ..RelayConfig::default()
    })
}

fn connect_to(relay: &Relay) -> DuplexStream {
    let (peer, stream) = duplex(64 * 1024);
    tokio::spawn(relay.clone().connection(stream, CancellationToken::new()));
    peer
}

fn connect() -> DuplexStream {
    connect_to(&open())
}

/// What the relay sends next.
async fn receive(peer: &mut DuplexStream) -> String {
    let mut bytes = [0; 4096];
    let read = peer.read(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_post_without_a_byte_is_kept_alive() {
    let mut peer = connect();
    let began = Instant::now();
    peer.write_all(b"POST /a/0 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    for seconds in [10, 20, 30] {
        assert_eq!(receive(&mut peer).await, CONTINUE);
        assert_eq!(began.elapsed().as_secs(), seconds);
    }
    // From the first byte on there is nothing but the answer.
    peer.write_all(b"1\r\nx\r\n").await.unwrap();
    sleep(Duration::from_secs(60)).await;
    peer.write_all(b"0\r\n\r\n").await.unwrap();
    let answer = receive(&mut peer).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(!answer.contains(CONTINUE), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn interim_answers_stand_between_the_answers_of_a_connection() {
    let mut peer = connect();
    peer.write_all(b"POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    assert!(receive(&mut peer).await.starts_with("HTTP/1.1 200 OK\r\n"));
    peer.write_all(b"POST /a/0 HTTP/1.1\r\nContent-Length: 1\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(receive(&mut peer).await, CONTINUE);
    peer.write_all(b"xGET /a/next HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    sleep(Duration::from_secs(1)).await;
    let answers = receive(&mut peer).await;
    assert!(answers.starts_with("HTTP/1.1 200 OK\r\n"), "{answers}");
    assert!(answers.ends_with("\r\n\r\n1"), "{answers}");
}

#[tokio::test(start_paused = true)]
async fn http_1_0_knows_no_interim_answers() {
    let mut peer = connect();
    peer.write_all(b"POST /a/0 HTTP/1.0\r\nContent-Length: 1\r\n\r\n")
        .await
        .unwrap();
    sleep(Duration::from_secs(60)).await;
    peer.write_all(b"x").await.unwrap();
    let answer = receive(&mut peer).await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waits_is_sent_nothing() {
    let mut peer = connect();
    peer.write_all(b"POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    receive(&mut peer).await;
    peer.write_all(b"GET /a/0 HTTP/1.1\r\n\r\n").await.unwrap();
    let early = timeout(Duration::from_secs(600), receive(&mut peer)).await;
    assert!(early.is_err(), "{early:?}");
}

/// After how long the relay gives a connection up on which it gets `bytes` and nothing more.
async fn given_up_after(bytes: &[u8]) -> Duration {
    let mut peer = connect();
    let began = Instant::now();
    peer.write_all(bytes).await.unwrap();
    let mut all = Vec::new();
    let read = peer.read_to_end(&mut all).await;
    assert!(read.is_ok(), "{read:?}");
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_sends_a_whole_head_is_given_up() {
    for bytes in [&b""[..], b"PRI", b"GET /a/0 HTT"] {
        let after = given_up_after(bytes).await;
        assert_eq!(after.as_secs(), HEAD_TIMEOUT.as_secs(), "{bytes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_http_2_peer_that_does_not_answer_a_ping_is_given_up() {
    // The preface, and SETTINGS without any setting.
    let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    hello.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let after = given_up_after(&hello).await;
    let silence = tcp::Silence::default();
    assert_eq!(after, silence.ping_every + silence.ping_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_serves_sweeps_by_itself() {
    let relay = open();
    relay.create_channel("idle", None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let serving = relay.clone();
    tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
    let config = RelayConfig::default();
    let entry = relay.registry().get("idle").unwrap();
    let is_closed = || entry.with(|channel| channel.closed_at().is_some());
    sleep(config.idle_timeout - SWEEP_EVERY).await;
    assert!(!is_closed());
    sleep(SWEEP_EVERY * 2).await;
    assert!(is_closed());
    assert!(
        relay.registry().get("idle").is_some(),
        "late readers are served"
    );
    sleep(config.retention + SWEEP_EVERY).await;
    assert!(relay.registry().get("idle").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_ever() {
    let relay = open();
    // More than sockets buffer for a reader that does not read.
    let large = Full::new(Bytes::from(vec![0; 64 << 20]));
    let written = relay
        .handle(Request::post("/a/0").body(large).unwrap())
        .await;
    assert_eq!(written.status(), 200);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (serving, stop) = (relay.clone(), CancellationToken::new());
    let stopped = stop.clone().cancelled_owned();
    let serving = tokio::spawn(async move { serving.serve(listener, stopped).await });
    let mut reader = TcpStream::connect(address).await.unwrap();
    reader
        .write_all(b"GET /a/0 HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    reader.read_exact(&mut [0; 12]).await.unwrap();
    let began = Instant::now();
    stop.cancel();
    serving.await.unwrap().unwrap();
    let drained = RelayConfig::default().drain_timeout;
    assert_eq!(began.elapsed().as_secs(), drained.as_secs());
    let late = TcpStream::connect(address).await;
    assert!(late.is_err(), "nothing is accepted any more");
}

#[tokio::test(start_paused = true)]
async fn what_arrives_together_is_sent_together() {
    let relay = open();
    relay.create_channel("a", None).unwrap();
    let (mut reader, mut publisher) = (connect_to(&relay), connect_to(&relay));
    reader
        .write_all(b"GET /a/0 HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    sleep(Duration::from_secs(1)).await;
    publisher
        .write_all(b"POST /a/0 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    sleep(Duration::from_secs(1)).await;
    let three_chunks = b"1\r\nx\r\n1\r\ny\r\n1\r\nz\r\n";
    publisher.write_all(three_chunks).await.unwrap();
    let answer = receive(&mut reader).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n3\r\nxyz\r\n"), "{answer}");
    publisher.write_all(three_chunks).await.unwrap();
    assert_eq!(receive(&mut reader).await, "3\r\nxyz\r\n");

    // A segment that is complete needs no chunks.
    publisher.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(receive(&mut reader).await, "0\r\n\r\n");
    reader
        .write_all(b"GET /a/0 HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let answer = receive(&mut reader).await;
    assert!(answer.contains("\r\nContent-Length: 6\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nxyzxyz"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn what_a_publisher_brought_before_it_vanished_is_kept() {
    let relay = open();
    let mut publisher = connect_to(&relay);
    publisher
        .write_all(b"POST /a/0 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        .await
        .unwrap();
    drop(publisher);
    sleep(Duration::from_secs(1)).await;
    let mut reader = connect_to(&relay);
    reader
        .write_all(b"GET /a/0 HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let answer = receive(&mut reader).await;
    assert!(answer.ends_with("\r\n\r\nx"), "{answer}");
}
