//! The relay: appending and fanning out, reading headers, and a segment's way over loopback.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    hint::black_box,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::net::TcpListener;
use trickle_proto::{
    Client, ClientConfig, PublishOptions, Relay, RelayConfig, Seq, Start, segment::Segment,
    wire::Head,
};

const SEGMENT: usize = 1 << 20;

/// A segment of 1 MiB is appended chunk by chunk, and read by all readers after each chunk.
fn fan_out(c: &mut Criterion) {
    let mut group = c.benchmark_group("segment");
    for (chunk_bytes, readers) in [(1316, 1), (1316, 100), (65536, 1), (65536, 100)] {
        let chunk = Bytes::from(vec![7; chunk_bytes]);
        group.throughput(Throughput::Bytes((SEGMENT * readers) as u64));
        let name = BenchmarkId::new(format!("fan_out_{chunk_bytes}"), readers);
        group.bench_function(name, |b| {
            let mut cx = Context::from_waker(Waker::noop());
            b.iter(|| {
                let segment = Segment::new(Seq::ZERO);
                let mut all: Vec<_> = (0..readers).map(|_| segment.reader()).collect();
                for _ in 0..SEGMENT / chunk_bytes {
                    segment.append(chunk.clone());
                    for reader in &mut all {
                        while let Poll::Ready(Some(chunk)) = reader.poll_chunk(&mut cx) {
                            black_box(chunk.unwrap());
                        }
                    }
                }
                segment.finish();
            });
        });
    }
    group.finish();
}

fn headers(c: &mut Criterion) {
    let headers: HeaderMap = [
        ("content-type", "video/mp2t"),
        ("lp-trickle-seq", "123456"),
        ("lp-trickle-latest", "123457"),
        ("lp-trickle-size", "98765"),
        ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ]
    .into_iter()
    .map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    })
    .collect();
    c.bench_function("head/read", |b| b.iter(|| Head::read(black_box(&headers))));
}

/// Publisher, relay and subscriber in one thread: a segment of 1 MiB from write to last byte.
fn loopback(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut group = c.benchmark_group("relay");
    group
        .throughput(Throughput::Bytes(SEGMENT as u64))
        .sample_size(20);
    for chunk_bytes in [1316, 65536] {
        let (mut publisher, mut subscriber) = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/bench", listener.local_addr().unwrap())
                .parse()
                .unwrap();
            let relay = Relay::new(RelayConfig {
                autocreate: true,
                ..RelayConfig::default()
            });
            tokio::spawn(async move { relay.serve(listener, std::future::pending()).await });
            let client = Client::new(ClientConfig::default()).unwrap();
            let options = PublishOptions::new("video/mp2t").create(true);
            let publisher = client.publish(&url, options).await.unwrap();
            (
                publisher,
                client.subscribe(&url, Start::At(Seq::ZERO)).unwrap(),
            )
        });
        let chunk = Bytes::from(vec![7; chunk_bytes]);
        group.bench_function(BenchmarkId::new("loopback_1MiB", chunk_bytes), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    let write = async {
                        let mut segment = publisher.next_segment().await.unwrap();
                        for _ in 0..SEGMENT / chunk_bytes {
                            segment.write(chunk.clone()).await.unwrap();
                        }
                        segment.finish().await.unwrap();
                    };
                    let read = async {
                        let mut reader = subscriber.next_segment().await.unwrap().unwrap();
                        while let Some(bytes) = reader.chunk().await.unwrap() {
                            black_box(bytes);
                        }
                    };
                    tokio::join!(write, read);
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, fan_out, headers, loopback);
criterion_main!(benches);
