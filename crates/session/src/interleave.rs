//! The order of sound and pictures in the output.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use trickle_media::Timestamp;

use crate::item::Coded;

/// How long sound waits for pictures of its time.
pub(crate) const HOLD: Duration = Duration::from_millis(500);
/// Most packets that wait.
const MAX_HELD: usize = 512;

/// Holds sound back until pictures of its time have gone out, so that a slow model does not part
/// the two. Pictures never wait.
///
/// Live, a packet waits for [`HOLD`] at most; offline it passes once packets of [`HOLD`] after it
/// are there too, which depends on nothing but the input.
pub(crate) struct Interleaver {
    live: bool,
    /// Pictures are to be expected.
    video: bool,
    /// Time of the last picture that went out.
    shown: Option<Timestamp>,
    held: VecDeque<Held>,
}

struct Held {
    packet: Coded,
    since: Option<Instant>,
}

impl Interleaver {
    pub(crate) fn new(live: bool) -> Self {
        Self {
            live,
            video: false,
            shown: None,
            held: VecDeque::with_capacity(64),
        }
    }

    /// Whether there are pictures to wait for.
    pub(crate) fn expect_video(&mut self, video: bool) {
        self.video = video;
        if !video {
            self.shown = None;
        }
    }

    /// Pictures up to this decode time have gone out: sound up to it may go.
    pub(crate) fn video(&mut self, dts: Timestamp) {
        self.shown = Some(dts);
    }

    /// Adds a packet that arrived at `now`; says how many had to go for it.
    pub(crate) fn audio(&mut self, packet: Coded, now: Option<Instant>) -> u64 {
        let full = self.held.len() >= MAX_HELD;
        if full {
            self.held.pop_front();
        }
        self.held.push_back(Held { packet, since: now });
        u64::from(full)
    }

    /// Takes the next packet that may go out.
    pub(crate) fn pop(&mut self, now: Option<Instant>) -> Option<Coded> {
        let first = self.held.front()?;
        let time = first.packet.unit.pts;
        let due = !self.video
            || self.shown.is_some_and(|shown| time <= shown)
            || match (self.live, first.since, now) {
                (true, Some(since), Some(now)) => now.saturating_duration_since(since) >= HOLD,
                (true, ..) => false,
                (false, ..) => self
                    .held
                    .back()
                    .and_then(|last| last.packet.unit.pts.since(time))
                    .is_some_and(|length| length > HOLD),
            };
        if due {
            self.held.pop_front().map(|held| held.packet)
        } else {
            None
        }
    }

    /// The packet that waits longest.
    pub(crate) fn first(&self) -> Option<&Coded> {
        self.held.front().map(|held| &held.packet)
    }

    /// When [`pop`](Self::pop) will give a packet that it does not give now.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        Some(self.held.front()?.since? + HOLD)
    }

    /// Drops packets that end before `time`; says how many.
    pub(crate) fn drop_before(&mut self, time: Timestamp) -> u64 {
        let before = self.held.len();
        self.held.retain(|held| held.packet.unit.pts >= time);
        (before - self.held.len()) as u64
    }
}

#[cfg(test)]
#[path = "interleave_test.rs"]
mod tests;
