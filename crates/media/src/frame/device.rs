//! The seam for pictures in device memory, which `trickle-gpu` implements.

use std::any::Any;
use std::fmt;

use super::{FramePool, PlanarImage, Tensor};
use crate::error::FrameError;

/// A picture in the memory of a device, that owns its memory.
pub trait DeviceImage: fmt::Debug + Send + Sync {
    /// Name of the device, such as `cuda:0`.
    fn device(&self) -> &str;

    /// Columns.
    fn width(&self) -> usize;

    /// Rows.
    fn height(&self) -> usize;

    /// Copies the picture to the host, as planes or as a tensor, whichever it is on the device.
    /// Blocks until it has arrived.
    ///
    /// # Errors
    /// [`FrameError::Device`] when the device fails.
    fn download(&self, pool: &FramePool) -> Result<HostImage, FrameError>;

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
