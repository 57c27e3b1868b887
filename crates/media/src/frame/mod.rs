//! Frames, tensors and the pool their memory comes from.

mod audio;
mod deinterlace;
mod device;
// Checked by hand, as the calls of OpenH264 are: memory that other libraries share.
#[allow(unsafe_code)]
pub mod dlpack;
mod memory;
mod planar;
mod pool;
mod samples;
mod tensor;
mod turn;
mod video;

pub use audio::AudioFrame;
pub use device::{ColorMap, DeviceImage, HostImage};
pub use planar::{PixelFormat, PlanarImage, Plane};
pub use pool::{Buffer, FramePool, Pool};
pub use samples::{Chroma, SamplePlane, Samples};
pub use tensor::Tensor;
pub use video::{Image, StageTimes, VideoFrame};

/// Longest side of a frame, in pixels: that of H.264 level 6.2 (and of H.265's).
pub const MAX_SIDE: usize = 16_384;
