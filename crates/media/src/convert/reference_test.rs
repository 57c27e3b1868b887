//! The formula against figures from outside: colour bars, range ends, gray, siting.

use super::*;

const ALL: [(YuvMatrix, bool); 4] = [
    (YuvMatrix::Bt601, false),
    (YuvMatrix::Bt601, true),
    (YuvMatrix::Bt709, false),
    (YuvMatrix::Bt709, true),
];

fn yuv(k: &Coefficients, rgb: [f32; 3]) -> [u8; 3] {
    let [cb, cr] = k.to_chroma(rgb);
    [k.to_y(rgb), cb, cr]
}

/// 100 % colour bars: ITU-R BT.601 as in EBU and SMPTE tables, BT.709 as in ITU-R BT.1729.
#[test]
fn colour_bars_have_the_published_levels() {
    let bars = [
        ([1.0, 1.0, 1.0], [235, 128, 128], [235, 128, 128]),
        ([1.0, 1.0, 0.0], [210, 16, 146], [219, 16, 138]),
        ([0.0, 1.0, 1.0], [170, 166, 16], [188, 154, 16]),
        ([0.0, 1.0, 0.0], [145, 54, 34], [173, 42, 26]),
        ([1.0, 0.0, 1.0], [106, 202, 222], [78, 214, 230]),
        ([1.0, 0.0, 0.0], [81, 90, 240], [63, 102, 240]),
        ([0.0, 0.0, 1.0], [41, 240, 110], [32, 240, 118]),
        ([0.0, 0.0, 0.0], [16, 128, 128], [16, 128, 128]),
    ];
    for (rgb, bt601, bt709) in bars {
        for (matrix, levels) in [(YuvMatrix::Bt601, bt601), (YuvMatrix::Bt709, bt709)] {
            let k = Coefficients::new(matrix, false);
            assert_eq!(yuv(&k, rgb), levels, "{matrix:?} {rgb:?}");
            let [y, cb, cr] = levels;
            for (got, want) in k.to_rgb(y, cb, cr).into_iter().zip(rgb) {
                assert!(
                    (got - want).abs() < 0.01,
                    "{matrix:?} {rgb:?} came back as {got}"
                );
            }
        }
    }
}

/// JFIF (ITU-T T.871, clause 7) is BT.601 in full range.
#[test]
fn full_range_has_the_levels_of_jfif() {
    let k = Coefficients::new(YuvMatrix::Bt601, true);
    assert_eq!(yuv(&k, [1.0, 1.0, 1.0]), [255, 128, 128]);
    assert_eq!(yuv(&k, [1.0, 0.0, 0.0]), [76, 85, 255]);
    assert_eq!(yuv(&k, [0.0, 1.0, 0.0]), [150, 44, 21]);
    assert_eq!(yuv(&k, [0.0, 0.0, 1.0]), [29, 255, 107]);
}

#[test]
fn gray_stays_gray_both_ways() {
    for (matrix, full) in ALL {
        let k = Coefficients::new(matrix, full);
        for y in 0..=255 {
            let [r, g, b] = k.to_rgb(y, 128, 128);
            assert!(r == g && g == b, "{matrix:?} {y}: {r} {g} {b}");
            assert_eq!(k.to_chroma([r, g, b]), [128, 128]);
            let black_to_white = if full { 0..=255 } else { 16..=235 };
            if black_to_white.contains(&y) {
                assert_eq!(k.to_y([r, g, b]), y);
            }
        }
    }
}

#[test]
fn the_ends_of_the_range_are_exactly_zero_and_one() {
    for (matrix, full) in ALL {
        let k = Coefficients::new(matrix, full);
        let (black, white) = if full { (0, 255) } else { (16, 235) };
        assert_eq!(k.to_rgb(black, 128, 128), [0.0; 3]);
        let whites = k.to_rgb(white, 128, 128);
        assert!(whites.iter().all(|w| (1.0 - w).abs() < 1e-6), "{whites:?}");
        assert_eq!(k.to_rgb(255, 255, 255)[0], 1.0);
        assert_eq!(k.to_rgb(0, 0, 0)[2], 0.0);
    }
}

#[test]
fn unit_takes_what_is_no_colour_for_one() {
    let cases = [
        (f32::NAN, 0.0),
        (-f32::NAN, 0.0),
        (f32::INFINITY, 1.0),
        (f32::NEG_INFINITY, 0.0),
        (-1e-30, 0.0),
        (1.0 + f32::EPSILON, 1.0),
        (0.25, 0.25),
    ];
    for (value, want) in cases {
        assert_eq!(unit(value), want, "{value}");
    }
}

/// A pixel of each block of 2 × 2 has the block's chroma, and the block's mean gives it.
#[test]
fn a_chroma_sample_belongs_to_its_block() {
    let pool = FramePool::new();
    let mut image = PlanarImage::new(PixelFormat::I420, 5, 3, &pool.bytes).unwrap();
    let [y, u, v] = image.planes_mut();
    y.fill(126);
    u.copy_from_slice(&[90, 100, 110, 120, 130, 140]);
    v.fill(128);
    let color = ColorDescription::BT709;
    let tensor = planar_to_tensor(&image, color, &pool).unwrap();
    for (row, x, block) in [
        (0, 0, 0),
        (1, 1, 0),
        (0, 2, 1),
        (1, 4, 2),
        (2, 0, 3),
        (2, 4, 5),
    ] {
        let cb = image.plane(1)[block];
        let want = Coefficients::new(YuvMatrix::Bt709, false).to_rgb(126, cb, 128);
        assert_eq!(tensor.pixel(row, x).unwrap(), want, "row {row} column {x}");
    }
    let back = tensor_to_planar(&tensor, PixelFormat::I420, color, &pool).unwrap();
    assert_eq!(back.as_bytes(), image.as_bytes());
}
