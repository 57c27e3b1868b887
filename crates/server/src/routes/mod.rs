//! The table of routes; one file per group of handlers.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use http::{Method, StatusCode, Uri};

use crate::app::App;
use crate::auth;
use crate::error::ApiError;

mod hardware;
mod health;
mod start;
mod status;
mod stop;
mod update;
mod version;

/// All routes, under `/api` and without prefix.
pub(crate) fn router(app: &App) -> Router {
    let routes = streams(app).merge(about());
    Router::new()
        .nest("/api", routes.clone())
        .merge(routes)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app.clone())
}

/// Routes that concern sessions, behind the token if there is one.
fn streams(app: &App) -> Router<App> {
    Router::new()
        .route("/stream/start", post(start::start))
        .route("/live-video-to-video", post(start::live_video_to_video))
        .route("/stream/stop", post(stop::stop))
        .route("/stream/update", post(update::update))
        .route("/stream/params", post(update::update))
        .route("/stream/status", get(status::status))
        .route_layer(from_fn_with_state(app.clone(), auth::require))
}

/// Routes on the worker itself, open to everybody.
fn about() -> Router<App> {
    Router::new()
        .route("/health", get(health::health))
        .route("/livez", get(health::livez))
        .route("/version", get(version::version))
        .route("/app-version", get(version::app_version))
        .route("/hardware/info", get(hardware::info))
        .route("/hardware/stats", get(hardware::stats))
}

async fn not_found(uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        format!("there is no route {}", uri.path()),
    )
}

async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} does not take {method}", uri.path()),
    )
}

/// The session that a request's header names (`X-Stream-Id`), as the BYOC orchestrator sends it.
fn stream_id(headers: &http::HeaderMap) -> Option<&str> {
    headers
        .get("x-stream-id")
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
        .filter(|id| !id.is_empty())
}
