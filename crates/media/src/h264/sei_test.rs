//! Recovery points among other messages.

use super::*;

fn found(payload: &[u8]) -> Option<u32> {
    let bytes = [&[6], payload].concat();
    recovery_frames(NalUnit {
        offset: 0,
        bytes: &bytes,
    })
}

#[test]
fn a_recovery_point_is_found_behind_other_messages() {
    // ue(0) is one bit, ue(3) is 00100.
    assert_eq!(found(&[6, 1, 0xc4, 0x80]), Some(0));
    assert_eq!(found(&[6, 1, 0x24, 0x80]), Some(3));
    let long = [&[5, 0xff, 1][..], &[9; 256], &[6, 1, 0xc4, 0x80]].concat();
    assert_eq!(found(&long), Some(0));
}

#[test]
fn without_one_or_cut_short_there_is_none() {
    assert_eq!(found(&[1, 2, 9, 9, 0x80]), None);
    assert_eq!(found(&[6]), None);
    assert_eq!(found(&[]), None);
    assert_eq!(found(&[5, 0xff, 0xff]), None);
}
