//! Odd sides and interleaved chroma.

use super::*;

fn image(format: PixelFormat, width: usize, height: usize, bytes: &[u8]) -> PlanarImage {
    let mut image = PlanarImage::new(format, width, height, &Pool::new()).unwrap();
    let mut at = 0;
    for plane in image.planes_mut() {
        plane.copy_from_slice(&bytes[at..at + plane.len()]);
        at += plane.len();
    }
    assert_eq!(at, bytes.len());
    image
}

#[test]
fn an_even_picture_is_not_copied() {
    let even = image(PixelFormat::I420, 2, 2, &[1, 2, 3, 4, 5, 6]);
    let address = even.as_bytes().as_ptr();
    let same = even_i420(even, &Pool::new()).unwrap();
    assert_eq!(same.as_bytes().as_ptr(), address);
}

#[test]
fn odd_sides_repeat_their_last_column_and_row() {
    #[rustfmt::skip]
    let odd = image(PixelFormat::I420, 3, 1, &[
        1, 2, 3,
        10, 11,
        20, 21,
    ]);
    let even = even_i420(odd, &Pool::new()).unwrap();
    assert_eq!((even.width(), even.height()), (4, 2));
    #[rustfmt::skip]
    assert_eq!(even.as_bytes(), [
        1, 2, 3, 3,
        1, 2, 3, 3,
        10, 11,
        20, 21,
    ]);
}

#[test]
fn interleaved_chroma_is_taken_apart() {
    let nv12 = image(
        PixelFormat::Nv12,
        4,
        2,
        &[0, 1, 2, 3, 4, 5, 6, 7, 10, 20, 11, 21],
    );
    let planar = even_i420(nv12, &Pool::new()).unwrap();
    assert_eq!(planar.as_bytes(), [0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 20, 21]);
}
