//! For tests: a channel that is read from memory.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::time::{Duration, Instant};

use super::lane::{Closed, Outlet};

/// What was sent when, in milliseconds since the recorder was made.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    started: Instant,
    sent: Arc<Mutex<Vec<(u64, String)>>>,
    /// Messages that are taken before the channel counts as closed.
    most: usize,
    /// Time that each takes.
    delay: Duration,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            sent: Arc::default(),
            most: usize::MAX,
            delay: Duration::ZERO,
        }
    }

    pub(crate) fn closed_after(most: usize) -> Self {
        Self {
            most,
            ..Self::new()
        }
    }

    pub(crate) fn slow(delay: Duration) -> Self {
        Self {
            delay,
            ..Self::new()
        }
    }

    fn note(&self, text: String) {
        let at = self.started.elapsed().as_millis() as u64;
        self.sent.lock().unwrap().push((at, text));
    }

    /// All so far; the channel's end is `(at, "closed")`.
    pub(crate) fn sent(&self) -> Vec<(u64, String)> {
        self.sent.lock().unwrap().clone()
    }
}

impl Outlet for Recorder {
    async fn send(&mut self, message: Bytes) -> Result<(), Closed> {
        tokio::time::sleep(self.delay).await;
        if self.sent.lock().unwrap().len() >= self.most {
            return Err(Closed);
        }
        self.note(String::from_utf8(message.to_vec()).unwrap());
        Ok(())
    }

    async fn close(self) {
        self.note("closed".into());
    }
}
