//! What a publisher does about an answer: the decisions, without sockets.

use crate::seq::Seq;

/// What came of a POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostAnswer {
    /// 200 after the whole body was sent.
    Accepted,
    /// 200 before that: the relay took no more, as when it has that segment already.
    CutShort,
    /// `Lp-Trickle-Closed`.
    EndOfStream,
    /// 404.
    NotFound,
    /// 429 or 5xx: worth another try.
    Unavailable(u16),
    /// Any other status.
    Refused(u16),
    /// No answer: the connection could not be made, or broke.
    NoAnswer,
    /// No answer: the relay's certificate was refused.
    Distrusted,
}

impl PostAnswer {
    /// Whether to send the same POST again on a fresh connection. `taken`: a byte of its body
    /// has left; `retried`: this was the second try.
    #[must_use]
    pub fn may_retry(self, taken: bool, retried: bool) -> bool {
        !taken && !retried && matches!(self, Self::NoAnswer | Self::Unavailable(_))
    }

    /// Whether the segment arrived.
    #[must_use]
    pub fn is_accepted(self) -> bool {
        self == Self::Accepted
    }
}

/// Why a publisher stops for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishStop {
    /// There is no such channel and the relay makes none.
    #[error("there is no such channel")]
    NotFound,
    /// The channel was closed.
    #[error("the channel was closed")]
    EndOfStream,
    /// The relay answers with a status that another try will not change.
    #[error("the relay refuses: status {0}")]
    Refused(u16),
    /// This many segments in a row were lost.
    #[error("{0} segments in a row were lost")]
    TooManyLost(u32),
    /// The relay could not be reached within the time for retries.
    #[error("the relay cannot be reached")]
    Unreachable,
    /// The relay's certificate was refused: from the start, or for the time for retries.
    #[error("the relay's certificate was refused")]
    Distrusted,
}

/// A publisher's place in the stream.
#[derive(Clone, Debug)]
pub struct PublishState {
    next: Seq,
    lost_in_a_row: u32,
    max_lost: u32,
    creates: bool,
    resync: bool,
    reset: bool,
    /// The relay has answered anything.
    reached: bool,
    stop: Option<PublishStop>,
    reconnects: u64,
}

impl PublishState {
    /// Starts at `next`. `max_lost` segments lost in a row end it; `creates`: it made the
    /// channel itself and makes it again when a restarted relay has lost it.
    #[must_use]
    pub fn new(next: Seq, max_lost: u32, creates: bool) -> Self {
        Self {
            next,
            lost_in_a_row: 0,
            max_lost,
            creates,
            resync: false,
            reset: false,
            reached: false,
            stop: None,
            reconnects: 0,
        }
    }

    /// Times that the relay was found again, after segments were lost because it could not be
    /// reached or was not available.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.reconnects
    }

    /// Whether the relay has ever answered.
    #[must_use]
    pub fn was_reached(&self) -> bool {
        self.reached
    }

    /// The relay has answered.
    pub fn set_reached(&mut self) {
        self.reached = true;
    }

    /// The index of the next segment.
    #[must_use]
    pub fn next(&self) -> Seq {
        self.next
    }

    /// Takes the index of the next segment, and whether its POST asks for a reset.
    pub fn take(&mut self) -> (Seq, bool) {
        let seq = self.next;
        self.next = seq.next();
        (seq, std::mem::take(&mut self.reset))
    }

    /// An index that was taken will not be written: the POST was given up before it began.
    pub fn give_back(&mut self, seq: Seq) {
        self.next = self.next.min(seq);
    }

    /// Why it stopped, if it did.
    #[must_use]
    pub fn stop(&self) -> Option<PublishStop> {
        self.stop
    }

    /// Whether `/next` is to be asked before the next segment, as the relay may have restarted.
    #[must_use]
    pub fn needs_resync(&self) -> bool {
        self.resync && self.stop.is_none()
    }

    /// The relay's `/next`, or `None` when it does not know the channel. A publisher that
    /// resumes keeps its own numbers where they are ahead, so that readers can go on too.
    /// `reset`: nothing of its own is under way that a reset would cut short.
    pub fn resynced(&mut self, next: Option<Seq>, reset: bool) {
        // The first time, of a publisher that resumes, nothing was lost before.
        self.reconnects += u64::from(std::mem::take(&mut self.resync));
        self.reset = reset;
        self.next = self.next.max(next.unwrap_or(Seq::ZERO));
    }

    /// Takes note of how a segment ended.
    pub fn record(&mut self, answer: PostAnswer) {
        self.reached |= !matches!(answer, PostAnswer::NoAnswer | PostAnswer::Distrusted);
        match answer {
            PostAnswer::Accepted => {
                self.lost_in_a_row = 0;
                return;
            }
            PostAnswer::EndOfStream => self.halt(PublishStop::EndOfStream),
            PostAnswer::NotFound if self.creates => self.resync = true,
            PostAnswer::NotFound => self.halt(PublishStop::NotFound),
            // One segment too large, or one too many, says nothing about the next.
            PostAnswer::Refused(413) | PostAnswer::CutShort => {}
            PostAnswer::Refused(status) => self.halt(PublishStop::Refused(status)),
            PostAnswer::Distrusted if !self.reached => self.halt(PublishStop::Distrusted),
            PostAnswer::Unavailable(_) | PostAnswer::NoAnswer | PostAnswer::Distrusted => {
                self.resync = true;
            }
        }
        self.lost_in_a_row += 1;
        if self.lost_in_a_row >= self.max_lost {
            self.halt(PublishStop::TooManyLost(self.lost_in_a_row));
        }
    }

    /// Stops for good; the first reason stays.
    pub fn halt(&mut self, stop: PublishStop) {
        self.stop.get_or_insert(stop);
    }
}

#[cfg(test)]
#[path = "publish_test.rs"]
mod tests;
