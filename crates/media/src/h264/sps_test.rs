//! Sequence parameter sets of real encoders, and damaged ones.

use proptest::prelude::*;

use super::super::fixtures;
use super::*;
use crate::stream::{ColorDescription, Rational};

/// `67 42 …` as bytes.
fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn params(text: &str) -> VideoParams {
    Sps::parse(&hex(text)).unwrap().video_params()
}

#[test]
fn baseline_720p_states_size_rate_and_no_reordering() {
    let params = params("6742c01fda014016ec0440000003004000000ca3c60ca8");
    assert_eq!((params.width, params.height), (1280, 720));
    assert_eq!((params.profile, params.level), (66, 31));
    assert_eq!(params.frame_rate, Rational::new(25, 1));
    assert_eq!(params.reorder, Some(0));
    assert!(!params.interlaced);
    assert_eq!((params.bit_depth, params.chroma_format), (8, 1));
    assert_eq!(params.color, ColorDescription::UNSPECIFIED);
}

#[test]
fn high_with_b_frames_states_how_far_pictures_move() {
    let params = params("6764001eacd940a02ff970110000030001000003003c0f162d96");
    assert_eq!((params.width, params.height), (640, 360));
    assert_eq!(params.frame_rate, Rational::new(30, 1));
    assert_eq!(params.reorder, Some(2));
}

#[test]
fn cropping_is_applied_in_units_of_chroma_samples() {
    let sps = Sps::parse(&hex(
        "6764001facb201b07fcd1180880000030008000003018078c19240",
    ))
    .unwrap();
    assert_eq!((sps.coded_width, sps.coded_height), (864, 496));
    assert_eq!((sps.width, sps.height), (854, 482));
    assert_eq!(sps.video_params().frame_rate, Rational::new(24, 1));
}

#[test]
fn interlaced_streams_are_told_by_frame_mbs_only() {
    let params = params("67640016acd940b424d808800000030100000300190f8a14cb");
    assert_eq!((params.width, params.height), (720, 576));
    assert!(params.interlaced);
    assert_eq!(params.frame_rate, Rational::new(25, 2));
}

#[test]
fn ten_bits_are_told() {
    let params = params("676e000da6cd94141fb011000003000100000300320f142996");
    assert_eq!((params.width, params.height), (320, 240));
    assert_eq!((params.profile, params.bit_depth), (110, 10));
}

#[test]
fn a_vui_cut_short_keeps_what_came_before() {
    let whole = hex("6742c01fda014016ec0440000003004000000ca3c60ca8");
    let sps = Sps::parse(&whole[..whole.len() - 3]).unwrap();
    assert_eq!((sps.width, sps.height), (1280, 720));
    assert_eq!(sps.vui.unwrap().max_num_reorder_frames, None);
}

#[test]
fn each_kind_of_damage_has_its_error() {
    let whole = fixtures::sps(0, 20, false);
    assert!(matches!(
        Sps::parse(&whole[..5]),
        Err(ParameterSetError::Bits(_))
    ));
    assert_eq!(
        Sps::parse(&fixtures::pps(0, 0)),
        Err(ParameterSetError::Kind {
            wanted: NalKind::SPS,
            got: NalKind::PPS
        })
    );
    assert_eq!(
        Sps::parse(&fixtures::sps(32, 20, false)),
        Err(ParameterSetError::Range {
            field: "seq_parameter_set_id",
            value: 32,
            max: 31
        })
    );
    assert_eq!(
        Sps::parse(&fixtures::sps(0, 1025, false)),
        Err(ParameterSetError::Size {
            width: 16_400,
            height: 16_400
        })
    );
    assert!(Sps::parse(&[]).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut nal = vec![0x67];
        nal.extend(&bytes);
        if let Ok(sps) = Sps::parse(&nal) {
            prop_assert!(sps.width >= 1 && sps.width as usize <= MAX_SIDE);
            prop_assert!(sps.height >= 1 && sps.height as usize <= MAX_SIDE);
        }
    }
}
