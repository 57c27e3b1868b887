//! Whether the model is loaded: it is initialised once, in the background, and starts wait for it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use trickle_processor::{InitError, SharedModel};

/// How far the model is.
#[derive(Clone, Debug)]
pub(crate) enum ModelState {
    /// Not asked for yet, or on its way.
    Loading,
    /// Sessions may open processors.
    Ready,
    /// It never will be; the error says why.
    Failed(Arc<InitError>),
}

/// A model that is on its way.
pub(crate) type Coming = Pin<Box<dyn Future<Output = Result<SharedModel, String>> + Send>>;

/// The model of a session that is to start.
pub(crate) enum ForSession {
    /// It is there.
    Ready(SharedModel),
    /// The session runs without it until it comes.
    Coming(Coming),
}

/// Why a start cannot have the model.
#[derive(Debug)]
pub(crate) enum NotReady {
    /// It was still loading when the caller's time was over.
    Loading,
    /// It could not be loaded.
    Failed(Arc<InitError>),
}

/// A model and the state of its loading.
pub(crate) struct ModelGate {
    model: SharedModel,
    progress: watch::Sender<Progress>,
    cancel: CancellationToken,
    /// Loading that can be interrupted ends with the gate.
    _cancel_on_drop: DropGuard,
}

#[derive(Clone, Debug)]
struct Progress {
    begun: bool,
    state: ModelState,
}

impl ModelGate {
    pub(crate) fn new(model: SharedModel) -> Self {
        let cancel = CancellationToken::new();
        Self {
            model,
            progress: watch::Sender::new(Progress {
                begun: false,
                state: ModelState::Loading,
            }),
            _cancel_on_drop: cancel.clone().drop_guard(),
            cancel,
        }
    }

    pub(crate) fn state(&self) -> ModelState {
        self.progress.borrow().state.clone()
    }

    /// Starts loading unless that has been done. Must be called in a tokio runtime.
    pub(crate) fn begin(&self) {
        let first = self
            .progress
            .send_if_modified(|progress| !std::mem::replace(&mut progress.begun, true));
        if !first {
            return;
        }
        let (model, progress) = (self.model.clone(), self.progress.clone());
        let (runtime, cancel) = (Handle::current(), self.cancel.clone());
        // A thread of its own, as loading may block for minutes and health must be answered
        // meanwhile. It is not joined: native loading code cannot be interrupted, and must not
        // hold up the end of the process.
        let spawned = std::thread::Builder::new()
            .name("model-load".into())
            .spawn(move || {
                if let Some(state) = load(&model, &runtime, &cancel) {
                    progress.send_modify(|progress| progress.state = state);
                }
            });
        if let Err(error) = spawned {
            let error = InitError::new(format!("no thread for it: {error}"));
            self.progress
                .send_modify(|progress| progress.state = ModelState::Failed(Arc::new(error)));
        }
    }

    /// Waits until loading has ended, either way.
    pub(crate) async fn settled(&self) -> Result<SharedModel, Arc<InitError>> {
        let mut progress = self.progress.subscribe();
        loop {
            match progress.borrow_and_update().state.clone() {
                ModelState::Ready => return Ok(self.model.clone()),
                ModelState::Failed(error) => return Err(error),
                ModelState::Loading => {}
            }
            // Cannot fail: the sender is in `self`.
            if progress.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// As [`settled`](Self::settled), for a session that runs meanwhile; its error is a text.
    pub(crate) fn coming(&self) -> Coming {
        let (model, mut progress) = (self.model.clone(), self.progress.subscribe());
        Box::pin(async move {
            loop {
                match progress.borrow_and_update().state.clone() {
                    ModelState::Ready => return Ok(model),
                    ModelState::Failed(error) => return Err(error.to_string()),
                    ModelState::Loading => {}
                }
                if progress.changed().await.is_err() {
                    return Err("the worker ended before it was loaded".to_owned());
                }
            }
        })
    }

    /// The model, waiting at most `wait` for it.
    pub(crate) async fn ready(&self, wait: Duration) -> Result<SharedModel, NotReady> {
        match tokio::time::timeout(wait, self.settled()).await {
            Ok(settled) => settled.map_err(NotReady::Failed),
            Err(_) => Err(NotReady::Loading),
        }
    }
}

/// Runs `initialize`; `None` when it was cancelled.
fn load(model: &SharedModel, runtime: &Handle, cancel: &CancellationToken) -> Option<ModelState> {
    let started = std::time::Instant::now();
    let loading =
        AssertUnwindSafe(|| runtime.block_on(cancel.run_until_cancelled(model.initialize())));
    let error = match std::panic::catch_unwind(loading) {
        Ok(None) => return None,
        Ok(Some(Ok(()))) => {
            tracing::info!(seconds = started.elapsed().as_secs_f64(), "model loaded");
            return Some(ModelState::Ready);
        }
        Ok(Some(Err(error))) => error,
        Err(panic) => InitError::new(format!("panicked: {}", panic_text(&*panic))),
    };
    tracing::error!(%error, "model failed");
    Some(ModelState::Failed(Arc::new(error)))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
