//! Pictures turned upright.

use super::*;
use crate::frame::FramePool;
use crate::stream::{ColorDescription, YuvMatrix};
use crate::time::Timestamp;

/// Samples of `rows`, turned as `[mirrored, quarter_turns]` say.
fn turned(rows: &[&str], mirrored: bool, quarter_turns: u8) -> Vec<String> {
    let orientation = Orientation {
        mirrored,
        quarter_turns,
    };
    let columns = rows[0].len();
    let from = rows.concat().into_bytes();
    let mut to = vec![0; from.len()];
    turn(&from, columns, &mut to, orientation);
    let (columns, _) = orientation.size(columns, rows.len());
    to.chunks(columns)
        .map(|row| String::from_utf8(row.to_vec()).unwrap())
        .collect()
}

#[test]
fn samples_go_where_the_orientation_says() {
    let rows = ["abc", "def"];
    assert_eq!(turned(&rows, false, 0), ["abc", "def"]);
    assert_eq!(turned(&rows, false, 1), ["da", "eb", "fc"]);
    assert_eq!(turned(&rows, false, 2), ["fed", "cba"]);
    assert_eq!(turned(&rows, false, 3), ["cf", "be", "ad"]);
    assert_eq!(turned(&rows, true, 0), ["cba", "fed"]);
    assert_eq!(turned(&rows, true, 1), ["fc", "eb", "da"]);
    assert_eq!(turned(&rows, true, 2), ["def", "abc"]);
    assert_eq!(turned(&rows, true, 3), ["ad", "be", "cf"]);
}

/// The matrix as ISO/IEC 14496-12 has it, and its effect, sample by sample.
#[test]
fn a_matrix_turns_as_it_maps() {
    let (columns, rows) = (3, 2);
    let from: Vec<u8> = (0..6).collect();
    for matrix in [
        [1, 0, 0, 1],
        [0, 1, -1, 0],
        [-1, 0, 0, -1],
        [0, -1, 1, 0],
        [-1, 0, 0, 1],
        [1, 0, 0, -1],
        [0, 1, 1, 0],
        [0, -1, -1, 0],
    ] {
        let orientation = Orientation::of_matrix(matrix.map(|value| value << 16)).unwrap();
        let (width, height) = orientation.size(3, 2);
        let mut to = vec![0; 6];
        turn(&from, columns, &mut to, orientation);
        let [a, b, c, d] = matrix;
        for y in 0..rows {
            for x in 0..columns as i32 {
                let place = |across, down, size: usize| {
                    let at = across * x + down * y;
                    let first = if across + down < 0 {
                        size as i32 - 1
                    } else {
                        0
                    };
                    (first + at) as usize
                };
                let (to_x, to_y) = (place(a, c, width), place(b, d, height));
                let sample = from[(y * 3 + x) as usize];
                assert_eq!(
                    to[to_y * width + to_x],
                    sample,
                    "{matrix:?} {orientation:?}"
                );
            }
        }
    }
}

#[test]
fn other_matrices_turn_nothing() {
    for matrix in [[0; 4], [1, 1, -1, 1], [1, 0, 1, 0], [i32::MIN, 0, 0, 0]] {
        assert_eq!(Orientation::of_matrix(matrix), None, "{matrix:?}");
    }
}

#[test]
fn the_colour_that_a_size_stands_for_outlives_it() {
    let pool = FramePool::new();
    let turned = |quarter_turns| {
        let image = PlanarImage::new(PixelFormat::I420, 848, 480, &pool.bytes).unwrap();
        let color = ColorDescription::UNSPECIFIED;
        let time = Timestamp::mpeg(0);
        let frame = VideoFrame::new(Image::Planar(image), time, color, pool.clone());
        let orientation = Orientation {
            mirrored: false,
            quarter_turns,
        };
        frame.upright(orientation).unwrap()
    };
    let upright = turned(1);
    assert_eq!((upright.width(), upright.height()), (480, 848));
    assert_eq!(upright.color().yuv_matrix(480, 848), YuvMatrix::Bt601);
    assert_eq!(turned(2).color(), ColorDescription::UNSPECIFIED);
}

#[test]
fn planes_of_odd_pictures_turn_together() {
    let pool = FramePool::new();
    let orientation = Orientation {
        mirrored: false,
        quarter_turns: 1,
    };
    for format in [PixelFormat::I420, PixelFormat::Nv12] {
        let mut image = PlanarImage::new(format, 5, 3, &pool.bytes).unwrap();
        let [y, u, v] = image.planes_mut();
        for plane in [y, u, v] {
            for (value, sample) in (0..).zip(plane) {
                *sample = value;
            }
        }
        let turned = image.upright(orientation, &pool.bytes).unwrap();
        assert_eq!((turned.width(), turned.height()), (3, 5));
        assert_eq!(turned.plane(0)[..6], [10, 5, 0, 11, 6, 1]);
        let chroma = match format {
            PixelFormat::I420 => vec![3, 0, 4, 1, 5, 2],
            PixelFormat::Nv12 => vec![6, 7, 0, 1, 8, 9, 2, 3, 10, 11, 4, 5],
        };
        assert_eq!(turned.plane(1), chroma);
        let mut back = turned;
        for _ in 0..3 {
            back = back.upright(orientation, &pool.bytes).unwrap();
        }
        assert_eq!(back.as_bytes(), image.as_bytes());
    }
}
