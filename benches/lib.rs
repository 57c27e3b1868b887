//! Shared set-up of the benches.

// What cannot be set up cannot be measured: it stops here.
#![allow(clippy::expect_used)]

mod stage;

pub use stage::{Stage, Stages};

use trickle_media::frame::{FramePool, PixelFormat, PlanarImage};
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};
use trickle_media::{AccessUnit, StreamInfo};

/// A picture with gradients in every plane, so that no two neighbours are alike.
pub fn picture(format: PixelFormat, width: usize, height: usize) -> PlanarImage {
    let pool = FramePool::new();
    let mut image =
        PlanarImage::new(format, width, height, &pool.bytes).expect("a valid picture size");
    for (plane, samples) in image.planes_mut().into_iter().enumerate() {
        for (at, sample) in samples.iter_mut().enumerate() {
            *sample = 40 + ((at * (plane + 1) + at / width * 3) % 160) as u8;
        }
    }
    image
}

/// The clip that the stages are benched on: 125 frames of 720p25, Opus.
pub const CLIP: &str = "live_720p25_baseline_opus.ts";

/// Streams and access units of a clip.
pub fn clip_units(clip: &str) -> (Vec<StreamInfo>, Vec<AccessUnit>) {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(&trickle_testkit::clip_bytes(clip), None);
    demuxer.finish();
    let mut units = Vec::new();
    while let Some(event) = demuxer.next_event() {
        if let DemuxEvent::Unit(unit) = event {
            units.push(unit);
        }
    }
    (demuxer.streams().to_vec(), units)
}
