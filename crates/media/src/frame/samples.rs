//! Planes of any bit depth and chroma format, as decoders give them, to 8-bit 4:2:0 pictures.
//!
//! - More than 8 bits become 8 by rounding: `min((v + half) >> (bits - 8), 255)`.
//! - Of 4:2:2 and 4:4:4, two rows of chroma become one, each sample the mean of the two, halves
//!   rounded up: chroma of 4:2:0 lies between two rows of luma (ITU-T H.264, figure 6-1). Of 4:4:4
//!   every other column is taken: chroma of 4:2:0 lies on even columns of luma.
//! - Interlaced pictures are deinterlaced first, each plane by itself.

use std::borrow::Cow;

use super::deinterlace::deinterlace;
use super::{PixelFormat, PlanarImage, Pool};
use crate::error::FrameError;

/// Chroma beside luma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chroma {
    /// None: the picture is gray.
    None,
    /// Half the columns, half the rows.
    C420,
    /// Half the columns, all rows.
    C422,
    /// As many as luma.
    C444,
}

/// A plane of samples: one byte each, or two, little-endian, where there are more than 8 bits.
#[derive(Clone, Copy, Debug)]
pub struct SamplePlane<'a> {
    /// Bytes.
    pub bytes: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// A decoded picture.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    /// Columns of luma.
    pub width: usize,
    /// Rows of luma.
    pub height: usize,
    /// Bits per sample, 8 to 16.
    pub bit_depth: u8,
    /// How much chroma there is.
    pub chroma: Chroma,
    /// Y, U and V; what there is none of is empty.
    pub planes: [SamplePlane<'a>; 3],
    /// The picture may hold two moments: one field each.
    pub interlaced: bool,
}

impl Samples<'_> {
    /// The picture as frames carry it. Samples that are not there count as 0.
    ///
    /// # Errors
    /// [`FrameError::Size`] when a side is zero or too long.
    pub fn to_i420(&self, pool: &Pool<u8>) -> Result<PlanarImage, FrameError> {
        let mut image = PlanarImage::new(PixelFormat::I420, self.width, self.height, pool)?;
        let (columns, rows) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let [y, u, v] = self.planes;
        let [luma, to_u, to_v] = image.planes_mut();
        let samples = self.plane(y, self.width, self.height);
        copy(luma, &samples);
        for (to, from) in [(to_u, u), (to_v, v)] {
            match self.chroma {
                // Without colour.
                Chroma::None => to.fill(128),
                Chroma::C420 => copy(to, &self.plane(from, columns, rows)),
                Chroma::C422 => {
                    let samples = self.plane(from, columns, self.height);
                    halve_rows(&samples, columns, 1, to);
                }
                Chroma::C444 => {
                    let samples = self.plane(from, self.width, self.height);
                    halve_rows(&samples, self.width, 2, to);
                }
            }
        }
        Ok(image)
    }

    /// A plane's samples, tightly packed, of 8 bits, without combs.
    fn plane<'a>(&self, plane: SamplePlane<'a>, width: usize, height: usize) -> Cow<'a, [u8]> {
        let wide = self.bit_depth > 8;
        let row_bytes = if wide { 2 * width } else { width };
        let packed = plane.stride == row_bytes && plane.bytes.len() >= row_bytes * height;
        let mut samples = if packed && !wide {
            Cow::Borrowed(plane.bytes.get(..row_bytes * height).unwrap_or_default())
        } else {
            let mut samples = Vec::with_capacity(width * height);
            let rows = plane.bytes.chunks(plane.stride.max(1)).take(height);
            for row in rows.filter_map(|row| row.get(..row_bytes)) {
                if wide {
                    samples.extend(row.as_chunks::<2>().0.iter().map(|v| self.narrow(*v)));
                } else {
                    samples.extend_from_slice(row);
                }
            }
            Cow::Owned(samples)
        };
        if self.interlaced {
            deinterlace(samples.to_mut(), width);
        }
        samples
    }

    fn narrow(&self, bytes: [u8; 2]) -> u8 {
        let shift = u32::from(self.bit_depth.saturating_sub(8)).clamp(1, 8);
        let half = 1 << (shift - 1);
        let value = u16::from_le_bytes(bytes).saturating_add(half) >> shift;
        u8::try_from(value).unwrap_or(u8::MAX)
    }
}

fn copy(to: &mut [u8], from: &[u8]) {
    let there = from.len().min(to.len());
    let (filled, rest) = to.split_at_mut(there);
    filled.copy_from_slice(from.get(..there).unwrap_or_default());
    rest.fill(0);
}

/// Two rows of `row` samples become one, of which every `step`th sample is taken. The last row
/// stays as it is where their number is odd.
fn halve_rows(from: &[u8], row: usize, step: usize, to: &mut [u8]) {
    if row == 0 {
        return;
    }
    let rows = to
        .chunks_exact_mut(row.div_ceil(step))
        .zip(from.chunks(2 * row));
    for (to, pair) in rows {
        let (first, second) = pair.split_at(row.min(pair.len()));
        let second = if second.len() < row { first } else { second };
        let pairs = first.iter().zip(second).step_by(step);
        for (to, (first, second)) in to.iter_mut().zip(pairs) {
            *to = (u16::from(*first) + u16::from(*second)).div_ceil(2) as u8;
        }
    }
}

#[cfg(test)]
#[path = "samples_test.rs"]
mod tests;
