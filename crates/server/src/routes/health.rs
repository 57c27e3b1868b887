//! `/health`: whether the worker can serve; `/livez`: whether it is there at all.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::config::HealthStyle;
use crate::model_gate::ModelState;

/// PyTrickle's words for the state of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = State)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Word {
    /// Ready, no session.
    Idle,
    /// Ready, sessions run.
    Ok,
    /// The model is on its way.
    Loading,
    /// The model failed.
    Error,
}

/// The state of a worker and, when it is broken, the reason.
pub(crate) struct Condition {
    pub(crate) word: Word,
    pub(crate) error: Option<String>,
    /// Sessions that hold a slot.
    pub(crate) sessions: usize,
}

impl Condition {
    pub(crate) fn of(app: &App) -> Self {
        let sessions = app.slots.taken();
        let (word, error) = match app.gate.state() {
            ModelState::Loading => (Word::Loading, None),
            ModelState::Failed(error) => (Word::Error, Some(error.to_string())),
            ModelState::Ready if sessions > 0 => (Word::Ok, None),
            ModelState::Ready => (Word::Idle, None),
        };
        Self {
            word,
            error,
            sessions,
        }
    }

    pub(crate) fn ready(&self) -> bool {
        matches!(self.word, Word::Idle | Word::Ok)
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`, `loading` or `error`; in PyTrickle's style, its word.
    #[schema(value_type = String)]
    status: Status,
    state: Word,
    /// Why the model failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Status {
    Standard(&'static str),
    PyTrickle(Word),
}

/// Whether the worker can serve
#[utoipa::path(
    get,
    path = "/health",
    tag = "worker",
    responses(
        (status = 200, description = "It can, or sessions live", body = Health),
        (status = 503, description = "It cannot, and no session lives", body = Health),
    )
)]
pub(crate) async fn health(State(app): State<App>) -> Response {
    let condition = Condition::of(&app);
    let state = condition.word;
    let (code, status) = match app.config.health_style {
        HealthStyle::PyTrickle => (StatusCode::OK, Status::PyTrickle(state)),
        HealthStyle::Standard => {
            let status = match state {
                Word::Idle | Word::Ok => "ok",
                Word::Loading => "loading",
                Word::Error => "error",
            };
            // One answer other than 200 makes an orchestrator give up every session of this
            // worker, so that a session that lives outweighs a model that does not.
            let code = if condition.ready() || condition.sessions > 0 {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            (code, Status::Standard(status))
        }
    };
    let body = Health {
        status,
        state,
        message: condition.error,
    };
    (code, Json(body)).into_response()
}

/// Alive: the process answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Alive {
    status: &'static str,
}

/// Whether the process lives
#[utoipa::path(
    get,
    path = "/livez",
    tag = "worker",
    responses((status = 200, description = "It does", body = Alive))
)]
pub(crate) async fn livez() -> Json<Alive> {
    Json(Alive { status: "ok" })
}
