//! Colour taken away.

use trickle_media::VideoFrame;
use trickle_media::frame::ColorMap;

use super::map_frame;
use crate::error::ProcessorError;
use crate::processor::FrameProcessor;

/// Sets R, G and B to the pixel's luma, with the weights of ITU-R BT.709. A tensor of one
/// channel is gray already; a fourth channel stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grayscale;

/// Share of R, G and B in luma (ITU-R BT.709-6, item 3.2).
const WEIGHTS: [f32; 3] = [0.2126, 0.7152, 0.0722];

impl FrameProcessor for Grayscale {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        if frame
            .device()
            .is_some_and(|image| image.channels() == Some(1))
        {
            return Ok(Some(frame));
        }
        let map = ColorMap {
            weights: [WEIGHTS; 3],
            offset: [0.0; 3],
        };
        let frame = map_frame(frame, &map, |values, [_, _, channels]| match channels {
            3 => gray::<3>(values),
            4 => gray::<4>(values),
            _ => {}
        })?;
        Ok(Some(frame))
    }

    fn takes_device_frames(&self) -> bool {
        true
    }
}

fn gray<const CHANNELS: usize>(values: &mut [f32]) {
    let (pixels, _) = values.as_chunks_mut::<CHANNELS>();
    for pixel in pixels {
        let [r, g, b] = [0, 1, 2].map(|c| pixel[c] * WEIGHTS[c]);
        pixel[..3].fill(r + g + b);
    }
}

#[cfg(test)]
#[path = "grayscale_test.rs"]
mod tests;
