//! Which output frame is which input frame, and how long it took.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

/// A worker may move all timestamps by one constant. It is found from the first output frames by
/// the pattern that [`jitter`] puts into the input's timestamps, so that a worker that drops
/// frames is still measured frame by frame.
#[derive(Debug, Default)]
pub struct LatencyMeter {
    sent: BTreeMap<i64, Instant>,
    /// Output frames seen before the offset was known.
    early: Vec<(i64, Instant)>,
    offset: Option<i64>,
    /// When each matched frame was sent, and how long it took.
    matched: Vec<(Instant, Duration)>,
    unmatched: u64,
}

/// Output frames that decide the offset.
const DECIDING: usize = 12;
/// Ticks of 90 kHz by which a worker may round a timestamp (a millisecond clock rounds by 45).
const ROUNDING: i64 = 1;

impl LatencyMeter {
    /// The last byte of the frame at `pts` (90 kHz) was sent.
    pub fn sent(&mut self, pts: i64, at: Instant) {
        self.sent.insert(pts, at);
    }

    /// The first byte of the frame at `pts` (90 kHz) came out.
    pub fn received(&mut self, pts: i64, at: Instant) {
        match self.offset {
            Some(offset) => self.note(pts - offset, at),
            None => {
                self.early.push((pts, at));
                if self.early.len() >= DECIDING {
                    self.decide();
                }
            }
        }
    }

    /// All is received: decides on what there is.
    pub fn finish(&mut self) {
        if self.offset.is_none() {
            self.decide();
        }
    }

    /// Time from the last byte in to the first byte out, of every frame matched that was sent at
    /// or after `since`, in the order of the output.
    pub fn latencies(&self, since: Instant) -> Vec<Duration> {
        let timely = self.matched.iter().filter(|(sent, _)| *sent >= since);
        timely.map(|(_, took)| *took).collect()
    }

    /// By how much latency grew among the frames sent at or after `since`: the median of the last
    /// quarter less that of the first, in milliseconds. A worker that is too slow and drops
    /// nothing falls behind more and more.
    pub fn growth_ms(&self, since: Instant) -> f64 {
        let latencies = self.latencies(since);
        let quarter = latencies.len().div_ceil(4);
        let last = latencies.len() - quarter;
        Spread::of(&latencies[last..]).p50 - Spread::of(&latencies[..quarter]).p50
    }

    /// Output frames that no input frame was found for.
    pub fn unmatched(&self) -> u64 {
        self.unmatched
    }

    /// Ticks of 90 kHz that the worker adds to timestamps, once known.
    pub fn offset(&self) -> Option<i64> {
        self.offset
    }

    fn decide(&mut self) {
        let Some(&(first, _)) = self.early.first() else {
            return;
        };
        let hits = |offset: i64| {
            let found = |(pts, at): &&(i64, Instant)| {
                self.find(pts - offset).is_some_and(|sent| sent <= *at)
            };
            self.early.iter().filter(found).count()
        };
        // Of equal candidates the latest input wins: the smallest latency.
        let best = self
            .sent
            .keys()
            .map(|pts| first - pts)
            .max_by_key(|&offset| hits(offset));
        let Some(best) = best else { return };
        self.offset = Some(best);
        for (pts, at) in std::mem::take(&mut self.early) {
            self.note(pts - best, at);
        }
    }

    fn note(&mut self, pts: i64, at: Instant) {
        match self.find(pts) {
            Some(sent) => self
                .matched
                .push((sent, at.saturating_duration_since(sent))),
            None => self.unmatched += 1,
        }
    }

    fn find(&self, pts: i64) -> Option<Instant> {
        let near = self.sent.range(pts - ROUNDING..=pts + ROUNDING);
        near.min_by_key(|(sent, _)| (*sent - pts).abs())
            .map(|(_, at)| *at)
    }
}

/// Ticks to add to the 90 kHz timestamp of frame `index`: 0 to 255 (2.8 ms), a fixed pattern
/// without repetition over the frames that matter.
pub fn jitter(index: u64) -> i64 {
    // The finaliser of SplitMix64: equal on every machine and every run.
    let mut x = index.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) & 0xff) as i64
}

/// The spread of many durations, in milliseconds.
///
/// Exact, as the frames of a measurement are few enough to be kept. Where they are not, they are
/// counted in buckets: by a session over its last minute, by the relay's load generator over
/// millions of chunks. The three have only the name of a percentile in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many were measured.
    pub count: usize,
    /// The least.
    pub min: f64,
    /// Half are at most this.
    pub p50: f64,
    /// Nine of ten are at most this.
    pub p90: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// The most.
    pub max: f64,
    /// The mean.
    pub mean: f64,
}

impl Spread {
    /// Of `durations`, in any order.
    pub fn of(durations: &[Duration]) -> Self {
        let mut ms: Vec<f64> = durations.iter().map(|d| d.as_secs_f64() * 1e3).collect();
        ms.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (ms.first(), ms.last()) else {
            return Self::default();
        };
        // Nearest rank: a value that was measured, never one between two.
        let rank = |q: f64| ms[((q * ms.len() as f64).ceil() as usize).clamp(1, ms.len()) - 1];
        Self {
            count: ms.len(),
            min,
            p50: rank(0.5),
            p90: rank(0.9),
            p99: rank(0.99),
            max,
            mean: ms.iter().sum::<f64>() / ms.len() as f64,
        }
    }
}

#[cfg(test)]
#[path = "latency_test.rs"]
mod tests;
