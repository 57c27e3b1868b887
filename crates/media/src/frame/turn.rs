//! Pictures turned upright.

use super::{PixelFormat, PlanarImage, Pool, VideoFrame};
use crate::error::FrameError;
use crate::frame::Image;
use crate::stream::Orientation;

impl PlanarImage {
    /// The picture turned, so that it is upright where it lay as `orientation` says. Quarter turns
    /// swap its sides.
    ///
    /// # Errors
    /// None but those of [`PlanarImage::new`], which a picture that exists does not meet.
    pub fn upright(&self, orientation: Orientation, pool: &Pool<u8>) -> Result<Self, FrameError> {
        let (width, height) = orientation.size(self.width(), self.height());
        let mut turned = Self::new(self.format(), width, height, pool)?;
        let [y, u, v] = turned.planes_mut();
        for (index, to) in [y, u, v].into_iter().enumerate() {
            let (from, layout) = (self.plane(index), self.layout(index));
            match (self.format(), index) {
                (PixelFormat::Nv12, 1) => {
                    let (from, to) = (from.as_chunks::<2>().0, to.as_chunks_mut::<2>().0);
                    turn(from, layout.row_bytes / 2, to, orientation);
                }
                _ => turn(from, layout.row_bytes, to, orientation),
            }
        }
        Ok(turned)
    }
}

impl VideoFrame {
    /// The frame turned upright, in host memory: see [`PlanarImage::upright`]. One that is upright
    /// stays where and as it is, and so does a tensor in host memory: decoders give none.
    ///
    /// # Errors
    /// [`FrameError::Device`] when the device fails.
    pub fn upright(self, orientation: Orientation) -> Result<Self, FrameError> {
        if orientation == Orientation::UPRIGHT {
            return Ok(self);
        }
        let (size, mut color) = ((self.width(), self.height()), self.color());
        if orientation.size(size.0, size.1) != size {
            // What was guessed from the size that they had stays.
            color = color.resolved(size.0 as u32, size.1 as u32);
        }
        let mut frame = self.to_host_planes(color)?;
        frame.set_color(color);
        let Image::Planar(image) = frame.image() else {
            return Ok(frame);
        };
        let turned = image.upright(orientation, &frame.pool().bytes)?;
        Ok(frame.replace_image(Image::Planar(turned)))
    }
}

/// Turns rows of `columns` samples each.
fn turn<S: Copy>(from: &[S], columns: usize, to: &mut [S], orientation: Orientation) {
    if columns == 0 || from.is_empty() {
        return;
    }
    let rows = from.len() / columns;
    let Orientation {
        mirrored,
        quarter_turns,
    } = orientation;
    // Each row of the result is a row or a column of the source: whether the first is the first,
    // and whether it is read from its end. Mirrored first: columns then come the other way round.
    let (in_order, backwards) = match quarter_turns & 3 {
        0 => (true, mirrored),
        1 => (!mirrored, true),
        2 => (false, !mirrored),
        _ => (mirrored, false),
    };
    let upright = quarter_turns.is_multiple_of(2);
    let (lines, length) = orientation.size(rows, columns);
    for (index, row) in to.chunks_exact_mut(length).enumerate() {
        let line = if in_order { index } else { lines - 1 - index };
        let (first, step) = if upright {
            (line * columns, 1)
        } else {
            (line, columns)
        };
        let source = from.get(first..).unwrap_or_default().iter().step_by(step);
        for (to, from) in row.iter_mut().zip(source) {
            *to = *from;
        }
        if backwards {
            row.reverse();
        }
    }
}

#[cfg(test)]
#[path = "turn_test.rs"]
mod tests;
