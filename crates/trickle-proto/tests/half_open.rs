//! Peers that went away without a word, as when their machine lost power: what the kernel finds
//! out reaches the readers. A filter on the peer's socket drops whatever arrives, so that nothing
//! is acknowledged, answered or refused any more.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use socket2::{SockFilter, SockRef};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use trickle_proto::{
    Client, ClientConfig, PublishError, PublishOptions, RelayConfig, RetryPolicy, Seq, Silence,
    Start, SubscribeError,
};
use url::Url;

mod support;
use support::{Server, next, publisher, text, until};

/// The least that the kernel's clocks allow: a silent peer is gone after two seconds, one that
/// acknowledges nothing after a fraction of one.
fn short() -> Silence {
    Silence {
        probe_after: Duration::from_secs(1),
        probe_every: Duration::from_secs(1),
        probes: 1,
        unacknowledged: Duration::from_millis(300),
        ..Silence::default()
    }
}

/// From now on the owner of this socket hears nothing and answers nothing.
fn vanish(stream: &TcpStream) {
    const RETURN_CONSTANT: u16 = 6;
    let drop_all = SockFilter::new(RETURN_CONSTANT, 0, 0, 0);
    SockRef::from(stream).attach_filter(&[drop_all]).unwrap();
}

async fn relay() -> Server {
    Server::start(RelayConfig {
        autocreate: true,
        silence: short(),
        ..RelayConfig::default()
    })
    .await
}

fn client() -> Client {
    let config = ClientConfig {
        silence: short(),
        retry: RetryPolicy {
            base: Duration::from_millis(1),
            ..RetryPolicy::default()
        },
        ..ClientConfig::default()
    };
    Client::new(config).unwrap()
}

async fn connect(url: &Url) -> TcpStream {
    let address = url.socket_addrs(|| None).unwrap()[0];
    TcpStream::connect(address).await.unwrap()
}

#[tokio::test]
async fn a_publisher_whose_machine_is_gone_ends_its_segment() {
    let server = relay().await;
    let url = server.channel("a");
    let mut gone = connect(&url).await;
    gone.write_all(b"POST /a/0 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        .await
        .unwrap();
    until(|| server.relay.registry().get("a").is_some()).await;
    let mut subscriber = client().subscribe(&url, Start::At(Seq::ZERO)).unwrap();
    let reader = next(&mut subscriber).await;
    vanish(&gone);
    assert_eq!(text(reader).await, "half");
}

#[tokio::test]
async fn a_reader_whose_machine_is_gone_is_forgotten() {
    let server = relay().await;
    let url = server.channel("a");
    let mut publisher = publisher(&url).await;
    let mut segment = publisher.next_segment().await.unwrap();
    segment.write(Bytes::from_static(b"x")).await.unwrap();
    until(|| server.relay.registry().get("a").is_some()).await;
    let mut gone = connect(&url).await;
    gone.write_all(b"GET /a/0 HTTP/1.1\r\n\r\n").await.unwrap();
    assert_ne!(gone.read(&mut [0; 12]).await.unwrap(), 0);
    let entry = server.relay.registry().get("a").unwrap();
    assert_eq!(entry.subscribers(), 1);

    vanish(&gone);
    segment.write(Bytes::from_static(b"y")).await.unwrap();
    until(|| entry.subscribers() == 0).await;
}

/// Which bytes are the last that pass.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    Request,
    Answer,
}

/// A way to `relay` whose end towards the client vanishes with its first connection, once the
/// first bytes of a request or of an answer went through. Later connections are sound.
async fn vanishing_proxy(relay: Url, until: Until) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        let mut all = JoinSet::new();
        all.spawn(pass_until(near, connect(&relay).await, until));
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = connect(&relay).await;
            all.spawn(async move {
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    url.parse().unwrap()
}

async fn pass_until(mut near: TcpStream, mut far: TcpStream, until: Until) {
    let (mut up, mut down) = ([0; 4096], [0; 4096]);
    loop {
        let passed = tokio::select! {
            read = near.read(&mut up) => {
                far.write_all(&up[..read.unwrap()]).await.unwrap();
                Until::Request
            }
            read = far.read(&mut down) => {
                near.write_all(&down[..read.unwrap()]).await.unwrap();
                Until::Answer
            }
        };
        if passed == until {
            break;
        }
    }
    vanish(&near);
    // Both sockets stay open: neither side is told.
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_subscriber_outlives_a_relay_that_is_gone() {
    let server = relay().await;
    let url = server.channel("a");
    let mut publisher = publisher(&url).await;
    let mut segment = publisher.next_segment().await.unwrap();
    segment.write(Bytes::from_static(b"zero")).await.unwrap();
    until(|| server.relay.registry().get("a").is_some()).await;

    let proxied = vanishing_proxy(url, Until::Answer).await;
    let mut subscriber = client().subscribe(&proxied, Start::At(Seq::ZERO)).unwrap();
    let mut reader = next(&mut subscriber).await;
    assert_eq!(reader.chunk().await.unwrap().as_deref(), Some(&b"zero"[..]));
    let error = reader.chunk().await.unwrap_err();
    assert!(matches!(error, SubscribeError::Truncated { .. }), "{error}");

    segment.finish().await.unwrap();
    support::write(&mut publisher, "one").await;
    let reader = next(&mut subscriber).await;
    assert_eq!((reader.seq(), reader.gap()), (Seq::from(1), None));
    assert_eq!(text(reader).await, "one");
}

#[tokio::test]
async fn a_publisher_outlives_a_relay_that_is_gone() {
    let server = relay().await;
    server.relay.create_channel("a", None).unwrap();
    let url = server.channel("a");
    let mut subscriber = client().subscribe(&url, Start::At(Seq::ZERO)).unwrap();
    let reading = tokio::spawn(async move {
        loop {
            let reader = next(&mut subscriber).await;
            let seq = reader.seq();
            let bytes = reader.collect(100).await;
            if bytes.is_ok_and(|bytes| bytes.unwrap() == "after") {
                return seq;
            }
        }
    });

    let proxied = vanishing_proxy(url, Until::Request).await;
    let mut publisher = client()
        .publish(&proxied, PublishOptions::new("text/plain"))
        .await
        .unwrap();
    let mut segment = publisher.next_segment().await.unwrap();
    while segment.write(Bytes::from_static(b"before")).await.is_ok() {
        tokio::task::yield_now().await;
    }
    drop(segment);
    let error = publisher.next_segment().await.unwrap_err();
    assert!(
        matches!(error, PublishError::SegmentLost { seq: Seq::ZERO, .. }),
        "{error}"
    );
    while !reading.is_finished() {
        support::write(&mut publisher, "after").await;
        tokio::task::yield_now().await;
    }
    assert!(reading.await.unwrap() >= Seq::from(1));
}
