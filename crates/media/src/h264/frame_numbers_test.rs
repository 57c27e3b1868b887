//! Gaps in the numbers of pictures, and what is none.

use super::*;
use crate::h264::fixtures::{self, Slice, annexb};

/// `gaps` found in pictures with these numbers, after an IDR picture.
fn gaps(numbers: &mut FrameNumbers, pictures: &[(u32, bool)]) -> Vec<bool> {
    let unit = |(frame_num, reference): (u32, bool)| {
        let slice = Slice {
            frame_num,
            order: frame_num,
            unreferenced: !reference,
            ..Slice::default()
        };
        annexb([slice.nal()])
    };
    let pictures = pictures.iter().copied();
    pictures
        .map(|picture| numbers.follow_a_gap(&unit(picture)))
        .collect()
}

fn begun() -> FrameNumbers {
    let mut numbers = FrameNumbers::new();
    let idr = Slice {
        idr: true,
        ..Slice::default()
    };
    let sets = [fixtures::sps(0, 20, false), fixtures::pps(0, 0)];
    let unit = annexb(sets.into_iter().chain([idr.nal()]));
    assert!(!numbers.follow_a_gap(&unit));
    numbers
}

#[test]
fn numbers_that_count_on_are_no_gap() {
    let pictures = [(1, true), (2, false), (2, false), (2, true), (3, true)];
    assert_eq!(gaps(&mut begun(), &pictures), [false; 5]);
    // They are counted modulo 16 or more, and some pictures reset them.
    let wrapped: Vec<_> = (1..600).map(|at| (at % 256, true)).collect();
    assert!(!gaps(&mut begun(), &wrapped).contains(&true));
    assert_eq!(
        gaps(&mut begun(), &[(1, true), (0, true), (1, true)]),
        [false; 3]
    );
}

#[test]
fn a_missing_reference_picture_is_a_gap_and_another_is_none() {
    let pictures = [(1, true), (3, true), (4, true), (5, false), (6, false)];
    assert_eq!(
        gaps(&mut begun(), &pictures),
        [false, true, false, false, true]
    );
}

#[test]
fn any_number_may_come_first() {
    let mut numbers = begun();
    numbers.start_over();
    let pictures = [(7, true), (8, true), (10, true)];
    assert_eq!(gaps(&mut numbers, &pictures), [false, false, true]);
}
