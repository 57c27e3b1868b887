//! Parameter sets of real streams: what is refused, and what the decoder gets to see.

use proptest::prelude::*;

use super::*;
use crate::h264::ParameterSetError;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// x264: Main, High, High with cropping, Constrained Baseline.
const MAIN: &str = "674d401fda014016ec0440000003004000000c83c60ca8";
const HIGH: &str = "6764001eacd940a02ff970110000030001000003003c0f162d96";
const CROPPED: &str = "6764001facb201b07fcd1180880000030008000003018078c19240";
const BASELINE: &str = "6742c01fda014016ec0440000003004000000ca3c60ca8";
const INTERLACED: &str = "67640016acd940b424d808800000030100000300190f8a14cb";
const HIGH_10: &str = "676e000da6cd94141fb011000003000100000300320f142996";

fn rewritten(nal: &[u8]) -> Result<Vec<u8>, SpsError> {
    let mut out = Vec::new();
    for_decoder(nal, &mut out).map(|_| out)
}

#[test]
fn baseline_is_left_alone() {
    assert_eq!(rewritten(&hex(BASELINE)).unwrap(), hex(BASELINE));
}

#[test]
fn high_changes_in_its_profile_alone() {
    for original in [HIGH, CROPPED] {
        let mut expected = hex(original);
        expected[1] = profile::SCALABLE_BASELINE;
        assert_eq!(rewritten(&hex(original)).unwrap(), expected);
    }
}

#[test]
fn main_gains_the_fields_that_it_implies() {
    let before = unescape(&hex(MAIN));
    let after = unescape(&rewritten(&hex(MAIN)).unwrap());
    let (mut old, mut new) = (BitReader::plain(&before), BitReader::plain(&after));
    assert_eq!((old.bits(16), new.bits(16)), (Ok(0x674d), Ok(0x6753)));
    assert_eq!(old.bits(16), new.bits(16), "constraints and level");
    assert_eq!(old.ue(), new.ue(), "id");
    let chroma = [new.ue(), new.ue(), new.ue(), new.bits(2)];
    assert_eq!(chroma, [Ok(1), Ok(0), Ok(0), Ok(0)], "4:2:0, 8 bits");
    for _ in 33..=stop_bit(&before) {
        assert_eq!(old.flag(), new.flag());
    }
    // All that the set says stays the same.
    let said = |bytes: &[u8]| Sps {
        profile: 0,
        ..Sps::parse(bytes).unwrap()
    };
    assert_eq!(said(&hex(MAIN)), said(&rewritten(&hex(MAIN)).unwrap()));
}

#[test]
fn what_cannot_be_decoded_is_named() {
    for (nal, word) in [(INTERLACED, "interlaced"), (HIGH_10, "10 bits")] {
        match rewritten(&hex(nal)) {
            Err(SpsError::Unsupported(unsupported)) => {
                assert!(unsupported.reason.contains(word), "{unsupported}");
            }
            other => panic!("{other:?}"),
        }
    }
    let reason = |profile, depth, chroma| refusal(profile, depth, chroma, false);
    assert_eq!(reason(100, 8, 1), None);
    assert!(reason(122, 8, 2).unwrap().contains("4:2:2"));
    assert!(reason(244, 8, 3).unwrap().contains("4:4:4"));
    assert!(reason(100, 8, 0).unwrap().contains("monochrome"));
    assert!(reason(88, 8, 1).unwrap().contains("Extended"));
}

/// A Baseline parameter set of 2 × 2 macroblocks, with this cropping.
fn cropping(offsets: [u32; 4]) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.bits(0x6742_c01f, 32);
    // id, log2_max_frame_num, pic_order_cnt_type 2, num_ref_frames
    for value in [0, 0, 2, 1] {
        bits.ue(value);
    }
    bits.flag(false);
    bits.ue(1);
    bits.ue(1);
    // frame_mbs_only_flag, direct_8x8_inference_flag, frame_cropping_flag
    bits.bits(0b111, 3);
    for offset in offsets {
        bits.ue(offset);
    }
    bits.flag(false);
    bits.finish()
}

#[test]
fn cropping_stays_inside_the_picture() {
    assert!(rewritten(&cropping([7, 8, 0, 15])).is_ok());
    for offsets in [
        [8, 8, 0, 0],
        [0, 0, 0, 16],
        [u32::MAX - 1, 2, 0, 0],
        [0, 0, 0x7fff_ffff, 0x7fff_ffff],
    ] {
        let size = rewritten(&cropping(offsets));
        let refused = matches!(size, Err(SpsError::Damaged(ParameterSetError::Size { .. })));
        assert!(refused, "{offsets:?}: {size:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_give_a_parameter_set_or_an_error(
        nal in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let _ = rewritten(&nal);
    }

    #[test]
    fn cut_and_flipped_parameter_sets_give_no_start_code(
        which in 0usize..4,
        cut in 0usize..30,
        flip in 0usize..200,
    ) {
        let mut nal = hex([MAIN, HIGH, CROPPED, BASELINE][which]);
        if let Some(byte) = nal.get_mut(flip / 8) {
            *byte ^= 1 << (flip % 8);
        }
        nal.truncate(nal.len() - cut.min(nal.len()));
        // No NAL unit of a byte stream has one inside.
        prop_assume!(!nal.windows(3).any(|window| window == [0, 0, 1]));
        if let Ok(out) = rewritten(&nal) {
            prop_assert!(!out.windows(3).any(|window| window == [0, 0, 1]));
        }
    }
}
