//! The negative of a picture.

use trickle_media::VideoFrame;

use super::map_colors;
use crate::error::ProcessorError;
use crate::processor::FrameProcessor;

/// Replaces every colour value `v` by `1 − v`. A fourth channel stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Invert;

impl FrameProcessor for Invert {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        let frame = frame.map_tensor(|values, [_, _, channels]| {
            map_colors(values, channels, |value, _| 1.0 - value);
        })?;
        Ok(Some(frame))
    }
}

#[cfg(test)]
#[path = "invert_test.rs"]
mod tests;
