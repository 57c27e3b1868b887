//! Frames for the tests of processors, and a way to run one on them.

use trickle_media::frame::{FramePool, Image};
use trickle_media::{ColorDescription, Tensor, TimeBase, Timestamp, VideoFrame};

use crate::processor::FrameProcessor;

/// A frame of one row, of pixels of `channels` values.
pub(super) fn frame(channels: usize, values: &[f32]) -> VideoFrame {
    let tensor = Tensor::from_vec(1, values.len() / channels, channels, values.to_vec()).unwrap();
    let pts = Timestamp::new(1234, TimeBase::MPEG);
    let color = ColorDescription::BT709;
    VideoFrame::new(Image::Tensor(tensor), pts, color, FramePool::new())
}

/// What `processor` makes of such a frame.
pub(super) async fn run(
    processor: &mut impl FrameProcessor,
    channels: usize,
    values: &[f32],
) -> Vec<f32> {
    let input = frame(channels, values);
    let out = processor
        .process_video(input.clone())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(out.pts(), input.pts());
    assert_eq!((out.width(), out.height()), (input.width(), input.height()));
    out.tensor().unwrap().to_vec()
}
