//! Change of sample rate, as a stream: any rate to one, with exact counts and times.

use std::collections::VecDeque;

use rubato::audioadapter_buffers::direct::{SequentialSlice, SequentialSliceOfVecs};
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use super::clock::SampleClock;
use crate::error::FrameError;
use crate::frame::{AudioFrame, Pool};
use crate::time::{TimeBase, Timestamp};

/// Lowest input rate. AAC starts at 7,350 Hz.
pub const MIN_SAMPLE_RATE: u32 = 1_000;
/// Highest input rate.
pub const MAX_SAMPLE_RATE: u32 = 384_000;

/// Input samples that one transform takes at least: enough for a filter that is flat to 95 % of
/// the band, and 12 ms at 44.1 kHz.
const MIN_BLOCK: usize = 512;

/// Resamples a stream of audio frames to one rate.
///
/// - Frames of the right rate pass unchanged, except that their time is given in samples.
/// - Times come from counting samples; the filter's delay is taken out of them. A frame whose own
///   time is more than 10 ms off the count, or of another rate or number of channels, ends the
///   run before it (nothing of which is lost) and starts a new one at its own time.
/// - A run of `n` input samples gives exactly `n · output / input` samples, rounded to the
///   nearest, once it has ended.
/// - Delay: one block of `512` input samples or a little more, plus half a block; up to 1.5 s for
///   rates that share no factor with the output's. Nothing else is held back.
#[derive(Debug)]
pub struct Resampler {
    output_rate: u32,
    pool: Pool<f32>,
    run: Option<Run>,
    ready: VecDeque<AudioFrame>,
}

impl Resampler {
    /// A resampler to `output_rate` Hz that takes the frames it makes from `pool`.
    pub fn new(output_rate: u32, pool: Pool<f32>) -> Self {
        Self {
            output_rate,
            pool,
            run: None,
            ready: VecDeque::new(),
        }
    }

    /// Feeds a frame; take the results with [`pull`](Self::pull).
    ///
    /// # Errors
    /// [`FrameError::SampleRate`] outside [`MIN_SAMPLE_RATE`] to [`MAX_SAMPLE_RATE`]. The
    /// resampler stays usable.
    pub fn push(&mut self, frame: &AudioFrame) -> Result<(), FrameError> {
        let rate = frame.sample_rate();
        if !(MIN_SAMPLE_RATE..=MAX_SAMPLE_RATE).contains(&rate) {
            return Err(FrameError::SampleRate {
                rate,
                min: MIN_SAMPLE_RATE,
                max: MAX_SAMPLE_RATE,
            });
        }
        if self.run.as_ref().is_some_and(|run| !run.continues(frame)) {
            self.flush()?;
        }
        if rate == self.output_rate {
            let mut same = frame.clone();
            same.set_pts(frame.pts().rescale(TimeBase::per_second(rate)));
            self.ready.push_back(same);
            return Ok(());
        }
        let run = match &mut self.run {
            Some(run) => run,
            none => none.insert(Run::new(frame, self.output_rate)?),
        };
        run.take(frame);
        while run.has_block() {
            let out = run.process(&self.pool, None)?;
            self.ready.extend(out);
        }
        Ok(())
    }

    /// Takes the next frame that is ready.
    pub fn pull(&mut self) -> Option<AudioFrame> {
        self.ready.pop_front()
    }

    /// Ends the run: what the filter still holds becomes ready.
    ///
    /// # Errors
    /// [`FrameError::Resample`] when the transform fails, which valid frames cannot cause.
    pub fn flush(&mut self) -> Result<(), FrameError> {
        let Some(mut run) = self.run.take() else {
            return Ok(());
        };
        let total = run.total();
        while run.made < total {
            run.pad();
            let out = run.process(&self.pool, Some(total))?;
            self.ready.extend(out);
        }
        Ok(())
    }
}

/// Frames of one rate and layout without a gap.
struct Run {
    fft: Fft<f32>,
    input: SampleClock,
    input_rate: u32,
    output_rate: u32,
    /// Time of the first output sample.
    start: Timestamp,
    /// Input not yet transformed, by channel: less than a block after each push.
    held: Vec<Vec<f32>>,
    /// Samples that the filter's delay puts before the first one, still to be dropped.
    delay: usize,
    /// Output samples handed out.
    made: i64,
}

impl Run {
    fn new(first: &AudioFrame, output_rate: u32) -> Result<Self, FrameError> {
        let input_rate = first.sample_rate();
        let unit = (input_rate / gcd(input_rate, output_rate)) as usize;
        // Of several units an even number, so that the filter's delay is a whole number of
        // samples; a single long one delays enough as it is, and is off by half a sample at most.
        let block = match MIN_BLOCK.div_ceil(unit) {
            1 => unit,
            units => unit * units.next_multiple_of(2),
        };
        let fft = Fft::new_custom(
            input_rate as usize,
            output_rate as usize,
            block,
            1,
            first.channels(),
            WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .map_err(|error| FrameError::Resample(error.to_string()))?;
        Ok(Self {
            delay: fft.output_delay(),
            fft,
            input: SampleClock::new(input_rate, first.pts()),
            input_rate,
            output_rate,
            start: first.pts().rescale(TimeBase::per_second(output_rate)),
            held: vec![Vec::new(); first.channels()],
            made: 0,
        })
    }

    fn continues(&self, frame: &AudioFrame) -> bool {
        frame.sample_rate() == self.input_rate
            && frame.channels() == self.held.len()
            && self.input.drift(frame.pts()) == 0
    }

    fn take(&mut self, frame: &AudioFrame) {
        for (index, held) in self.held.iter_mut().enumerate() {
            held.extend_from_slice(frame.channel(index));
        }
        self.input.advance(frame.samples());
    }

    fn has_block(&self) -> bool {
        let block = self.fft.input_frames_next();
        self.held.iter().all(|held| held.len() >= block)
    }

    /// Fills up to one block with silence.
    fn pad(&mut self) {
        let block = self.fft.input_frames_next();
        for held in &mut self.held {
            held.resize(held.len().max(block), 0.0);
        }
    }

    /// Samples that the run gives in all.
    fn total(&self) -> i64 {
        Timestamp::new(self.input.samples(), TimeBase::per_second(self.input_rate))
            .in_base(TimeBase::per_second(self.output_rate))
    }

    /// Transforms one block. What it gives ends at `total` samples of output, where that is set.
    fn process(
        &mut self,
        pool: &Pool<f32>,
        total: Option<i64>,
    ) -> Result<Option<AudioFrame>, FrameError> {
        let failed = |error: &dyn std::fmt::Display| FrameError::Resample(error.to_string());
        let channels = self.held.len();
        let (taken, given) = (self.fft.input_frames_next(), self.fft.output_frames_next());
        let mut block = pool.take(channels * given);
        {
            let input =
                SequentialSliceOfVecs::new(&self.held, channels, taken).map_err(|e| failed(&e))?;
            let mut output = SequentialSlice::new_mut(block.make_mut(), channels, given)
                .map_err(|e| failed(&e))?;
            self.fft
                .process_into_buffer(&input, &mut output, None)
                .map_err(|e| failed(&e))?;
        }
        for held in &mut self.held {
            held.drain(..taken);
        }

        let skip = self.delay.min(given);
        self.delay -= skip;
        let left = total.map_or(i64::MAX, |total| total - self.made);
        let keep = (given - skip).min(usize::try_from(left).unwrap_or(0));
        if keep == 0 {
            return Ok(None);
        }
        if keep < given {
            let mut part = pool.take(channels * keep);
            for (to, from) in part
                .make_mut()
                .chunks_exact_mut(keep)
                .zip(block.chunks_exact(given))
            {
                to.copy_from_slice(from.get(skip..skip + keep).unwrap_or_default());
            }
            block = part;
        }
        let pts = self.start.offset(self.made);
        self.made += i64::try_from(keep).unwrap_or(i64::MAX);
        AudioFrame::new(channels, self.output_rate, pts, block).map(Some)
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("input_rate", &self.input_rate)
            .field("channels", &self.held.len())
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
#[path = "resample_test.rs"]
mod tests;
