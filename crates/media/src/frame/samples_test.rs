//! Bit depth and chroma: each sample by the formula.

use super::*;

/// A picture of 2×4.
fn converted(chroma: Chroma, bit_depth: u8, planes: [Vec<u8>; 3], interlaced: bool) -> Vec<u8> {
    let bytes = if bit_depth > 8 { 2 } else { 1 };
    let columns = if chroma == Chroma::C444 { 2 } else { 1 };
    let plane = |index: usize, columns: usize| SamplePlane {
        bytes: &planes[index],
        stride: columns * bytes,
    };
    let samples = Samples {
        width: 2,
        height: 4,
        bit_depth,
        chroma,
        planes: [plane(0, 2), plane(1, columns), plane(2, columns)],
        interlaced,
    };
    let image = samples.to_i420(&Pool::default()).unwrap();
    image.as_bytes().to_vec()
}

fn two_bytes(values: &[u16]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

#[test]
fn ten_bits_are_rounded() {
    let planes = [
        two_bytes(&[0, 1, 2, 3, 4, 512, 1_021, 1_023]),
        two_bytes(&[256, 258]),
        two_bytes(&[1_022, 64]),
    ];
    assert_eq!(
        converted(Chroma::C420, 10, planes, false),
        [0, 0, 1, 1, 1, 128, 255, 255, 64, 65, 255, 16]
    );
}

#[test]
fn every_depth_keeps_black_and_white() {
    for bits in 9..=16 {
        let white = ((1u32 << bits) - 1) as u16;
        let planes = [
            two_bytes(&[0, white]).repeat(4),
            two_bytes(&[0; 2]),
            two_bytes(&[0; 2]),
        ];
        let found = converted(Chroma::C420, bits, planes, false);
        assert_eq!(found[..8], [0, 255].repeat(4), "{bits} bits");
    }
}

#[test]
fn two_rows_of_chroma_become_one() {
    let planes = [vec![9; 8], vec![10, 11, 200, 255], vec![0, 0, 255, 255]];
    let found = converted(Chroma::C422, 8, planes, false);
    assert_eq!(found[8..], [11, 228, 0, 255]);
}

#[test]
fn of_full_chroma_the_even_columns_are_taken() {
    let planes = [vec![9; 8], vec![10, 90, 12, 90, 20, 90, 30, 90], vec![7; 8]];
    let found = converted(Chroma::C444, 8, planes, false);
    assert_eq!(found[8..], [11, 25, 7, 7]);
}

#[test]
fn without_chroma_the_picture_is_gray() {
    let planes = [vec![9; 8], Vec::new(), Vec::new()];
    let found = converted(Chroma::None, 8, planes, false);
    assert_eq!(found[8..], [128; 4]);
}

#[test]
fn interlaced_chroma_is_mixed_after_deinterlacing() {
    let planes = [vec![9; 8], vec![10, 200, 10, 200], vec![128; 4]];
    let found = converted(Chroma::C422, 8, planes, true);
    assert_eq!(found[8..10], [10, 10]);
}

#[test]
fn rows_with_padding_are_cut() {
    let bytes: Vec<u8> = (0..20).collect();
    let plane = SamplePlane {
        bytes: &bytes,
        stride: 5,
    };
    let samples = Samples {
        width: 2,
        height: 4,
        bit_depth: 8,
        chroma: Chroma::C420,
        planes: [plane; 3],
        interlaced: false,
    };
    let image = samples.to_i420(&Pool::default()).unwrap();
    assert_eq!(image.as_bytes(), [0, 1, 5, 6, 10, 11, 15, 16, 0, 5, 0, 5]);
    // Cut short: what is missing is black.
    let short = SamplePlane {
        bytes: &bytes[..6],
        stride: 5,
    };
    let samples = Samples {
        planes: [short; 3],
        ..samples
    };
    let image = samples.to_i420(&Pool::default()).unwrap();
    assert_eq!(image.plane(0), [0, 1, 0, 0, 0, 0, 0, 0]);
}
