//! `POST /stream/start` and its alias `/live-video-to-video`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use std::time::Duration;

use super::stream_id;
use crate::api::{IdRule, StartRequest, Success};
use crate::app::App;
use crate::body;
use crate::error::{ApiError, ErrorBody};
use crate::model_gate::{ForSession, ModelState, NotReady};
use crate::registration::Reserved;

/// Largest body of a start, in bytes.
const MAX_BODY: usize = 1 << 20;
/// What a caller that found the model loading is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Start a session
#[utoipa::path(
    post,
    path = "/stream/start",
    tag = "streams",
    security(("token" = [])),
    params(("X-Stream-Id" = Option<String>, Header, description = "Another name for the session")),
    request_body = StartRequest,
    responses(
        (status = 200, description = "It runs", body = Success),
        (status = 400, description = "A field is wrong, and is named", body = ErrorBody),
        (status = 502, description = "The orchestrator made no channels for it", body = ErrorBody),
        (status = 503, description = "No slot is free, or the model is not ready", body = ErrorBody),
    )
)]
pub(crate) async fn start(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Success>, ApiError> {
    begin(&app, &headers, body, IdRule::Required).await
}

/// Start a session, for go-livepeer's live pipeline
///
/// As `/stream/start`, for a caller that knows few statuses and may leave the id out.
#[utoipa::path(
    post,
    path = "/live-video-to-video",
    tag = "streams",
    security(("token" = [])),
    params(("X-Stream-Id" = Option<String>, Header, description = "Another name for the session")),
    request_body(content = ref("#/components/schemas/LiveVideoToVideoRequest")),
    responses(
        (status = 200, description = "It runs", body = Success),
        (status = 400, description = "A field is wrong, and is named", body = ErrorBody),
        (status = 500, description = "No slot is free, or the model is not ready", body = ErrorBody),
    )
)]
pub(crate) async fn live_video_to_video(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Success>, ApiError> {
    begin(&app, &headers, body, IdRule::Optional)
        .await
        .map_err(|error| match error.status {
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => error,
            status if status.is_server_error() => {
                error.with_status(StatusCode::INTERNAL_SERVER_ERROR)
            }
            _ => error.with_status(StatusCode::BAD_REQUEST),
        })
}

async fn begin(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    rule: IdRule,
) -> Result<Json<Success>, ApiError> {
    let body = body::read(body, MAX_BODY).await?;
    let mut request = StartRequest::parse(body::object(&body)?, rule)?;
    if let Some(id) = stream_id(headers) {
        request.stream_id = Some(id.to_owned());
    }
    let request_id = request.request_id.clone();
    let model = model(app).await?;
    let reserved = Reserved::read(headers);
    let channels = app
        .slots
        .start(request, reserved, &app.config, model)
        .await?;
    Ok(Json(Success::started(request_id, channels)))
}

/// The model, waiting for it where the session must.
async fn model(app: &App) -> Result<ForSession, ApiError> {
    if app.config.accept_while_loading && matches!(app.gate.state(), ModelState::Loading) {
        return Ok(ForSession::Coming(app.gate.coming()));
    }
    let ready = app.gate.ready(app.config.load_wait).await;
    ready.map(ForSession::Ready).map_err(|reason| match reason {
        NotReady::Loading => {
            ApiError::unavailable("The model is still loading").retry_after(RETRY_AFTER)
        }
        NotReady::Failed(error) => ApiError::unavailable(error.to_string()),
    })
}
