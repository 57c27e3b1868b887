//! The negative of a picture.

use trickle_media::VideoFrame;
use trickle_media::frame::ColorMap;

use super::{map_colors, map_frame};
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
        let map = ColorMap {
            weights: [[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]],
            offset: [1.0; 3],
        };
        let frame = map_frame(frame, &map, |values, [_, _, channels]| {
            map_colors(values, channels, |value, _| 1.0 - value);
        })?;
        Ok(Some(frame))
    }

    fn takes_device_frames(&self) -> bool {
        true
    }
}

#[cfg(test)]
#[path = "invert_test.rs"]
mod tests;
