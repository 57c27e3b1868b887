//! The clip's parameters are ffprobe's; any bytes are survived.

use proptest::prelude::*;

use super::*;
use crate::ts::{DemuxEvent, DemuxOptions, Demuxer};

fn first_unit() -> Vec<u8> {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(&trickle_testkit::clip_bytes("hevc_240p25.ts"), None);
    let unit = std::iter::from_fn(|| demuxer.next_event()).find_map(|event| match event {
        DemuxEvent::Unit(unit) => Some(unit.data.to_vec()),
        _ => None,
    });
    unit.unwrap()
}

#[test]
fn size_and_format_are_read() {
    let unit = first_unit();
    assert!(is_random_access(&unit));
    let params = video_params(&unit).unwrap();
    assert_eq!((params.width, params.height), (320, 240));
    assert_eq!((params.bit_depth, params.chroma_format), (8, 1));
    // Main.
    assert_eq!(params.profile, 1);
}

proptest! {
    #[test]
    fn damaged_sets_are_survived(
        flips in prop::collection::vec((0usize..120, any::<u8>()), 0..6),
        noise in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut unit = first_unit();
        for (at, byte) in flips {
            unit[at] = byte;
        }
        for unit in [&unit, &noise] {
            if let Some(params) = video_params(unit) {
                prop_assert!(params.width > 0 && params.height > 0 && params.bit_depth <= 16);
            }
            let _ = is_random_access(unit);
        }
    }
}
