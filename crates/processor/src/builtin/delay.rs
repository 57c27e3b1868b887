//! A wait for every frame: the stand-in for a slow model.

use std::time::Duration;

use serde_json::{Value, json};
use trickle_media::VideoFrame;

use crate::error::{ParamsError, ProcessorError};
use crate::params::Params;
use crate::processor::FrameProcessor;

/// Holds every frame for a time and changes nothing. It waits on tokio's timer, as a processor
/// does that waits for a device or another machine, so that no core is busy meanwhile.
///
/// Parameter: `ms`, from 0 to 60,000. It starts with 40.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delay {
    time: Duration,
}

/// Longest delay, in milliseconds: nothing live waits longer.
const LONGEST_MS: f64 = 60_000.0;

impl Delay {
    /// Holds every frame for `time`.
    pub fn new(time: Duration) -> Self {
        Self { time }
    }
}

impl Default for Delay {
    fn default() -> Self {
        Self::new(Duration::from_millis(40))
    }
}

impl FrameProcessor for Delay {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        tokio::time::sleep(self.time).await;
        Ok(Some(frame))
    }

    fn takes_device_frames(&self) -> bool {
        true
    }

    fn params_schema(&self) -> Option<Value> {
        Some(json!({
            "type": "object",
            "properties": {
                "ms": {
                    "description": "Time that every frame is held, in milliseconds; may be a string",
                    "type": ["number", "string"],
                    "minimum": 0,
                    "maximum": LONGEST_MS,
                    "default": self.time.as_millis() as u64,
                },
            },
        }))
    }

    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        if let Some(ms) = params.number_in("ms", 0.0..=LONGEST_MS)? {
            self.time = Duration::from_secs_f64(ms / 1000.0);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "delay_test.rs"]
mod tests;
