//! The shipped resize kernels equal a scalar program that follows the same written order.
//!
//! For a destination pixel, with `reach = max(step, 1)` and `centre` its place in the source,
//! every source sample within `reach` weighs `1 − |distance| × (1 / reach)`; lines are summed
//! first, then columns; the sum is divided by the product of both sums of weights.

use crate::support::*;
use trickle_gpu::kernels::{Call, Nv12View, Window};
use trickle_gpu_emu::ptx::Arena;
use trickle_media::convert::reference::unit;
use trickle_media::frame::PlanarImage;

/// Source indices with their weights, for each destination index.
fn taps(origin: f32, step: f32, from: usize, to: usize) -> Vec<Vec<(usize, f32)>> {
    let reach = step.max(1.0);
    let inverse = 1.0 / reach;
    let last = (from - 1) as f32;
    let tap = |at: usize| {
        let centre = (at as f32 + 0.5) * step + origin - 0.5;
        let first = (centre - reach).ceil().max(0.0).min(last) as usize;
        let end = (centre + reach).floor().max(0.0).min(last) as usize;
        let weight = |index: usize| (1.0 - (index as f32 - centre).abs() * inverse).max(0.0);
        (first..=end).map(|index| (index, weight(index))).collect()
    };
    (0..to).map(tap).collect()
}

fn filter(sample: impl Fn(usize, usize) -> f32, h: &[(usize, f32)], v: &[(usize, f32)]) -> f32 {
    let total = |taps: &[(usize, f32)]| taps.iter().fold(0.0, |sum, tap| sum + tap.1);
    let mut sum = 0.0;
    for &(y, weight) in v {
        let line = h
            .iter()
            .fold(0.0f32, |line, &(x, weight)| line + weight * sample(x, y));
        sum += weight * line;
    }
    sum / (total(h) * total(v))
}

fn half(w: &Window, step: f32) -> Window {
    Window {
        left: w.left * 0.5,
        top: w.top * 0.5,
        step_x: w.step_x * step,
        step_y: w.step_y * step,
    }
}

/// One component of a picture, resized: `stride` bytes apart from byte `first` on.
fn plane(
    bytes: &[u8],
    (width, height): (usize, usize),
    (first, stride): (usize, usize),
    w: &Window,
    to: (usize, usize),
) -> Vec<f32> {
    let h = taps(w.left, w.step_x, width, to.0);
    let v = taps(w.top, w.step_y, height, to.1);
    let sample = |x: usize, y: usize| f32::from(bytes[(y * width + x) * stride + first]);
    v.iter()
        .flat_map(|v| h.iter().map(move |h| filter(sample, h, v)))
        .collect()
}

fn round(values: Vec<f32>) -> Vec<u8> {
    values
        .into_iter()
        .map(|value| value.round_ties_even().min(255.0) as u8)
        .collect()
}

fn size(image: &PlanarImage) -> (usize, usize) {
    (image.width(), image.height())
}

fn halved((width, height): (usize, usize)) -> (usize, usize) {
    (width.div_ceil(2), height.div_ceil(2))
}

fn view_size(size: (usize, usize)) -> (u32, u32) {
    (size.0 as u32, size.1 as u32)
}

/// Sizes that grow, shrink, change shape, and have odd sides.
const SIZES: [((usize, usize), (usize, usize)); 6] = [
    ((64, 36), (32, 32)),
    ((64, 36), (96, 54)),
    ((33, 17), (16, 40)),
    ((16, 16), (16, 16)),
    ((90, 50), (7, 5)),
    ((5, 3), (31, 33)),
];

fn windows(from: (usize, usize), to: (usize, usize)) -> [Window; 2] {
    [
        Window::cover(view_size(from), view_size(to)),
        Window::whole(view_size(from), view_size(to)),
    ]
}

#[test]
fn a_resized_picture_is_the_scalar_programs() {
    for (from, to) in SIZES {
        for window in windows(from, to) {
            let image = Random(6).nv12(from.0, from.1);
            let mut arena = Arena::new();
            let src = put_nv12(&mut arena, &image);
            let dst = empty_nv12(&mut arena, to.0, to.1);
            run(&mut arena, &Call::resize_nv12(&src, &window, &dst).unwrap()).unwrap();
            let (luma, chroma) = get_nv12(&arena, &dst);
            assert!(
                luma == round(plane(image.plane(0), size(&image), (0, 1), &window, to)),
                "{from:?} {to:?}"
            );
            let window = half(&window, 1.0);
            let component = |first| {
                round(plane(
                    image.plane(1),
                    halved(from),
                    (first, 2),
                    &window,
                    halved(to),
                ))
            };
            let pairs: Vec<u8> = component(0)
                .into_iter()
                .zip(component(1))
                .flat_map(|(cb, cr)| [cb, cr])
                .collect();
            assert!(chroma == pairs, "chroma {from:?} {to:?}");
        }
    }
}

#[test]
fn resize_and_conversion_in_one_step_are_the_scalar_programs() {
    for ((from, to), k) in SIZES
        .into_iter()
        .zip(all_coefficients().into_iter().cycle())
    {
        for window in windows(from, to) {
            let image = Random(7).nv12(from.0, from.1);
            let mut arena = Arena::new();
            let src = put_nv12(&mut arena, &image);
            let dst = put_tensor(&mut arena, to.0, to.1, &vec![f32::NAN; to.0 * to.1 * 3]);
            let call = Call::nv12_to_rgb_resized(&src, &window, &dst, &k).unwrap();
            run(&mut arena, &call).unwrap();

            let luma = plane(image.plane(0), from, (0, 1), &window, to);
            let chroma = half(&window, 0.5);
            let cb = plane(image.plane(1), halved(from), (0, 2), &chroma, to);
            let cr = plane(image.plane(1), halved(from), (1, 2), &chroma, to);
            let mut expected = Vec::new();
            for ((y, cb), cr) in luma.into_iter().zip(cb).zip(cr) {
                let y = (y - k.luma_offset) * k.luma_scale;
                let (cb, cr) = (cb - 128.0, cr - 128.0);
                for c in 0..3 {
                    let chroma = cb * k.cb_to_rgb[c] + cr * k.cr_to_rgb[c];
                    expected.push(unit(y + chroma));
                }
            }
            assert_same_floats(
                &get_tensor(&arena, &dst),
                &expected,
                &format!("{from:?} {to:?}"),
            );
        }
    }
}

#[test]
fn a_resized_tensor_is_the_scalar_programs() {
    for ((from, to), channels) in SIZES.into_iter().zip([1, 3, 4].into_iter().cycle()) {
        let window = Window::cover(view_size(from), view_size(to));
        let values: Vec<f32> = Random(8)
            .bytes(from.0 * from.1 * channels)
            .into_iter()
            .map(|byte| f32::from(byte) / 255.0)
            .collect();
        let mut arena = Arena::new();
        let src = put_tensor(&mut arena, from.0, from.1, &values);
        let dst = put_tensor(
            &mut arena,
            to.0,
            to.1,
            &vec![f32::NAN; to.0 * to.1 * channels],
        );
        run(
            &mut arena,
            &Call::resize_tensor(&src, &window, &dst).unwrap(),
        )
        .unwrap();
        let h = taps(window.left, window.step_x, from.0, to.0);
        let v = taps(window.top, window.step_y, from.1, to.1);
        let mut expected = Vec::new();
        for v in &v {
            for h in &h {
                for c in 0..channels {
                    let sample = |x: usize, y: usize| values[(y * from.0 + x) * channels + c];
                    expected.push(filter(sample, h, v));
                }
            }
        }
        assert_same_floats(
            &get_tensor(&arena, &dst),
            &expected,
            &format!("{from:?} {to:?}"),
        );
    }
}

#[test]
fn the_same_size_changes_nothing() {
    let image = Random(9).nv12(48, 30);
    let mut arena = Arena::new();
    let src = put_nv12(&mut arena, &image);
    let dst = empty_nv12(&mut arena, 48, 30);
    let window = Window::whole((48, 30), (48, 30));
    run(&mut arena, &Call::resize_nv12(&src, &window, &dst).unwrap()).unwrap();
    assert!(get_nv12(&arena, &src) == get_nv12(&arena, &dst));
}

/// Luma rises by 2 with each column.
fn slope(arena: &mut Arena, width: usize, height: usize) -> Nv12View {
    let mut image = Random(10).nv12(width, height);
    let [luma, chroma, _] = image.planes_mut();
    for row in luma.chunks_exact_mut(width) {
        row.iter_mut()
            .enumerate()
            .for_each(|(x, y)| *y = 2 * x as u8);
    }
    chroma.fill(128);
    put_nv12(arena, &image)
}

#[test]
fn a_slope_stays_where_it_was() {
    // Halved: the centre of destination column x lies between source columns 2x and 2x + 1,
    // where the slope has the value 4x + 1; only the edges see less than the whole filter.
    let mut arena = Arena::new();
    let src = slope(&mut arena, 64, 16);
    let dst = empty_nv12(&mut arena, 32, 8);
    let window = Window::cover((64, 16), (32, 8));
    run(&mut arena, &Call::resize_nv12(&src, &window, &dst).unwrap()).unwrap();
    let (luma, chroma) = get_nv12(&arena, &dst);
    for row in luma.chunks_exact(32) {
        for (x, &value) in row.iter().enumerate().take(31).skip(1) {
            assert_eq!(usize::from(value), 4 * x + 1);
        }
    }
    assert!(chroma.iter().all(|&sample| sample == 128));
}

#[test]
fn covering_crops_to_the_centre() {
    // 64×16 seen through 16×16: columns 24 to 39, as they are.
    let mut arena = Arena::new();
    let src = slope(&mut arena, 64, 16);
    let dst = empty_nv12(&mut arena, 16, 16);
    let window = Window::cover((64, 16), (16, 16));
    run(&mut arena, &Call::resize_nv12(&src, &window, &dst).unwrap()).unwrap();
    let expected: Vec<u8> = (24..40).map(|x| 2 * x).collect();
    assert!(
        get_nv12(&arena, &dst)
            .0
            .chunks_exact(16)
            .all(|row| row == expected)
    );
}
