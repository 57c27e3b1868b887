//! RGB f32 to YUV planes, fast: the reference's formula with its operations in the same order.
//!
//! Sixteen columns of two rows are taken apart into channels, made into luma, summed and made
//! into chroma without leaving the registers. What does not fill sixteen columns, or is no RGB,
//! is first copied into blocks that do.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, f32x4, f32x8, mask32x8, u8x16, u8x32, u16x16, u32x8};

use super::picks;
use super::reference::Coefficients;
use crate::frame::{PixelFormat, PlanarImage, Tensor};

/// Columns that are converted at once.
const BLOCK: usize = 16;
/// Values of a row of a block.
const VALUES: usize = 3 * BLOCK;

/// 2²³, where `f32` has steps of one: adding it to a value of 0 to 255 rounds the value to the
/// nearest integer, ties to even, and leaves that in the low bits.
const TO_INTEGER: f32 = 8_388_608.0;

/// Writes the samples of `tensor` to `image`, which has its size.
pub(super) fn convert(tensor: &Tensor, k: &Coefficients, image: &mut PlanarImage) {
    dispatch!(Level::new(), simd => convert_with(simd, tensor, k, image));
}

#[inline(always)]
fn convert_with<S: Simd>(simd: S, tensor: &Tensor, k: &Coefficients, image: &mut PlanarImage) {
    simd.vectorize(
        #[inline(always)]
        || {
            let kernel = Kernel::new(simd, k);
            let (format, width, channels) = (image.format(), image.width(), tensor.channels());
            let columns = width.div_ceil(2);
            let [luma, u, v] = image.planes_mut();
            let whole = if channels == 3 { width / BLOCK } else { 0 };
            let value_pairs = tensor.chunks(2 * channels * width);
            for (pair, (values, luma)) in value_pairs.zip(luma.chunks_mut(2 * width)).enumerate() {
                let (top, bottom) = values.split_at(channels * width);
                // An odd height ends in a pair of one row, which stands for both.
                let single = bottom.is_empty();
                let bottom = if single { top } else { bottom };
                let (luma_top, luma_bottom) = luma.split_at_mut(width);
                let chroma = pair * columns..(pair + 1) * columns;
                let mut rows = match format {
                    PixelFormat::I420 => ChromaRows::Planar(&mut u[chroma.clone()], &mut v[chroma]),
                    PixelFormat::Nv12 => {
                        ChromaRows::Pairs(u[2 * chroma.start..2 * chroma.end].as_chunks_mut().0)
                    }
                };
                let (top_blocks, _) = top.as_chunks::<VALUES>();
                let (bottom_blocks, _) = bottom.as_chunks::<VALUES>();
                let (luma_top_blocks, _) = luma_top.as_chunks_mut::<BLOCK>();
                let (luma_bottom_blocks, _) = luma_bottom.as_chunks_mut::<BLOCK>();
                let blocks = top_blocks.iter().zip(bottom_blocks).zip(luma_top_blocks);
                for (at, ((top, bottom), luma_top)) in blocks.take(whole).enumerate() {
                    let made = kernel.block(top, bottom);
                    *luma_top = made.luma[0];
                    if let Some(luma) = luma_bottom_blocks.get_mut(at) {
                        *luma = made.luma[1];
                    }
                    rows.put(at * BLOCK / 2, &made.chroma);
                }
                for start in (whole * BLOCK..width).step_by(BLOCK) {
                    let end = width.min(start + BLOCK);
                    let values = channels * start..channels * end;
                    let (top, bottom) = (&top[values.clone()], &bottom[values]);
                    let made = kernel.block(&padded(top, channels), &padded(bottom, channels));
                    luma_top[start..end].copy_from_slice(&made.luma[0][..end - start]);
                    if !single {
                        luma_bottom[start..end].copy_from_slice(&made.luma[1][..end - start]);
                    }
                    rows.put(start / 2, &made.chroma);
                }
            }
        },
    );
}

/// Up to sixteen pixels as a row of a block: of one channel as gray, of four without the last. The
/// last pixel stands for those that are missing.
#[inline(always)]
fn padded(values: &[f32], channels: usize) -> [f32; VALUES] {
    let mut row = [0.0; VALUES];
    let (pixels, _) = row.as_chunks_mut::<3>();
    match channels {
        1 => {
            for (pixel, value) in pixels.iter_mut().zip(values) {
                *pixel = [*value; 3];
            }
        }
        3 => {
            for (pixel, values) in pixels.iter_mut().zip(values.as_chunks::<3>().0) {
                *pixel = *values;
            }
        }
        _ => {
            for (pixel, [r, g, b, _]) in pixels.iter_mut().zip(values.as_chunks::<4>().0) {
                *pixel = [*r, *g, *b];
            }
        }
    }
    let given = values.len() / channels;
    let last = pixels[given - 1];
    pixels[given..].fill(last);
    row
}

/// Where the chroma of a pair of rows goes.
enum ChromaRows<'a> {
    Planar(&'a mut [u8], &'a mut [u8]),
    Pairs(&'a mut [[u8; 2]]),
}

impl ChromaRows<'_> {
    /// Writes Cb and Cr of eight blocks of two columns from block `at` on, as far as the row goes.
    #[inline(always)]
    fn put(&mut self, at: usize, [cb, cr]: &[[u8; 8]; 2]) {
        match self {
            Self::Planar(u, v) => {
                for (row, values) in [(u, cb), (v, cr)] {
                    match row[at..].first_chunk_mut() {
                        Some(row) => *row = *values,
                        None => row[at..]
                            .iter_mut()
                            .zip(values)
                            .for_each(|(to, from)| *to = *from),
                    }
                }
            }
            Self::Pairs(pairs) => {
                for (pair, (cb, cr)) in pairs[at..].iter_mut().zip(cb.iter().zip(cr)) {
                    *pair = [*cb, *cr];
                }
            }
        }
    }
}

/// The samples of sixteen columns of two rows.
struct Made {
    /// Y of each row.
    luma: [[u8; BLOCK]; 2],
    /// Cb and Cr.
    chroma: [[u8; BLOCK / 2]; 2],
}

/// R, G and B of eight pixels.
type Eight<S> = [f32x8<S>; 3];

/// The formula's numbers, in registers.
struct Kernel<'a, S: Simd> {
    simd: S,
    k: &'a Coefficients,
    lane_1: mask32x8<S>,
    lane_2: mask32x8<S>,
    order: [u8x32<S>; 3],
}

impl<'a, S: Simd> Kernel<'a, S> {
    #[inline(always)]
    fn new(simd: S, k: &'a Coefficients) -> Self {
        // Four pixels lie in three vectors of four: r g b r, g b r g, b r g b. Each channel has
        // every lane number once, so that a blend of the three and one shuffle give it.
        let lane = |number: usize| {
            let lanes: [i32; 8] = std::array::from_fn(|at| if at % 4 == number { -1 } else { 0 });
            mask32x8::from_slice(simd, &lanes)
        };
        let order = [
            const { picks([0, 3, 2, 1]) },
            const { picks([1, 0, 3, 2]) },
            const { picks([2, 1, 0, 3]) },
        ]
        .map(|indices| u8x32::from_slice(simd, &indices));
        Self {
            simd,
            k,
            lane_1: lane(1),
            lane_2: lane(2),
            order,
        }
    }

    #[inline(always)]
    fn splat(&self, value: f32) -> f32x8<S> {
        f32x8::splat(self.simd, value)
    }

    #[inline(always)]
    fn block(&self, top: &[f32; VALUES], bottom: &[f32; VALUES]) -> Made {
        let (top, bottom) = (self.sixteen(top), self.sixteen(bottom));
        let mean = [
            self.mean(&top, &bottom, 0),
            self.mean(&top, &bottom, 1),
            self.mean(&top, &bottom, 2),
        ];
        Made {
            luma: [self.luma(&top), self.luma(&bottom)],
            chroma: [
                self.chroma(&mean, &self.k.rgb_to_cb),
                self.chroma(&mean, &self.k.rgb_to_cr),
            ],
        }
    }

    #[inline(always)]
    fn sixteen(&self, row: &[f32; VALUES]) -> [Eight<S>; 2] {
        let (halves, _) = row.as_chunks::<24>();
        [self.separate(&halves[0]), self.separate(&halves[1])]
    }

    /// Means of a channel over eight blocks of two rows and two columns.
    #[inline(always)]
    fn mean(&self, top: &[Eight<S>; 2], bottom: &[Eight<S>; 2], channel: usize) -> f32x8<S> {
        let (left, right) = (
            top[0][channel] + bottom[0][channel],
            top[1][channel] + bottom[1][channel],
        );
        let (even, odd) = left.deinterleave(right);
        (even + odd) * self.splat(0.25)
    }

    /// A chroma component of eight blocks.
    #[inline(always)]
    fn chroma(&self, mean: &Eight<S>, to: &[f32; 3]) -> [u8; BLOCK / 2] {
        let value = self.dot(mean, to) + self.splat(128.0);
        let samples = self.integers(value.min(self.splat(255.0)));
        let bytes = self.bytes(samples, samples);
        let (halves, _) = bytes.as_chunks();
        halves[0]
    }

    /// The low bytes of sixteen integers.
    #[inline(always)]
    fn bytes(&self, low: u32x8<S>, high: u32x8<S>) -> [u8; BLOCK] {
        let samples: u16x16<S> = low.relaxed_narrow(high);
        let bytes: u8x16<S> = samples.relaxed_narrow(samples).split().0;
        let mut out = [0; BLOCK];
        bytes.store_slice(&mut out);
        out
    }

    /// The channels of eight pixels, clamped; NaN becomes 0.
    #[inline(always)]
    fn separate(&self, values: &[f32; 24]) -> Eight<S> {
        let (fours, _) = values.as_chunks::<4>();
        let v0 = self.clamped(&fours[0], &fours[3]);
        let v1 = self.clamped(&fours[1], &fours[4]);
        let v2 = self.clamped(&fours[2], &fours[5]);
        let (lane_1, lane_2) = (self.lane_1, self.lane_2);
        let red = lane_1.select(v2, lane_2.select(v1, v0));
        let green = lane_2.select(v2, lane_1.select(v0, v1));
        let blue = lane_1.select(v1, lane_2.select(v0, v2));
        [
            red.swizzle_dyn_within_blocks(self.order[0]),
            green.swizzle_dyn_within_blocks(self.order[1]),
            blue.swizzle_dyn_within_blocks(self.order[2]),
        ]
    }

    #[inline(always)]
    fn clamped(&self, low: &[f32; 4], high: &[f32; 4]) -> f32x8<S> {
        let low = f32x4::from_slice(self.simd, low);
        let values = low.combine(f32x4::from_slice(self.simd, high));
        values.max_precise(self.splat(0.0)).min(self.splat(1.0))
    }

    #[inline(always)]
    fn dot(&self, [r, g, b]: &Eight<S>, [kr, kg, kb]: &[f32; 3]) -> f32x8<S> {
        (*r * self.splat(*kr) + *g * self.splat(*kg)) + *b * self.splat(*kb)
    }

    /// Y of sixteen pixels.
    #[inline(always)]
    fn luma(&self, row: &[Eight<S>; 2]) -> [u8; BLOCK] {
        let offset = self.splat(self.k.luma_offset);
        let low = self.integers(self.dot(&row[0], &self.k.rgb_to_y) + offset);
        let high = self.integers(self.dot(&row[1], &self.k.rgb_to_y) + offset);
        self.bytes(low, high)
    }

    /// The nearest integers of values from 0 to 255.
    #[inline(always)]
    fn integers(&self, values: f32x8<S>) -> u32x8<S> {
        let bits: u32x8<S> = (values + self.splat(TO_INTEGER)).bitcast();
        bits & u32x8::splat(self.simd, 0xff)
    }
}
