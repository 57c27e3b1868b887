//! Decodes and encodes, changes nothing.

use trickle_media::VideoFrame;

use crate::error::ProcessorError;
use crate::processor::FrameProcessor;

/// Hands every frame on as it is; it never asks for a tensor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passthrough;

impl FrameProcessor for Passthrough {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        Ok(Some(frame))
    }

    fn takes_device_frames(&self) -> bool {
        true
    }
}
