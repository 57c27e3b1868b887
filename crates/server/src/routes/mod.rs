//! The table of routes; one file per group of handlers.

use std::any::Any;

use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::{StatusCode, header};
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::auth;
use crate::error::ApiError;
use crate::metrics;
use crate::metrics::http_requests::{HttpMetrics, count};
use crate::openapi;
use crate::registration::session_id;
use crate::worker::Worker;

pub(crate) mod hardware;
pub(crate) mod health;
pub(crate) mod schema;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod update;
pub(crate) mod version;

/// All routes, under `/api` and without prefix.
pub(crate) fn router(app: &App) -> Router {
    let routes = streams(app).merge(about());
    Router::new()
        .nest("/api", routes.clone())
        .merge(routes)
        .with_state(app.clone())
}

/// Everything that is served, with errors in one form, requests counted, and the worker within
/// reach of handlers.
pub(crate) fn complete(router: Router, worker: Worker, metrics: &HttpMetrics) -> Router {
    router
        .layer(Extension(worker))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(explain))
        .layer(from_fn_with_state(metrics.clone(), count))
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
        .route("/stream/params-schema", get(schema::params_schema))
        .route_layer(from_fn_with_state(app.clone(), auth::require))
}

/// Routes on the worker itself, open to everybody.
fn about() -> Router<App> {
    Router::new()
        .route("/health", get(health::health))
        .route("/livez", get(health::livez))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi::openapi))
        .route("/version", get(version::version))
        .route("/app-version", get(version::app_version))
        .route("/hardware/info", get(hardware::info))
        .route("/hardware/stats", get(hardware::stats))
}

/// Gives errors without a content, such as those of axum and of layers, the form of all others.
async fn explain(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error();
    if !failed || response.headers().contains_key(header::CONTENT_TYPE) {
        return response;
    }
    let message = match status {
        StatusCode::NOT_FOUND => format!("there is nothing at {path}"),
        StatusCode::METHOD_NOT_ALLOWED => format!("{path} does not take {method}"),
        other => other.canonical_reason().unwrap_or("failed").to_owned(),
    };
    let mut explained = ApiError::new(status, message).into_response();
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH {
            explained.headers_mut().append(name, value.clone());
        }
    }
    explained
}

/// A handler that panics costs its own request only.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    // The panic's own message went to the log; it may hold what callers must not see.
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the worker failed on this request",
    )
    .into_response()
}

/// The session that a request's header names: `X-Stream-Id` of the BYOC orchestrator, or
/// `Livepeer-Session-Id` of the live runner's proxy.
fn stream_id(headers: &http::HeaderMap) -> Option<&str> {
    headers
        .get("x-stream-id")
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
        .filter(|id| !id.is_empty())
        .or_else(|| session_id(headers))
}
