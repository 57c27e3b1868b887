//! `/version` and `/app-version`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;

/// What runs here, in go-livepeer's words.
#[derive(Serialize, ToSchema)]
pub(crate) struct Version {
    pipeline: String,
    model_id: String,
    version: String,
}

/// The version alone.
#[derive(Serialize, ToSchema)]
pub(crate) struct AppVersion {
    version: String,
}

/// What runs here
#[utoipa::path(
    get,
    path = "/version",
    tag = "worker",
    responses((status = 200, description = "Pipeline, model and version", body = Version))
)]
pub(crate) async fn version(State(app): State<App>) -> Json<Version> {
    let identity = &app.config.identity;
    Json(Version {
        pipeline: identity.pipeline.clone(),
        model_id: identity.model_id().to_owned(),
        version: identity.version.clone(),
    })
}

/// The version alone
#[utoipa::path(
    get,
    path = "/app-version",
    tag = "worker",
    responses((status = 200, description = "The version", body = AppVersion))
)]
pub(crate) async fn app_version(State(app): State<App>) -> Json<AppVersion> {
    Json(AppVersion {
        version: app.config.identity.version.clone(),
    })
}
