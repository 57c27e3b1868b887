//! Transport streams: demuxing in pieces as a socket gives them, and muxing; beside a peer.

// What cannot be set up cannot be measured: it stops here.
#![allow(clippy::unwrap_used)]

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mpeg2ts::ts::{ReadTsPacket, TsPacketReader};
use std::hint::black_box;
use trickle_benches::{CLIP, clip_units};
use trickle_media::ts::{DemuxOptions, Demuxer, MuxOptions, Muxer};

/// Bytes of a piece: what one read of a socket gives.
const PIECE: usize = 65_536;

fn demux(c: &mut Criterion) {
    let mut group = c.benchmark_group("demux");
    let stream = trickle_testkit::clip_bytes(CLIP);
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("to_access_units", |b| {
        b.iter(|| {
            let mut demuxer = Demuxer::new(DemuxOptions::default());
            let mut events = 0;
            for piece in black_box(&stream).chunks(PIECE) {
                demuxer.push(piece, None);
                while demuxer.next_event().is_some() {
                    events += 1;
                }
            }
            events
        });
    });
    // It stops at packets: what it is compared with does more.
    group.bench_function("mpeg2ts_crate_to_packets", |b| {
        b.iter(|| {
            let mut reader = TsPacketReader::new(black_box(&stream[..]));
            let mut packets = 0;
            while let Ok(Some(_)) = reader.read_ts_packet() {
                packets += 1;
            }
            packets
        });
    });
    group.finish();
}

fn mux(c: &mut Criterion) {
    let mut group = c.benchmark_group("mux");
    let (streams, units) = clip_units();
    let payload: usize = units.iter().map(|unit| unit.data.len()).sum();
    group.throughput(Throughput::Bytes(payload as u64));
    let mut out = BytesMut::with_capacity(2 * payload);
    group.bench_function("from_access_units", |b| {
        b.iter(|| {
            out.clear();
            let mut muxer = Muxer::new(&streams, &MuxOptions::default()).unwrap();
            muxer.write_tables(&mut out);
            for unit in black_box(&units) {
                muxer.write(unit, &mut out).unwrap();
            }
            out.len()
        });
    });
    group.finish();
}

criterion_group!(benches, demux, mux);
criterion_main!(benches);
