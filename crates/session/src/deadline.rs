//! Which pictures the processor is spared, because they could not be out in time.

use std::time::{Duration, Instant};

use trickle_media::Timestamp;

/// Share of a new measurement in the mean: it follows a change within some ten frames.
const GAIN: f64 = 1.0 / 8.0;

/// A mean that follows what is measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Smoothed(Option<f64>);

impl Smoothed {
    pub(crate) fn record(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        self.0 = Some(
            self.0
                .map_or(seconds, |mean| mean + (seconds - mean) * GAIN),
        );
    }

    /// `None` until something was measured.
    pub(crate) fn mean(&self) -> Option<Duration> {
        self.0.map(Duration::from_secs_f64)
    }
}

/// A picture that is about to be processed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// Its time.
    pub(crate) pts: Timestamp,
    /// The last byte of it came in.
    pub(crate) received: Option<Instant>,
    /// Time of the picture that waits behind it, if one does.
    pub(crate) next: Option<Timestamp>,
}

/// Judges by the time that the processor has taken lately.
#[derive(Debug)]
pub(crate) struct Deadline {
    /// Longest way from the last byte in to the bytes out.
    limit: Option<Duration>,
    process: Smoothed,
    /// A picture was last let through.
    passed: Option<Instant>,
}

impl Deadline {
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        Self {
            limit,
            process: Smoothed::default(),
            passed: None,
        }
    }

    /// The processor took this long for a picture.
    pub(crate) fn took(&mut self, time: Duration) {
        self.process.record(time);
    }

    /// Whether there is time for this picture at `now`, when the way behind the processor takes
    /// `rest`.
    ///
    /// There is none when a newer picture waits and the processor takes longer than from one to
    /// the other: then it cannot do both, and the newer one is the one to see. There is none
    /// either when it would be out later than the limit allows, unless that is so for every
    /// picture, or no other was let through for as long.
    pub(crate) fn admit(&mut self, picture: Candidate, rest: Duration, now: Instant) -> bool {
        let admitted = self.has_time(picture, rest, now);
        if admitted {
            self.passed = Some(now);
        }
        admitted
    }

    fn has_time(&self, picture: Candidate, rest: Duration, now: Instant) -> bool {
        let Some(process) = self.process.mean() else {
            return true;
        };
        let spacing = picture.next.and_then(|next| next.since(picture.pts));
        if spacing.is_some_and(|spacing| process > spacing) {
            return false;
        }
        let (Some(limit), Some(received)) = (self.limit, picture.received) else {
            return true;
        };
        let ahead = process + rest;
        let age = now.saturating_duration_since(received);
        let starved = self
            .passed
            .is_none_or(|passed| now.saturating_duration_since(passed) >= limit);
        age + ahead <= limit || ahead > limit || starved
    }
}

#[cfg(test)]
#[path = "deadline_test.rs"]
mod tests;
