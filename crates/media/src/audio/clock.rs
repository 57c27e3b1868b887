//! Audio time by counting samples, and how far a frame's own time is from the count.

use crate::time::{TimeBase, Timestamp};

/// A run of samples without a gap: its start, its length, its rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SampleClock {
    start: Timestamp,
    samples: i64,
}

impl SampleClock {
    /// Audio that jitters by no more than this is continuous: containers round times to
    /// milliseconds, and half of the shortest frame in use (20 ms) still tells a lost frame from
    /// rounding.
    const JITTER_MILLIS: i64 = 10;

    /// A run of `rate` Hz that starts at `pts`.
    pub(crate) fn new(rate: u32, pts: Timestamp) -> Self {
        Self {
            start: pts.rescale(TimeBase::per_second(rate)),
            samples: 0,
        }
    }

    /// Time of the first sample.
    pub(crate) fn start(&self) -> Timestamp {
        self.start
    }

    /// Samples counted.
    pub(crate) fn samples(&self) -> i64 {
        self.samples
    }

    /// Counts `samples` more.
    pub(crate) fn advance(&mut self, samples: usize) {
        self.samples = self
            .samples
            .saturating_add(i64::try_from(samples).unwrap_or(i64::MAX));
    }

    /// Samples by which `pts` is later than the count says; 0 within the jitter that is normal.
    pub(crate) fn drift(&self, pts: Timestamp) -> i64 {
        let base = self.start.base;
        let end = self.start.ticks.saturating_add(self.samples);
        let drift = pts.in_base(base).saturating_sub(end);
        let jitter = i64::from(base.den()) * Self::JITTER_MILLIS / 1000;
        if drift.saturating_abs() <= jitter {
            0
        } else {
            drift
        }
    }
}
