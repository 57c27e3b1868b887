//! Segment numbers: the index itself, and the ways a request may name one.

use std::{fmt, str::FromStr};

/// Index of a segment within its channel, counted from 0.
///
/// The wire carries it as a decimal number that fits a signed 64-bit integer; [`Seq::MAX`] is
/// the largest value that may be announced and one more than the largest that may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(u64);

impl Seq {
    /// The first segment of a channel.
    pub const ZERO: Self = Self(0);
    /// The largest index that fits the wire.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// Makes an index; `None` above [`Seq::MAX`].
    #[must_use]
    pub const fn new(index: u64) -> Option<Self> {
        if index <= Self::MAX.0 {
            Some(Self(index))
        } else {
            None
        }
    }

    /// The index as a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The index after this one; stays at [`Seq::MAX`].
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 < Self::MAX.0 {
            Self(self.0 + 1)
        } else {
            self
        }
    }

    /// The index `n` before this one, or `None` if that would lie before the first.
    #[must_use]
    pub const fn before(self, n: u64) -> Option<Self> {
        match self.0.checked_sub(n) {
            Some(index) => Some(Self(index)),
            None => None,
        }
    }

    /// How many indices lie in `self..later`; 0 when `later` is not later.
    #[must_use]
    pub const fn distance_to(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0)
    }
}

impl From<u32> for Seq {
    fn from(index: u32) -> Self {
        Self(u64::from(index))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Seq {
    type Err = BadIndex;

    fn from_str(text: &str) -> Result<Self, BadIndex> {
        match text.parse()? {
            SegmentRef::At(seq) => Ok(seq),
            _ => Err(BadIndex::new(text)),
        }
    }
}

/// The segment that a request asks for: a fixed index, or a place relative to the live edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SegmentRef {
    /// `-1`: the next segment to be written.
    Next,
    /// `-2`: the segment being written now, or 0 if none was written yet.
    Current,
    /// `-N` with N ≥ 3: that many segments before the next one, less one (`-3` is the one before
    /// the current). Holds N − 1, so at least 2.
    FromLast(u64),
    /// A fixed index.
    At(Seq),
}

impl fmt::Display for SegmentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Next => f.write_str("-1"),
            Self::Current => f.write_str("-2"),
            Self::FromLast(n) => write!(f, "-{}", n.saturating_add(1)),
            Self::At(seq) => seq.fmt(f),
        }
    }
}

impl FromStr for SegmentRef {
    type Err = BadIndex;

    fn from_str(text: &str) -> Result<Self, BadIndex> {
        let bad = || BadIndex::new(text);
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        // `u64::from_str` would take a leading `+`.
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let number: u64 = digits.parse().map_err(|_| bad())?;
        match (negative, number) {
            (true, 0) => Err(bad()),
            (true, 1) => Ok(Self::Next),
            (true, 2) => Ok(Self::Current),
            (true, n) if n <= Seq::MAX.get() => Ok(Self::FromLast(n - 1)),
            (true, _) => Err(bad()),
            (false, n) => Seq::new(n).map(Self::At).ok_or_else(bad),
        }
    }
}

/// A text that names no segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a segment index")]
pub struct BadIndex {
    /// What stood in its place, cut to a length fit for a log line.
    pub text: String,
}

impl BadIndex {
    fn new(text: &str) -> Self {
        Self {
            text: text.chars().take(40).collect(),
        }
    }
}

#[cfg(test)]
#[path = "seq_test.rs"]
mod tests;
