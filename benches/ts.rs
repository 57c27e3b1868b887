//! Transport streams: demuxing in pieces as a socket gives them, and muxing; beside a peer.

// What cannot be set up cannot be measured: it stops here.
#![allow(clippy::unwrap_used)]
#![allow(missing_docs, reason = "the macros of a peer write items without")]

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mpeg2ts::ts::{ReadTsPacket, TsPacketReader, TsPacketWriter, WriteTsPacket};
use mpeg2ts_reader::demultiplex::{self, FilterRequest};
use mpeg2ts_reader::{demux_context, packet_filter_switch, pes, psi};
use std::hint::black_box;
use trickle_benches::{CLIP, clip_units};
use trickle_media::ts::{DemuxOptions, Demuxer, MuxOptions, Muxer};

/// Bytes of a piece: what one read of a socket gives.
const PIECE: usize = 65_536;

/// Bytes of elementary streams, as `mpeg2ts-reader` hands them out: in the pieces of the packets.
struct Counted;

impl pes::ElementaryStreamConsumer<PeerContext> for Counted {
    fn start_stream(&mut self, _: &mut PeerContext) {}
    fn begin_packet(&mut self, _: &mut PeerContext, header: pes::PesHeader<'_>) {
        black_box(header);
    }
    fn continue_packet(&mut self, _: &mut PeerContext, data: &[u8]) {
        black_box(data);
    }
    fn end_packet(&mut self, _: &mut PeerContext) {}
    fn continuity_error(&mut self, _: &mut PeerContext) {}
}

packet_filter_switch! {
    PeerFilter<PeerContext> {
        Pat: demultiplex::PatPacketFilter<PeerContext>,
        Pmt: demultiplex::PmtPacketFilter<PeerContext>,
        Pes: pes::PesPacketFilter<PeerContext, Counted>,
        Null: demultiplex::NullPacketFilter<PeerContext>,
    }
}
demux_context!(PeerContext, PeerFilter);

impl PeerContext {
    fn do_construct(&mut self, request: FilterRequest<'_, '_>) -> PeerFilter {
        match request {
            FilterRequest::ByPid(psi::pat::PAT_PID) => {
                PeerFilter::Pat(demultiplex::PatPacketFilter::default())
            }
            FilterRequest::Pmt {
                pid,
                program_number,
            } => PeerFilter::Pmt(demultiplex::PmtPacketFilter::new(pid, program_number)),
            FilterRequest::ByStream { .. } => PeerFilter::Pes(pes::PesPacketFilter::new(Counted)),
            FilterRequest::ByPid(_) | FilterRequest::Nit { .. } => {
                PeerFilter::Null(demultiplex::NullPacketFilter::default())
            }
        }
    }
}

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
    // It stops at the pieces of PES packets: access units are neither cut nor put together.
    group.bench_function("mpeg2ts_reader_crate_to_pes", |b| {
        b.iter(|| {
            let mut context = PeerContext::new();
            let mut demux = demultiplex::Demultiplex::new(&mut context);
            for piece in black_box(&stream).chunks(PIECE / 188 * 188) {
                demux.push(&mut context, piece);
            }
        });
    });
    // It stops at packets.
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
    let (streams, units) = clip_units(CLIP);
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
    // It writes packets that are there already: units are not cut into them.
    let mut packets = Vec::new();
    let stream = trickle_testkit::clip_bytes(CLIP);
    let mut reader = TsPacketReader::new(&stream[..]);
    while let Ok(Some(packet)) = reader.read_ts_packet() {
        packets.push(packet);
    }
    let mut written = Vec::with_capacity(stream.len());
    group.bench_function("mpeg2ts_crate_from_packets", |b| {
        b.iter(|| {
            written.clear();
            let mut writer = TsPacketWriter::new(&mut written);
            for packet in black_box(&packets) {
                writer.write_ts_packet(packet).unwrap();
            }
        });
    });
    group.finish();
}

criterion_group!(benches, demux, mux);
criterion_main!(benches);
