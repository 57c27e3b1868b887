//! Scaling: which part is kept, what a flat picture and a gradient become, every size.

use proptest::prelude::*;

use super::*;
use crate::convert::planar_to_tensor;
use crate::stream::ColorDescription;

fn flat(format: PixelFormat, width: usize, height: usize, yuv: [u8; 3]) -> PlanarImage {
    let mut image = PlanarImage::new(format, width, height, &FramePool::new().bytes).unwrap();
    let [y, u, v] = image.planes_mut();
    y.fill(yuv[0]);
    u.fill(yuv[1]);
    v.fill(yuv[2]);
    if format == PixelFormat::Nv12 {
        u.chunks_exact_mut(2).for_each(|uv| uv[1] = yuv[2]);
    }
    image
}

/// Luma that grows by `step` a column.
fn ramp(width: usize, height: usize, step: usize) -> PlanarImage {
    let mut image = flat(PixelFormat::I420, width, height, [0, 128, 128]);
    for row in image.planes_mut()[0].chunks_exact_mut(width) {
        for (x, y) in row.iter_mut().enumerate() {
            *y = (x * step) as u8;
        }
    }
    image
}

#[test]
fn the_crop_has_the_targets_shape_and_keeps_the_centre() {
    let crop = |columns, rows, width, height| {
        let crop = Crop::to_cover((columns, rows), (width, height));
        (crop.x, crop.y, crop.width, crop.height)
    };
    // Landscape to square and to portrait, portrait to square, the same shape.
    assert_eq!(crop(1280, 720, 512, 512), (280.0, 0.0, 720.0, 720.0));
    assert_eq!(crop(1280, 720, 360, 640), (436.0, 0.0, 405.0, 720.0));
    assert_eq!(crop(360, 640, 512, 512), (0.0, 140.0, 360.0, 360.0));
    assert_eq!(crop(1280, 720, 640, 360), (0.0, 0.0, 1280.0, 720.0));
    // Odd and tiny pictures, extreme shapes.
    assert_eq!(crop(5, 3, 3, 3), (0.0, 0.0, 3.0, 3.0));
    assert_eq!(crop(1, 1, 16_384, 1), (0.0, 0.0, 1.0, 1.0 / 16_384.0));
    assert_eq!(crop(16_384, 1, 1, 1), (8190.0, 0.0, 1.0, 1.0));
}

#[test]
fn a_picture_of_the_size_already_is_handed_on() {
    let pool = FramePool::new();
    let image = ramp(64, 36, 3);
    let same = scale_cover_crop(&image, 64, 36, &pool).unwrap();
    assert_eq!(same.as_bytes().as_ptr(), image.as_bytes().as_ptr());
    let tensor = planar_to_tensor(&image, ColorDescription::BT601, &pool).unwrap();
    let same = CoverScaler::new(64, 36).unwrap().tensor(&tensor, &pool);
    assert_eq!(same.unwrap().as_ptr(), tensor.as_ptr());
}

#[test]
fn a_crop_that_needs_no_scaling_keeps_every_sample() {
    let pool = FramePool::new();
    let image = ramp(64, 36, 3);
    let crop = scale_cover_crop(&image, 36, 36, &pool).unwrap();
    let want: Vec<u8> = (14..50).map(|x| x * 3).collect();
    for row in crop.plane(0).chunks_exact(36) {
        assert_eq!(row, want);
    }
}

/// A ramp stays a ramp: halved, each value is the mean of the two it came from; doubled, the
/// values in between lie a quarter step from their neighbours.
#[test]
fn samples_keep_their_place() {
    let pool = FramePool::new();
    let half = scale_cover_crop(&ramp(64, 32, 3), 32, 16, &pool).unwrap();
    for row in half.plane(0).chunks_exact(32) {
        for (x, &y) in row.iter().enumerate().skip(1).take(30) {
            let want = 3.0 * (2.0 * x as f32 + 0.5);
            assert!(
                (f32::from(y) - want).abs() <= 1.0,
                "column {x}: {y}, not {want}"
            );
        }
    }
    let double = scale_cover_crop(&ramp(32, 16, 8), 64, 32, &pool).unwrap();
    for row in double.plane(0).chunks_exact(64) {
        for (x, &y) in row.iter().enumerate().skip(1).take(62) {
            let want = 8.0 * (x as f32 / 2.0 - 0.25);
            assert!(
                (f32::from(y) - want).abs() <= 1.0,
                "column {x}: {y}, not {want}"
            );
        }
    }
}

/// Stripes finer than the target's pixels become gray instead of beating with them.
#[test]
fn shrinking_does_not_alias() {
    let pool = FramePool::new();
    let mut stripes = flat(PixelFormat::I420, 300, 100, [16, 128, 128]);
    for row in stripes.planes_mut()[0].chunks_exact_mut(300) {
        row.iter_mut().step_by(2).for_each(|y| *y = 236);
    }
    let small = scale_cover_crop(&stripes, 75, 25, &pool).unwrap();
    for row in small.plane(0).chunks_exact(75) {
        assert!(
            row[1..74].iter().all(|y| (116..=136).contains(y)),
            "{row:?}"
        );
    }
}

#[test]
fn planes_and_tensor_show_the_same_picture() {
    let pool = FramePool::new();
    let color = ColorDescription::BT601;
    let mut image = ramp(320, 180, 0);
    for (plane, samples) in image.planes_mut().into_iter().enumerate() {
        let width = if plane == 0 { 320 } else { 160 };
        for (at, sample) in samples.iter_mut().enumerate() {
            let (x, y) = (at % width * 320 / width, at / width * 320 / width);
            *sample = 100 + (x / 16 + y / 8 * plane) as u8;
        }
    }
    let mut scaler = CoverScaler::new(128, 128).unwrap();
    let planes = scaler.planar(&image, &pool).unwrap();
    let planes = planar_to_tensor(&planes, color, &pool).unwrap();
    let tensor = planar_to_tensor(&image, color, &pool).unwrap();
    let tensor = scaler.tensor(&tensor, &pool).unwrap();
    let worst = planes.iter().zip(&*tensor).map(|(a, b)| (a - b).abs());
    let worst = worst.fold(0.0, f32::max);
    assert!(worst < 0.03, "they differ by {worst}");
}

#[test]
fn a_streams_pictures_come_from_the_pool() {
    let pool = FramePool::new();
    let mut scaler = CoverScaler::new(48, 48).unwrap();
    let image = ramp(64, 36, 3);
    let first = scaler.planar(&image, &pool).unwrap().as_bytes().as_ptr();
    let idle = pool.bytes.idle();
    let second = scaler.planar(&image, &pool).unwrap().as_bytes().as_ptr();
    assert_eq!((first, idle), (second, pool.bytes.idle()));
}

#[test]
fn a_change_of_the_inputs_size_is_followed() {
    let pool = FramePool::new();
    let mut scaler = CoverScaler::new(40, 30).unwrap();
    for (width, height) in [(64, 36), (36, 64), (64, 36), (7, 5)] {
        let image = flat(PixelFormat::I420, width, height, [90, 70, 200]);
        let out = scaler.planar(&image, &pool).unwrap();
        assert_eq!(
            out.as_bytes(),
            flat(PixelFormat::I420, 40, 30, [90, 70, 200]).as_bytes()
        );
    }
}

#[test]
fn sizes_that_are_none_are_refused() {
    let image = ramp(8, 8, 1);
    for (width, height) in [(0, 8), (8, 0), (16_385, 8)] {
        let error = scale_cover_crop(&image, width, height, &FramePool::new()).unwrap_err();
        assert_eq!(error, FrameError::Size { width, height });
    }
}

#[test]
fn extreme_shapes_scale() {
    let pool = FramePool::new();
    let sizes = [(1, 1), (16_384, 1), (1, 16_384), (3, 5), (2, 2)];
    for (columns, rows) in sizes {
        for (width, height) in sizes {
            for format in [PixelFormat::I420, PixelFormat::Nv12] {
                let image = flat(format, columns, rows, [200, 30, 140]);
                let out = scale_cover_crop(&image, width, height, &pool).unwrap();
                let want = flat(format, width, height, [200, 30, 140]);
                assert!(
                    out.as_bytes() == want.as_bytes(),
                    "{columns}×{rows} to {width}×{height}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_flat_picture_stays_flat(
        nv12: bool,
        columns in 1usize..200, rows in 1usize..200,
        width in 1usize..200, height in 1usize..200,
        yuv: [u8; 3],
    ) {
        let pool = FramePool::new();
        let format = if nv12 { PixelFormat::Nv12 } else { PixelFormat::I420 };
        let out = scale_cover_crop(&flat(format, columns, rows, yuv), width, height, &pool).unwrap();
        prop_assert!(out.as_bytes() == flat(format, width, height, yuv).as_bytes());
    }

    #[test]
    fn a_tensor_stays_in_the_range_of_its_values(
        columns in 1usize..80, rows in 1usize..80,
        width in 1usize..80, height in 1usize..80,
        channels in proptest::sample::select(&[1usize, 3, 4][..]),
        seed: u32,
    ) {
        let pool = FramePool::new();
        let mut state = seed | 1;
        let values = (0..columns * rows * channels).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 31) as f32
        });
        let tensor = Tensor::from_vec(rows, columns, channels, values.collect()).unwrap();
        let out = CoverScaler::new(width, height).unwrap().tensor(&tensor, &pool).unwrap();
        prop_assert_eq!(out.shape(), [height, width, channels]);
        prop_assert!(out.iter().all(|v| (-1e-5..=1.00001).contains(v)));
    }
}
