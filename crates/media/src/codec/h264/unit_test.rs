//! What of an access unit reaches the decoder.

use super::*;
use crate::codec::openh264::OpenH264;

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
    unit.fill::<OpenH264>(data).unwrap();
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
    assert!(unit.has_picture() && unit.is_reference() && unit.sps().is_some());
}

#[test]
fn a_slice_that_nobody_refers_to_is_recognised() {
    assert!(!cleaned(&annexb(&[&[0x01, 0x9a]])).is_reference());
    assert!(cleaned(&annexb(&[&[0x21, 0x9a]])).is_reference());
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
    let error = CleanUnit::default().fill::<OpenH264>(&annexb(&[&[0x42, 1]]));
    assert!(matches!(error, Err(SpsError::Unsupported(_))), "{error:?}");
}
