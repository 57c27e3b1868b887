//! What goes wrong, as HTTP answers (`ApiError`) and for the program that runs the server
//! ([`ServeError`], [`BuildError`]).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use thiserror::Error;
use trickle_processor::{InitError, ParamsError};
use utoipa::ToSchema;

use crate::extend::HookError;

/// A server could not be put together.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An option has a value that cannot work.
    #[error("{option}: {reason}")]
    Option {
        /// Name of the builder's method.
        option: &'static str,
        /// What is wrong with the value.
        reason: String,
    },
    /// The HTTP client that sessions share could not be made.
    #[error("cannot make the trickle client: {0}")]
    Client(String),
}

/// A server ended otherwise than by an orderly shutdown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The settings cannot work.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The address is taken, or not one of this machine's.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The model could not be loaded.
    #[error("{0}")]
    Model(Arc<InitError>),
    /// A hook of the start failed.
    #[error("a hook of the start failed: {0}")]
    Hook(HookError),
    /// Sessions were still there when the time for draining was over.
    #[error("{} did not end within {}", list(.sessions), seconds(.within))]
    NotDrained {
        /// Ids of the sessions left behind.
        sessions: Vec<String>,
        /// Time they were given.
        within: Duration,
    },
}

fn list(sessions: &[String]) -> String {
    match sessions {
        [one] => format!("session {one:?}"),
        many => format!("{} sessions", many.len()),
    }
}

fn seconds(duration: &Duration) -> String {
    format!("{} s", duration.as_secs())
}

/// An answer other than success: a status and `{"status":"error","message":…}`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    retry_after: Option<Duration>,
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody {
    /// `error`
    status: &'static str,
    /// What is wrong, with the name of the field if one is.
    message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retry_after: None,
        }
    }

    /// The request itself is wrong.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A field of the request's body is wrong.
    pub(crate) fn field(name: &str, reason: impl AsRef<str>) -> Self {
        Self::bad_request(format!("field {name:?}: {}", reason.as_ref()))
    }

    /// Nothing can be started now; later it may.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// Tells the caller when to ask again.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same answer with another status.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl From<ParamsError> for ApiError {
    /// For fields of a request's own body; rejected processor parameters have a status of their
    /// own.
    fn from(error: ParamsError) -> Self {
        Self::field(&error.field, error.reason)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            status: "error",
            message: self.message,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
