//! `/hardware/info` and `/hardware/stats`: empty maps, as no backend of this build probes GPUs.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::app::App;

/// GPUs by index, as text.
#[derive(Serialize)]
pub(crate) struct HardwareInfo {
    pipeline: String,
    model_id: String,
    gpu_info: Map<String, Value>,
}

/// Load of GPUs by index, as text.
#[derive(Serialize)]
pub(crate) struct HardwareStats {
    pipeline: String,
    model_id: String,
    gpu_stats: Map<String, Value>,
}

pub(crate) async fn info(State(app): State<App>) -> Json<HardwareInfo> {
    let identity = &app.config.identity;
    Json(HardwareInfo {
        pipeline: identity.pipeline.clone(),
        model_id: identity.model_id().to_owned(),
        gpu_info: Map::new(),
    })
}

pub(crate) async fn stats(State(app): State<App>) -> Json<HardwareStats> {
    let identity = &app.config.identity;
    Json(HardwareStats {
        pipeline: identity.pipeline.clone(),
        model_id: identity.model_id().to_owned(),
        gpu_stats: Map::new(),
    })
}
