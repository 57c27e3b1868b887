//! What of an access unit reaches the decoder.

use proptest::prelude::*;

use super::*;

const SPS: [u8; 23] = [
    0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xec, 0x04, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40,
    0x00, 0x00, 0x0c, 0xa3, 0xc6, 0x0c, 0xa8,
];
const PPS: [u8; 4] = [0x68, 0xce, 0x0f, 0xc8];

fn annexb(nals: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for nal in nals {
        bytes.extend_from_slice(&START_CODE);
        bytes.extend_from_slice(nal);
    }
    bytes
}

fn cleaned(data: &[u8]) -> CleanUnit {
    let mut unit = CleanUnit::default();
    unit.fill(data).unwrap();
    unit
}

#[test]
fn only_slices_and_parameter_sets_stay() {
    let (idr, slice) = ([0x65, 0x88], [0x41, 0x9a]);
    let delimiter: &[u8] = &[0x09, 0xf0];
    let extension: &[u8] = &[0x6f, 0x53, 0x00];
    let data = annexb(&[delimiter, &SPS, extension, &PPS, &[0x06, 5], &idr, &slice]);
    let unit = cleaned(&data);
    assert_eq!(unit.bytes(), annexb(&[&SPS, &PPS, &idr, &slice]));
    assert!(unit.has_picture() && unit.is_reference() && unit.has_parameter_sets());
}

#[test]
fn a_slice_that_nobody_refers_to_is_recognised() {
    assert!(!cleaned(&annexb(&[&[0x01, 0x9a]])).is_reference());
    assert!(cleaned(&annexb(&[&[0x21, 0x9a]])).is_reference());
}

#[test]
fn short_start_codes_and_trailing_zeros_are_understood() {
    let unit = cleaned(&[0, 0, 1, 0x41, 7, 0, 0, 0, 0, 0, 1, 0x41, 8, 0]);
    assert_eq!(unit.bytes(), annexb(&[&[0x41, 7], &[0x41, 8]]));
}

#[test]
fn parameter_sets_are_kept_until_new_ones_come() {
    let mut kept = Vec::new();
    cleaned(&annexb(&[&SPS, &PPS])).keep_parameter_sets(&mut kept);
    assert_eq!(kept, annexb(&[&SPS, &PPS]));
    cleaned(&annexb(&[&[0x68, 1]])).keep_parameter_sets(&mut kept);
    assert_eq!(kept, annexb(&[&SPS, &PPS, &[0x68, 1]]));
    cleaned(&annexb(&[&SPS])).keep_parameter_sets(&mut kept);
    assert_eq!(kept, annexb(&[&SPS]));
}

#[test]
fn partitioned_slices_are_refused() {
    let error = CleanUnit::default().fill(&annexb(&[&[0x42, 1]]));
    assert!(matches!(error, Err(SpsError::Unsupported(_))), "{error:?}");
}

proptest! {
    #[test]
    fn any_bytes_are_split_without_loss(
        data in prop::collection::vec(prop_oneof![3 => 0u8..2, 1 => any::<u8>()], 0..200),
    ) {
        let bytes: usize = nal_units(&data).map(<[u8]>::len).sum();
        prop_assert!(bytes <= data.len());
        for nal in nal_units(&data) {
            prop_assert!(!nal.windows(3).any(|window| window == [0, 0, 1]));
            prop_assert_ne!(nal.last(), Some(&0));
        }
        let _ = CleanUnit::default().fill(&data);
    }
}
