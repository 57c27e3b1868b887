//! The seam for pictures in device memory, which `trickle-gpu` implements.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::{FramePool, PlanarImage, Tensor};
use crate::error::FrameError;
use crate::stream::ColorDescription;

/// A picture in the memory of a device, that owns its memory.
///
/// Its operations are given to the device and return before it has done them; what they return
/// can be used at once, by the device's operations, because these wait for each other there.
/// Only [`download`](Self::download) makes the host wait.
pub trait DeviceImage: fmt::Debug + Send + Sync {
    /// Name of the device, such as `cuda:0`.
    fn device(&self) -> &str;

    /// Columns.
    fn width(&self) -> usize;

    /// Rows.
    fn height(&self) -> usize;

    /// Values per pixel of an f32 tensor; `None` for planes (NV12).
    fn channels(&self) -> Option<usize>;

    /// Copies the picture to the host, as planes or as a tensor, whichever it is on the device.
    /// Blocks until it has arrived.
    ///
    /// # Errors
    /// [`FrameError::Device`] when the device fails.
    fn download(&self, pool: &FramePool) -> Result<HostImage, FrameError>;

    /// RGB f32 `[height, width, 3]` of planes whose colour is `color`, by the formula of
    /// [`convert::reference`](crate::convert::reference).
    ///
    /// # Errors
    /// [`FrameError::Device`] for a tensor, and when the device fails.
    fn to_rgb(&self, color: ColorDescription) -> Result<Arc<dyn DeviceImage>, FrameError>;

    /// Planes (NV12) of a tensor, for the colour `color`, by the same formula.
    ///
    /// # Errors
    /// [`FrameError::Device`] for planes, and when the device fails.
    fn to_planes(&self, color: ColorDescription) -> Result<Arc<dyn DeviceImage>, FrameError>;

    /// The picture scaled to cover `width` × `height` and cropped to it at the centre, of the
    /// same kind; the counterpart of [`CoverScaler`](crate::convert::CoverScaler).
    ///
    /// # Errors
    /// [`FrameError::Size`], and [`FrameError::Device`] when the device fails or the factor is
    /// beyond what it scales by.
    fn cover_crop(&self, width: usize, height: usize) -> Result<Arc<dyn DeviceImage>, FrameError>;

    /// A tensor whose colours are those of this one, each taken through `map`.
    ///
    /// # Errors
    /// [`FrameError::Device`] for planes, and when the device fails.
    fn map_colors(&self, map: &ColorMap) -> Result<Arc<dyn DeviceImage>, FrameError>;

    /// For the crate that made it.
    fn as_any(&self) -> &dyn Any;
}

/// What [`DeviceImage::download`] brings.
#[derive(Clone, Debug)]
pub enum HostImage {
    /// NV12 or I420 samples.
    Planar(PlanarImage),
    /// RGB f32.
    Tensor(Tensor),
}

/// A linear map of colours: each new channel is a weighted sum of R, G and B, plus a constant.
///
/// Devices evaluate `((r × w[0] + g × w[1]) + b × w[2]) + offset` in f32, rounded after each
/// step. The value of a tensor of one channel counts as R, G and B, and becomes the new R; a
/// fourth channel is left alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColorMap {
    /// Weights of R, G and B, for each of the new R, G and B.
    pub weights: [[f32; 3]; 3],
    /// Added to the new R, G and B.
    pub offset: [f32; 3],
}
