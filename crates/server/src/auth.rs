//! The bearer token of the stream routes.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::app::App;
use crate::error::ApiError;

/// Answers 401 to a stream request without the configured token.
pub(crate) async fn require(State(app): State<App>, request: Request, next: Next) -> Response {
    match &app.config.token {
        Some(token) if !token.is_in(request.headers()) => {
            app.registrations.request_refused();
            ApiError::new(
                StatusCode::UNAUTHORIZED,
                "this worker wants Authorization: Bearer TOKEN, and none or another was given",
            )
            .into_response()
        }
        _ => next.run(request).await,
    }
}
