//! Demuxing in tests, whole and in pieces.

use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer, TsFault, TsStats};
use trickle_media::{AccessUnit, StreamInfo};

/// All that a demuxer found.
#[derive(Default)]
pub(crate) struct Demuxed {
    /// The last list of streams.
    pub(crate) streams: Vec<StreamInfo>,
    /// How often a list came.
    pub(crate) announcements: usize,
    pub(crate) units: Vec<AccessUnit>,
    pub(crate) faults: Vec<TsFault>,
    pub(crate) stats: TsStats,
}

impl Demuxed {
    /// Units of one track.
    pub(crate) fn track(&self, id: u32) -> Vec<&AccessUnit> {
        let units = self.units.iter();
        units.filter(|unit| unit.track.0 == id).collect()
    }
}

/// Demuxes a whole stream.
pub(crate) fn demux(stream: &[u8]) -> Demuxed {
    demux_pieces([stream])
}

/// Demuxes a stream that comes in pieces.
pub(crate) fn demux_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Demuxed {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    let mut found = Demuxed::default();
    for piece in pieces {
        demuxer.push(piece, None);
        take_events(&mut demuxer, &mut found);
    }
    demuxer.finish();
    take_events(&mut demuxer, &mut found);
    found.stats = demuxer.stats();
    found
}

fn take_events(demuxer: &mut Demuxer, found: &mut Demuxed) {
    while let Some(event) = demuxer.next_event() {
        match event {
            DemuxEvent::Streams(streams) => {
                found.streams = streams;
                found.announcements += 1;
            }
            DemuxEvent::Unit(unit) => found.units.push(unit),
            DemuxEvent::Fault(fault) => found.faults.push(fault),
        }
    }
}
