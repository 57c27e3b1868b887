//! Scaling to cover a size and cropping what stands out, at the centre.
//!
//! Only what remains of the picture is scaled. The filter is bilinear, widened when a picture
//! shrinks so that nothing aliases; samples stay within the range of their neighbours, so that a
//! tensor in [0, 1] stays there. Chroma is scaled about its blocks' centres, which is the siting
//! of [`reference`](super::reference).

use std::fmt;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::error::FrameError;
use crate::frame::{FramePool, MAX_SIDE, PixelFormat, PlanarImage, Tensor};

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

/// Scales pictures of any size to cover one size. It keeps its intermediate memory for the next
/// picture and takes its results from the pool.
pub struct CoverScaler {
    width: usize,
    height: usize,
    resizer: Resizer,
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
            width,
            height,
            resizer: Resizer::new(),
        })
    }

    /// The picture scaled and cropped; itself when it has the size already.
    ///
    /// # Errors
    /// [`FrameError::Scale`] when the scaler refuses, which no picture is known to bring about.
    pub fn planar(
        &mut self,
        image: &PlanarImage,
        pool: &FramePool,
    ) -> Result<PlanarImage, FrameError> {
        let (width, height) = (self.width, self.height);
        let from = (image.width(), image.height());
        if from == (width, height) {
            return Ok(image.clone());
        }
        let mut out = PlanarImage::new(image.format(), width, height, &pool.bytes)?;
        let [y, u, v] = out.planes_mut();
        let crop = Crop::to_cover(from, (width, height));
        self.plane(
            PixelType::U8,
            image.plane(0),
            from,
            crop,
            y,
            (width, height),
        )?;
        let half = |(width, height): (usize, usize)| (width.div_ceil(2), height.div_ceil(2));
        let crop = crop.of_chroma(half(from), (width, height));
        let (from, to) = (half(from), half((width, height)));
        match image.format() {
            PixelFormat::I420 => {
                self.plane(PixelType::U8, image.plane(1), from, crop, u, to)?;
                self.plane(PixelType::U8, image.plane(2), from, crop, v, to)?;
            }
            PixelFormat::Nv12 => {
                self.plane(PixelType::U8x2, image.plane(1), from, crop, u, to)?;
            }
        }
        Ok(out)
    }

    /// The tensor scaled and cropped; itself when it has the size already. What remains of the
    /// picture is what would remain of its planes.
    ///
    /// # Errors
    /// As for [`planar`](Self::planar).
    pub fn tensor(&mut self, tensor: &Tensor, pool: &FramePool) -> Result<Tensor, FrameError> {
        let [rows, columns, channels] = tensor.shape();
        let (from, to) = ((columns, rows), (self.width, self.height));
        if from == to {
            return Ok(tensor.clone());
        }
        let mut out = Tensor::uninit(self.height, self.width, channels, &pool.floats)?;
        let kind = match channels {
            1 => PixelType::F32,
            3 => PixelType::F32x3,
            _ => PixelType::F32x4,
        };
        let samples = bytemuck::cast_slice(tensor);
        let values = bytemuck::cast_slice_mut(out.make_mut());
        self.plane(kind, samples, from, Crop::to_cover(from, to), values, to)?;
        Ok(out)
    }

    /// Scales `crop` of a plane to all of `out`.
    fn plane(
        &mut self,
        kind: PixelType,
        samples: &[u8],
        from: (usize, usize),
        crop: Crop,
        out: &mut [u8],
        to: (usize, usize),
    ) -> Result<(), FrameError> {
        let fault = |detail: String| FrameError::Scale { from, to, detail };
        // No side is beyond `MAX_SIDE`, which fits.
        let source = ImageRef::new(from.0 as u32, from.1 as u32, samples, kind)
            .map_err(|error| fault(error.to_string()))?;
        let mut target = Image::from_slice_u8(to.0 as u32, to.1 as u32, out, kind)
            .map_err(|error| fault(error.to_string()))?;
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
            .crop(crop.x, crop.y, crop.width, crop.height)
            .use_alpha(false);
        self.resizer
            .resize(&source, &mut target, &options)
            .map_err(|error| fault(error.to_string()))
    }
}

impl fmt::Debug for CoverScaler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CoverScaler({}×{})", self.width, self.height)
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
    fn to_cover((columns, rows): (usize, usize), (width, height): (usize, usize)) -> Self {
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
    fn of_chroma(self, plane: (usize, usize), (width, height): (usize, usize)) -> Self {
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

#[cfg(test)]
#[path = "scale_test.rs"]
mod tests;
