//! Conversion between YUV planes and RGB f32 tensors, and scaling.

use crate::error::FrameError;
use crate::frame::{FramePool, PixelFormat, PlanarImage, Tensor};
use crate::stream::{ColorDescription, YuvMatrix};

/// RGB f32 `[height, width, 3]` of a planar picture.
///
/// # Errors
/// None for a picture of valid size.
pub fn planar_to_tensor(
    image: &PlanarImage,
    color: ColorDescription,
    pool: &FramePool,
) -> Result<Tensor, FrameError> {
    let (width, height) = (image.width(), image.height());
    let mut tensor = Tensor::uninit(height, width, 3, &pool.floats)?;
    let (kr, kb) = match color.yuv_matrix(width as u32, height as u32) {
        YuvMatrix::Bt601 => (0.299f32, 0.114f32),
        YuvMatrix::Bt709 => (0.2126, 0.0722),
    };
    let kg = 1.0 - kr - kb;
    let (y0, ys, cs) = if color.full_range {
        (0.0, 255.0, 255.0)
    } else {
        (16.0, 219.0, 224.0)
    };
    let (luma, u, v) = (image.plane(0), image.plane(1), image.plane(2));
    let columns = width.div_ceil(2);
    for (row, out) in tensor.make_mut().chunks_exact_mut(3 * width).enumerate() {
        for (x, pixel) in out.chunks_exact_mut(3).enumerate() {
            let at = (row / 2) * columns + x / 2;
            let (cb, cr) = match image.format() {
                PixelFormat::I420 => (u[at], v[at]),
                PixelFormat::Nv12 => (u[2 * at], u[2 * at + 1]),
            };
            let y = (f32::from(luma[row * width + x]) - y0) / ys;
            let (cb, cr) = ((f32::from(cb) - 128.0) / cs, (f32::from(cr) - 128.0) / cs);
            let (r, b) = (y + 2.0 * (1.0 - kr) * cr, y + 2.0 * (1.0 - kb) * cb);
            let g = (y - kr * r - kb * b) / kg;
            for (value, channel) in pixel.iter_mut().zip([r, g, b]) {
                *value = channel.clamp(0.0, 1.0);
            }
        }
    }
    Ok(tensor)
}
