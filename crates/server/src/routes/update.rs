//! `POST /stream/update` and its alias `/stream/params`: new parameters for a running processor.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::HeaderMap;
use trickle_processor::Params;

use super::stream_id;
use crate::api::{Success, UpdateRequest, id};
use crate::app::App;
use crate::body;
use crate::error::{ApiError, ErrorBody};

/// Largest body of an update, in bytes: parameters may hold pictures.
const MAX_BODY: usize = 10 << 20;

/// Give a running processor new parameters
///
/// Any JSON object; what names the session is no parameter.
#[utoipa::path(
    post,
    path = "/stream/update",
    tag = "streams",
    security(("token" = [])),
    params(("X-Stream-Id" = Option<String>, Header, description = "Which session")),
    request_body = UpdateRequest,
    responses(
        (status = 200, description = "They are in force", body = Success),
        (status = 400, description = "No object, or no session", body = ErrorBody),
        (status = 404, description = "There is no session of that name", body = ErrorBody),
        (status = 422, description = "They were rejected; nothing has changed", body = ErrorBody),
    )
)]
pub(crate) async fn update(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Success>, ApiError> {
    let body = body::read(body, MAX_BODY).await?;
    let mut params = body::object(&body)?;
    let named = id(&params, "gateway_request_id")?;
    // It says whose parameters these are, and is none itself.
    params.remove("gateway_request_id");
    let wanted = named.as_deref().or_else(|| stream_id(&headers));
    app.slots.update(wanted, Params(params)).await?;
    Ok(Json(Success::updated()))
}
