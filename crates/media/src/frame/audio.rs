//! Decoded sound.

use crate::error::FrameError;
use crate::frame::Buffer;
use crate::time::{TimeBase, Timestamp};

/// Samples as `f32` of shape `[channels, samples]`: each channel's samples contiguous, nominally
/// in [-1, 1].
///
/// Channel order is that of WAVE and of Vorbis/ffmpeg's native layouts: mono; L R; L R C;
/// L R Ls Rs; L R C Ls Rs; L R C LFE Ls Rs; L R C LFE Cs Ls Rs; L R C LFE Lb Rb Ls Rs.
#[derive(Clone, Debug)]
pub struct AudioFrame {
    channels: usize,
    sample_rate: u32,
    pts: Timestamp,
    data: Buffer<f32>,
}

impl AudioFrame {
    /// A frame of `channels` channels whose samples are `data`, one channel after another.
    ///
    /// # Errors
    /// [`FrameError::Shape`] when `data` is not a whole number of samples for each channel;
    /// [`FrameError::AudioChannels`] for none, or more than 8.
    pub fn new(
        channels: usize,
        sample_rate: u32,
        pts: Timestamp,
        data: Buffer<f32>,
    ) -> Result<Self, FrameError> {
        if !(1..=8).contains(&channels) {
            return Err(FrameError::AudioChannels(channels));
        }
        if !data.len().is_multiple_of(channels) {
            let width = data.len() / channels;
            return Err(FrameError::Shape {
                height: channels,
                width,
                channels: 1,
                expected: width * channels,
                got: data.len(),
            });
        }
        Ok(Self {
            channels,
            sample_rate,
            pts,
            data,
        })
    }

    /// Number of channels, 1 to 8.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Samples per channel.
    pub fn samples(&self) -> usize {
        self.data.len() / self.channels
    }

    /// Samples per second, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Time of the first sample.
    pub fn pts(&self) -> Timestamp {
        self.pts
    }

    /// Sets the time of the first sample.
    pub fn set_pts(&mut self, pts: Timestamp) {
        self.pts = pts;
    }

    /// Time just after the last sample.
    pub fn end(&self) -> Timestamp {
        let base = TimeBase::per_second(self.sample_rate);
        let length = Timestamp::new(i64::try_from(self.samples()).unwrap_or(i64::MAX), base);
        self.pts.offset(length.in_base(self.pts.base))
    }

    /// Samples of one channel; empty past the last.
    pub fn channel(&self, index: usize) -> &[f32] {
        let samples = self.samples();
        self.data
            .get(index * samples..(index + 1) * samples)
            .unwrap_or(&[])
    }

    /// All samples, one channel after another.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// All samples, for writing; copied first when a clone of this frame is alive.
    pub fn data_mut(&mut self) -> &mut [f32] {
        self.data.make_mut()
    }
}
