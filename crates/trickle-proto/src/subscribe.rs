//! What a subscriber asks for next: the decisions, without sockets and without a clock.
//!
//! The driver in `http` sends the GET that [`SubscribeState::wanted`] names, hands the
//! answer to [`SubscribeState::on_answer`], and does what the returned [`Step`] says.

use std::time::{Duration, Instant};

use crate::{
    retry::{Backoff, RetryPolicy},
    seq::{SegmentRef, Seq},
};

/// Wait before asking again for a segment that the relay does not expect yet.
pub const AHEAD_WAIT: Duration = Duration::from_millis(250);
/// After this long ahead of the relay, the subscriber rejoins at the live edge.
pub const AHEAD_LIMIT: Duration = Duration::from_secs(2);

/// Where a subscriber starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The segment that is being written now (`-2`): media players.
    #[default]
    Current,
    /// The next one to be written (`-1`): events, where only news counts.
    Next,
    /// A fixed index: logs that must be read from their start.
    At(Seq),
}

impl From<Start> for SegmentRef {
    fn from(start: Start) -> Self {
        match start {
            Start::Current => Self::Current,
            Start::Next => Self::Next,
            Start::At(seq) => Self::At(seq),
        }
    }
}

/// A break in the sequence, told with the segment that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Segments were skipped: they had left the relay's ring, or were never written.
    Missed {
        /// The first that is missing.
        from: Seq,
        /// The one after the last that is missing: the segment that this stands with.
        until: Seq,
    },
    /// The numbers went backwards: the relay or the publisher started anew.
    Restarted {
        /// What would have come next.
        expected: Seq,
        /// What came.
        got: Seq,
    },
}

impl Gap {
    /// How many segments are known to be missing.
    #[must_use]
    pub fn missing(&self) -> u64 {
        match self {
            Self::Missed { from, until } => from.distance_to(*until),
            Self::Restarted { .. } => 0,
        }
    }
}

/// What came of a GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetAnswer {
    /// 200 with a body to read.
    Segment {
        /// `Lp-Trickle-Seq`.
        seq: Option<Seq>,
    },
    /// 470.
    NoSegment {
        /// `Lp-Trickle-Latest`.
        latest: Option<Seq>,
    },
    /// `Lp-Trickle-Closed`.
    EndOfStream,
    /// 404.
    NotFound,
    /// 429 or 5xx: worth another try.
    Unavailable(u16),
    /// Any other status: not worth one.
    Refused(u16),
    /// No answer: the connection could not be made, or broke.
    NoAnswer,
    /// No answer: the relay's certificate was refused.
    Distrusted,
}

/// What the driver does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Give this answer's body to the user.
    Deliver {
        /// The segment's index.
        seq: Seq,
        /// What lies between it and the one before.
        gap: Option<Gap>,
    },
    /// Ask for [`SubscribeState::wanted`] after this long.
    Ask(Duration),
    /// The stream is over.
    End,
    /// Give up.
    Fail(SubscribeStop),
}

/// Why a subscriber gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeStop {
    /// There is no such channel.
    #[error("there is no such channel")]
    NotFound,
    /// The relay answers with a status that another try will not change.
    #[error("the relay refuses: status {0}")]
    Refused(u16),
    /// The relay's last answer within the time for retries was this status.
    #[error("the relay is not available: status {0}")]
    Unavailable(u16),
    /// The relay could not be reached within the time for retries.
    #[error("the relay cannot be reached")]
    Unreachable,
    /// The relay's certificate was refused: from the start, or for the time for retries.
    #[error("the relay's certificate was refused")]
    Distrusted,
    /// The relay does not say which segment it sent.
    #[error("the relay's answer lacks Lp-Trickle-Seq")]
    NoIndex,
}

/// A subscriber's place in the stream.
#[derive(Clone, Debug)]
pub struct SubscribeState {
    wanted: SegmentRef,
    /// The index that continues the sequence, once there is one.
    expected: Option<Seq>,
    delivered: bool,
    /// The relay has answered anything.
    reached: bool,
    policy: RetryPolicy,
    backoff: Backoff,
    /// First failure since the last success.
    failing_since: Option<Instant>,
    ahead_since: Option<Instant>,
    reconnects: u64,
}

impl SubscribeState {
    /// A subscriber that starts at `start`. `seed` varies the waits between retries.
    #[must_use]
    pub fn new(start: Start, policy: RetryPolicy, seed: u64) -> Self {
        Self {
            wanted: start.into(),
            expected: match start {
                Start::At(seq) => Some(seq),
                Start::Current | Start::Next => None,
            },
            delivered: false,
            reached: false,
            policy,
            backoff: Backoff::new(policy, seed),
            failing_since: None,
            ahead_since: None,
            reconnects: 0,
        }
    }

    /// Times that the relay answered again, after it could not be reached or refused for a while.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.reconnects
    }

    /// The segment to ask for.
    #[must_use]
    pub fn wanted(&self) -> SegmentRef {
        self.wanted
    }

    /// Decides on an answer to the GET of [`SubscribeState::wanted`].
    pub fn on_answer(&mut self, answer: GetAnswer, now: Instant) -> Step {
        self.reached |= !matches!(answer, GetAnswer::NoAnswer | GetAnswer::Distrusted);
        match answer {
            GetAnswer::Segment { seq } => self.on_segment(seq),
            GetAnswer::NoSegment { latest } => self.on_no_segment(latest, now),
            GetAnswer::EndOfStream => Step::End,
            GetAnswer::Refused(status) => Step::Fail(SubscribeStop::Refused(status)),
            GetAnswer::Unavailable(status) => {
                self.retry(now, Step::Fail(SubscribeStop::Unavailable(status)))
            }
            GetAnswer::Distrusted if !self.reached => Step::Fail(SubscribeStop::Distrusted),
            GetAnswer::Distrusted => self.retry(now, Step::Fail(SubscribeStop::Distrusted)),
            GetAnswer::NoAnswer => self.retry(now, Step::Fail(SubscribeStop::Unreachable)),
            GetAnswer::NotFound => {
                // Some relays forget a closed channel at once, so a stream that was read ends
                // like this. After a failure it may also be a restarted relay whose publisher
                // has not made the channel again.
                let over = if self.delivered {
                    Step::End
                } else {
                    Step::Fail(SubscribeStop::NotFound)
                };
                if self.failing_since.is_some() {
                    self.retry(now, over)
                } else {
                    over
                }
            }
        }
    }

    fn on_segment(&mut self, seq: Option<Seq>) -> Step {
        let asked = match self.wanted {
            SegmentRef::At(seq) => Some(seq),
            _ => None,
        };
        let Some(seq) = seq.or(asked) else {
            return Step::Fail(SubscribeStop::NoIndex);
        };
        self.succeeded();
        self.ahead_since = None;
        self.backoff.reset();
        if let (None, Some(expected)) = (asked, self.expected)
            && seq.next() == expected
        {
            // Rejoined at the edge, and it is the segment that was delivered last.
            self.wanted = SegmentRef::At(expected);
            return Step::Ask(AHEAD_WAIT);
        }
        let gap = match self.expected {
            Some(expected) if seq > expected => Some(Gap::Missed {
                from: expected,
                until: seq,
            }),
            Some(expected) if seq < expected => Some(Gap::Restarted { expected, got: seq }),
            _ => None,
        };
        self.delivered = true;
        self.expected = Some(seq.next());
        self.wanted = SegmentRef::At(seq.next());
        Step::Deliver { seq, gap }
    }

    fn on_no_segment(&mut self, latest: Option<Seq>, now: Instant) -> Step {
        let SegmentRef::At(asked) = self.wanted else {
            return self.retry(
                now,
                Step::Fail(SubscribeStop::Refused(crate::wire::STATUS_NO_SEGMENT)),
            );
        };
        self.succeeded();
        match latest {
            Some(latest) if latest > asked => {
                self.ahead_since = None;
                self.wanted = SegmentRef::At(latest);
                Step::Ask(Duration::ZERO)
            }
            Some(latest) if latest == asked => Step::Ask(AHEAD_WAIT),
            _ => {
                let since = *self.ahead_since.get_or_insert(now);
                if now.saturating_duration_since(since) < AHEAD_LIMIT {
                    return Step::Ask(AHEAD_WAIT);
                }
                self.ahead_since = None;
                self.wanted = SegmentRef::Current;
                Step::Ask(Duration::ZERO)
            }
        }
    }

    fn succeeded(&mut self) {
        if self.failing_since.take().is_some() {
            self.reconnects += 1;
        }
    }

    fn retry(&mut self, now: Instant, over: Step) -> Step {
        let since = *self.failing_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= self.policy.window {
            return over;
        }
        Step::Ask(self.backoff.next_wait())
    }
}

#[cfg(test)]
#[path = "subscribe_test.rs"]
mod tests;
