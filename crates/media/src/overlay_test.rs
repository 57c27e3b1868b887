//! The overlay: where it is drawn, what moves, and pictures that are too small for it.

use super::*;
use crate::frame::{FramePool, PixelFormat};

fn picture(format: PixelFormat, width: usize, height: usize) -> PlanarImage {
    let mut image = PlanarImage::new(format, width, height, &FramePool::new().bytes).unwrap();
    let [y, u, v] = image.planes_mut();
    y.fill(120);
    u.fill(60);
    v.fill(200);
    image
}

fn drawn(overlay: &Overlay, width: usize, height: usize, at: u64) -> PlanarImage {
    let mut image = picture(PixelFormat::I420, width, height);
    overlay.draw(
        &mut image,
        ColorDescription::BT709,
        Duration::from_millis(at),
    );
    image
}

fn changed(a: &PlanarImage, b: &PlanarImage) -> usize {
    let pairs = a.as_bytes().iter().zip(b.as_bytes());
    pairs.filter(|(a, b)| a != b).count()
}

#[test]
fn the_card_is_dim_and_gray_in_the_middle_and_the_rest_is_untouched() {
    let image = drawn(&Overlay::new("Loading"), 640, 360, 0);
    let untouched = picture(PixelFormat::I420, 640, 360);
    let row = |plane: usize, y: usize| {
        let stride = image.layout(plane).stride;
        let rows = y * stride..(y + 1) * stride;
        (
            &image.plane(plane)[rows.clone()],
            &untouched.plane(plane)[rows],
        )
    };
    for (plane, y) in [(0, 0), (0, 359), (1, 0), (2, 179)] {
        let (after, before) = row(plane, y);
        assert_eq!(after, before);
    }
    // Above the letters, left of the dots: 120 three quarters of the way to 16.
    let (middle, _) = row(0, 180);
    assert!(middle.contains(&42));
    assert!(middle.iter().all(|value| (16..=235).contains(value)));
    // 60 and 200, three quarters of the way to 128.
    assert!(row(1, 90).0.contains(&111) && row(2, 90).0.contains(&146));
}

#[test]
fn the_spinner_turns_and_everything_else_stands_still() {
    let overlay = Overlay::new("Loading the model").progress(0.5);
    let (first, later) = (drawn(&overlay, 640, 360, 0), drawn(&overlay, 640, 360, 400));
    let moved = changed(&first, &later);
    assert!((50..5000).contains(&moved), "{moved} samples");
    let turn = drawn(&overlay, 640, 360, 1200);
    assert_eq!(changed(&first, &turn), 0, "one whole turn");
}

#[test]
fn progress_is_the_filled_part_of_a_bar() {
    let white = |progress: f32| {
        let image = drawn(&Overlay::new("").progress(progress), 640, 360, 0);
        let luma = image.plane(0);
        luma.chunks_exact(640)
            .map(|row| row.iter().filter(|value| **value == 235).count())
            .max()
            .unwrap()
    };
    let (quarter, half, full) = (white(0.25), white(0.5), white(1.0));
    assert!(full > 200);
    assert_eq!((quarter, half), (full / 4, full / 2));
    assert_eq!(Overlay::new("").progress(7.0).fraction(), Some(1.0));
    assert_eq!(Overlay::new("").progress(f32::NAN).fraction(), None);
}

#[test]
fn nv12_and_i420_look_the_same() {
    let overlay = Overlay::new("Same").progress(0.3);
    let planar = drawn(&overlay, 322, 182, 100);
    let mut packed = picture(PixelFormat::Nv12, 322, 182);
    let [_, chroma, _] = packed.planes_mut();
    for pair in chroma.chunks_exact_mut(2) {
        pair.copy_from_slice(&[60, 200]);
    }
    overlay.draw(
        &mut packed,
        ColorDescription::BT709,
        Duration::from_millis(100),
    );
    assert_eq!(planar.plane(0), packed.plane(0));
    let (u, v): (Vec<u8>, Vec<u8>) = packed
        .plane(1)
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .unzip();
    assert_eq!((planar.plane(1), planar.plane(2)), (&u[..], &v[..]));
}

#[test]
fn full_range_has_its_own_white() {
    let mut image = picture(PixelFormat::I420, 320, 180);
    let full = ColorDescription {
        full_range: true,
        ..ColorDescription::BT709
    };
    Overlay::new("")
        .progress(1.0)
        .draw(&mut image, full, Duration::ZERO);
    assert_eq!(image.plane(0).iter().max(), Some(&255));
}

#[test]
fn pictures_of_any_size_take_it() {
    let long = Overlay::new("many words ".repeat(60)).progress(0.4);
    assert_eq!(long.message().chars().count(), MAX_MESSAGE + 3);
    for (width, height) in [
        (1, 1),
        (2, 2),
        (3, 5),
        (16, 16),
        (17, 33),
        (64, 8),
        (8, 64),
        (160, 90),
        (360, 640),
        (1919, 1079),
    ] {
        for at in [0, 333] {
            drawn(&long, width, height, at);
        }
        let still = drawn(&long, width, height, 0);
        let later = drawn(&long, width, height, 600);
        if width.min(height) >= 16 {
            assert!(changed(&still, &later) > 0, "{width}x{height} moves");
        }
    }
}

/// Writes what viewers see, to be looked at: `OVERLAY_OUT=dir cargo test … -- --ignored overlay`.
#[test]
#[ignore = "writes files to be looked at"]
fn written_to_be_looked_at() {
    let out = std::env::var("OVERLAY_OUT").unwrap();
    for (width, height) in [(1280, 720), (640, 360), (360, 640), (160, 90)] {
        let overlay = Overlay::new("Loading the model: fetching weights").progress(0.4);
        let image = drawn(&overlay, width, height, 300);
        std::fs::write(format!("{out}/{width}x{height}.yuv"), image.as_bytes()).unwrap();
    }
}
