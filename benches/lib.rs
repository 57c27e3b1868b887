//! Shared set-up of the benches.

use trickle_media::frame::{FramePool, PixelFormat, PlanarImage};

/// A picture with gradients in every plane, so that no two neighbours are alike.
pub fn picture(format: PixelFormat, width: usize, height: usize) -> PlanarImage {
    let pool = FramePool::new();
    let mut image =
        PlanarImage::new(format, width, height, &pool.bytes).expect("a valid picture size");
    for (plane, samples) in image.planes_mut().into_iter().enumerate() {
        for (at, sample) in samples.iter_mut().enumerate() {
            *sample = 40 + ((at * (plane + 1) + at / width * 3) % 160) as u8;
        }
    }
    image
}
