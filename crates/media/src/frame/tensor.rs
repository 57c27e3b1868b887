//! RGB tensors in host memory: f32, `[H, W, C]`, contiguous.

use std::ops::Deref;

use super::{Buffer, MAX_SIDE, Pool};
use crate::error::FrameError;

/// Pixels as `f32` of shape `[height, width, channels]`, contiguous, channels innermost.
///
/// For a picture, values are in [0, 1] and channels are R, G, B, as in the reference. Values
/// outside are clamped when the frame is encoded. Clones share the memory; writing copies it
/// first when it is shared.
#[derive(Clone, Debug)]
pub struct Tensor {
    height: usize,
    width: usize,
    channels: usize,
    data: Buffer<f32>,
}

impl Tensor {
    /// A tensor from `pool`. **Its values are whatever the memory's last owner left.**
    ///
    /// # Errors
    /// [`FrameError::Size`] or [`FrameError::Channels`] (1, 3 and 4 have a meaning).
    pub fn uninit(
        height: usize,
        width: usize,
        channels: usize,
        pool: &Pool<f32>,
    ) -> Result<Self, FrameError> {
        check(height, width, channels)?;
        Ok(Self {
            height,
            width,
            channels,
            data: pool.take(height * width * channels),
        })
    }

    /// A tensor that takes over `values`.
    ///
    /// # Errors
    /// [`FrameError::Shape`] when their number is not `height × width × channels`, and as for
    /// [`uninit`](Self::uninit).
    pub fn from_vec(
        height: usize,
        width: usize,
        channels: usize,
        values: Vec<f32>,
    ) -> Result<Self, FrameError> {
        check(height, width, channels)?;
        let expected = height * width * channels;
        if values.len() != expected {
            return Err(FrameError::Shape {
                height,
                width,
                channels,
                expected,
                got: values.len(),
            });
        }
        Ok(Self {
            height,
            width,
            channels,
            data: Buffer::from_vec(values),
        })
    }

    /// `[height, width, channels]`.
    pub fn shape(&self) -> [usize; 3] {
        [self.height, self.width, self.channels]
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Values per pixel: 1, 3 or 4.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// All values, for writing; copied first when a clone of this tensor is alive.
    pub fn make_mut(&mut self) -> &mut [f32] {
        self.data.make_mut()
    }

    /// Writing copies nothing.
    pub fn is_unique(&self) -> bool {
        self.data.is_unique()
    }

    /// The values of the pixel in row `y` and column `x`; `None` outside.
    pub fn pixel(&self, y: usize, x: usize) -> Option<&[f32]> {
        if x >= self.width {
            return None;
        }
        let at = (y.checked_mul(self.width)? + x).checked_mul(self.channels)?;
        self.data.get(at..at + self.channels)
    }
}

impl Deref for Tensor {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.data
    }
}

fn check(height: usize, width: usize, channels: usize) -> Result<(), FrameError> {
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        return Err(FrameError::Size { width, height });
    }
    if !matches!(channels, 1 | 3 | 4) {
        return Err(FrameError::Channels(channels));
    }
    Ok(())
}
