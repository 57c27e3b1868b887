//! The clients ride out what networks do to them. Faults are drawn from a seed, time is virtual.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{client::Client, transport::Transport};
use crate::{
    ClientConfig, Gap, PublishError, PublishOptions, Relay, RelayConfig, Seq, Silence, Start,
    SubscribeError,
};

const SEGMENTS: u64 = 40;
/// Bytes that a pipe holds.
const PIPE: usize = 4096;

/// SplitMix64: equal seeds, equal faults.
fn draw(state: &AtomicU64) -> u64 {
    let mut z = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What befalls a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Refused,
    /// Something in between answers 503.
    Unavailable,
    /// Breaks off after so many bytes, both ways together.
    Breaks(u64),
    /// Passes nothing on after so many bytes, and tells nobody. The kernel gives up in time.
    HalfOpen(u64),
    /// Each read takes up to so long to get through.
    Delayed(Duration),
}

impl Fault {
    fn draw(random: &AtomicU64) -> Self {
        match draw(random) % 12 {
            0 => Self::Refused,
            1 => Self::Unavailable,
            2 | 3 => Self::Breaks(draw(random) % 20_000),
            4 => Self::HalfOpen(draw(random) % 20_000),
            5 | 6 => Self::Delayed(Duration::from_millis(1 + draw(random) % 200)),
            _ => Self::None,
        }
    }
}

/// A client whose connections to `relay` suffer faults.
fn client(relay: &Relay, seed: u64) -> Client {
    let random = Arc::new(AtomicU64::new(seed));
    let relay = relay.clone();
    let open = move || {
        let fault = Fault::draw(&random);
        if fault == Fault::Refused {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, inner) = duplex(PIPE);
        tokio::spawn(spoil(inner, relay.clone(), fault, random.clone()));
        Ok(near)
    };
    let config = ClientConfig {
        max_lost_segments: 1000,
        ..ClientConfig::default()
    };
    Client::over(config, Transport::Memory(Arc::new(open))).unwrap()
}

async fn spoil(mut client: DuplexStream, relay: Relay, fault: Fault, random: Arc<AtomicU64>) {
    if fault == Fault::Unavailable {
        let _ = client.read(&mut [0; 1024]).await;
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        return client.write_all(answer).await.unwrap_or(());
    }
    let (mut server, far) = duplex(PIPE);
    tokio::spawn(relay.connection(far, CancellationToken::new()));
    let mut left = match fault {
        Fault::Breaks(bytes) | Fault::HalfOpen(bytes) => bytes,
        _ => u64::MAX,
    };
    let (mut up, mut down) = ([0; 700], [0; 700]);
    while left > 0 {
        let (read, from_client) = tokio::select! {
            read = client.read(&mut up) => (read, true),
            read = server.read(&mut down) => (read, false),
        };
        let Ok(read @ 1..) = read else { return };
        let passing = read.min(usize::try_from(left).unwrap_or(read));
        left -= passing as u64;
        if let Fault::Delayed(most) = fault {
            sleep(most.mul_f64((draw(&random) % 100) as f64 / 100.0)).await;
        }
        let passed = if from_client {
            server.write_all(&up[..passing]).await
        } else {
            client.write_all(&down[..passing]).await
        };
        if passed.is_err() {
            return;
        }
    }
    if let Fault::HalfOpen(_) = fault {
        let silence = Silence::default();
        sleep(silence.probe_after + silence.probe_every * silence.probes).await;
    }
}

fn content(seq: u64) -> String {
    format!("segment {seq};").repeat(400)
}

/// Publishes all segments and returns those reported as lost.
async fn publish(client: Client, url: Url) -> BTreeSet<u64> {
    let mut lost = BTreeSet::new();
    let options = PublishOptions::new("text/plain").create(true);
    let mut publisher = client.publish(&url, options).await.unwrap();
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
                    sleep(Duration::from_millis(400)).await;
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

async fn subscribe(client: Client, url: Url) -> Seen {
    let mut seen = Seen::default();
    let mut subscriber = client.subscribe(&url, Start::At(Seq::ZERO)).unwrap();
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

/// One stream of some minutes; returns how many segments came through whole.
async fn stream(seed: u64) -> usize {
    let relay = Relay::new(RelayConfig {
        autocreate: true,
        ring: 64,
        retention: Duration::from_secs(600),
        ..RelayConfig::default()
    });
    relay.create_channel("a", None).unwrap();
    let url: Url = "http://relay/a".parse().unwrap();
    let reading = tokio::spawn(subscribe(client(&relay, seed), url.clone()));
    let lost = publish(client(&relay, !seed), url).await;
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
    let last = order.last().max(seen.broken.last()).copied().unwrap_or(0);
    for seq in 0..last {
        let known =
            order.contains(&seq) || seen.broken.contains(&seq) || seen.missed.contains(&seq);
        assert!(known, "seed {seed}: nothing was said of segment {seq}");
    }
    order.len()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_without_a_word() {
    const SEEDS: u64 = 24;
    let mut whole = 0;
    for seed in 0..SEEDS {
        whole += stream(seed).await;
    }
    assert!(
        whole as u64 > SEEDS * SEGMENTS / 3,
        "only {whole} segments came through whole"
    );
}
