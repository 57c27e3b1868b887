//! The processor: a model that is loaded once and shared by all streams.

use std::sync::{Arc, OnceLock};

use trickle_processor::{
    FrameProcessor, InitError, Model, ProcessorError, StreamContext, VideoFrame,
};

/// What streams share. It is loaded in the background; the worker says LOADING until then.
#[derive(Default)]
pub struct Curve {
    weights: OnceLock<Arc<Weights>>,
}

/// Stands for what a real model loads from files: here, a curve of 256 values.
struct Weights {
    curve: Vec<f32>,
}

/// What the worker is given.
pub fn new() -> Curve {
    Curve::default()
}

impl Model for Curve {
    type Processor = Stream;

    /// Once, before the first stream. It has a thread of its own: blocking is allowed. An error
    /// ends the worker with its message.
    async fn initialize(&self) -> Result<(), InitError> {
        let curve = (0..=255_u8).map(|value| (f32::from(value) / 255.0).sqrt());
        let weights = Weights {
            curve: curve.collect(),
        };
        self.weights.get_or_init(|| Arc::new(weights));
        Ok(())
    }

    /// For each stream. The context emits data items and events.
    fn open(&self, context: StreamContext) -> Result<Stream, ProcessorError> {
        let weights = self.weights.get();
        let weights = weights.ok_or_else(|| ProcessorError::new("the model is not loaded"))?;
        Ok(Stream {
            weights: weights.clone(),
            context,
            frames: 0,
        })
    }
}

/// One stream's processor. Its methods run on a thread of its own.
pub struct Stream {
    weights: Arc<Weights>,
    context: StreamContext,
    frames: u64,
}

impl FrameProcessor for Stream {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        let curve = &self.weights.curve;
        let frame = frame.map_tensor(|rgb, _shape| {
            for value in rgb {
                let index = (value.clamp(0.0, 1.0) * 255.0) as usize;
                *value = curve.get(index).copied().unwrap_or(*value);
            }
        })?;
        self.frames += 1;
        if self.frames.is_multiple_of(100) {
            // Readers of the data channel get it; without one it goes nowhere.
            // Refused when more is emitted than can be published: no reason to stop.
            let _ = self.context.emit_data(self.frames.into());
        }
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trickle_processor::testing::rgb_frame;

    #[tokio::test]
    async fn shadows_are_lifted() {
        let model = new();
        model.initialize().await.unwrap();
        let mut stream = model.open(StreamContext::detached()).unwrap();
        let frame = rgb_frame(1, 1, vec![0.0, 0.25, 1.0]).unwrap();
        let out = stream.process_video(frame).await.unwrap().unwrap();
        let values = out.tensor().unwrap().to_vec();
        assert_eq!((values[0], values[2]), (0.0, 1.0));
        assert!((values[1] - 0.5).abs() < 0.01, "{values:?}");
    }

    #[tokio::test]
    async fn without_its_weights_no_stream_opens() {
        assert!(new().open(StreamContext::detached()).is_err());
    }
}
