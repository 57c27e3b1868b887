//! YUV planes to RGB f32, fast: the reference's formula with its operations in the same order.
//!
//! The work is in interleaving three channels, not in the arithmetic. Chroma terms are made and
//! interleaved once for two rows; a row then needs its luma three times over, which is one byte
//! shuffle per vector, and one addition. Rows are taken in pieces small enough that everything
//! between planes and tensor stays in the first-level cache.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, f32x4, f32x8, u8x32};

use super::picks;
use super::reference::{Coefficients, unit};
use crate::frame::{PixelFormat, PlanarImage};

/// Luma columns of a piece of a row.
const PIECE: usize = 1280;
/// Chroma columns of a piece.
const CHROMA: usize = PIECE / 2;

/// Writes R, G, B of every pixel of `image` to `out`, which holds `3 × width × height` values.
pub(super) fn convert(image: &PlanarImage, k: &Coefficients, out: &mut [f32]) {
    dispatch!(Level::new(), simd => convert_with(simd, image, k, out));
}

#[inline(always)]
fn convert_with<S: Simd>(simd: S, image: &PlanarImage, k: &Coefficients, out: &mut [f32]) {
    simd.vectorize(
        #[inline(always)]
        || {
            let mut scratch = Scratch::new();
            let width = image.width();
            let columns = width.div_ceil(2);
            let row_pairs = out.chunks_mut(2 * 3 * width);
            let luma_pairs = image.plane(0).chunks(2 * width);
            for (pair, (out, luma)) in row_pairs.zip(luma_pairs).enumerate() {
                for start in (0..width).step_by(PIECE) {
                    let end = width.min(start + PIECE);
                    let first = pair * columns + start / 2;
                    let last = pair * columns + end.div_ceil(2);
                    match image.format() {
                        PixelFormat::I420 => {
                            center(&image.plane(1)[first..last], &mut scratch.cb);
                            center(&image.plane(2)[first..last], &mut scratch.cr);
                        }
                        PixelFormat::Nv12 => {
                            let (samples, _) = image.plane(1)[2 * first..2 * last].as_chunks();
                            center_pairs(samples, &mut scratch.cb, &mut scratch.cr);
                        }
                    }
                    chroma_terms(simd, k, last - first, &mut scratch);
                    let rows = out
                        .chunks_exact_mut(3 * width)
                        .zip(luma.chunks_exact(width));
                    for (out, luma) in rows {
                        let (out, luma) = (&mut out[3 * start..3 * end], &luma[start..end]);
                        shade(simd, k, luma, &scratch, out);
                    }
                }
            }
        },
    );
}

/// What a piece of two rows is made from.
struct Scratch {
    /// Cb − 128.
    cb: [f32; CHROMA],
    /// Cr − 128.
    cr: [f32; CHROMA],
    /// What chroma adds to R, G and B of each pixel.
    terms: [f32; 3 * PIECE],
}

impl Scratch {
    fn new() -> Self {
        Self {
            cb: [0.0; CHROMA],
            cr: [0.0; CHROMA],
            terms: [0.0; 3 * PIECE],
        }
    }
}

#[inline(always)]
fn center(samples: &[u8], out: &mut [f32; CHROMA]) {
    for (out, &sample) in out.iter_mut().zip(samples) {
        *out = f32::from(sample) - 128.0;
    }
}

#[inline(always)]
fn center_pairs(samples: &[[u8; 2]], cb: &mut [f32; CHROMA], cr: &mut [f32; CHROMA]) {
    for ((cb, cr), sample) in cb.iter_mut().zip(cr).zip(samples) {
        *cb = f32::from(sample[0]) - 128.0;
        *cr = f32::from(sample[1]) - 128.0;
    }
}

/// What chroma adds to R, G, B, R, G, B of the two pixels that each sample covers.
#[inline(always)]
fn chroma_terms<S: Simd>(simd: S, k: &Coefficients, samples: usize, scratch: &mut Scratch) {
    // Four samples become 24 values: every sample six times, times the factors of R, G, B in
    // turn. Six vectors hold them, whose factors repeat after three.
    let sixfold = [
        const { picks([0, 0, 0, 0]) },
        const { picks([0, 0, 1, 1]) },
        const { picks([1, 1, 1, 1]) },
        const { picks([2, 2, 2, 2]) },
        const { picks([2, 2, 3, 3]) },
        const { picks([3, 3, 3, 3]) },
    ]
    .map(|indices| u8x32::from_slice(simd, &indices));
    let factors = |of: [f32; 3]| {
        [0, 1, 2].map(|vector| {
            let values: [f32; 8] = std::array::from_fn(|lane| of[(4 * vector + lane % 4) % 3]);
            f32x8::from_slice(simd, &values)
        })
    };
    let (to_cb, to_cr) = (factors(k.cb_to_rgb), factors(k.cr_to_rgb));
    let (cb, _) = scratch.cb.as_chunks::<8>();
    let (cr, _) = scratch.cr.as_chunks::<8>();
    let (terms, _) = scratch.terms.as_chunks_mut::<48>();
    let eights = samples.div_ceil(8);
    for ((terms, cb), cr) in terms.iter_mut().zip(cb).zip(cr).take(eights) {
        let (cb, cr) = (f32x8::from_slice(simd, cb), f32x8::from_slice(simd, cr));
        for vector in 0..6 {
            let cb = cb.swizzle_dyn_within_blocks(sixfold[vector]);
            let cr = cr.swizzle_dyn_within_blocks(sixfold[vector]);
            let (low, high) = (cb * to_cb[vector % 3] + cr * to_cr[vector % 3]).split();
            low.store_slice(&mut terms[4 * vector..4 * vector + 4]);
            high.store_slice(&mut terms[24 + 4 * vector..28 + 4 * vector]);
        }
    }
}

/// Luma and chroma terms together.
#[inline(always)]
fn shade<S: Simd>(simd: S, k: &Coefficients, luma: &[u8], scratch: &Scratch, out: &mut [f32]) {
    // Four values become twelve: each three times.
    let threefold = [
        const { picks([0, 0, 0, 1]) },
        const { picks([1, 1, 2, 2]) },
        const { picks([2, 3, 3, 3]) },
    ]
    .map(|indices| u8x32::from_slice(simd, &indices));
    let (zero, one) = (f32x8::splat(simd, 0.0), f32x8::splat(simd, 1.0));
    let (offset, scale) = (
        f32x8::splat(simd, k.luma_offset),
        f32x8::splat(simd, k.luma_scale),
    );
    let (luma8, luma_rest) = luma.as_chunks::<8>();
    let (terms24, _) = scratch.terms.as_chunks::<24>();
    let (out24, out_rest) = out.as_chunks_mut::<24>();
    for ((out, luma), terms) in out24.iter_mut().zip(luma8).zip(terms24) {
        let luma = (f32x8::from_slice(simd, &luma.map(f32::from)) - offset) * scale;
        let [a, b, c]: [(f32x4<S>, f32x4<S>); 3] =
            threefold.map(|indices| luma.swizzle_dyn_within_blocks(indices).split());
        let vectors = [a.0.combine(b.0), c.0.combine(a.1), b.1.combine(c.1)];
        let (terms, _) = terms.as_chunks::<8>();
        let (out, _) = out.as_chunks_mut::<8>();
        for ((out, luma), terms) in out.iter_mut().zip(vectors).zip(terms) {
            let value = luma + f32x8::from_slice(simd, terms);
            value.max(zero).min(one).store_slice(out);
        }
    }
    // The last pixels, fewer than eight.
    let pixels = out_rest.chunks_exact_mut(3).zip(luma_rest);
    let terms = scratch.terms[3 * 8 * luma8.len()..].chunks_exact(3);
    for ((pixel, &luma), terms) in pixels.zip(terms) {
        let luma = (f32::from(luma) - k.luma_offset) * k.luma_scale;
        for (value, term) in pixel.iter_mut().zip(terms) {
            *value = unit(luma + term);
        }
    }
}
