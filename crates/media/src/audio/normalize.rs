//! Any sound to 48 kHz stereo or mono: mixing, then resampling.

use super::{OPUS_SAMPLE_RATE, Resampler, downmix};
use crate::error::FrameError;
use crate::frame::{AudioFrame, Pool};

/// Turns frames of any rate and 1 to 8 channels into frames of 48 kHz and one or two channels,
/// with times in samples. The layout and the rate may change from frame to frame.
#[derive(Debug)]
pub struct Normalizer {
    channels: usize,
    pool: Pool<f32>,
    resampler: Resampler,
}

impl Normalizer {
    /// Gives frames of `channels` channels, made in `pool`.
    ///
    /// # Errors
    /// [`FrameError::AudioChannels`] for another number than 1 or 2.
    pub fn new(channels: usize, pool: Pool<f32>) -> Result<Self, FrameError> {
        if !(1..=2).contains(&channels) {
            return Err(FrameError::AudioChannels(channels));
        }
        Ok(Self {
            channels,
            resampler: Resampler::new(OPUS_SAMPLE_RATE, pool.clone()),
            pool,
        })
    }

    /// Feeds a frame; take the results with [`pull`](Self::pull).
    ///
    /// # Errors
    /// As for [`Resampler::push`].
    pub fn push(&mut self, frame: &AudioFrame) -> Result<(), FrameError> {
        // Mixing first leaves fewer channels to resample.
        let mixed = downmix(frame, self.channels, &self.pool)?;
        self.resampler.push(&mixed)
    }

    /// Takes the next frame that is ready.
    pub fn pull(&mut self) -> Option<AudioFrame> {
        self.resampler.pull()
    }

    /// Ends the stream: what the resampler holds becomes ready.
    ///
    /// # Errors
    /// As for [`Resampler::flush`].
    pub fn flush(&mut self) -> Result<(), FrameError> {
        self.resampler.flush()
    }
}
