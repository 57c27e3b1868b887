//! Conversion between YUV planes and RGB f32 tensors, and scaling.
//!
//! The formula, its rounding and the siting of chroma are those of [`mod@reference`];
//! the conversions here give the same values, bit for bit, faster. Pictures of any size convert
//! and scale: odd, portrait, of one pixel, with sides up to [`MAX_SIDE`](crate::frame::MAX_SIDE).

mod encoder_input;
pub mod reference;
mod rgb_to_yuv;
mod scale;
mod yuv_to_rgb;

pub use self::encoder_input::encoder_input;
pub use self::scale::{CoverScaler, scale_cover_crop};

use self::reference::Coefficients;
use crate::error::FrameError;
use crate::frame::{FramePool, PixelFormat, PlanarImage, Tensor};
use crate::stream::ColorDescription;

/// RGB f32 `[height, width, 3]` in [0, 1] of a planar picture.
///
/// # Errors
/// None for a picture of valid size.
pub fn planar_to_tensor(
    image: &PlanarImage,
    color: ColorDescription,
    pool: &FramePool,
) -> Result<Tensor, FrameError> {
    let (width, height) = (image.width(), image.height());
    let k = Coefficients::of(color, width, height);
    let mut tensor = Tensor::uninit(height, width, 3, &pool.floats)?;
    yuv_to_rgb::convert(image, &k, tensor.make_mut());
    Ok(tensor)
}

/// The planar picture of a tensor: of its R, G and B where it has 3 or 4 channels (a fourth is
/// ignored), gray where it has one. Values are clamped to [0, 1]; NaN counts as 0.
///
/// # Errors
/// None for a tensor of valid size.
pub fn tensor_to_planar(
    tensor: &Tensor,
    format: PixelFormat,
    color: ColorDescription,
    pool: &FramePool,
) -> Result<PlanarImage, FrameError> {
    let (width, height) = (tensor.width(), tensor.height());
    let k = Coefficients::of(color, width, height);
    let mut image = PlanarImage::new(format, width, height, &pool.bytes)?;
    rgb_to_yuv::convert(tensor, &k, &mut image);
    Ok(image)
}

/// Byte indices that, in each half of eight values, pick four values by number.
const fn picks(values: [u8; 4]) -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < 32 {
        bytes[at] = 4 * values[at % 16 / 4] + (at % 4) as u8;
        at += 1;
    }
    bytes
}

#[cfg(test)]
#[path = "convert_test.rs"]
mod tests;
