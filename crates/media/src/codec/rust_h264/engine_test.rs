//! Pictures of rust_h264 before any conversion are FFmpeg's, bit for bit.

use serde_json::Value;

use super::*;
use crate::access_unit::AccessUnit;
use crate::ts::{DemuxEvent, DemuxOptions, Demuxer};

fn units(clip: &str) -> Vec<AccessUnit> {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(&trickle_testkit::clip_bytes(clip), None);
    demuxer.finish();
    let events = std::iter::from_fn(|| demuxer.next_event());
    events
        .filter_map(|event| match event {
            DemuxEvent::Unit(unit) if unit.codec == Codec::H264 => Some(unit),
            _ => None,
        })
        .collect()
}

/// MD5 of each picture, in the order they are shown in.
fn decoded(clip: &str) -> Vec<String> {
    let mut engine = RustH264::start().unwrap();
    let mut shown: Vec<(i64, String)> = units(clip)
        .iter()
        .map(|unit| {
            let frame = engine.picture(&unit.data).unwrap().unwrap();
            let bytes = [frame.y, frame.u, frame.v].concat();
            (unit.pts.ticks, format!("{:x}", md5::compute(bytes)))
        })
        .collect();
    shown.sort();
    shown.into_iter().map(|(_, md5)| md5).collect()
}

#[test]
fn pictures_equal_ffmpegs() {
    for clip in [
        "interlaced_576i.ts",
        "h264_mbaff_bframes.ts",
        "h264_high10_240p25.ts",
        "h264_high422_8.ts",
        "h264_high422_10_interlaced.ts",
        "h264_monochrome.ts",
        "h264_paff.ts",
        // What OpenH264 decodes as well, but not always to the bit.
        "bframes_360p30_high_aac.ts",
    ] {
        let path = trickle_testkit::clip(&format!("../figures/{clip}.json"));
        let figures: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let expected = figures["frames"]["md5"].as_array().unwrap();
        let got = decoded(clip);
        assert_eq!(got.len(), expected.len(), "{clip}");
        for (number, (got, expected)) in got.iter().zip(expected).enumerate() {
            assert_eq!(got, expected, "{clip}, picture {number}");
        }
    }
}

#[test]
fn a_picture_with_one_field_is_damaged() {
    // Until a sequence parameter set says how high a picture is, anything goes.
    let mut engine = RustH264::start().unwrap();
    let units = units("interlaced_576i.ts");
    let pool = FramePool::new();
    assert!(engine.decode(&units[0].data, &pool).unwrap().is_some());
    engine.rows = Some(10_000);
    let error = engine.decode(&units[0].data, &pool).unwrap_err();
    assert!(error.contains("field"), "{error}");
}
