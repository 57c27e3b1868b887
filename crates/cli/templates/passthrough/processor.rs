//! The processor: hands every frame on as it came. Start from here.

use trickle_processor::{FrameProcessor, ProcessorError, VideoFrame};

/// One stream's processor: each stream gets a clone.
#[derive(Clone, Debug)]
pub struct Passthrough;

/// What the worker is given.
pub fn new() -> Passthrough {
    Passthrough
}

impl FrameProcessor for Passthrough {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        // frame.tensor()? gives RGB f32 [height, width, 3] in [0, 1]; frame.map_tensor(..)? changes
        // it in place. Ok(None) drops the frame.
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trickle_processor::testing::rgb_frame;

    #[tokio::test]
    async fn a_frame_stays_as_it_is() {
        let frame = rgb_frame(1, 1, vec![0.25, 0.5, 0.75]).unwrap();
        let out = new().process_video(frame).await.unwrap().unwrap();
        assert_eq!(out.tensor().unwrap().to_vec(), [0.25, 0.5, 0.75]);
    }
}
