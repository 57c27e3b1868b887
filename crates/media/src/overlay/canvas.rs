//! Drawing into YUV planes: brightness is blended into luma, and chroma fades where it is hidden.

use crate::frame::{PixelFormat, PlanarImage};
use crate::stream::ColorDescription;

/// The value of chroma without colour.
const NEUTRAL: f32 = 128.0;

/// A rectangle of luma samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Rect {
    /// In the middle of a picture, and no larger than it.
    pub(super) fn centred(width: usize, height: usize, wide: usize, high: usize) -> Self {
        let (wide, high) = (wide.min(width), high.min(height));
        Self {
            x: (width - wide) / 2,
            y: (height - high) / 2,
            width: wide,
            height: high,
        }
    }
}

/// The planes of a picture, to be drawn into. Brightness goes from 0, black, to 1, white.
pub(super) struct Canvas<'a> {
    luma: &'a mut [u8],
    chroma: [&'a mut [u8]; 2],
    width: usize,
    height: usize,
    /// Bytes of chroma in a row, and the columns of luma that each byte stands for.
    chroma_row: usize,
    per_byte: usize,
    black: f32,
    white: f32,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(image: &'a mut PlanarImage, color: ColorDescription) -> Self {
        let (width, height) = (image.width(), image.height());
        let columns = width.div_ceil(2);
        let (chroma_row, per_byte) = match image.format() {
            PixelFormat::I420 => (columns, 2),
            PixelFormat::Nv12 => (2 * columns, 1),
        };
        // ITU-T H.273, 8.3: the codes of black and white.
        let (black, white) = if color.full_range {
            (0.0, 255.0)
        } else {
            (16.0, 235.0)
        };
        let [luma, u, v] = image.planes_mut();
        Self {
            luma,
            chroma: [u, v],
            width,
            height,
            chroma_row,
            per_byte,
            black,
            white,
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.height
    }

    /// Blends black over `rect`, its colours too.
    pub(super) fn shade(&mut self, rect: Rect, strength: f32) {
        self.fill(rect, 0.0, strength);
        let row = self.chroma_row;
        let (from, to) = (
            rect.x.div_ceil(self.per_byte).min(row),
            ((rect.x + rect.width) / self.per_byte).min(row),
        );
        for plane in &mut self.chroma {
            let rows = plane
                .chunks_exact_mut(row.max(1))
                .take((rect.y + rect.height) / 2)
                .skip(rect.y.div_ceil(2));
            for samples in rows {
                for sample in samples.get_mut(from..to).into_iter().flatten() {
                    *sample = blend(*sample, NEUTRAL, strength);
                }
            }
        }
    }

    /// Blends a brightness over `rect`.
    pub(super) fn fill(&mut self, rect: Rect, brightness: f32, strength: f32) {
        let value = self.luma_of(brightness);
        let end = (rect.x + rect.width).min(self.width);
        let rows = self
            .luma
            .chunks_exact_mut(self.width)
            .take(rect.y + rect.height)
            .skip(rect.y);
        for row in rows {
            for sample in row.get_mut(rect.x..end).into_iter().flatten() {
                *sample = blend(*sample, value, strength);
            }
        }
    }

    /// Blends white over a disc with soft edges.
    pub(super) fn disc(&mut self, (cx, cy): (f32, f32), radius: f32, strength: f32) {
        let reach = radius + 1.0;
        let range = |centre: f32, end: usize| {
            let first = (centre - reach).floor().max(0.0) as usize;
            first..((centre + reach).ceil().max(0.0) as usize).min(end)
        };
        for y in range(cy, self.height) {
            for x in range(cx, self.width) {
                let (dx, dy) = (x as f32 + 0.5 - cx, y as f32 + 0.5 - cy);
                let covered = (radius + 0.5 - dx.hypot(dy)).clamp(0.0, 1.0);
                self.blend_at(x, y, covered * strength);
            }
        }
    }

    /// Blends white over one sample; outside the picture nothing happens.
    pub(super) fn blend_at(&mut self, x: usize, y: usize, strength: f32) {
        if x >= self.width {
            return;
        }
        let white = self.white;
        if let Some(sample) = self.luma.get_mut(y * self.width + x) {
            *sample = blend(*sample, white, strength);
        }
    }

    fn luma_of(&self, brightness: f32) -> f32 {
        self.black + (self.white - self.black) * brightness
    }
}

fn blend(sample: u8, over: f32, strength: f32) -> u8 {
    let sample = f32::from(sample);
    (sample + (over - sample) * strength).round() as u8
}
