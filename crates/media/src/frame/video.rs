//! One picture on its way through a session.

use std::sync::Arc;
use std::time::Instant;

use super::{DeviceImage, FramePool, HostImage, PlanarImage, Tensor};
use crate::convert;
use crate::error::FrameError;
use crate::stream::ColorDescription;
use crate::time::Timestamp;

/// Where a frame's pixels are.
#[derive(Clone, Debug)]
pub enum Image {
    /// Host memory, as the codec gives and takes it.
    Planar(PlanarImage),
    /// Host memory, RGB f32.
    Tensor(Tensor),
    /// Device memory.
    Device(Arc<dyn DeviceImage>),
}

/// A video frame: pixels, their time and what goes with them. Clones share the pixels.
///
/// [`tensor`](Self::tensor) converts **on demand**: a frame whose tensor nobody asks for goes
/// from decoder to encoder as it is.
#[derive(Clone, Debug)]
pub struct VideoFrame {
    image: Image,
    pts: Timestamp,
    color: ColorDescription,
    times: StageTimes,
    pool: FramePool,
}

impl VideoFrame {
    /// A frame that shows `image` at `pts`. Tensors of it are made in `pool`.
    pub fn new(image: Image, pts: Timestamp, color: ColorDescription, pool: FramePool) -> Self {
        Self {
            image,
            pts,
            color,
            times: StageTimes::default(),
            pool,
        }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        match &self.image {
            Image::Planar(image) => image.width(),
            Image::Tensor(tensor) => tensor.width(),
            Image::Device(image) => image.width(),
        }
    }

    /// Rows.
    pub fn height(&self) -> usize {
        match &self.image {
            Image::Planar(image) => image.height(),
            Image::Tensor(tensor) => tensor.height(),
            Image::Device(image) => image.height(),
        }
    }

    /// When it is shown, in its stream's time base.
    pub fn pts(&self) -> Timestamp {
        self.pts
    }

    /// Sets when it is shown.
    pub fn set_pts(&mut self, pts: Timestamp) {
        self.pts = pts;
    }

    /// Sets the colour of the planes; the samples stay as they are.
    pub fn set_color(&mut self, color: ColorDescription) {
        self.color = color;
    }

    /// Colour of the planes, and the way to and from RGB.
    pub fn color(&self) -> ColorDescription {
        self.color
    }

    /// The pixels as they are.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The pixels, taken out.
    pub fn into_image(self) -> Image {
        self.image
    }

    /// The pool that tensors and planes of this frame's session come from.
    pub fn pool(&self) -> &FramePool {
        &self.pool
    }

    /// When the frame passed which stage.
    pub fn times(&self) -> &StageTimes {
        &self.times
    }

    /// When the frame passed which stage, for the stages to note.
    pub fn times_mut(&mut self) -> &mut StageTimes {
        &mut self.times
    }

    /// The pixels as RGB f32 `[height, width, 3]` in [0, 1].
    ///
    /// Converts at every call on a planar frame; keep the result. A frame that holds a tensor
    /// already shares it.
    ///
    /// # Errors
    /// [`FrameError::OnDevice`] when the pixels are in device memory: call
    /// [`to_host`](Self::to_host) first.
    pub fn tensor(&self) -> Result<Tensor, FrameError> {
        match &self.image {
            Image::Planar(image) => convert::planar_to_tensor(image, self.color, &self.pool),
            Image::Tensor(tensor) => Ok(tensor.clone()),
            Image::Device(image) => Err(FrameError::OnDevice {
                device: image.device().to_owned(),
            }),
        }
    }

    /// The tensor alone, without the copy that writing to a shared one costs.
    ///
    /// # Errors
    /// As for [`tensor`](Self::tensor).
    pub fn into_tensor(self) -> Result<Tensor, FrameError> {
        match self.image {
            Image::Tensor(tensor) => Ok(tensor),
            _ => self.tensor(),
        }
    }

    /// Changes the tensor in place: `change` gets its values and its `[height, width, channels]`.
    ///
    /// # Errors
    /// As for [`tensor`](Self::tensor).
    pub fn map_tensor(
        mut self,
        change: impl FnOnce(&mut [f32], [usize; 3]),
    ) -> Result<Self, FrameError> {
        if !matches!(self.image, Image::Tensor(_)) {
            self.image = Image::Tensor(self.tensor()?);
        }
        if let Image::Tensor(tensor) = &mut self.image {
            let shape = tensor.shape();
            change(tensor.make_mut(), shape);
        }
        Ok(self)
    }

    /// A frame that shows `tensor`, with the time, colour and stage times of this one. A new
    /// size becomes the output's size.
    #[must_use]
    pub fn replace_tensor(self, tensor: Tensor) -> Self {
        self.replace_image(Image::Tensor(tensor))
    }

    /// A frame with other pixels and the same time, colour and stage times.
    #[must_use]
    pub fn replace_image(self, image: Image) -> Self {
        Self { image, ..self }
    }

    /// The picture in device memory; `None` when the pixels are in host memory.
    pub fn device(&self) -> Option<&Arc<dyn DeviceImage>> {
        match &self.image {
            Image::Device(image) => Some(image),
            _ => None,
        }
    }

    /// The pixels as RGB f32 `[height, width, 3]` in device memory, where they stay. Planes are
    /// converted at every call; a tensor is shared, whatever its channels.
    ///
    /// # Errors
    /// [`FrameError::OnHost`] when the pixels are in host memory, and the device's.
    pub fn device_tensor(&self) -> Result<Arc<dyn DeviceImage>, FrameError> {
        let image = self.device().ok_or(FrameError::OnHost)?;
        match image.channels() {
            Some(_) => Ok(Arc::clone(image)),
            None => image.to_rgb(self.color),
        }
    }

    /// A frame that shows `tensor`, with the time, colour and stage times of this one. A new
    /// size becomes the output's size.
    #[must_use]
    pub fn replace_device_tensor(self, tensor: Arc<dyn DeviceImage>) -> Self {
        self.replace_image(Image::Device(tensor))
    }

    /// The frame with its pixels in host memory; blocks for the download where they are not.
    ///
    /// # Errors
    /// [`FrameError::Device`] when the device fails.
    pub fn to_host(self) -> Result<Self, FrameError> {
        let image = match &self.image {
            Image::Device(image) => match image.download(&self.pool)? {
                HostImage::Planar(planar) => Image::Planar(planar),
                HostImage::Tensor(tensor) => Image::Tensor(tensor),
            },
            _ => return Ok(self),
        };
        Ok(self.replace_image(image))
    }

    /// The frame in host memory, for who makes planes of tensors: a tensor in device memory becomes
    /// planes of the colour `color` there, which are an eighth of it to bring. What is in host memory
    /// stays as it is.
    ///
    /// # Errors
    /// [`FrameError::Device`] when the device fails.
    pub fn to_host_planes(self, color: ColorDescription) -> Result<Self, FrameError> {
        let planes = match &self.image {
            Image::Device(image) if image.channels().is_some() => image.to_planes(color)?,
            _ => return self.to_host(),
        };
        self.replace_image(Image::Device(planes)).to_host()
    }
}

/// When a frame passed the stages of its session; `None` where it has not, and offline.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTimes {
    /// The last byte of its access unit arrived.
    pub received: Option<Instant>,
    /// The decoder gave it.
    pub decoded: Option<Instant>,
    /// The processor was called.
    pub process_start: Option<Instant>,
    /// The processor returned it.
    pub processed: Option<Instant>,
    /// The encoder gave its access unit.
    pub encoded: Option<Instant>,
}

#[cfg(test)]
#[path = "video_test.rs"]
mod tests;
