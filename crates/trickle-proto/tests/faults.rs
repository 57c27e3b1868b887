//! The clients ride out what networks and relays do to them. Faults are drawn from a seed.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;
use trickle_proto::{
    Client, ClientConfig, Gap, PublishError, PublishOptions, RelayConfig, RetryPolicy, Seq, Start,
    SubscribeError,
};
use url::Url;

mod support;
use support::{Server, text};

const SEGMENTS: u64 = 40;

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

fn content(seq: u64) -> String {
    format!("segment {seq};").repeat(400)
}

/// SplitMix64: equal seeds, equal faults.
fn draw(state: &AtomicU64) -> u64 {
    let mut z = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A proxy that spoils some of the connections to `relay`.
async fn faulty_proxy(relay: SocketAddr, seed: u64) -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let random = Arc::new(AtomicU64::new(seed));
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (client, _) = listener.accept().await.unwrap();
            connections.spawn(spoil(client, relay, random.clone()));
        }
    });
    (address, AbortOnDropHandle::new(task))
}

async fn spoil(mut client: TcpStream, relay: SocketAddr, random: Arc<AtomicU64>) {
    let fault = draw(&random) % 10;
    if fault == 0 {
        return; // refuses
    }
    if fault == 1 {
        let mut head = [0; 1024];
        let _ = client.read(&mut head).await;
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        let _ = client.write_all(answer).await;
        return;
    }
    let Ok(mut server) = TcpStream::connect(relay).await else {
        return;
    };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let budget = match fault {
        2 | 3 => draw(&random) % 20_000, // breaks off somewhere
        _ => u64::MAX,
    };
    let slow = fault == 4;
    let (mut left, mut up, mut down) = (budget, [0; 700], [0; 700]);
    loop {
        let moved = tokio::select! {
            read = client.read(&mut up) => match read {
                Ok(n @ 1..) => server.write_all(&up[..n.min(left as usize)]).await.map(|()| n),
                _ => return,
            },
            read = server.read(&mut down) => match read {
                Ok(n @ 1..) => client.write_all(&down[..n.min(left as usize)]).await.map(|()| n),
                _ => return,
            },
        };
        match moved {
            Ok(n) if (n as u64) < left => left -= n as u64,
            _ => return,
        }
        if slow {
            tokio::task::yield_now().await;
        }
    }
}

/// Publishes all segments and returns those reported as lost.
async fn publish(url: Url) -> BTreeSet<u64> {
    let mut lost = BTreeSet::new();
    let options = PublishOptions::new("text/plain").create(true);
    let mut publisher = patient_client().publish(&url, options).await.unwrap();
    loop {
        match publisher.next_segment().await {
            Ok(mut segment) => {
                let seq = segment.seq().get();
                let content = Bytes::from(content(seq));
                for start in (0..content.len()).step_by(1000) {
                    let part = content.slice(start..content.len().min(start + 1000));
                    if segment.write(part).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                let _ = segment.finish().await;
                if seq + 1 >= SEGMENTS {
                    break;
                }
            }
            Err(PublishError::SegmentLost { seq, .. }) => {
                lost.insert(seq.get());
            }
            Err(error) => panic!("{error}"),
        }
    }
    match publisher.close().await {
        Ok(()) => {}
        Err(PublishError::SegmentLost { seq, .. }) => {
            lost.insert(seq.get());
        }
        Err(error) => panic!("{error}"),
    }
    lost
}

/// What a subscriber saw: whole segments by index, those that broke off, and those it was told
/// that it missed.
#[derive(Default)]
struct Seen {
    whole: Vec<(u64, String)>,
    broken: BTreeSet<u64>,
    missed: BTreeSet<u64>,
}

async fn subscribe(url: Url) -> Seen {
    let mut seen = Seen::default();
    let mut subscriber = patient_client()
        .subscribe(&url, Start::At(Seq::ZERO))
        .unwrap();
    loop {
        match subscriber.next_segment().await {
            Ok(Some(reader)) => {
                let seq = reader.seq().get();
                match reader.gap() {
                    Some(Gap::Missed { from, until }) => {
                        seen.missed.extend(from.get()..until.get());
                    }
                    Some(gap) => panic!("{gap:?} although nothing restarted"),
                    None => {}
                }
                match reader.collect(1 << 20).await {
                    Ok(bytes) => {
                        let text = String::from_utf8(bytes.unwrap().to_vec()).unwrap();
                        seen.whole.push((seq, text));
                    }
                    Err(SubscribeError::Truncated { seq, .. }) => {
                        seen.broken.insert(seq.get());
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            Ok(None) => return seen,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn nothing_is_lost_without_a_word() {
    let mut whole = 0;
    for seed in 0..12 {
        let server = Server::start(RelayConfig {
            autocreate: true,
            ring: 64,
            ..RelayConfig::default()
        })
        .await;
        server.relay.create_channel("a", None).unwrap();
        let relay = server.channel("a").socket_addrs(|| None).unwrap()[0];
        let (proxy, _proxy) = faulty_proxy(relay, seed).await;
        let url: Url = format!("http://{proxy}/a").parse().unwrap();
        let reading = tokio::spawn(subscribe(url.clone()));
        let lost = publish(url).await;
        let seen = reading.await.unwrap();

        let order: Vec<u64> = seen.whole.iter().map(|(seq, _)| *seq).collect();
        assert!(
            order.windows(2).all(|pair| pair[0] < pair[1]),
            "seed {seed}: {order:?}"
        );
        for (seq, text) in &seen.whole {
            let content = content(*seq);
            if lost.contains(seq) {
                assert!(content.starts_with(text), "seed {seed}: segment {seq}");
            } else {
                assert_eq!(*text, content, "seed {seed}: segment {seq}");
            }
        }
        let last = order
            .last()
            .copied()
            .unwrap_or(0)
            .max(seen.broken.last().copied().unwrap_or(0));
        for seq in 0..last {
            let known =
                order.contains(&seq) || seen.broken.contains(&seq) || seen.missed.contains(&seq);
            assert!(known, "seed {seed}: nothing was said of segment {seq}");
        }
        whole += order.len();
    }
    assert!(
        whole as u64 > 12 * SEGMENTS / 5,
        "only {whole} segments came through whole"
    );
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
