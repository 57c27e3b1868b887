//! The fast conversions: equal to the reference on every size, layout and value.

use proptest::prelude::*;

use super::*;
use crate::frame::Buffer;

const COLORS: [ColorDescription; 4] = [
    ColorDescription::BT601,
    ColorDescription::BT709,
    ColorDescription {
        full_range: true,
        ..ColorDescription::BT601
    },
    ColorDescription {
        full_range: true,
        ..ColorDescription::BT709
    },
];

/// Reproducible bytes without pattern (xorshift).
fn noise(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed | 1), |&state| {
        let mut next = state;
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        Some(next)
    })
    .skip(4)
}

fn noise_image(format: PixelFormat, width: usize, height: usize, seed: u64) -> PlanarImage {
    let pool = FramePool::new();
    let mut image = PlanarImage::new(format, width, height, &pool.bytes).unwrap();
    let mut bytes = noise(seed);
    for plane in image.planes_mut() {
        for sample in plane {
            *sample = bytes.next().unwrap() as u8;
        }
    }
    image
}

/// Values in and around [0, 1], with some that are no colour at all.
fn noise_tensor(height: usize, width: usize, channels: usize, seed: u64) -> Tensor {
    let values = noise(seed)
        .take(height * width * channels)
        .map(|bits| match bits % 61 {
            0 => f32::NAN,
            1 => f32::INFINITY,
            2 => f32::NEG_INFINITY,
            3 => f32::MAX,
            4 => -0.0,
            5 => f32::MIN_POSITIVE / 2.0,
            _ => (bits >> 40) as f32 / (1 << 24) as f32 * 1.4 - 0.2,
        })
        .collect();
    Tensor::from_vec(height, width, channels, values).unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.iter().map(|value| value.to_bits()).collect()
}

fn formats() -> impl Strategy<Value = PixelFormat> {
    prop_oneof![Just(PixelFormat::I420), Just(PixelFormat::Nv12)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn to_tensor_equals_the_reference_bit_for_bit(
        format in formats(),
        width in 1usize..600,
        height in 1usize..12,
        color in proptest::sample::select(&COLORS[..]),
        seed: u64,
    ) {
        let pool = FramePool::new();
        let image = noise_image(format, width, height, seed);
        let fast = planar_to_tensor(&image, color, &pool).unwrap();
        let exact = reference::planar_to_tensor(&image, color, &pool).unwrap();
        prop_assert_eq!(fast.shape(), [height, width, 3]);
        prop_assert!(bits(&fast) == bits(&exact));
    }

    #[test]
    fn from_tensor_equals_the_reference(
        format in formats(),
        channels in proptest::sample::select(&[1usize, 3, 4][..]),
        width in 1usize..600,
        height in 1usize..12,
        color in proptest::sample::select(&COLORS[..]),
        seed: u64,
    ) {
        let pool = FramePool::new();
        let tensor = noise_tensor(height, width, channels, seed);
        let fast = tensor_to_planar(&tensor, format, color, &pool).unwrap();
        let exact = reference::tensor_to_planar(&tensor, format, color, &pool).unwrap();
        prop_assert_eq!((fast.width(), fast.height(), fast.format()), (width, height, format));
        prop_assert!(fast.as_bytes() == exact.as_bytes());
    }
}

/// Every triple of samples that the reference can meet in 4:4:4 terms, one step in eleven.
#[test]
fn every_level_of_every_component_is_converted_as_the_reference_does() {
    let pool = FramePool::new();
    let levels: Vec<u8> = (0..=255).step_by(11).chain([255]).collect();
    let side = 2 * levels.len();
    for color in COLORS {
        let k = Coefficients::of(color, side, side);
        for &y in &levels {
            let mut image = PlanarImage::new(PixelFormat::I420, side, side, &pool.bytes).unwrap();
            let [luma, u, v] = image.planes_mut();
            luma.fill(y);
            for (at, (u, v)) in u.iter_mut().zip(v).enumerate() {
                (*u, *v) = (levels[at % levels.len()], levels[at / levels.len()]);
            }
            let tensor = planar_to_tensor(&image, color, &pool).unwrap();
            for (row, &cr) in levels.iter().enumerate() {
                for (x, &cb) in levels.iter().enumerate() {
                    let pixel = tensor.pixel(2 * row + 1, 2 * x + 1).unwrap();
                    assert_eq!(pixel, k.to_rgb(y, cb, cr));
                }
            }
        }
    }
}

#[test]
fn extreme_shapes_convert() {
    let pool = FramePool::new();
    for (width, height) in [
        (1, 1),
        (16_384, 1),
        (1, 16_384),
        (16_383, 3),
        (3, 16_383),
        (2, 2),
    ] {
        for format in [PixelFormat::I420, PixelFormat::Nv12] {
            let image = noise_image(format, width, height, 7);
            let color = ColorDescription::UNSPECIFIED;
            let fast = planar_to_tensor(&image, color, &pool).unwrap();
            let exact = reference::planar_to_tensor(&image, color, &pool).unwrap();
            assert!(bits(&fast) == bits(&exact), "{width}×{height}");
            let back = tensor_to_planar(&fast, format, color, &pool).unwrap();
            let want = reference::tensor_to_planar(&fast, format, color, &pool).unwrap();
            assert!(back.as_bytes() == want.as_bytes(), "{width}×{height}");
        }
    }
}

/// Colours that RGB can hold go there and back without any loss.
#[test]
fn colours_inside_the_gamut_come_back_exactly() {
    let pool = FramePool::new();
    for color in COLORS {
        for format in [PixelFormat::I420, PixelFormat::Nv12] {
            let mut image = noise_image(format, 333, 77, 11);
            for (at, plane) in image.planes_mut().into_iter().enumerate() {
                // Luma near the middle and weak chroma stay within [0, 1].
                let (low, span) = if at == 0 { (100, 56) } else { (118, 21) };
                plane.iter_mut().for_each(|s| *s = low + *s % span);
            }
            let tensor = planar_to_tensor(&image, color, &pool).unwrap();
            let back = tensor_to_planar(&tensor, format, color, &pool).unwrap();
            assert!(back.as_bytes() == image.as_bytes(), "{color:?}");
        }
    }
}

#[test]
fn gray_and_alpha_are_what_rgb_would_be() {
    let pool = FramePool::new();
    let gray = noise_tensor(9, 31, 1, 5);
    let rgb: Vec<f32> = gray.iter().flat_map(|&v| [v; 3]).collect();
    let rgba: Vec<f32> = gray.iter().flat_map(|&v| [v, v, v, f32::NAN]).collect();
    let rgb = Tensor::from_vec(9, 31, 3, rgb).unwrap();
    let rgba = Tensor::from_vec(9, 31, 4, rgba).unwrap();
    for color in COLORS {
        let [a, b, c] = [&gray, &rgb, &rgba]
            .map(|t| tensor_to_planar(t, PixelFormat::I420, color, &pool).unwrap());
        assert_eq!(a.as_bytes(), b.as_bytes());
        assert_eq!(a.as_bytes(), c.as_bytes());
        assert!(a.plane(1).iter().chain(a.plane(2)).all(|&s| s == 128));
    }
}

#[test]
fn after_the_first_frame_all_memory_comes_from_the_pool() {
    let pool = FramePool::new();
    let image = noise_image(PixelFormat::I420, 64, 36, 3);
    let color = ColorDescription::BT709;
    let convert = || {
        let tensor = planar_to_tensor(&image, color, &pool).unwrap();
        let back = tensor_to_planar(&tensor, PixelFormat::I420, color, &pool).unwrap();
        (tensor.as_ptr(), back.as_bytes().as_ptr())
    };
    let first = convert();
    assert_eq!((pool.floats.idle(), pool.bytes.idle()), (1, 1));
    assert_eq!(convert(), first);
}

#[test]
fn a_view_of_pooled_memory_is_written_in_full() {
    let pool = FramePool::new();
    let mut stale: Buffer<f32> = pool.floats.take(7 * 5 * 3);
    stale.make_mut().fill(f32::NAN);
    drop(stale);
    let image = noise_image(PixelFormat::Nv12, 7, 5, 1);
    let tensor = planar_to_tensor(&image, ColorDescription::BT601, &pool).unwrap();
    assert!(tensor.iter().all(|value| (0.0..=1.0).contains(value)));
}
