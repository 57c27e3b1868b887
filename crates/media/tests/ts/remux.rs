//! Clips through demuxer, muxer and demuxer again: payloads and times stay the same.

use bytes::BytesMut;
use trickle_media::AccessUnit;
use trickle_media::ts::{MuxOptions, Muxer, Placed, Segmenter, SegmenterOptions};
use trickle_testkit::clip_bytes;

use crate::support::{Demuxed, demux};

const CLIPS: [&str; 12] = [
    "audioonly_opus.ts",
    "bframes_360p30_high_aac.ts",
    "bunny_720p25_main_aac51.ts",
    "crop_854x482_videoonly.ts",
    "h264_high10_240p25.ts",
    "hevc_240p25.ts",
    "interlaced_576i.ts",
    "live_720p25_baseline_opus.ts",
    "portrait_360x640_aac44k_mono.ts",
    "ptswrap_180p30.ts",
    "reschange_360p_to_240p.ts",
    "vfr_240p.ts",
];

fn assert_same(again: &Demuxed, first: &Demuxed, clip: &str) {
    assert_eq!(again.units.len(), first.units.len(), "{clip}");
    let params = |found: &Demuxed| -> Vec<_> {
        let infos = found.streams.iter();
        infos
            .map(|info| (info.codec, info.params.clone()))
            .collect()
    };
    assert_eq!(params(again), params(first), "{clip}");
    let key = |unit: &AccessUnit| {
        (
            unit.codec,
            unit.pts,
            unit.dts,
            unit.keyframe,
            unit.data.clone(),
        )
    };
    let wraps = first.units[0].dts.ticks - again.units[0].dts.ticks;
    assert_eq!(wraps % (1 << 33), 0, "{clip}");
    for (got, wanted) in again.units.iter().zip(&first.units) {
        let moved = AccessUnit {
            pts: got.pts.offset(wraps),
            dts: got.dts.offset(wraps),
            ..got.clone()
        };
        assert!(
            key(&moved) == key(wanted),
            "{clip}: {} at {}",
            wanted.codec,
            wanted.dts
        );
    }
}

#[test]
fn payloads_and_times_survive_the_muxer() {
    for clip in CLIPS {
        let first = demux(&clip_bytes(clip));
        let mut muxer = Muxer::new(&first.streams, &MuxOptions::default()).unwrap();
        let mut out = BytesMut::new();
        muxer.write_tables(&mut out);
        for unit in &first.units {
            muxer.write(unit, &mut out).unwrap();
        }
        let again = demux(&out);
        assert_eq!(again.faults, [], "{clip}");
        assert_same(&again, &first, clip);
    }
}

#[test]
fn payloads_and_times_survive_the_segmenter() {
    for clip in CLIPS {
        let first = demux(&clip_bytes(clip));
        let options = SegmenterOptions::default();
        let mut segmenter = Segmenter::new(&first.streams, &options).unwrap();
        let mut out = BytesMut::new();
        let mut segments = 0;
        for unit in &first.units {
            let placed = segmenter.write(unit, &mut out).unwrap();
            assert!(
                placed != Placed::BeforeKeyframe,
                "clips begin with a keyframe"
            );
            segments += usize::from(placed == Placed::NewSegment);
        }
        let again = demux(&out);
        assert_eq!(again.faults, [], "{clip}");
        assert_same(&again, &first, clip);
        let keyframes = first.units.iter().filter(|unit| unit.keyframe);
        assert!(
            (1..=keyframes.count()).contains(&segments),
            "{clip}: {segments} segments"
        );
    }
}
