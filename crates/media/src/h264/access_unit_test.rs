//! Where access units begin: with and without delimiters, slices, fields, missing sets.

use proptest::prelude::*;

use super::super::annexb::nal_units;
use super::super::fixtures::{self, AUD, Field, Slice, annexb};
use super::*;

/// Splits a stream into units, as lists of NAL unit types.
fn split(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut detector = AccessUnitDetector::new();
    let mut starts = vec![0];
    for nal in nal_units(stream) {
        if let (Some(boundary), _) = detector.push(nal) {
            starts.push(boundary.offset);
        }
    }
    starts.push(stream.len());
    starts
        .windows(2)
        .map(|range| {
            nal_units(&stream[range[0]..range[1]])
                .map(|nal| nal.kind().0)
                .collect()
        })
        .collect()
}

fn picture(frame_num: u32) -> Slice {
    Slice {
        frame_num,
        order: 2 * frame_num,
        ..Slice::default()
    }
}

fn second_slice(slice: Slice) -> Slice {
    Slice {
        first_mb: 40,
        ..slice
    }
}

fn idr() -> Slice {
    Slice {
        idr: true,
        ..Slice::default()
    }
}

#[test]
fn delimiters_begin_units() {
    let stream = annexb([
        &AUD[..],
        &fixtures::sps(0, 20, false),
        &fixtures::pps(0, 0),
        &idr().nal(),
        &second_slice(idr()).nal(),
        &AUD,
        &picture(1).nal(),
    ]);
    assert_eq!(split(&stream), [vec![9, 7, 8, 5, 5], vec![9, 1]]);
}

#[test]
fn without_delimiters_slice_headers_tell_pictures_apart() {
    let stream = annexb([
        fixtures::sps(0, 20, false),
        fixtures::pps(0, 0),
        idr().nal(),
        second_slice(idr()).nal(),
        picture(1).nal(),
        second_slice(picture(1)).nal(),
        // No reference to it, so that frame_num stays: only the order count differs.
        Slice {
            unreferenced: true,
            order: 9,
            ..picture(2)
        }
        .nal(),
        Slice {
            unreferenced: true,
            order: 7,
            ..picture(2)
        }
        .nal(),
    ]);
    assert_eq!(
        split(&stream),
        [vec![7, 8, 5, 5], vec![1, 1], vec![1], vec![1]]
    );
}

#[test]
fn slices_in_any_order_stay_together() {
    let stream = annexb([
        fixtures::sps(0, 20, false),
        fixtures::pps(0, 0),
        second_slice(idr()).nal(),
        idr().nal(),
        picture(1).nal(),
    ]);
    assert_eq!(split(&stream), [vec![7, 8, 5, 5], vec![1]]);
}

#[test]
fn without_parameter_sets_macroblock_0_begins_a_picture() {
    let stream = annexb([
        picture(1).nal(),
        second_slice(picture(1)).nal(),
        picture(2).nal(),
    ]);
    assert_eq!(split(&stream), [vec![1, 1], vec![1]]);
}

#[test]
fn parameter_sets_and_sei_after_a_picture_belong_to_the_next() {
    let stream = annexb([
        fixtures::sps(0, 20, false),
        fixtures::pps(0, 0),
        idr().nal(),
        vec![6, 5, 1, 0x80],
        picture(1).nal(),
        // Filler belongs to the picture before it.
        vec![12, 0xff, 0x80],
        fixtures::pps(0, 0),
        picture(2).nal(),
    ]);
    assert_eq!(split(&stream), [vec![7, 8, 5], vec![6, 1, 12], vec![8, 1]]);
}

fn field(frame_num: u32, parity: Field) -> Slice {
    Slice {
        field: Some(parity),
        ..picture(frame_num)
    }
}

#[test]
fn the_two_fields_of_a_frame_are_one_unit() {
    let first = Slice {
        idr: true,
        ..field(0, Field::Top)
    };
    let stream = annexb([
        &AUD[..],
        &fixtures::sps(0, 20, true),
        &fixtures::pps(0, 0),
        &first.nal(),
        &AUD,
        &field(0, Field::Bottom).nal(),
        &AUD,
        &field(1, Field::Top).nal(),
        &field(1, Field::Bottom).nal(),
        &AUD,
        &field(2, Field::Frame).nal(),
    ]);
    assert_eq!(
        split(&stream),
        [vec![9, 7, 8, 5, 9, 1], vec![9, 1, 1], vec![9, 1]]
    );
}

#[test]
fn a_field_without_its_other_is_a_unit_of_its_own() {
    let stream = annexb([
        &fixtures::sps(0, 20, true)[..],
        &fixtures::pps(0, 0),
        &field(0, Field::Top).nal(),
        &AUD,
        &field(1, Field::Top).nal(),
    ]);
    assert_eq!(split(&stream), [vec![7, 8, 1], vec![9, 1]]);
}

#[test]
fn decoding_can_start_at_an_i_field_whose_second_field_refers_to_it() {
    let mut detector = AccessUnitDetector::new();
    let first = Slice {
        intra: true,
        ..field(7, Field::Top)
    };
    let stream = annexb([
        &fixtures::sps(0, 20, true)[..],
        &fixtures::pps(0, 0),
        &first.nal(),
        &field(7, Field::Bottom).nal(),
    ]);
    for nal in nal_units(&stream) {
        assert_eq!(detector.push(nal), (None, Ok(())));
    }
    assert!(detector.unit().is_random_access());
}

#[test]
fn facts_of_a_unit() {
    let mut detector = AccessUnitDetector::new();
    let stream = annexb([
        &AUD[..],
        &fixtures::sps(0, 20, false),
        &fixtures::pps(0, 0),
        &idr().nal(),
        &AUD,
    ]);
    let ended: Vec<UnitFacts> = nal_units(&stream)
        .filter_map(|nal| detector.push(nal).0)
        .map(|boundary| boundary.ended)
        .collect();
    let [facts] = ended[..] else {
        panic!("one unit ended, not {ended:?}")
    };
    assert!(facts.idr && facts.sps && facts.pps && facts.aud && !facts.single_field);
    assert_eq!(facts.slices, 1);
    assert!(detector.unit().aud && !detector.unit().idr);
    let slice = facts.first_slice.unwrap();
    let sps = detector.parameter_sets().active_sps(&slice).unwrap();
    assert_eq!(sps.width, 320);
}

#[test]
fn a_damaged_parameter_set_is_reported_and_passed_over() {
    let mut detector = AccessUnitDetector::new();
    let nal = |bytes| NalUnit { offset: 0, bytes };
    assert!(detector.push(nal(&[0x67, 1])).1.is_err());
    assert_eq!(detector.push(nal(&idr().nal())), (None, Ok(())));
}

proptest! {
    /// However many slices, delimiters and extra units a picture has, pictures come out.
    #[test]
    fn every_picture_is_one_unit(
        pictures in prop::collection::vec((1usize..4, any::<bool>(), any::<bool>()), 1..20),
    ) {
        let mut nals = vec![fixtures::sps(0, 20, false), fixtures::pps(0, 0)];
        let mut expected = Vec::new();
        for (at, &(slices, delimiter, sei)) in pictures.iter().enumerate() {
            let slice = picture(at as u32);
            let mut kinds = if at == 0 { vec![7, 8] } else { vec![] };
            if delimiter {
                nals.push(AUD.to_vec());
                kinds.push(9);
            }
            if sei {
                nals.push(vec![6, 5, 1, 0x80]);
                kinds.push(6);
            }
            for number in 0..slices {
                nals.push(Slice { first_mb: 10 * number as u32, ..slice }.nal());
                kinds.push(1);
            }
            expected.push(kinds);
        }
        prop_assert_eq!(split(&annexb(nals)), expected);
    }
}
