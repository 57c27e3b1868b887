//! How long a session that nobody cares for any more keeps its place.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::EndReason;

/// When somebody last showed interest in a session: by a byte of input, an update, or a message
/// on its control channel. What is only open does not count: a gateway that has gone leaves its
/// channels open on a relay that does not sweep them.
///
/// A generative session has no input. Where it has no control channel either, over which gateways
/// send a sign of life every 10 s, a segment of the output that is taken is one.
#[derive(Debug)]
pub(crate) struct Lease(Mutex<Signs>);

#[derive(Clone, Copy, Debug)]
struct Signs {
    /// Of anybody.
    last: Instant,
    /// Of the input.
    input: Option<Instant>,
}

impl Lease {
    /// From now on.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Signs {
            last: Instant::now(),
            input: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Signs> {
        // Both are plain values.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody is there.
    pub(crate) fn renew(&self) {
        self.lock().last = Instant::now();
    }

    /// The input is.
    pub(crate) fn input_came(&self) {
        let now = Instant::now();
        *self.lock() = Signs {
            last: now,
            input: Some(now),
        };
    }

    /// When bytes of the input last came.
    pub(crate) fn last_input(&self) -> Option<Instant> {
        self.lock().input
    }

    /// Resolves when nobody has been there for `timeout`.
    pub(crate) async fn run_out(&self, timeout: Duration) -> EndReason {
        loop {
            let renewed = self.lock().last;
            if renewed.elapsed() >= timeout {
                return EndReason::Abandoned(format!(
                    "no input, update or control message for {timeout:?}"
                ));
            }
            tokio::time::sleep_until(renewed + timeout).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(600);

    #[tokio::test(start_paused = true)]
    async fn it_runs_out_when_nobody_renews_it() {
        let lease = Lease::new();
        let begun = Instant::now();
        let reason = lease.run_out(TIMEOUT).await;
        assert!(matches!(reason, EndReason::Abandoned(_)), "{reason}");
        assert_eq!(begun.elapsed(), TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn every_sign_of_life_starts_it_anew() {
        let lease = Lease::new();
        let begun = Instant::now();
        let life = async {
            // A source that pauses for nine minutes at a time.
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(540)).await;
                lease.renew();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = life => {}
            _ = lease.run_out(TIMEOUT) => {}
        }
        assert_eq!(begun.elapsed(), Duration::from_secs(5 * 540 + 600));
    }
}
