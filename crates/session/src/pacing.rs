//! `max_framerate`: which frames are let through so that they are evenly spaced.

use trickle_media::{TimeBase, Timestamp};

const NANOS: TimeBase = TimeBase::per_second(1_000_000_000);
const SECOND: f64 = 1e9;
/// A frame that comes so little before its time is on time, in nanoseconds: sources round to
/// milliseconds and jitter.
const JITTER: i64 = 5_000_000;

/// Lets at most so many frames per second of media time through.
///
/// A grid of due times lies over the stream; a frame passes when it has reached the next one.
/// Over any length of time this keeps to the rate and takes the frames that lie best.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    /// Time between frames, in nanoseconds.
    interval: Option<i64>,
    /// The next due time.
    due: Option<i64>,
    /// Time of the last frame that passed.
    passed: Option<i64>,
}

impl Pacer {
    /// Lets all through until a rate is set.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Changes the rate, in frames per second; `None` lets all through.
    pub(crate) fn set_rate(&mut self, rate: Option<f64>) {
        let interval = rate.map(|rate| (SECOND / rate) as i64);
        if interval != self.interval {
            self.interval = interval;
            // From the last frame that passed on, so that no two stand closer than the new rate.
            self.due = match (self.passed, interval) {
                (Some(passed), Some(interval)) => Some(passed.saturating_add(interval)),
                _ => None,
            };
        }
    }

    /// Whether the frame shown at `pts` passes.
    pub(crate) fn admit(&mut self, pts: Timestamp) -> bool {
        let at = pts.in_base(NANOS);
        let Some(interval) = self.interval else {
            self.passed = Some(at);
            return true;
        };
        // A due time far ahead belongs to a clock that has jumped back since.
        let due = self
            .due
            .filter(|due| due.saturating_sub(at) <= interval)
            .unwrap_or(at);
        if at < due.saturating_sub(JITTER.min(interval / 4)) {
            return false;
        }
        let next = due.saturating_add(interval);
        self.due = Some(if next > at {
            next
        } else {
            at.saturating_add(interval)
        });
        self.passed = Some(at);
        true
    }
}

#[cfg(test)]
#[path = "pacing_test.rs"]
mod tests;
