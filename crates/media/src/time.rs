//! Exact media time: ticks of a rational time base, compared and rescaled without loss.

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// The length of one tick, in seconds, as the fraction `num / den`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeBase {
    num: NonZeroU32,
    den: NonZeroU32,
}

impl TimeBase {
    /// 90 kHz: PTS and DTS of MPEG systems (ISO/IEC 13818-1, 2.4.3.7).
    pub const MPEG: Self = Self::per_second(90_000);
    /// Microseconds.
    pub const MICROS: Self = Self::per_second(1_000_000);
    /// 48 kHz: the sample clock of Opus (RFC 6716, 2).
    pub const OPUS: Self = Self::per_second(48_000);

    /// A base of `num / den` seconds per tick; `None` when either is zero.
    pub const fn new(num: u32, den: u32) -> Option<Self> {
        match (NonZeroU32::new(num), NonZeroU32::new(den)) {
            (Some(num), Some(den)) => Some(Self { num, den }),
            _ => None,
        }
    }

    /// A base of `1 / ticks` seconds per tick. Zero is taken as one tick per second.
    pub const fn per_second(ticks: u32) -> Self {
        match NonZeroU32::new(ticks) {
            Some(den) => Self {
                num: NonZeroU32::MIN,
                den,
            },
            None => Self {
                num: NonZeroU32::MIN,
                den: NonZeroU32::MIN,
            },
        }
    }

    /// Seconds per tick: the numerator.
    pub const fn num(self) -> u32 {
        self.num.get()
    }

    /// Seconds per tick: the denominator.
    pub const fn den(self) -> u32 {
        self.den.get()
    }

    /// `duration` in ticks of this base, rounded to the nearest.
    pub fn ticks(self, duration: Duration) -> i64 {
        let nanos = i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX / (1 << 40));
        saturate(div_round(
            nanos * i128::from(self.den()),
            i128::from(self.num()) * 1_000_000_000,
        ))
    }
}

impl fmt::Display for TimeBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}

/// A moment on a stream's own clock.
///
/// Frames carry their source's time base (audio counts samples, MP4 its timescale); 90 kHz is
/// used only at the transport stream's edge. Comparisons hold across bases: `1 @ 1/1000` equals
/// `90 @ 1/90000`.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp {
    /// Count of ticks since the clock's zero.
    pub ticks: i64,
    /// Length of a tick.
    pub base: TimeBase,
}

impl Timestamp {
    /// `ticks` of `base`.
    pub const fn new(ticks: i64, base: TimeBase) -> Self {
        Self { ticks, base }
    }

    /// `ticks` of the 90 kHz clock of MPEG systems.
    pub const fn mpeg(ticks: i64) -> Self {
        Self::new(ticks, TimeBase::MPEG)
    }

    /// The same moment in another base, rounded to the nearest tick, halves away from zero.
    /// Saturates at the ends of `i64`.
    #[must_use]
    pub fn rescale(self, base: TimeBase) -> Self {
        if self.base == base {
            return self;
        }
        let num = i128::from(self.ticks) * i128::from(self.base.num()) * i128::from(base.den());
        let den = i128::from(self.base.den()) * i128::from(base.num());
        Self {
            ticks: saturate(div_round(num, den)),
            base,
        }
    }

    /// This moment in ticks of `base`.
    pub fn in_base(self, base: TimeBase) -> i64 {
        self.rescale(base).ticks
    }

    /// Moved by `ticks` of its own base, saturating.
    #[must_use]
    pub fn offset(self, ticks: i64) -> Self {
        Self {
            ticks: self.ticks.saturating_add(ticks),
            base: self.base,
        }
    }

    /// Later by `duration`, rounded to this base.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        self.offset(self.base.ticks(duration))
    }

    /// Time from `earlier` to here; `None` when `earlier` is later.
    pub fn since(self, earlier: Self) -> Option<Duration> {
        let nanos = self.nanos() - earlier.nanos();
        u64::try_from(nanos).ok().map(Duration::from_nanos)
    }

    /// Seconds, for people and logs; lossy.
    pub fn as_secs_f64(self) -> f64 {
        self.ticks as f64 * f64::from(self.base.num()) / f64::from(self.base.den())
    }

    fn nanos(self) -> i128 {
        div_round(
            i128::from(self.ticks) * i128::from(self.base.num()) * 1_000_000_000,
            i128::from(self.base.den()),
        )
    }
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Timestamp {}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> Ordering {
        // i64 · u32 · u32 fits i128, so the comparison is exact.
        let left =
            i128::from(self.ticks) * i128::from(self.base.num()) * i128::from(other.base.den());
        let right =
            i128::from(other.ticks) * i128::from(other.base.num()) * i128::from(self.base.den());
        left.cmp(&right)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}s", self.as_secs_f64())
    }
}

/// `num / den` to the nearest integer, halves away from zero; `den > 0`.
fn div_round(num: i128, den: i128) -> i128 {
    let half = den / 2;
    if num >= 0 {
        (num + half) / den
    } else {
        (num - half) / den
    }
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
#[path = "time_test.rs"]
mod tests;
