//! Durations, counted in buckets that are 3 % wide: any number of samples in a few kilobytes.

use std::time::Duration;

use super::Percentiles;

/// Buckets per doubling.
const PER_OCTAVE: u64 = 32;
const PER_OCTAVE_BITS: u32 = 5;
/// Nanoseconds up to 2^42 (73 minutes).
const OCTAVES: u32 = 42;

/// A distribution of durations.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = vec![0; (OCTAVES as usize) * (PER_OCTAVE as usize)];
        Self {
            buckets,
            count: 0,
            max: Duration::ZERO,
        }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, value: Duration) {
        let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        let last = self.buckets.len() - 1;
        if let Some(bucket) = self.buckets.get_mut(bucket_of(nanos).min(last)) {
            *bucket += 1;
        }
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// Adds another distribution.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The duration that a share `quantile` of all does not exceed, exact to 3 %.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Duration {
        let wanted = (self.count as f64 * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            // The last bucket holds whatever is longer than it is wide.
            if seen >= wanted && index + 1 < self.buckets.len() {
                return Duration::from_nanos(upper_end(index)).min(self.max);
            }
        }
        self.max
    }

    /// The usual quantiles, in milliseconds.
    #[must_use]
    pub fn percentiles_ms(&self) -> Percentiles {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        Percentiles {
            p50: ms(self.quantile(0.5)),
            p99: ms(self.quantile(0.99)),
            max: ms(self.max),
        }
    }
}

/// Values below [`PER_OCTAVE`] have a bucket each; above, each doubling has that many.
fn bucket_of(nanos: u64) -> usize {
    if nanos < PER_OCTAVE {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - PER_OCTAVE_BITS;
    let within = (nanos >> shift) - PER_OCTAVE;
    (u64::from(shift + 1) * PER_OCTAVE + within) as usize
}

/// The largest value of a bucket.
fn upper_end(index: usize) -> u64 {
    let index = index as u64;
    if index < PER_OCTAVE {
        return index;
    }
    let shift = index / PER_OCTAVE - 1;
    let within = index % PER_OCTAVE + PER_OCTAVE;
    ((within + 1) << shift) - 1
}
