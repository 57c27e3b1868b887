//! The processor: an effect with a parameter that changes while streams run.

use serde_json::{Value, json};
use trickle_processor::{FrameProcessor, Params, ParamsError, ProcessorError, VideoFrame};

/// Multiplies every value. Each stream has its own, with its own gain.
#[derive(Clone, Debug)]
pub struct Brightness {
    gain: f32,
}

/// What the worker is given.
pub fn new() -> Brightness {
    Brightness { gain: 1.2 }
}

impl FrameProcessor for Brightness {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        let gain = self.gain;
        // RGB f32 [height, width, 3] in [0, 1].
        let frame = frame.map_tensor(|rgb, _shape| {
            rgb.iter_mut()
                .for_each(|value| *value = (*value * gain).min(1.0));
        })?;
        Ok(Some(frame))
    }

    /// Called at the start and by every update. An error must leave everything as it was.
    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        if let Some(gain) = params.number("gain")? {
            self.gain = gain as f32;
        }
        Ok(())
    }

    /// What callers may send. It is published at `/api/stream/params-schema`, and what it forbids
    /// is refused before `update_params` is called.
    fn params_schema(&self) -> Option<Value> {
        Some(json!({
            "type": "object",
            "properties": {
                "gain": {
                    "description": "Factor of every value",
                    "type": "number",
                    "minimum": 0,
                    "maximum": 4,
                    "default": self.gain,
                },
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trickle_processor::testing::rgb_frame;

    #[tokio::test]
    async fn values_are_multiplied_and_stay_in_range() {
        let mut processor = new();
        let params = [("gain".to_owned(), json!(2))].into_iter().collect();
        processor.update_params(&params).unwrap();
        let frame = rgb_frame(1, 1, vec![0.0, 0.25, 0.75]).unwrap();
        let out = processor.process_video(frame).await.unwrap().unwrap();
        assert_eq!(out.tensor().unwrap().to_vec(), [0.0, 0.5, 1.0]);
    }

    #[test]
    fn a_gain_that_is_no_number_changes_nothing() {
        let mut processor = new();
        let params = [("gain".to_owned(), json!("much"))].into_iter().collect();
        assert!(processor.update_params(&params).is_err());
        assert_eq!(processor.gain, 1.2);
    }
}
