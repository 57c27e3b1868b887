//! Pictures for tests: a scene that moves, in I420, and how alike two pictures are.

use crate::frame::{FramePool, Image, PixelFormat, PlanarImage, VideoFrame};
use crate::stream::ColorDescription;
use crate::time::Timestamp;

/// Frame `index` at 25 fps: a gradient that drifts, with a block that moves over it.
pub(super) fn frame(width: usize, height: usize, index: usize, pool: &FramePool) -> VideoFrame {
    let mut image = PlanarImage::new(PixelFormat::I420, width, height, &pool.bytes).unwrap();
    let columns = width.div_ceil(2);
    let [luma, u, v] = image.planes_mut();
    for (at, sample) in luma.iter_mut().enumerate() {
        let (x, y) = (at % width, at / width);
        let inside = (x + width - (5 * index) % width) % width < 24 && y % 64 < 24;
        *sample = if inside {
            40 + (x % 8) as u8
        } else {
            60 + ((x + 2 * y + 3 * index) / 4 % 128) as u8
        };
    }
    for (at, (u, v)) in u.iter_mut().zip(v).enumerate() {
        let (x, y) = (at % columns, at / columns);
        *u = 100 + ((x + index) / 8 % 48) as u8;
        *v = 100 + ((y + index) / 8 % 48) as u8;
    }
    let pts = Timestamp::mpeg(3600 * index as i64);
    VideoFrame::new(
        Image::Planar(image),
        pts,
        ColorDescription::BT709,
        pool.clone(),
    )
}

/// The planes of a frame that has them.
pub(super) fn planes(frame: &VideoFrame) -> &PlanarImage {
    match frame.image() {
        Image::Planar(image) => image,
        other => panic!("{other:?}"),
    }
}

/// Peak signal to noise ratio over all samples, in dB.
pub(super) fn psnr(one: &PlanarImage, other: &PlanarImage) -> f64 {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    assert_eq!(one.len(), other.len());
    let squares: f64 = one
        .iter()
        .zip(other)
        .map(|(&one, &other)| (f64::from(one) - f64::from(other)).powi(2))
        .sum();
    10.0 * (255.0 * 255.0 * one.len() as f64 / squares).log10()
}
