//! The shipped overlay kernels: what is blended, and what stays as it was.

use crate::support::*;
use trickle_gpu::kernels::{Call, Nv12View, OverlayView};
use trickle_gpu_emu::ptx::Arena;
use trickle_media::convert::reference::Coefficients;
use trickle_media::stream::YuvMatrix;

fn put_overlay(
    arena: &mut Arena,
    (width, height): (u32, u32),
    (x, y): (u32, u32),
    rgba: &[u8],
) -> OverlayView {
    OverlayView {
        data: arena.put(rgba.to_vec()),
        pitch: 4 * width,
        width,
        height,
        x,
        y,
    }
}

fn k() -> Coefficients {
    Coefficients::new(YuvMatrix::Bt709, false)
}

/// Blends as the kernel documents it: `under + (over − under) × alpha`, in f32.
fn mix(under: f32, over: u8, alpha: u8) -> f32 {
    under + (f32::from(over) / 255.0 - under) * (f32::from(alpha) / 255.0)
}

#[test]
fn a_tensor_is_blended_where_the_overlay_lies_and_nowhere_else() {
    for channels in [3, 4] {
        let values: Vec<f32> = Random(11)
            .bytes(20 * 12 * channels)
            .into_iter()
            .map(|b| f32::from(b) / 255.0)
            .collect();
        let rgba = Random(12).bytes(8 * 5 * 4);
        let mut arena = Arena::new();
        let frame = put_tensor(&mut arena, 20, 12, &values);
        // It hangs over the right and lower edges.
        let overlay = put_overlay(&mut arena, (8, 5), (15, 9), &rgba);
        run(&mut arena, &Call::overlay_tensor(&frame, &overlay).unwrap()).unwrap();
        let mut expected = values;
        for (y, x) in (0..3).flat_map(|y| (0..5).map(move |x| (y, x))) {
            let pixel = &rgba[4 * (y * 8 + x)..][..4];
            let at = ((9 + y) * 20 + 15 + x) * channels;
            for c in 0..3 {
                expected[at + c] = mix(expected[at + c], pixel[c], pixel[3]);
            }
        }
        assert_same_floats(&get_tensor(&arena, &frame), &expected, "blend");
    }
}

/// An NV12 picture of 16×10, an overlay on it, and what the kernel makes of both.
fn blended(arena: &mut Arena, frame: &Nv12View, overlay: &OverlayView) -> (Vec<u8>, Vec<u8>) {
    run(arena, &Call::overlay_nv12(frame, overlay, &k()).unwrap()).unwrap();
    get_nv12(arena, frame)
}

#[test]
fn an_opaque_overlay_replaces_samples() {
    let image = Random(13).nv12(16, 10);
    let mut arena = Arena::new();
    let frame = put_nv12(&mut arena, &image);
    let red: Vec<u8> = [255, 0, 0, 255].repeat(6 * 4);
    let overlay = put_overlay(&mut arena, (6, 4), (4, 2), &red);
    let (luma, chroma) = blended(&mut arena, &frame, &overlay);
    let (y, [cb, cr]) = (k().to_y([1.0, 0.0, 0.0]), k().to_chroma([1.0, 0.0, 0.0]));
    for (at, &sample) in luma.iter().enumerate() {
        let inside = (4..10).contains(&(at % 16)) && (2..6).contains(&(at / 16));
        assert_eq!(
            sample,
            if inside { y } else { image.plane(0)[at] },
            "luma {at}"
        );
    }
    for (at, pair) in chroma.chunks_exact(2).enumerate() {
        let inside = (2..5).contains(&(at % 8)) && (1..3).contains(&(at / 8));
        let expected = if inside {
            [cb, cr]
        } else {
            [image.plane(1)[2 * at], image.plane(1)[2 * at + 1]]
        };
        assert_eq!(pair, expected, "chroma {at}");
    }
}

#[test]
fn a_transparent_overlay_changes_nothing() {
    let image = Random(14).nv12(17, 11);
    let mut arena = Arena::new();
    let frame = put_nv12(&mut arena, &image);
    let before = get_nv12(&arena, &frame);
    let clear: Vec<u8> = [200, 100, 50, 0].repeat(17 * 11);
    for place in [(0, 0), (3, 5), (16, 10)] {
        let overlay = put_overlay(&mut arena, (17, 11), place, &clear);
        assert!(blended(&mut arena, &frame, &overlay) == before, "{place:?}");
    }
}

#[test]
fn a_pair_that_is_half_covered_takes_half_of_the_colour() {
    let mut image = Random(15).nv12(8, 8);
    image.planes_mut()[1].fill(128);
    let mut arena = Arena::new();
    let frame = put_nv12(&mut arena, &image);
    let blue: Vec<u8> = [0, 0, 255, 255].repeat(3 * 8);
    // From an odd column on: the first pair has one of its two columns under the overlay.
    let overlay = put_overlay(&mut arena, (3, 8), (3, 0), &blue);
    let (_, chroma) = blended(&mut arena, &frame, &overlay);
    let [cb, _] = k().to_chroma([0.0, 0.0, 1.0]);
    let row: Vec<u8> = chroma[..8].iter().step_by(2).copied().collect();
    assert_eq!(row, [128, 128 + (cb - 128) / 2, cb, 128]);
}

#[test]
fn an_overlay_beside_the_frame_is_left_out() {
    let image = Random(16).nv12(16, 10);
    let mut arena = Arena::new();
    let frame = put_nv12(&mut arena, &image);
    let before = get_nv12(&arena, &frame);
    let white = vec![255; 4 * 4 * 4];
    for place in [(16, 0), (0, 10), (16_000, 16_000)] {
        let overlay = put_overlay(&mut arena, (4, 4), place, &white);
        assert!(blended(&mut arena, &frame, &overlay) == before, "{place:?}");
    }
}
