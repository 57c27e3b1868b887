//! Conversion, resizing and overlays of pictures on the device.

use trickle_media::convert::reference::Coefficients;
use trickle_media::frame::{ColorMap, DeviceImage, MAX_SIDE};
use trickle_media::{ColorDescription, FrameError};

use crate::error::GpuError;
use crate::image::{CudaImage, Layout};
use crate::kernels::{Call, CallError, Nv12View, OverlayView, TensorView, Window};
use crate::stream::Stream;

/// An RGBA picture on the host, 8 bits, straight alpha, rows packed.
#[derive(Clone, Copy, Debug)]
pub struct Rgba<'a> {
    /// Its bytes: `4 × width × height`.
    pub pixels: &'a [u8],
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Stream {
    /// RGB f32 of an NV12 picture, in the same size, by media's formula bit for bit.
    ///
    /// # Errors
    /// [`GpuError::Kind`] for a tensor, and the device's.
    pub fn to_rgb(
        &self,
        image: &CudaImage,
        color: ColorDescription,
    ) -> Result<CudaImage, GpuError> {
        let (width, height) = (image.width(), image.height());
        let src = nv12(image, "conversion to RGB")?;
        self.produce(Layout::Tensor { channels: 3 }, width, height, |rgb| {
            let k = Coefficients::of(color, width, height);
            let call = Call::nv12_to_rgb(&src, &tensor(rgb, "conversion to RGB")?, &k)?;
            self.read(image, || self.launch(&call))
        })
    }

    /// NV12 of a tensor of 1, 3 or 4 channels, in the same size, by media's formula bit for bit.
    ///
    /// # Errors
    /// [`GpuError::Kind`] for an NV12 picture, and the device's.
    pub fn to_nv12(
        &self,
        image: &CudaImage,
        color: ColorDescription,
    ) -> Result<CudaImage, GpuError> {
        let (width, height) = (image.width(), image.height());
        let src = tensor(image, "conversion to NV12")?;
        self.produce(Layout::nv12(width), width, height, |planes| {
            let k = Coefficients::of(color, width, height);
            let call = Call::rgb_to_nv12(&src, &nv12(planes, "conversion to NV12")?, &k)?;
            self.read(image, || self.launch(&call))
        })
    }

    /// A tensor whose colours are those of this one, each taken through `map`.
    ///
    /// # Errors
    /// [`GpuError::Kind`] for an NV12 picture, and the device's.
    pub fn map_colors(&self, image: &CudaImage, map: &ColorMap) -> Result<CudaImage, GpuError> {
        let src = tensor(image, "a map of colours")?;
        let (width, height) = (image.width(), image.height());
        self.produce(image.layout(), width, height, |mapped| {
            let call = Call::map_colors(&src, &tensor(mapped, "a map of colours")?, map)?;
            self.read(image, || self.launch(&call))
        })
    }

    /// The same picture in memory of its own.
    fn copy_of(&self, image: &CudaImage) -> Result<CudaImage, GpuError> {
        let (width, height) = (image.width(), image.height());
        let rows = match image.layout() {
            Layout::Nv12 { .. } => image.chroma_row() + height.div_ceil(2),
            Layout::Tensor { .. } => height,
        };
        self.produce(image.layout(), width, height, |copy| {
            let from = image.rows(0);
            let pitch = from.pitch;
            self.read(image, || self.copy(from, copy.rows(0), pitch, rows))
        })
    }

    /// Writes NV12 of `image`, which is of either kind and of the same size, into `into`, which
    /// is NV12.
    pub(crate) fn copy_to(
        &self,
        image: &CudaImage,
        into: &mut CudaImage,
        color: ColorDescription,
    ) -> Result<(), GpuError> {
        let (width, height) = (into.width(), into.height());
        let dst = nv12(into, "a copy")?;
        let _entered = self.shared().enter()?;
        into.before_write(self.handle())?;
        let copied = match image.tensor() {
            Some(src) => {
                let k = Coefficients::of(color, width, height);
                let call = Call::rgb_to_nv12(&src, &dst, &k)?;
                self.read(image, || self.launch(&call))
            }
            None => self.read(image, || {
                self.copy(image.rows(0), into.rows(0), width, height)?;
                let (from, to) = (image.rows(image.chroma_row()), into.rows(into.chroma_row()));
                self.copy(from, to, 2 * width.div_ceil(2), height.div_ceil(2))
            }),
        };
        into.finish(self)?;
        copied
    }

    /// The largest centred part of the shape `width` × `height`, resized to that; of the same
    /// kind as `image`.
    ///
    /// # Errors
    /// [`GpuError::Call`] for factors beyond 32, and the device's.
    pub fn scale_cover_crop(
        &self,
        image: &CudaImage,
        width: usize,
        height: usize,
    ) -> Result<CudaImage, GpuError> {
        let window = cover(image, width, height)?;
        let layout = match image.layout() {
            Layout::Nv12 { .. } => Layout::nv12(width),
            Layout::Tensor { channels } => Layout::Tensor { channels },
        };
        self.produce(layout, width, height, |resized| {
            let call = match (image.nv12(), resized.nv12()) {
                (Some(src), Some(dst)) => Call::resize_nv12(&src, &window, &dst)?,
                _ => Call::resize_tensor(
                    &tensor(image, "resizing")?,
                    &window,
                    &tensor(resized, "resizing")?,
                )?,
            };
            self.read(image, || self.launch(&call))
        })
    }

    /// [`scale_cover_crop`](Self::scale_cover_crop) and [`to_rgb`](Self::to_rgb) in one step,
    /// without rounding between them. The matrix is that of the source's size where the stream
    /// does not say.
    ///
    /// # Errors
    /// [`GpuError::Kind`] for a tensor, and as for both.
    pub fn to_rgb_cover_crop(
        &self,
        image: &CudaImage,
        width: usize,
        height: usize,
        color: ColorDescription,
    ) -> Result<CudaImage, GpuError> {
        let src = nv12(image, "conversion to RGB")?;
        let window = cover(image, width, height)?;
        self.produce(Layout::Tensor { channels: 3 }, width, height, |rgb| {
            let k = Coefficients::of(color, image.width(), image.height());
            let dst = tensor(rgb, "conversion to RGB")?;
            let call = Call::nv12_to_rgb_resized(&src, &window, &dst, &k)?;
            self.read(image, || self.launch(&call))
        })
    }

    /// Blends `overlay` into the picture with its corner at column `x` and row `y`; what lies
    /// outside of the picture is left out. Others who still read the picture see it as it was.
    ///
    /// # Errors
    /// [`GpuError::Call`] when the overlay's bytes are not its size, [`GpuError::Kind`] for a
    /// tensor of one channel, and the device's. The picture is lost with an error.
    pub fn overlay(
        &self,
        mut image: CudaImage,
        overlay: Rgba<'_>,
        (x, y): (usize, usize),
        color: ColorDescription,
    ) -> Result<CudaImage, GpuError> {
        let Rgba {
            pixels,
            width,
            height,
        } = overlay;
        let fits = |side: usize| (1..=MAX_SIDE).contains(&side);
        if !fits(width) || !fits(height) || pixels.len() != 4 * width * height {
            return Err(CallError::Size {
                what: "overlay",
                width: u32::try_from(width).unwrap_or(u32::MAX),
                height: u32::try_from(height).unwrap_or(u32::MAX),
            }
            .into());
        }
        if x >= image.width() || y >= image.height() {
            return Ok(image);
        }
        if image.is_foreign() {
            image = self.copy_of(&image)?;
        }
        let uploaded = self.upload_rows(pixels, width, height)?;
        let _entered = self.shared().enter()?;
        image.before_write(self.handle())?;
        let view = OverlayView {
            data: uploaded.address(),
            pitch: 4 * width as u32,
            width: width as u32,
            height: height as u32,
            x: x as u32,
            y: y as u32,
        };
        let call = match image.nv12() {
            Some(frame) => {
                let k = Coefficients::of(color, image.width(), image.height());
                Call::overlay_nv12(&frame, &view, &k)?
            }
            None => Call::overlay_tensor(&tensor(&image, "an overlay")?, &view)?,
        };
        let blended = self.read(&uploaded, || self.launch(&call));
        image.finish(self)?;
        blended.map(|()| image)
    }
}

fn nv12(image: &CudaImage, operation: &'static str) -> Result<Nv12View, GpuError> {
    image.nv12().ok_or_else(|| GpuError::Kind {
        operation,
        wanted: "an NV12 picture",
        got: image.kind(),
    })
}

fn tensor(image: &CudaImage, operation: &'static str) -> Result<TensorView, GpuError> {
    image.tensor().ok_or_else(|| GpuError::Kind {
        operation,
        wanted: "a tensor",
        got: image.kind(),
    })
}

/// Sizes that are none are refused before anything is divided by them.
fn cover(image: &CudaImage, width: usize, height: usize) -> Result<Window, GpuError> {
    let fits = |side: usize| (1..=MAX_SIDE).contains(&side);
    if !fits(width) || !fits(height) {
        return Err(FrameError::Size { width, height }.into());
    }
    let source = (image.width() as u32, image.height() as u32);
    Ok(Window::cover(source, (width as u32, height as u32)))
}
