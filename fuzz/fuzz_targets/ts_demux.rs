//! Any bytes demux without panic, and to the same units whole and in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};
use trickle_media::{AccessUnit, TrackId};

type Unit = (TrackId, i64, i64, bool, Vec<u8>);

fn demux<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Unit> {
    let mut demuxer = Demuxer::new(DemuxOptions {
        max_unit: 100_000,
        ..DemuxOptions::default()
    });
    let mut units = Vec::new();
    let mut take = |demuxer: &mut Demuxer| {
        while let Some(event) = demuxer.next_event() {
            match event {
                DemuxEvent::Unit(AccessUnit { track, pts, dts, flags, data, .. }) => {
                    assert!(data.len() <= 200_000);
                    units.push((track, pts.ticks, dts.ticks, flags.damaged, data.to_vec()));
                }
                DemuxEvent::Fault(fault) => drop(fault.to_string()),
                DemuxEvent::Streams(streams) => drop(streams),
            }
        }
    };
    for piece in pieces {
        demuxer.push(piece, None);
        take(&mut demuxer);
    }
    demuxer.finish();
    take(&mut demuxer);
    units
}

fuzz_target!(|data: &[u8]| {
    let Some((&size, stream)) = data.split_first() else {
        return;
    };
    let whole = demux(std::iter::once(stream));
    let pieces = demux(stream.chunks(usize::from(size) + 1));
    assert_eq!(whole, pieces);
});
