//! 8-bit 4:2:0 pictures in host memory, as decoders give and encoders take them.

use super::{Buffer, MAX_SIDE, Pool};
use crate::error::FrameError;

/// How the samples of a [`PlanarImage`] lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Three planes: Y, U, V; chroma at half the size both ways, rounded up.
    I420,
    /// Two planes: Y, then U and V interleaved.
    Nv12,
}

/// Where a plane lies in its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    /// First byte.
    pub offset: usize,
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Bytes of a row that hold samples.
    pub row_bytes: usize,
    /// Rows.
    pub rows: usize,
}

/// A picture of 8-bit 4:2:0 samples in one pooled buffer. Clones share the samples.
#[derive(Clone, Debug)]
pub struct PlanarImage {
    format: PixelFormat,
    width: usize,
    height: usize,
    data: Buffer<u8>,
}

impl PlanarImage {
    /// A picture with tightly packed rows and samples yet to be written: they hold whatever the
    /// buffer's last owner left.
    ///
    /// # Errors
    /// [`FrameError::Size`] when a side is zero or beyond [`MAX_SIDE`].
    pub fn new(
        format: PixelFormat,
        width: usize,
        height: usize,
        pool: &Pool<u8>,
    ) -> Result<Self, FrameError> {
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(FrameError::Size { width, height });
        }
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        Ok(Self {
            format,
            width,
            height,
            data: pool.take(width * height + 2 * chroma),
        })
    }

    /// Layout of the samples.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Columns of luma.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows of luma.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Number of planes: 3 for I420, 2 for NV12.
    pub fn planes(&self) -> usize {
        match self.format {
            PixelFormat::I420 => 3,
            PixelFormat::Nv12 => 2,
        }
    }

    /// Place of plane `index`; planes past the last are empty.
    pub fn layout(&self, index: usize) -> Plane {
        let luma = self.width * self.height;
        let (columns, rows) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let plane = |offset, row_bytes, rows| Plane {
            offset,
            stride: row_bytes,
            row_bytes,
            rows,
        };
        match (self.format, index) {
            (_, 0) => plane(0, self.width, self.height),
            (PixelFormat::I420, 1) => plane(luma, columns, rows),
            (PixelFormat::I420, 2) => plane(luma + columns * rows, columns, rows),
            (PixelFormat::Nv12, 1) => plane(luma, 2 * columns, rows),
            _ => plane(self.data.len(), 0, 0),
        }
    }

    /// Samples of plane `index`, row after row.
    pub fn plane(&self, index: usize) -> &[u8] {
        let Plane {
            offset,
            stride,
            rows,
            ..
        } = self.layout(index);
        &self.data[offset..offset + stride * rows]
    }

    /// All planes at once, for writing; the picture is copied first when a clone is alive. For
    /// NV12 the second slice holds both chroma components and the third is empty.
    pub fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        let luma = self.width * self.height;
        let chroma = match self.format {
            PixelFormat::I420 => self.width.div_ceil(2) * self.height.div_ceil(2),
            PixelFormat::Nv12 => 2 * self.width.div_ceil(2) * self.height.div_ceil(2),
        };
        let (y, rest) = self.data.make_mut().split_at_mut(luma);
        let (u, v) = rest.split_at_mut(chroma);
        [y, u, v]
    }

    /// The whole picture's bytes: the planes one after another, which for I420 is what
    /// ffmpeg's `rawvideo` writes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.data
    }
}
