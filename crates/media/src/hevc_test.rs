//! The clips' parameters are ffprobe's, and those of sets in which everything optional is there are
//! what FFmpeg's `trace_headers` reads of them; any bytes are survived.

use proptest::prelude::*;

use super::*;
use crate::stream::{ColorDescription, Rational};
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
    assert_eq!(params.frame_rate, Rational::new(25, 1));
    assert_eq!(params.reorder, Some(2));
}

/// A video parameter set with three sub-layers and a rate of 60000/1001.
const VPS_60: &str = "\
    40010c05ffff04080000030080000003000003005df00004080000030080000003000003003c040800000300 \
    80000003000003003c954ae5240c00000fa40003a98140";
/// A sequence parameter set with scaling lists, PCM, predicted reference picture sets, long-term
/// pictures, every part of the VUI; all but its end, which says whether the VUI states a rate.
const SPS_HEAD: &str = "\
    42010504080000030080000003000003005df00004080000030080000003000003003c040800000300800000 \
    03000003003c4800f0200441f2b65954ae526e44b6992992992992d325325325325a64a64a64a64b4c94c94c \
    94c94c94c94c94c94c94c94c94c94c94c94c94c9699299299299299299299299299299299299299299299299 \
    2d32532532532532532532532532532532532532532532532599325325325325325325325325325325325325 \
    3253253253259932532532532532532532532532532532532532532532532599325325325325325325325325 \
    32532532532532532532532599325325325325325325325325325325325325325325325327bbd4ad68be3b61 \
    49b05e43ffc0010000ed4244026d8f";
const WITH_RATE: &str = "7000003e90000ea60080";
const WITHOUT_RATE: &str = "62";

fn annexb(sets: &[&str]) -> Vec<u8> {
    let digits = |set: &str| {
        set.bytes()
            .filter(u8::is_ascii_hexdigit)
            .collect::<Vec<_>>()
    };
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let mut unit = Vec::new();
    for set in sets {
        unit.extend(START_CODE);
        unit.extend(digits(set).chunks(2).map(byte));
    }
    unit
}

#[test]
fn everything_optional_is_passed_over_to_colour_and_rate() {
    let with_rate = format!("{SPS_HEAD}{WITH_RATE}");
    let without = format!("{SPS_HEAD}{WITHOUT_RATE}");
    let rate = Rational::new(60_000, 1_001);
    for (sets, rate) in [
        (vec![with_rate.as_str()], rate),
        (vec![VPS_60, without.as_str()], rate),
        (vec![without.as_str()], None),
    ] {
        let params = video_params(&annexb(&sets)).unwrap();
        assert_eq!((params.width, params.height), (1_920, 1_080));
        assert_eq!((params.bit_depth, params.chroma_format), (10, 1));
        assert_eq!((params.profile, params.level), (4, 31));
        assert_eq!(params.reorder, Some(3));
        assert_eq!(params.frame_rate, rate);
        let color = ColorDescription {
            primaries: 9,
            transfer: 16,
            matrix: 9,
            full_range: false,
        };
        assert_eq!(params.color, color);
    }
    // Cut in the lists: what stands before stands.
    let cut = annexb(&[&SPS_HEAD[..200]]);
    let params = video_params(&cut).unwrap();
    assert_eq!((params.width, params.reorder), (1_920, Some(3)));
    assert_eq!(params.frame_rate, None);
}

#[test]
fn keyframes_get_the_sets_that_came_before() {
    let sps = format!("{SPS_HEAD}{WITH_RATE}");
    let (delimiter, pps, slice) = ("460150", "4401c173d189", "2601af15");
    let mut sets = ParameterSets::default();
    let whole: Bytes = annexb(&[delimiter, VPS_60, &sps, pps, slice]).into();
    assert_eq!(sets.complete(whole.clone(), true), whole);
    let inter: Bytes = annexb(&[delimiter, "0201d0"]).into();
    assert_eq!(sets.complete(inter.clone(), false), inter);
    let bare = annexb(&[delimiter, slice]);
    assert_eq!(sets.complete(bare.into(), true), whole);
    // With one that is new, in place of the old.
    let other = "4401c173d18a";
    let partly = annexb(&[other, slice]);
    let expected = annexb(&[VPS_60, &sps, other, slice]);
    assert_eq!(sets.complete(partly.into(), true), expected);
    assert_eq!(sets.complete(annexb(&[slice]).into(), true), expected);
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
            let whole = ParameterSets::default().complete(unit.clone().into(), true);
            prop_assert_eq!(&whole[..], &unit[..]);
        }
    }
}
