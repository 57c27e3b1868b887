//! For the tests of processors.

use trickle_media::frame::{FramePool, Image};
use trickle_media::{ColorDescription, FrameError, Tensor, TimeBase, Timestamp, VideoFrame};

/// A frame of `height × width` pixels with these RGB values, row by row, each in [0, 1].
///
/// ```
/// use trickle_processor::testing::rgb_frame;
///
/// let grey = rgb_frame(1, 1, vec![0.5, 0.5, 0.5])?;
/// assert_eq!((grey.width(), grey.height()), (1, 1));
/// # Ok::<(), trickle_processor::FrameError>(())
/// ```
///
/// # Errors
/// [`FrameError::Shape`] when there are not `height × width × 3` values.
pub fn rgb_frame(height: usize, width: usize, values: Vec<f32>) -> Result<VideoFrame, FrameError> {
    let image = Image::Tensor(Tensor::from_vec(height, width, 3, values)?);
    let pts = Timestamp::new(0, TimeBase::MPEG);
    let color = ColorDescription::BT709;
    Ok(VideoFrame::new(image, pts, color, FramePool::new()))
}
