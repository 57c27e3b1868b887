//! The OS thread of a stage: named, its panic reported, joined within a bounded time.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::Span;

use crate::error::{EndReason, StartError};
use crate::shared::Shared;

/// How often a blocking wait looks whether a thread has ended.
const LOOK: Duration = Duration::from_millis(2);

/// The span that a session's work stands in: that of whoever starts the session, where it is one,
/// so that a session is one span however many threads it has.
pub(crate) fn span(shared: &Shared) -> Span {
    let current = Span::current();
    match current.metadata() {
        Some(span) if span.name() == "session" => current,
        _ => tracing::info_span!("session", id = %shared.id),
    }
}

/// A running stage.
#[derive(Debug)]
pub(crate) struct StageThread {
    stage: &'static str,
    handle: Option<JoinHandle<()>>,
    running: watch::Receiver<()>,
}

impl StageThread {
    /// Starts the thread of `stage`. A panic ends the session with its message.
    pub(crate) fn spawn(
        stage: &'static str,
        shared: &Arc<Shared>,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<Self, StartError> {
        let (alive, running) = watch::channel(());
        let shared = Arc::clone(shared);
        // Clocks of the thread are those of the runtime that the session belongs to.
        let runtime = Handle::try_current().ok();
        let span = span(&shared);
        let handle = std::thread::Builder::new()
            .name(stage.into())
            .spawn(move || {
                let _alive = alive;
                let _context = runtime.as_ref().map(Handle::enter);
                let _span = span.entered();
                if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
                    let message = panic_message(panic.as_ref());
                    shared.fail(EndReason::Internal(format!(
                        "the {stage} stage panicked: {message}"
                    )));
                }
            })
            .map_err(|error| StartError::Thread { stage, error })?;
        Ok(Self {
            stage,
            handle: Some(handle),
            running,
        })
    }

    /// Waits at most `limit` for the thread to end and joins it; `false` when it still runs.
    pub(crate) async fn join_within(&mut self, limit: Duration) -> bool {
        // The sender goes with the thread's closure: an error means that it has ended.
        let ended = async { while self.running.changed().await.is_ok() {} };
        if tokio::time::timeout(limit, ended).await.is_err() {
            return false;
        }
        self.join();
        true
    }

    /// Closed when the thread has ended.
    pub(crate) fn running(&self) -> watch::Receiver<()> {
        self.running.clone()
    }

    /// Joins the thread, waiting for it as long as it takes.
    pub(crate) fn join(&mut self) {
        if let Some(handle) = self.handle.take()
            && handle.join().is_err()
        {
            // The panic was caught and reported inside; nothing is left to say.
            tracing::debug!(stage = self.stage, "thread ended by a panic");
        }
    }

    /// Waits at most until `deadline` on this thread, for an owner that is dropped. A thread that
    /// does not end is left to itself, and that is logged.
    pub(crate) fn join_until(&mut self, deadline: Instant) {
        let Some(handle) = &self.handle else {
            return;
        };
        while !handle.is_finished() {
            if Instant::now() >= deadline {
                tracing::error!(stage = self.stage, "thread does not end and is left behind");
                self.handle = None;
                return;
            }
            std::thread::sleep(LOOK);
        }
        self.join();
    }
}

/// Now, by the clock of the runtime, which tests may move.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The text of a panic, where it has one.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "no message".to_owned()
    }
}
