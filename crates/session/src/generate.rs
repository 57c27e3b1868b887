//! The source of a generative session, which has no input: blank frames at the pace of a clock of
//! its own.
//!
//! Frame `n` is due `n` intervals after the first, and shown at just that time, however late the
//! machine comes to it: times are evenly spaced. A tick that is missed is left out, and a frame that
//! the processor has not come to gives way to the next one, so that nothing queues up behind a slow
//! processor.

use std::time::Duration;

use tokio::time::Instant;
use trickle_media::frame::{FramePool, Image, PixelFormat, PlanarImage};
use trickle_media::stream::Rational;
use trickle_media::{ColorDescription, FrameError, TimeBase, Timestamp, VideoFrame};

use crate::error::EndReason;
use crate::ingest::drain;
use crate::item::{Frame, Item};
use crate::queue::Push;
use crate::shared::Shared;
use crate::standin;
use crate::timeline::START_SECONDS;

/// Frames per second where `max_framerate` was not given: PyTrickle's.
const USUAL_RATE: f64 = 24.0;
/// Columns and rows where `width` and `height` were not given: PyTrickle's.
const USUAL_SIZE: (usize, usize) = (512, 512);
/// Black in limited range: luma, and both chromas.
const BLACK: [u8; 3] = [16, 128, 128];

/// Makes frames until the session ends, then waits for the stages to finish what they have.
pub(crate) async fn run(shared: &Shared) {
    let source = Source::new(shared);
    let made = shared.input_over.run_until_cancelled(source.run());
    match shared.cancel.run_until_cancelled(made).await {
        None => return,
        Some(Some(Err(error))) => return shared.fail(EndReason::Internal(error.to_string())),
        Some(_) => {}
    }
    shared.queues.process.close();
    drain(shared).await;
}

struct Source<'a> {
    shared: &'a Shared,
    clock: Clock,
    /// The frame of the size that was last asked for; all others are clones of it.
    blank: Option<VideoFrame>,
    pool: FramePool,
}

impl<'a> Source<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            clock: Clock::new(rate(shared), Instant::now()),
            blank: None,
            pool: FramePool::new(),
            shared,
        }
    }

    /// Returns when the stages are gone.
    async fn run(mut self) -> Result<(), FrameError> {
        let shared = self.shared;
        loop {
            let due = tokio::time::sleep_until(self.clock.due());
            tokio::select! {
                biased;
                () = shared.pace_changed.notified() => {
                    self.clock.set_rate(rate(shared));
                    continue;
                }
                () = due => {}
            }
            let (at, missed) = self.clock.tick(Instant::now());
            let stats = &shared.stats;
            stats.generated.add(1 + missed);
            stats.dropped.deadline.add(missed);
            let item = Item::Frame(self.frame(at)?);
            match shared.queues.process.push(item) {
                Push::Done { dropped, .. } => stats.dropped.processor_busy.add(dropped),
                Push::Closed(_) => {
                    stats.dropped.stopped.add(1);
                    return Ok(());
                }
            }
            standin::relieve(shared);
        }
    }

    fn frame(&mut self, at: Timestamp) -> Result<Frame, FrameError> {
        let size = self.shared.size().unwrap_or(USUAL_SIZE);
        let mut frame = match &self.blank {
            Some(blank) if (blank.width(), blank.height()) == size => blank.clone(),
            _ => {
                let blank = blank(size, &self.pool)?;
                let mut facts = self.shared.stats.facts();
                // No side is longer than `MAX_SIDE`, which fits.
                facts.input.width = Some(size.0 as u32);
                facts.input.height = Some(size.1 as u32);
                drop(facts);
                self.blank.insert(blank).clone()
            }
        };
        frame.set_pts(at);
        let now = self.shared.now();
        let times = frame.times_mut();
        (times.received, times.decoded) = (now, now);
        Ok(Frame {
            frame,
            rate: Rational::new((self.clock.rate * 1000.0).round() as u32, 1000),
            fit: None,
            overlay: None,
        })
    }
}

/// Frames per second that are asked for.
fn rate(shared: &Shared) -> f64 {
    shared.max_framerate().unwrap_or(USUAL_RATE)
}

/// A black frame.
fn blank((width, height): (usize, usize), pool: &FramePool) -> Result<VideoFrame, FrameError> {
    let mut image = PlanarImage::new(PixelFormat::I420, width, height, &pool.bytes)?;
    for (plane, value) in image.planes_mut().into_iter().zip(BLACK) {
        plane.fill(value);
    }
    Ok(VideoFrame::new(
        Image::Planar(image),
        Timestamp::mpeg(0),
        ColorDescription::BT709,
        pool.clone(),
    ))
}

/// When frames are due and when they are shown.
#[derive(Debug)]
struct Clock {
    /// Frames per second.
    rate: f64,
    /// A frame was due then, shown at this time; the others are counted from it.
    origin: (Instant, Timestamp),
    /// The next one, counted from there.
    next: u64,
}

impl Clock {
    /// The first frame is due at once.
    fn new(rate: f64, now: Instant) -> Self {
        Self {
            rate,
            origin: (now, Timestamp::mpeg(START_SECONDS * 90_000)),
            next: 0,
        }
    }

    /// When the next frame is due.
    fn due(&self) -> Instant {
        self.origin.0 + self.after(self.next)
    }

    /// Time of `count` frames.
    fn after(&self, count: u64) -> Duration {
        Duration::from_secs_f64(count as f64 / self.rate)
    }

    fn shown(&self, index: u64) -> Timestamp {
        let length = TimeBase::MPEG.ticks(self.after(index));
        self.origin.1.offset(length)
    }

    /// The newest frame that is due at `now`: when it is shown, and how many before it are left
    /// out.
    fn tick(&mut self, now: Instant) -> (Timestamp, u64) {
        let passed = now.saturating_duration_since(self.origin.0).as_secs_f64() * self.rate;
        let index = self.next.max(passed as u64);
        let missed = index - self.next;
        self.next = index + 1;
        (self.shown(index), missed)
    }

    /// Frames come at another pace, counted from the last one.
    fn set_rate(&mut self, rate: f64) {
        if rate == self.rate {
            return;
        }
        if let Some(last) = self.next.checked_sub(1) {
            self.origin = (self.origin.0 + self.after(last), self.shown(last));
            self.next = 1;
        }
        self.rate = rate;
    }
}

#[cfg(test)]
#[path = "generate_test.rs"]
mod tests;
