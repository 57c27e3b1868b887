//! What a session counts from its start on in a form that can be summed: for monitoring over many
//! sessions, where percentiles of each would not add up.

use std::ops::AddAssign;
use std::time::Duration;

/// Upper bounds of a [`LatencyHistogram`]'s buckets, in seconds, each inclusive. One more bucket
/// holds what took longer.
pub const LATENCY_BOUNDS: [f64; 14] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.033, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

/// Times that frames took, counted by bucket since the session's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencyHistogram {
    /// Measurements per bucket, not cumulative; the last is beyond all [`LATENCY_BOUNDS`].
    pub counts: [u64; LATENCY_BOUNDS.len() + 1],
    /// All measurements together.
    pub sum: Duration,
}

impl LatencyHistogram {
    /// Adds a measurement.
    pub fn record(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += time;
    }

    /// How many measurements there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl AddAssign for LatencyHistogram {
    fn add_assign(&mut self, other: Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }
}

/// A [`LatencyHistogram`] of each stage, as [`LatencyStatus`](crate::LatencyStatus) names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencyTotals {
    /// From the last byte of the coded picture to the decoded frame.
    pub decode: LatencyHistogram,
    /// Waiting for the processor.
    pub wait: LatencyHistogram,
    /// In the processor.
    pub process: LatencyHistogram,
    /// From processed to encoded.
    pub encode: LatencyHistogram,
    /// From encoded to handed to the network.
    pub publish: LatencyHistogram,
    /// From the last byte in to the bytes out.
    pub total: LatencyHistogram,
}

impl LatencyTotals {
    /// All of them, each with its name.
    pub fn by_stage(&self) -> [(&'static str, &LatencyHistogram); 6] {
        [
            ("decode", &self.decode),
            ("wait", &self.wait),
            ("process", &self.process),
            ("encode", &self.encode),
            ("publish", &self.publish),
            ("total", &self.total),
        ]
    }
}

impl AddAssign for LatencyTotals {
    fn add_assign(&mut self, other: Self) {
        self.decode += other.decode;
        self.wait += other.wait;
        self.process += other.process;
        self.encode += other.encode;
        self.publish += other.publish;
        self.total += other.total;
    }
}

/// Items that wait in a queue at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// The stage that the queue feeds.
    pub stage: &'static str,
    /// Pictures.
    pub video: usize,
    /// Packets or frames of sound.
    pub audio: usize,
}

#[cfg(test)]
#[path = "metrics_test.rs"]
mod tests;
