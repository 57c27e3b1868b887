//! Scaling to cover a size and cropping what stands out, at the centre.
//!
//! Only what remains of the picture is scaled. The filter is a triangle, which is bilinear where
//! a picture grows and is widened where it shrinks, so that nothing aliases; samples stay within
//! the range of their neighbours, so that a tensor in [0, 1] stays there. Chroma is scaled about
//! its blocks' centres, which is the siting of [`reference`](super::reference).

use std::fmt;

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch};

use crate::error::FrameError;
use crate::frame::{FramePool, MAX_SIDE, PixelFormat, PlanarImage, Tensor};

/// Rows that are scaled horizontally at once: samples of several rows make a vector, where those
/// of one row would have to be picked together.
const ROWS: usize = 8;

/// Columns and rows.
type Size = (usize, usize);

/// `image` scaled to cover `width` × `height` and cropped to it at the centre; itself when it
/// has that size already.
///
/// For one picture; a stream's scaler is [`CoverScaler`].
///
/// # Errors
/// [`FrameError::Size`] when `width` × `height` is no frame size.
pub fn scale_cover_crop(
    image: &PlanarImage,
    width: usize,
    height: usize,
    pool: &FramePool,
) -> Result<PlanarImage, FrameError> {
    CoverScaler::new(width, height)?.planar(image, pool)
}

/// Scales pictures of any size to cover one size. It keeps its filters as long as its input's
/// size stays, and takes its memory from the pool.
pub struct CoverScaler {
    size: Size,
    filters: Option<Filters>,
}

/// The filters for pictures of one size.
struct Filters {
    from: Size,
    full: Filter,
    chroma: Filter,
}

impl CoverScaler {
    /// A scaler to `width` × `height`.
    ///
    /// # Errors
    /// [`FrameError::Size`] when that is no frame size.
    pub fn new(width: usize, height: usize) -> Result<Self, FrameError> {
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(FrameError::Size { width, height });
        }
        Ok(Self {
            size: (width, height),
            filters: None,
        })
    }

    /// The picture scaled and cropped; itself when it has the size already.
    ///
    /// # Errors
    /// None for a picture of valid size.
    pub fn planar(
        &mut self,
        image: &PlanarImage,
        pool: &FramePool,
    ) -> Result<PlanarImage, FrameError> {
        let (from, to) = ((image.width(), image.height()), self.size);
        if from == to {
            return Ok(image.clone());
        }
        let mut out = PlanarImage::new(image.format(), to.0, to.1, &pool.bytes)?;
        let [y, u, v] = out.planes_mut();
        let Filters { full, chroma, .. } = self.filters(from);
        full.apply::<u8, 1>(image.plane(0), y, pool);
        match image.format() {
            PixelFormat::I420 => {
                chroma.apply::<u8, 1>(image.plane(1), u, pool);
                chroma.apply::<u8, 1>(image.plane(2), v, pool);
            }
            PixelFormat::Nv12 => chroma.apply::<u8, 2>(image.plane(1), u, pool),
        }
        Ok(out)
    }

    /// The tensor scaled and cropped; itself when it has the size already. What remains of the
    /// picture is what would remain of its planes.
    ///
    /// # Errors
    /// None for a tensor of valid size.
    pub fn tensor(&mut self, tensor: &Tensor, pool: &FramePool) -> Result<Tensor, FrameError> {
        let [rows, columns, channels] = tensor.shape();
        if (columns, rows) == self.size {
            return Ok(tensor.clone());
        }
        let mut out = Tensor::uninit(self.size.1, self.size.0, channels, &pool.floats)?;
        let full = &self.filters((columns, rows)).full;
        match channels {
            1 => full.apply::<f32, 1>(tensor, out.make_mut(), pool),
            3 => full.apply::<f32, 3>(tensor, out.make_mut(), pool),
            _ => full.apply::<f32, 4>(tensor, out.make_mut(), pool),
        }
        Ok(out)
    }

    fn filters(&mut self, from: Size) -> &Filters {
        let to = self.size;
        self.filters.take_if(|filters| filters.from != from);
        self.filters.get_or_insert_with(|| {
            let half = |(width, height): Size| (width.div_ceil(2), height.div_ceil(2));
            let crop = Crop::to_cover(from, to);
            Filters {
                from,
                full: Filter::new(from, crop, to),
                chroma: Filter::new(half(from), crop.of_chroma(half(from), to), half(to)),
            }
        })
    }
}

impl fmt::Debug for CoverScaler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CoverScaler({}×{})", self.size.0, self.size.1)
    }
}

/// The part of a picture that is kept: the largest of the target's shape, in the centre.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Crop {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Crop {
    fn to_cover((columns, rows): Size, (width, height): Size) -> Self {
        let [columns_f, rows_f] = [columns, rows].map(|side| side as f64);
        let kept = if columns * height > width * rows {
            // One rounding only, so that a whole number comes out whole.
            ((width * rows) as f64 / height as f64, rows_f)
        } else {
            (columns_f, (columns * height) as f64 / width as f64)
        };
        // It begins on an even column and row, so that chroma keeps its place and a crop that
        // needs no scaling keeps every sample.
        let begin = |all: f64, kept: f64| ((all - kept) / 4.0).floor() * 2.0;
        Self {
            x: begin(columns_f, kept.0),
            y: begin(rows_f, kept.1),
            width: kept.0,
            height: kept.1,
        }
    }

    /// The same part of the planes of chroma, of `plane` columns and rows, for a target of
    /// `width` × `height` of luma.
    fn of_chroma(self, plane: Size, (width, height): Size) -> Self {
        // An odd target has chroma for one column or row more than is shown.
        let side = |kept: f64, begin: f64, shown: usize, all: usize| {
            let kept = kept * shown.div_ceil(2) as f64 / shown as f64;
            kept.min(all as f64 - begin)
        };
        let (x, y) = (self.x / 2.0, self.y / 2.0);
        Self {
            x,
            y,
            width: side(self.width, x, width, plane.0),
            height: side(self.height, y, height, plane.1),
        }
    }
}

/// How the planes of one kind are scaled.
struct Filter {
    source_columns: usize,
    columns: Axis,
    rows: Axis,
}

impl Filter {
    fn new(from: Size, crop: Crop, to: Size) -> Self {
        Self {
            source_columns: from.0,
            columns: Axis::new(from.0, crop.x, crop.width, to.0),
            rows: Axis::new(from.1, crop.y, crop.height, to.1),
        }
    }

    /// Scales `samples`, `N` a pixel, to all of `out`.
    fn apply<T: Sample, const N: usize>(&self, samples: &[T], out: &mut [T], pool: &FramePool) {
        dispatch!(Level::new(), simd => self.apply_with::<_, T, N>(simd, samples, out, pool));
    }

    #[inline(always)]
    fn apply_with<S: Simd, T: Sample, const N: usize>(
        &self,
        simd: S,
        samples: &[T],
        out: &mut [T],
        pool: &FramePool,
    ) {
        simd.vectorize(
            #[inline(always)]
            || {
                let (begin, end) = self.columns.reach();
                let needed = N * (end - begin);
                let width = N * self.columns.len();
                // One row, scaled vertically, of the columns that are needed; and the same of
                // several rows, column by column.
                let mut row = pool.floats.take(needed);
                let row = row.make_mut();
                let mut band = pool.floats.take(ROWS * needed);
                let (band, _) = band.make_mut().as_chunks_mut::<ROWS>();
                for (at, out) in out.chunks_mut(ROWS * width).enumerate() {
                    let rows = out.len() / width;
                    for (lane, taps) in self.rows.iter().skip(ROWS * at).take(rows).enumerate() {
                        let sources = samples.chunks_exact(N * self.source_columns);
                        let sources = sources.skip(taps.first).map(|row| &row[N * begin..N * end]);
                        weigh(sources, taps.weights, row);
                        for (column, value) in band.iter_mut().zip(row.iter()) {
                            column[lane] = *value;
                        }
                    }
                    for (x, taps) in self.columns.iter().enumerate() {
                        let mut sums = [[0.0; ROWS]; N];
                        let (pixels, _) = band[N * (taps.first - begin)..].as_chunks::<N>();
                        for (pixel, weight) in pixels.iter().zip(taps.weights) {
                            for (sums, values) in sums.iter_mut().zip(pixel) {
                                for (sum, value) in sums.iter_mut().zip(values) {
                                    *sum += value * weight;
                                }
                            }
                        }
                        for (lane, out) in out.chunks_exact_mut(width).enumerate() {
                            for (channel, sums) in sums.iter().enumerate() {
                                out[N * x + channel] = T::from_f32(sums[lane]);
                            }
                        }
                    }
                }
            },
        );
    }
}

/// The weighted sum of rows.
#[inline(always)]
fn weigh<'a, T: Sample + 'a>(
    sources: impl Iterator<Item = &'a [T]>,
    weights: &[f32],
    sums: &mut [f32],
) {
    for (at, (source, &weight)) in sources.zip(weights).enumerate() {
        if at == 0 {
            for (sum, sample) in sums.iter_mut().zip(source) {
                *sum = sample.to_f32() * weight;
            }
        } else {
            for (sum, sample) in sums.iter_mut().zip(source) {
                *sum += sample.to_f32() * weight;
            }
        }
    }
}

/// The samples of one axis that each target sample is the weighted mean of.
struct Axis {
    /// Number of the first sample, by target sample.
    first: Vec<usize>,
    /// Weights of it and those after it, `taps` by target sample.
    weights: Vec<f32>,
    taps: usize,
}

/// What one target sample is made of.
struct Taps<'a> {
    first: usize,
    weights: &'a [f32],
}

impl Axis {
    /// `kept` samples from `begin` on, of `all`, become `to`.
    fn new(all: usize, begin: f64, kept: f64, to: usize) -> Self {
        let scale = kept / to as f64;
        let radius = scale.max(1.0);
        // A triangle of this radius is positive at no more samples than this.
        let taps = ((2.0 * radius).ceil() as usize).min(all);
        let mut axis = Self {
            first: Vec::with_capacity(to),
            weights: Vec::with_capacity(taps * to),
            taps,
        };
        for at in 0..to {
            // Sample n has its centre at n + ½.
            let center = begin + (at as f64 + 0.5) * scale;
            let first = (center - radius + 0.5).floor().max(0.0) as usize;
            let first = first.min(all - taps);
            let weight = |tap: usize| {
                let distance = ((first + tap) as f64 + 0.5 - center).abs();
                (1.0 - distance / radius).max(0.0)
            };
            let sum: f64 = (0..taps).map(weight).sum();
            axis.first.push(first);
            axis.weights
                .extend((0..taps).map(|tap| (weight(tap) / sum) as f32));
        }
        axis
    }

    fn len(&self) -> usize {
        self.first.len()
    }

    fn iter(&self) -> impl Iterator<Item = Taps<'_>> {
        let weights = self.weights.chunks_exact(self.taps);
        self.first
            .iter()
            .zip(weights)
            .map(|(&first, weights)| Taps { first, weights })
    }

    /// The first sample that is needed and the one after the last.
    fn reach(&self) -> (usize, usize) {
        let first = self.first.first().copied().unwrap_or(0);
        let last = self.first.last().copied().unwrap_or(0);
        (first, last + self.taps)
    }
}

/// A sample of a plane.
trait Sample: Copy {
    fn to_f32(self) -> f32;
    /// The nearest sample.
    fn from_f32(value: f32) -> Self;
}

impl Sample for u8 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from(self)
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        (value + 0.5) as u8
    }
}

impl Sample for f32 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }
}

#[cfg(test)]
#[path = "scale_test.rs"]
mod tests;
