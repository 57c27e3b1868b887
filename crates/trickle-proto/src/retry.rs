//! How long to go on trying, and how long to wait in between.

use std::time::Duration;

/// When a client tries again after a connection failed or a relay could not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// For how long after the first failure tries are made; a restarted relay is given this
    /// long to come back.
    pub window: Duration,
    /// Longest wait before the second try; doubles with each further one.
    pub base: Duration,
    /// Longest wait between two tries.
    pub max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            base: Duration::from_millis(100),
            max: Duration::from_secs(2),
        }
    }
}

/// Waits that double, each cut by a random part so that many clients of one relay do not come
/// back in step.
#[derive(Clone, Debug)]
pub struct Backoff {
    policy: RetryPolicy,
    tries: u32,
    random: u64,
}

impl Backoff {
    /// Starts with no try made. Equal seeds give equal waits.
    #[must_use]
    pub fn new(policy: RetryPolicy, seed: u64) -> Self {
        Self {
            policy,
            tries: 0,
            random: seed,
        }
    }

    /// The wait before the next try: between half and all of the doubled base.
    pub fn next_wait(&mut self) -> Duration {
        let doubled = self.policy.base.saturating_mul(1u32 << self.tries.min(16));
        self.tries = self.tries.saturating_add(1);
        let longest = doubled.min(self.policy.max);
        longest.mul_f64(0.5 + 0.5 * self.unit())
    }

    /// A try succeeded: the next failure starts with a short wait again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// A number in [0, 1) (SplitMix64).
    fn unit(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
#[path = "retry_test.rs"]
mod tests;
