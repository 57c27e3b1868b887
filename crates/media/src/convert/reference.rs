//! The one formula for colour: a scalar f32 reference that every other conversion is held to.
//!
//! **Samples.** 8-bit Y′CbCr 4:2:0, ITU-T H.273 clause 8.3: with Kr, Kb of BT.601 or BT.709 and
//! Kg = 1 − Kr − Kb, limited range puts Y in 16–235 and Cb, Cr in 16–240, full range both in
//! 0–255, with chroma centred on 128.
//!
//! **Siting.** One chroma sample belongs to a block of 2 × 2 luma samples and stands in its
//! centre. To RGB it is repeated for the block's pixels; from RGB it is the mean of the block.
//! The two undo each other, so that a picture that goes to RGB and back keeps its samples,
//! whatever else was done to it; interpolating between sites would soften chroma each time. The
//! last column and row of an odd size are blocks of one column or row: pixels beyond the edge
//! repeat those at it.
//!
//! **To RGB**, for channel c of R, G, B, with a [`Coefficients`] `k` and every operation rounded
//! to `f32` on its own (no fused multiply-add), in this order:
//!
//! ```text
//! y      = (Y − k.luma_offset) × k.luma_scale
//! chroma = (Cb − 128) × k.cb_to_rgb[c] + (Cr − 128) × k.cr_to_rgb[c]
//! value  = unit(y + chroma)
//! ```
//!
//! **From RGB**, with `unit` applied to R, G and B first:
//!
//! ```text
//! Y  = round(((R × k.rgb_to_y[0] + G × k.rgb_to_y[1]) + B × k.rgb_to_y[2]) + k.luma_offset)
//! M  = ((top left + bottom left) + (top right + bottom right)) × 0.25      for R, G and B
//! Cb = round(((M_R × k.rgb_to_cb[0] + M_G × k.rgb_to_cb[1]) + M_B × k.rgb_to_cb[2]) + 128)
//! Cr = the same with k.rgb_to_cr
//! ```
//!
//! `unit` clamps to [0, 1] and takes NaN for 0. `round` goes to the nearest integer, ties to
//! even, and not above 255 (full-range chroma reaches 255.5). Gray is R = G = B; alpha is
//! ignored.
//!
//! Device kernels equal this bit for bit when they are compiled without contraction
//! (`--fmad=false`) and are given the same coefficients.

use crate::error::FrameError;
use crate::frame::{FramePool, PixelFormat, PlanarImage, Tensor};
use crate::stream::{ColorDescription, YuvMatrix};

/// The numbers of the formula for one matrix and range, rounded from `f64` to `f32` once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// Y of black: 16 or 0.
    pub luma_offset: f32,
    /// 1/219 or 1/255.
    pub luma_scale: f32,
    /// What one step of Cb adds to R, G and B.
    pub cb_to_rgb: [f32; 3],
    /// What one step of Cr adds to R, G and B.
    pub cr_to_rgb: [f32; 3],
    /// Steps of Y for R, G and B of 1.
    pub rgb_to_y: [f32; 3],
    /// Steps of Cb for R, G and B of 1.
    pub rgb_to_cb: [f32; 3],
    /// Steps of Cr for R, G and B of 1.
    pub rgb_to_cr: [f32; 3],
}

impl Coefficients {
    /// For a matrix and a range.
    pub fn new(matrix: YuvMatrix, full_range: bool) -> Self {
        let (kr, kb) = match matrix {
            YuvMatrix::Bt601 => (0.299, 0.114),
            YuvMatrix::Bt709 => (0.2126, 0.0722),
        };
        let kg = 1.0 - kr - kb;
        let (offset, luma, chroma): (f32, f64, f64) = if full_range {
            (0.0, 255.0, 255.0)
        } else {
            (16.0, 219.0, 224.0)
        };
        let narrow = |values: [f64; 3]| values.map(|value| value as f32);
        // Pb = (B − Y) / (2 (1 − Kb)) and Pr = (R − Y) / (2 (1 − Kr)), both in −½..½.
        let (pb, pr) = (2.0 * (1.0 - kb), 2.0 * (1.0 - kr));
        Self {
            luma_offset: offset,
            luma_scale: (1.0 / luma) as f32,
            cb_to_rgb: narrow([0.0, -kb * pb / kg / chroma, pb / chroma]),
            cr_to_rgb: narrow([pr / chroma, -kr * pr / kg / chroma, 0.0]),
            rgb_to_y: narrow([kr * luma, kg * luma, kb * luma]),
            rgb_to_cb: narrow([-kr / pb * chroma, -kg / pb * chroma, 0.5 * chroma]),
            rgb_to_cr: narrow([0.5 * chroma, -kg / pr * chroma, -kb / pr * chroma]),
        }
    }

    /// For a stream's colour and the size of its picture, which decides where the stream does
    /// not say.
    pub fn of(color: ColorDescription, width: usize, height: usize) -> Self {
        // No frame is larger than `MAX_SIDE`, which fits.
        let matrix = color.yuv_matrix(width as u32, height as u32);
        Self::new(matrix, color.full_range)
    }

    /// R, G and B of one pixel.
    pub fn to_rgb(&self, y: u8, cb: u8, cr: u8) -> [f32; 3] {
        let y = (f32::from(y) - self.luma_offset) * self.luma_scale;
        let (cb, cr) = (f32::from(cb) - 128.0, f32::from(cr) - 128.0);
        std::array::from_fn(|c| {
            let chroma = cb * self.cb_to_rgb[c] + cr * self.cr_to_rgb[c];
            unit(y + chroma)
        })
    }

    /// Y of a pixel whose channels are in [0, 1].
    pub fn to_y(&self, rgb: [f32; 3]) -> u8 {
        round(dot(rgb, self.rgb_to_y) + self.luma_offset)
    }

    /// Cb and Cr of a block whose mean has channels in [0, 1].
    pub fn to_chroma(&self, mean: [f32; 3]) -> [u8; 2] {
        [self.rgb_to_cb, self.rgb_to_cr].map(|to| round(dot(mean, to) + 128.0))
    }
}

/// `value` clamped to [0, 1]; 0 for NaN.
#[inline(always)]
pub fn unit(value: f32) -> f32 {
    // Written as comparisons, each of which is one instruction that gives its second operand
    // for NaN; `f32::clamp` would keep NaN.
    let value = if value > 0.0 { value } else { 0.0 };
    if value < 1.0 { value } else { 1.0 }
}

/// The nearest integer of a value that is not negative, ties to even, at most 255.
fn round(value: f32) -> u8 {
    value.round_ties_even().min(255.0) as u8
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    (a[0] * b[0] + a[1] * b[1]) + a[2] * b[2]
}

/// RGB f32 `[height, width, 3]` of a planar picture, pixel by pixel.
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
    let columns = width.div_ceil(2);
    for (at, pixel) in tensor.make_mut().chunks_exact_mut(3).enumerate() {
        let (row, x) = (at / width, at % width);
        let block = (row / 2) * columns + x / 2;
        let [cb, cr] = match image.format() {
            PixelFormat::I420 => [image.plane(1)[block], image.plane(2)[block]],
            PixelFormat::Nv12 => [image.plane(1)[2 * block], image.plane(1)[2 * block + 1]],
        };
        pixel.copy_from_slice(&k.to_rgb(image.plane(0)[at], cb, cr));
    }
    Ok(tensor)
}

/// The planar picture of a tensor of 1, 3 or 4 channels, pixel by pixel.
///
/// # Errors
/// None for a tensor of valid size.
pub fn tensor_to_planar(
    tensor: &Tensor,
    format: PixelFormat,
    color: ColorDescription,
    pool: &FramePool,
) -> Result<PlanarImage, FrameError> {
    let [height, width, channels] = tensor.shape();
    let k = Coefficients::of(color, width, height);
    let rgb = |row: usize, x: usize| {
        let at = (row.min(height - 1) * width + x.min(width - 1)) * channels;
        match channels {
            1 => [unit(tensor[at]); 3],
            _ => [0, 1, 2].map(|c| unit(tensor[at + c])),
        }
    };
    let mut image = PlanarImage::new(format, width, height, &pool.bytes)?;
    let [luma, u, v] = image.planes_mut();
    for (at, y) in luma.iter_mut().enumerate() {
        *y = k.to_y(rgb(at / width, at % width));
    }
    let columns = width.div_ceil(2);
    for block in 0..columns * height.div_ceil(2) {
        let (row, x) = (2 * (block / columns), 2 * (block % columns));
        let corners = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dy, dx)| rgb(row + dy, x + dx));
        let [top_left, bottom_left, top_right, bottom_right] = corners;
        let mean = std::array::from_fn(|c| {
            ((top_left[c] + bottom_left[c]) + (top_right[c] + bottom_right[c])) * 0.25
        });
        let [cb, cr] = k.to_chroma(mean);
        match format {
            PixelFormat::I420 => (u[block], v[block]) = (cb, cr),
            PixelFormat::Nv12 => (u[2 * block], u[2 * block + 1]) = (cb, cr),
        }
    }
    Ok(image)
}

#[cfg(test)]
#[path = "reference_test.rs"]
mod tests;
