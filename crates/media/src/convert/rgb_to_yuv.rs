//! RGB f32 to YUV planes, fast: the reference's formula with its operations in the same order.

use super::reference::{Coefficients, unit};
use crate::frame::{PixelFormat, PlanarImage, Tensor};

/// Adding it to a value of 0 to 2²² leaves the value's nearest integer, ties to even, in the
/// low bits of the sum: 2²³, where `f32` has steps of one.
const TO_INTEGER: f32 = 8_388_608.0;

/// Luma columns of a block; even.
const BLOCK: usize = 256;

/// Writes the samples of `tensor` to `image`, which has its size.
#[inline(always)]
pub(super) fn convert(tensor: &Tensor, k: &Coefficients, image: &mut PlanarImage) {
    match tensor.channels() {
        1 => planes::<1>(tensor, k, image),
        3 => planes::<3>(tensor, k, image),
        _ => planes::<4>(tensor, k, image),
    }
}

#[inline(always)]
fn planes<const C: usize>(tensor: &Tensor, k: &Coefficients, image: &mut PlanarImage) {
    let (format, width) = (image.format(), image.width());
    let columns = width.div_ceil(2);
    let [luma, u, v] = image.planes_mut();
    let (pixels, _) = tensor.as_chunks::<C>();
    // The sum of the two pixels, one above the other, of each column.
    let mut sums = [[0.0; BLOCK]; 3];
    for (pair, (pixels, luma)) in pixels
        .chunks(2 * width)
        .zip(luma.chunks_mut(2 * width))
        .enumerate()
    {
        let (top, bottom) = pixels.split_at(width);
        // Past the last row of an odd height, that row again.
        let (bottom, luma_bottom) = if bottom.is_empty() {
            (top, false)
        } else {
            (bottom, true)
        };
        let (luma_top, luma_rest) = luma.split_at_mut(width);
        for start in (0..width).step_by(BLOCK) {
            let end = width.min(start + BLOCK);
            luma_row(k, &top[start..end], &mut luma_top[start..end]);
            if luma_bottom {
                luma_row(k, &bottom[start..end], &mut luma_rest[start..end]);
            }
            column_sums(&top[start..end], &bottom[start..end], &mut sums);
            let last = end - start;
            if last % 2 == 1 {
                for sums in &mut sums {
                    sums[last] = sums[last - 1];
                }
            }
            let blocks = pair * columns + start / 2..pair * columns + end.div_ceil(2);
            match format {
                PixelFormat::I420 => {
                    chroma(&k.rgb_to_cb, &sums, u[blocks.clone()].iter_mut());
                    chroma(&k.rgb_to_cr, &sums, v[blocks].iter_mut());
                }
                PixelFormat::Nv12 => {
                    let uv = &mut u[2 * blocks.start..2 * blocks.end];
                    chroma(&k.rgb_to_cb, &sums, uv.iter_mut().step_by(2));
                    chroma(&k.rgb_to_cr, &sums, uv.iter_mut().skip(1).step_by(2));
                }
            }
        }
    }
}

#[inline(always)]
fn rgb<const C: usize>(pixel: &[f32; C]) -> [f32; 3] {
    match C {
        1 => [unit(pixel[0]); 3],
        _ => [unit(pixel[0]), unit(pixel[1 % C]), unit(pixel[2 % C])],
    }
}

#[inline(always)]
fn luma_row<const C: usize>(k: &Coefficients, pixels: &[[f32; C]], out: &mut [u8]) {
    let [kr, kg, kb] = k.rgb_to_y;
    for (y, pixel) in out.iter_mut().zip(pixels) {
        let [r, g, b] = rgb(pixel);
        let value = ((r * kr + g * kg) + b * kb) + k.luma_offset;
        *y = (value + TO_INTEGER).to_bits() as u8;
    }
}

#[inline(always)]
fn column_sums<const C: usize>(
    top: &[[f32; C]],
    bottom: &[[f32; C]],
    [r, g, b]: &mut [[f32; BLOCK]; 3],
) {
    let sums = r.iter_mut().zip(g).zip(b);
    for (((r, g), b), (top, bottom)) in sums.zip(top.iter().zip(bottom)) {
        let (top, bottom) = (rgb(top), rgb(bottom));
        *r = top[0] + bottom[0];
        *g = top[1] + bottom[1];
        *b = top[2] + bottom[2];
    }
}

#[inline(always)]
fn chroma<'a>(
    [kr, kg, kb]: &[f32; 3],
    sums: &[[f32; BLOCK]; 3],
    out: impl Iterator<Item = &'a mut u8>,
) {
    let [r, g, b] = sums.each_ref().map(|sums| sums.as_chunks::<2>().0);
    for (((out, r), g), b) in out.zip(r).zip(g).zip(b) {
        let [r, g, b] = [r, g, b].map(|pair| (pair[0] + pair[1]) * 0.25);
        let value = ((r * kr + g * kg) + b * kb) + 128.0;
        let value = if value < 255.0 { value } else { 255.0 };
        *out = (value + TO_INTEGER).to_bits() as u8;
    }
}
