//! Deinterlacing: combs go, everything else stays.

use super::*;

const ROW: usize = 16;

#[test]
fn where_both_fields_agree_nothing_changes() {
    let picture: Vec<u8> = (0..ROW * 9)
        .map(|at| ((at / ROW) * 20 + at % ROW) as u8)
        .collect();
    let mut plane = picture.clone();
    deinterlace(&mut plane, ROW);
    assert_eq!(plane, picture, "a gradient");
    // A level edge between two rows of either field.
    for edge in 1..9 {
        let picture: Vec<u8> = (0..ROW * 9)
            .map(|at| if at / ROW < edge { 30 } else { 200 })
            .collect();
        let mut plane = picture.clone();
        deinterlace(&mut plane, ROW);
        assert_eq!(plane, picture, "an edge above row {edge}");
    }
}

#[test]
fn what_moves_between_the_fields_has_no_combs() {
    // A bar of 4 columns that is 4 columns further in the bottom field.
    let bar = |at: usize, from: usize| {
        if (from..from + 4).contains(&(at % ROW)) {
            200
        } else {
            50
        }
    };
    let mut plane: Vec<u8> = (0..ROW * 8)
        .map(|at| bar(at, if (at / ROW).is_multiple_of(2) { 4 } else { 8 }))
        .collect();
    deinterlace(&mut plane, ROW);
    let top: Vec<u8> = (0..ROW * 8).map(|at| bar(at, 4)).collect();
    assert_eq!(plane, top);
}

#[test]
fn the_mean_takes_the_place_of_what_sticks_out() {
    for (column, expected) in [
        ([10, 100, 21], 16),
        ([200, 100, 111], 156),
        ([50, 55, 50], 55),
        ([50, 56, 50], 50),
    ] {
        let mut plane = column.to_vec();
        deinterlace(&mut plane, 1);
        assert_eq!(plane, [column[0], expected, column[2]]);
    }
}

#[test]
fn any_size_is_taken() {
    for (row, len) in [(0, 0), (1, 0), (1, 1), (4, 3), (4, 4), (4, 8), (5, 13)] {
        deinterlace(&mut vec![7; len], row);
    }
}
