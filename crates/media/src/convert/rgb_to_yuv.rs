//! RGB f32 to YUV planes, fast: the reference's formula with its operations in the same order.
//!
//! Pieces of two rows are first taken apart into channels, clamped, in the first-level cache;
//! luma and chroma are then plain loops over contiguous values, which vectorise.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, f32x4, f32x8, mask32x8, u8x32};

use super::picks;
use super::reference::{Coefficients, unit};
use crate::frame::{PixelFormat, PlanarImage, Tensor};

/// Columns of a piece of a row; even.
const PIECE: usize = 256;

/// 2²³, where `f32` has steps of one: adding it to a value of 0 to 255 rounds the value to the
/// nearest integer, ties to even, and leaves that in the low bits.
const TO_INTEGER: f32 = 8_388_608.0;

/// Writes the samples of `tensor` to `image`, which has its size.
pub(super) fn convert(tensor: &Tensor, k: &Coefficients, image: &mut PlanarImage) {
    dispatch!(Level::new(), simd => convert_with(simd, tensor, k, image));
}

/// A channel of a piece of a row.
type Row = [f32; PIECE];

#[inline(always)]
fn convert_with<S: Simd>(simd: S, tensor: &Tensor, k: &Coefficients, image: &mut PlanarImage) {
    simd.vectorize(
        #[inline(always)]
        || {
            let (format, width, channels) = (image.format(), image.width(), tensor.channels());
            let columns = width.div_ceil(2);
            let [luma, u, v] = image.planes_mut();
            let (mut top, mut bottom) = ([[0.0; PIECE]; 3], [[0.0; PIECE]; 3]);
            let value_pairs = tensor.chunks(2 * channels * width);
            for (pair, (values, luma)) in value_pairs.zip(luma.chunks_mut(2 * width)).enumerate() {
                let (values_top, values_bottom) = values.split_at(channels * width);
                let (luma_top, luma_bottom) = luma.split_at_mut(width);
                for start in (0..width).step_by(PIECE) {
                    let end = width.min(start + PIECE);
                    let values = channels * start..channels * end;
                    separate(simd, &values_top[values.clone()], channels, &mut top);
                    luma_row(k, &top, &mut luma_top[start..end]);
                    // An odd height ends in a pair of one row, which stands for both.
                    if !values_bottom.is_empty() {
                        separate(simd, &values_bottom[values], channels, &mut bottom);
                        luma_row(k, &bottom, &mut luma_bottom[start..end]);
                        add(&mut top, &bottom);
                    } else {
                        double(&mut top);
                    }
                    // An odd width ends in a block of one column, which stands for both.
                    let last = end - start;
                    if last % 2 == 1 {
                        for sums in &mut top {
                            sums[last] = sums[last - 1];
                        }
                    }
                    let blocks = pair * columns + start / 2..pair * columns + end.div_ceil(2);
                    match format {
                        PixelFormat::I420 => {
                            chroma_row(&k.rgb_to_cb, &top, u[blocks.clone()].iter_mut());
                            chroma_row(&k.rgb_to_cr, &top, v[blocks].iter_mut());
                        }
                        PixelFormat::Nv12 => {
                            let (uv, _) = u[2 * blocks.start..2 * blocks.end].as_chunks_mut();
                            let (mut cb, mut cr) = ([0; PIECE / 2], [0; PIECE / 2]);
                            chroma_row(&k.rgb_to_cb, &top, cb.iter_mut());
                            chroma_row(&k.rgb_to_cr, &top, cr.iter_mut());
                            for ((uv, cb), cr) in uv.iter_mut().zip(cb).zip(cr) {
                                *uv = [cb, cr];
                            }
                        }
                    }
                }
            }
        },
    );
}

/// R, G and B of a piece of a row, clamped.
#[inline(always)]
fn separate<S: Simd>(simd: S, values: &[f32], channels: usize, [r, g, b]: &mut [Row; 3]) {
    match channels {
        1 => {
            for (((r, g), b), &value) in r.iter_mut().zip(g).zip(b).zip(values) {
                let value = unit(value);
                (*r, *g, *b) = (value, value, value);
            }
        }
        3 => separate_rgb(simd, values, [r, g, b]),
        _ => {
            let (pixels, _) = values.as_chunks::<4>();
            for (((r, g), b), pixel) in r.iter_mut().zip(g).zip(b).zip(pixels) {
                (*r, *g, *b) = (unit(pixel[0]), unit(pixel[1]), unit(pixel[2]));
            }
        }
    }
}

#[inline(always)]
fn separate_rgb<S: Simd>(simd: S, values: &[f32], [r, g, b]: [&mut Row; 3]) {
    // Four pixels lie in three vectors of four: r g b r, g b r g, b r g b. Each channel has
    // every lane number once, so that a blend of the three and one shuffle give it.
    let lane = |number: usize| {
        let lanes: [i32; 8] = std::array::from_fn(|at| if at % 4 == number { -1 } else { 0 });
        mask32x8::from_slice(simd, &lanes)
    };
    let (lane_1, lane_2) = (lane(1), lane(2));
    let order = [
        const { picks([0, 3, 2, 1]) },
        const { picks([1, 0, 3, 2]) },
        const { picks([2, 1, 0, 3]) },
    ]
    .map(|indices| u8x32::from_slice(simd, &indices));
    let (zero, one) = (f32x8::splat(simd, 0.0), f32x8::splat(simd, 1.0));
    let clamp = |value: f32x8<S>| {
        let positive = value.simd_gt(zero).select(value, zero);
        positive.min(one)
    };
    let (eights, rest) = values.as_chunks::<24>();
    let (r8, r_rest) = r.split_at_mut(8 * eights.len());
    let (g8, g_rest) = g.split_at_mut(8 * eights.len());
    let (b8, b_rest) = b.split_at_mut(8 * eights.len());
    let rows = r8
        .chunks_exact_mut(8)
        .zip(g8.chunks_exact_mut(8))
        .zip(b8.chunks_exact_mut(8));
    for (values, ((r, g), b)) in eights.iter().zip(rows) {
        let (fours, _) = values.as_chunks::<4>();
        let [v0, v1, v2] = [0, 1, 2].map(|vector| {
            let four = |at: usize| f32x4::from_slice(simd, &fours[at]);
            clamp(four(vector).combine(four(vector + 3)))
        });
        let red = lane_1.select(v2, lane_2.select(v1, v0));
        let green = lane_2.select(v2, lane_1.select(v0, v1));
        let blue = lane_1.select(v1, lane_2.select(v0, v2));
        red.swizzle_dyn_within_blocks(order[0]).store_slice(r);
        green.swizzle_dyn_within_blocks(order[1]).store_slice(g);
        blue.swizzle_dyn_within_blocks(order[2]).store_slice(b);
    }
    let (pixels, _) = rest.as_chunks::<3>();
    for (((r, g), b), pixel) in r_rest.iter_mut().zip(g_rest).zip(b_rest).zip(pixels) {
        (*r, *g, *b) = (unit(pixel[0]), unit(pixel[1]), unit(pixel[2]));
    }
}

#[inline(always)]
fn luma_row(k: &Coefficients, [r, g, b]: &[Row; 3], out: &mut [u8]) {
    let [kr, kg, kb] = k.rgb_to_y;
    for (((y, r), g), b) in out.iter_mut().zip(r).zip(g).zip(b) {
        let value = ((r * kr + g * kg) + b * kb) + k.luma_offset;
        *y = (value + TO_INTEGER).to_bits() as u8;
    }
}

#[inline(always)]
fn add(top: &mut [Row; 3], bottom: &[Row; 3]) {
    for (top, bottom) in top.iter_mut().zip(bottom) {
        for (top, bottom) in top.iter_mut().zip(bottom) {
            *top += bottom;
        }
    }
}

#[inline(always)]
fn double(top: &mut [Row; 3]) {
    top.iter_mut().flatten().for_each(|value| *value += *value);
}

/// A chroma component of blocks, from the sums of their columns.
#[inline(always)]
fn chroma_row<'a>([kr, kg, kb]: &[f32; 3], sums: &[Row; 3], out: impl Iterator<Item = &'a mut u8>) {
    let [r, g, b] = sums.each_ref().map(|sums| sums.as_chunks::<2>().0);
    for (((out, r), g), b) in out.zip(r).zip(g).zip(b) {
        let [r, g, b] = [r, g, b].map(|pair| (pair[0] + pair[1]) * 0.25);
        let value = ((r * kr + g * kg) + b * kb) + 128.0;
        let value = if value < 255.0 { value } else { 255.0 };
        *out = (value + TO_INTEGER).to_bits() as u8;
    }
}
