//! `POST /stream/stop`: answered when the session has ended and its slot is free.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::HeaderMap;
use serde_json::Value;

use super::stream_id;
use crate::api::{StopRequest, Success, id};
use crate::app::App;
use crate::body;
use crate::error::{ApiError, ErrorBody};

/// Largest body of a stop, in bytes.
const MAX_BODY: usize = 64 << 10;

/// End a session
///
/// Answered when it has ended. Without a name, the only one there is. A body that is no JSON object
/// is ignored.
#[utoipa::path(
    post,
    path = "/stream/stop",
    tag = "streams",
    security(("token" = [])),
    params(("X-Stream-Id" = Option<String>, Header, description = "Which session")),
    request_body = Option<StopRequest>,
    responses(
        (status = 200, description = "It has ended", body = Success),
        (status = 400, description = "None runs, or several and none is named", body = ErrorBody),
        (status = 404, description = "There is none of that name", body = ErrorBody),
    )
)]
pub(crate) async fn stop(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Success>, ApiError> {
    let body = body::read(body, MAX_BODY).await?;
    // The BYOC orchestrator sends plain text, or nothing: only a JSON object can name a session.
    let named = match serde_json::from_slice(&body) {
        Ok(Value::Object(map)) => id(&map, "gateway_request_id")?,
        _ => None,
    };
    let wanted = named.as_deref().or_else(|| stream_id(&headers));
    app.slots.stop(wanted).await?;
    Ok(Json(Success::stopped()))
}
