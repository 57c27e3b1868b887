//! [`Worker`]: what a program's own routes and hooks can ask of the server they are part of.

use http::StatusCode;
use thiserror::Error;
use trickle_processor::Params;
use trickle_session::SessionStatus;

use crate::app::App;
use crate::error::ApiError;

/// A running worker, as seen from inside: routes of a program get it as
/// `Extension<Worker>`, hooks as their argument. Clones reach the same worker.
#[derive(Clone)]
pub struct Worker {
    app: App,
}

/// A request to a worker that was refused, as a caller of the API would be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Refused {
    /// Status that the API answers.
    pub status: StatusCode,
    /// The reason.
    pub message: String,
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self {
            status: error.status,
            message: error.message,
        }
    }
}

impl Worker {
    pub(crate) fn new(app: App) -> Self {
        Self { app }
    }

    /// The sessions that have started and hold a slot, the oldest first.
    pub fn sessions(&self) -> Vec<SessionStatus> {
        let (slots, _) = self.app.slots.snapshot();
        let sessions = slots
            .iter()
            .filter_map(|slot| Some(slot.phase().session()?.status()));
        sessions.collect()
    }

    /// Waits until no session holds a slot.
    pub async fn idle(&self) {
        self.app.slots.idle().await;
    }

    /// Gives a session new parameters, as `POST /stream/update` does. `id` may be left out while
    /// one session runs.
    ///
    /// # Errors
    /// [`Refused`] with 422 when the parameters are rejected, 404 or 400 when there is no such
    /// session.
    pub async fn update(&self, id: Option<&str>, params: Params) -> Result<(), Refused> {
        Ok(self.app.slots.update(id, params).await?)
    }

    /// Ends a session and waits until it has ended, as `POST /stream/stop` does. `id` may be left
    /// out while one session runs.
    ///
    /// # Errors
    /// [`Refused`] with 404 or 400 when there is no such session.
    pub async fn stop(&self, id: Option<&str>) -> Result<(), Refused> {
        Ok(self.app.slots.stop(id).await?)
    }
}
