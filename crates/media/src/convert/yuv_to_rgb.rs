//! YUV planes to RGB f32, fast: the reference's formula with its operations in the same order.
//!
//! Interleaving three channels of `f32` is what costs, not the arithmetic. So nothing wider than
//! a byte is interleaved: luma is written out three times as bytes, chroma terms are made once
//! for two rows, and the sum is a plain loop over contiguous values, which vectorises to the
//! width of the machine. Blocks are small enough that everything between planes and tensor stays
//! in the first-level cache.

use super::reference::{Coefficients, unit};
use crate::frame::{PixelFormat, PlanarImage};

/// Luma columns of a block.
const BLOCK: usize = 256;

/// Writes R, G, B of every pixel of `image` to `out`, which holds `3 × width × height` values.
#[inline(always)]
pub(super) fn convert(image: &PlanarImage, k: &Coefficients, out: &mut [f32]) {
    let width = image.width();
    let columns = width.div_ceil(2);
    let mut chroma = [0.0; 3 * BLOCK];
    let mut luma3 = [0; 3 * BLOCK];
    let row_pairs = out.chunks_mut(2 * 3 * width);
    let luma_pairs = image.plane(0).chunks(2 * width);
    for (pair, (out, luma)) in row_pairs.zip(luma_pairs).enumerate() {
        for start in (0..width).step_by(BLOCK) {
            let end = width.min(start + BLOCK);
            let blocks = pair * columns + start / 2..pair * columns + end.div_ceil(2);
            match image.format() {
                PixelFormat::I420 => {
                    let (cb, cr) = (&image.plane(1)[blocks.clone()], &image.plane(2)[blocks]);
                    chroma_terms(k, cb.iter().copied().zip(cr.iter().copied()), &mut chroma);
                }
                PixelFormat::Nv12 => {
                    let (samples, _) =
                        image.plane(1)[2 * blocks.start..2 * blocks.end].as_chunks::<2>();
                    chroma_terms(k, samples.iter().map(|&[cb, cr]| (cb, cr)), &mut chroma);
                }
            }
            let rows = out
                .chunks_exact_mut(3 * width)
                .zip(luma.chunks_exact(width));
            for (out, luma) in rows {
                triple(&luma[start..end], &mut luma3);
                shade(k, &luma3, &chroma, &mut out[3 * start..3 * end]);
            }
        }
    }
}

/// What chroma adds to R, G, B, R, G, B of the two pixels that each sample covers.
#[inline(always)]
fn chroma_terms(
    k: &Coefficients,
    samples: impl Iterator<Item = (u8, u8)>,
    terms: &mut [f32; 3 * BLOCK],
) {
    let (pixels, _) = terms.as_chunks_mut::<6>();
    for (pixels, (cb, cr)) in pixels.iter_mut().zip(samples) {
        let (cb, cr) = (f32::from(cb) - 128.0, f32::from(cr) - 128.0);
        let [r, g, b]: [f32; 3] =
            std::array::from_fn(|c| cb * k.cb_to_rgb[c] + cr * k.cr_to_rgb[c]);
        *pixels = [r, g, b, r, g, b];
    }
}

/// Every byte three times.
#[inline(always)]
fn triple(luma: &[u8], out: &mut [u8; 3 * BLOCK]) {
    let (pixels, _) = out.as_chunks_mut::<3>();
    for (pixel, &y) in pixels.iter_mut().zip(luma) {
        *pixel = [y; 3];
    }
}

#[inline(always)]
fn shade(k: &Coefficients, luma3: &[u8], chroma: &[f32], out: &mut [f32]) {
    for ((value, &y), &chroma) in out.iter_mut().zip(luma3).zip(chroma) {
        *value = unit((f32::from(y) - k.luma_offset) * k.luma_scale + chroma);
    }
}
