//! The clients outlive a relay that is killed and started again, over loopback. What networks do to
//! them is drawn from seeds, in virtual time, in `src/http/faults_test.rs`.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use trickle_proto::{
    Client, ClientConfig, Gap, PublishOptions, RelayConfig, RetryPolicy, Seq, Start,
};

mod support;
use support::{Server, text};

/// Tries often, so that a test takes milliseconds where a stream would take seconds.
fn patient_client() -> Client {
    let retry = RetryPolicy {
        window: Duration::from_secs(30),
        base: Duration::from_millis(1),
        max: Duration::from_millis(20),
    };
    let config = ClientConfig {
        retry,
        max_lost_segments: 1000,
        ..ClientConfig::default()
    };
    Client::new(config).unwrap()
}

#[tokio::test]
async fn both_sides_survive_a_restart_of_the_relay() {
    let server = Server::open().await;
    let url = server.channel("a");
    let address = url.socket_addrs(|| None).unwrap()[0];
    let options = PublishOptions::new("text/plain").create(true);
    let mut publisher = patient_client().publish(&url, options).await.unwrap();
    let mut subscriber = patient_client()
        .subscribe(&url, Start::At(Seq::ZERO))
        .unwrap();
    for n in 0..3u32 {
        support::write(&mut publisher, "before").await;
        let reader = subscriber.next_segment().await.unwrap().unwrap();
        assert_eq!(reader.seq(), Seq::from(n));
        assert_eq!(text(reader).await, "before");
    }

    server.kill().await;
    let listener = TcpListener::bind(address).await.unwrap();
    let _server = Server::on(
        listener,
        RelayConfig {
            autocreate: true,
            ..RelayConfig::default()
        },
    );

    let reading = tokio::spawn(async move {
        let reader = subscriber.next_segment().await.unwrap().unwrap();
        (reader.seq(), reader.gap(), text(reader).await)
    });
    while !reading.is_finished() {
        match publisher.next_segment().await {
            Ok(mut segment) => {
                assert!(segment.seq() >= Seq::from(3), "the numbers go on");
                let _ = segment.write(Bytes::from_static(b"after")).await;
                let _ = segment.finish().await;
                tokio::task::yield_now().await;
            }
            Err(error) => assert!(!error.is_terminal(), "{error}"),
        }
    }
    let (seq, gap, text) = reading.await.unwrap();
    assert_eq!(text, "after");
    match gap {
        None => assert_eq!(seq, Seq::from(3)),
        Some(gap) => assert_eq!(
            gap,
            Gap::Missed {
                from: Seq::from(3),
                until: seq
            }
        ),
    }
}
