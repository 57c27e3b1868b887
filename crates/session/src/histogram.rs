//! Latency and rate meters over the last seconds, of fixed size.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::status::Percentiles;

/// A measurement counts for at least one and at most two of these.
const HALF_WINDOW: Duration = Duration::from_secs(5);
/// Buckets per doubling, as a power of two: a bucket's width is at most 1/16 of its value.
const SUB_BITS: u32 = 4;
/// Doublings: up to 2²⁶ µs, about a minute; longer times count as that.
const TOP_BIT: u32 = 26;
const BUCKETS: usize = ((TOP_BIT - SUB_BITS + 1) as usize) << SUB_BITS;

/// How long something takes: percentiles over the last 5 to 10 s, within 1/16 of the truth.
#[derive(Debug)]
pub(crate) struct Histogram {
    recent: Half,
    older: Half,
    turned: Option<Instant>,
}

#[derive(Debug)]
struct Half {
    buckets: Box<[u32; BUCKETS]>,
    count: u64,
    max: Duration,
}

impl Half {
    fn new() -> Self {
        Self {
            buckets: Box::new([0; BUCKETS]),
            count: 0,
            max: Duration::ZERO,
        }
    }

    fn clear(&mut self) {
        self.buckets.fill(0);
        self.count = 0;
        self.max = Duration::ZERO;
    }
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            recent: Half::new(),
            older: Half::new(),
            turned: None,
        }
    }

    /// Adds a measurement made at `now`.
    pub(crate) fn record(&mut self, time: Duration, now: Instant) {
        self.turn(now);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.recent.buckets.get_mut(bucket(micros)) {
            *bucket = bucket.saturating_add(1);
        }
        self.recent.count += 1;
        self.recent.max = self.recent.max.max(time);
    }

    /// The spread of what was measured before `now`.
    pub(crate) fn percentiles(&mut self, now: Instant) -> Percentiles {
        self.turn(now);
        let count = self.recent.count + self.older.count;
        let max = self.recent.max.max(self.older.max);
        let at = |share: f64| {
            let rank = ((count as f64 * share).ceil() as u64).max(1);
            let mut seen = 0;
            for (index, (a, b)) in self
                .recent
                .buckets
                .iter()
                .zip(self.older.buckets.iter())
                .enumerate()
            {
                seen += u64::from(*a) + u64::from(*b);
                if seen >= rank {
                    return (upper_edge(index) as f64 / 1e3).min(millis(max));
                }
            }
            0.0
        };
        Percentiles {
            p50: at(0.5),
            p99: at(0.99),
            max: millis(max),
            count,
        }
    }

    fn turn(&mut self, now: Instant) {
        let turned = *self.turned.get_or_insert(now);
        let age = now.saturating_duration_since(turned);
        if age < HALF_WINDOW {
            return;
        }
        std::mem::swap(&mut self.recent, &mut self.older);
        self.recent.clear();
        if age >= 2 * HALF_WINDOW {
            self.older.clear();
        }
        self.turned = Some(now);
    }
}

/// The bucket of a time: linear below 2⁴ µs, then 16 to a doubling.
fn bucket(micros: u64) -> usize {
    let micros = micros.min((1 << TOP_BIT) - 1);
    if micros < 1 << SUB_BITS {
        return micros as usize;
    }
    let shift = micros.ilog2() - SUB_BITS;
    (((shift + 1) as usize) << SUB_BITS) + ((micros >> shift) as usize & ((1 << SUB_BITS) - 1))
}

/// The longest time that falls into a bucket, in microseconds.
fn upper_edge(bucket: usize) -> u64 {
    if bucket < 1 << SUB_BITS {
        return bucket as u64;
    }
    let shift = (bucket >> SUB_BITS) - 1;
    let lowest = ((bucket & ((1 << SUB_BITS) - 1)) | (1 << SUB_BITS)) as u64;
    ((lowest + 1) << shift) - 1
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Events per second over the last seconds.
#[derive(Debug)]
pub(crate) struct Rate {
    times: VecDeque<Instant>,
}

/// How far back a rate looks.
const RATE_WINDOW: Duration = Duration::from_secs(4);
/// Shortest time that a rate is taken over.
const LEAST_WINDOW: Duration = Duration::from_secs(1);
/// Most events that are remembered: enough for the window at 60 per second.
const RATE_EVENTS: usize = 256;

impl Rate {
    pub(crate) fn new() -> Self {
        Self {
            times: VecDeque::with_capacity(RATE_EVENTS),
        }
    }

    /// An event at `now`.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.times.len() == RATE_EVENTS {
            self.times.pop_front();
        }
        self.times.push_back(now);
    }

    /// Events per second up to `now`; zero when there were fewer than two.
    ///
    /// What came within less than a second counts as that of a second: the first events of a
    /// stream come in a burst, whose own rate says nothing of the stream's.
    pub(crate) fn per_second(&self, now: Instant) -> f64 {
        let mut recent = self
            .times
            .iter()
            .filter(|time| now.saturating_duration_since(**time) <= RATE_WINDOW);
        let Some(first) = recent.next() else {
            return 0.0;
        };
        let length = now.saturating_duration_since(*first).max(LEAST_WINDOW);
        recent.count() as f64 / length.as_secs_f64()
    }
}

#[cfg(test)]
#[path = "histogram_test.rs"]
mod tests;
