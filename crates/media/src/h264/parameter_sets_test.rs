//! Parameter sets by id: replaced, kept through damage, written back.

use super::super::annexb::nal_units;
use super::super::fixtures;
use super::*;

fn insert(sets: &mut ParameterSets, nal: &[u8]) -> Result<bool, ParameterSetError> {
    sets.insert(NalUnit {
        offset: 0,
        bytes: nal,
    })
}

#[test]
fn only_new_and_changed_sets_count_as_changes() {
    let mut sets = ParameterSets::new();
    assert!(sets.is_empty());
    assert_eq!(insert(&mut sets, &fixtures::sps(0, 20, false)), Ok(true));
    assert_eq!(insert(&mut sets, &fixtures::pps(0, 0)), Ok(true));
    assert_eq!(insert(&mut sets, &fixtures::sps(0, 20, false)), Ok(false));
    assert_eq!(insert(&mut sets, &fixtures::sps(0, 10, false)), Ok(true));
    assert_eq!(sets.sps(0).unwrap().width, 160);
    assert!(!sets.is_empty());
}

#[test]
fn a_slice_finds_its_sequence_parameter_set_through_the_picture_parameter_set() {
    let mut sets = ParameterSets::new();
    insert(&mut sets, &fixtures::sps(3, 20, false)).unwrap();
    insert(&mut sets, &fixtures::sps(4, 10, false)).unwrap();
    insert(&mut sets, &fixtures::pps(7, 4)).unwrap();
    let (sps, pps) = sets.of_slice(7).unwrap();
    assert_eq!((sps.id, sps.width, pps.id), (4, 160, 7));
    assert!(sets.of_slice(0).is_none());
}

#[test]
fn a_damaged_set_leaves_the_others_alone() {
    let mut sets = ParameterSets::new();
    insert(&mut sets, &fixtures::sps(0, 20, false)).unwrap();
    assert!(insert(&mut sets, &[0x67, 77]).is_err());
    assert_eq!(sets.sps(0).unwrap().width, 320);
}

#[test]
fn sets_are_written_back_as_they_came() {
    let mut sets = ParameterSets::new();
    let (pps, sps) = (fixtures::pps(0, 0), fixtures::sps(0, 20, false));
    insert(&mut sets, &pps).unwrap();
    insert(&mut sets, &sps).unwrap();
    let stream = sets.to_annexb();
    let nals: Vec<&[u8]> = nal_units(&stream).map(|nal| nal.bytes).collect();
    assert_eq!(nals, [&sps[..], &pps[..]]);
}
