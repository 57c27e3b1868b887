//! `/hardware/info` and `/hardware/stats`: the machine's devices; empty maps where there is none.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use trickle_media::hardware::DeviceLoad;
use utoipa::ToSchema;

use crate::app::App;

/// GPUs by index, as text.
#[derive(Serialize, ToSchema)]
pub(crate) struct HardwareInfo {
    pipeline: String,
    model_id: String,
    gpu_info: BTreeMap<usize, Info>,
}

/// Load of GPUs by index, as text.
#[derive(Serialize, ToSchema)]
pub(crate) struct HardwareStats {
    pipeline: String,
    model_id: String,
    gpu_stats: BTreeMap<usize, Stats>,
}

/// What PyTrickle tells of every GPU, whatever it is asked.
#[derive(Serialize, ToSchema)]
#[schema(as = Gpu)]
struct Base {
    id: String,
    name: String,
    memory_total: u64,
    memory_free: u64,
}

/// A GPU.
#[derive(Serialize, ToSchema)]
#[schema(as = GpuInfo)]
struct Info {
    #[serde(flatten)]
    base: Base,
    /// Compute capability.
    major: i32,
    minor: i32,
}

/// What a GPU does. Figures that it does not have are 0 where PyTrickle has them, else `null`.
#[derive(Serialize, ToSchema)]
#[schema(as = GpuStats)]
struct Stats {
    #[serde(flatten)]
    base: Base,
    utilization_compute: u32,
    utilization_memory: u32,
    utilization_decoder: Option<u32>,
    utilization_encoder: Option<u32>,
    temperature: Option<u32>,
}

impl Base {
    fn of(device: &DeviceLoad) -> Self {
        Self {
            id: device.id.clone(),
            name: device.name.clone(),
            memory_total: device.memory_total,
            memory_free: device.memory_free,
        }
    }
}

impl Info {
    fn of(device: &DeviceLoad) -> Self {
        let (major, minor) = device.compute.unwrap_or_default();
        Self {
            base: Base::of(device),
            major,
            minor,
        }
    }
}

impl Stats {
    fn of(device: &DeviceLoad) -> Self {
        Self {
            base: Base::of(device),
            utilization_compute: device.compute_percent.unwrap_or_default(),
            utilization_memory: device.memory_percent.unwrap_or_default(),
            utilization_decoder: device.decoder_percent,
            utilization_encoder: device.encoder_percent,
            temperature: device.temperature,
        }
    }
}

/// The devices, by index. The driver may take its time to answer.
async fn devices<T>(app: &App, of: fn(&DeviceLoad) -> T) -> BTreeMap<usize, T> {
    let probe = app.hardware.clone();
    let devices = tokio::task::spawn_blocking(move || probe.devices()).await;
    let devices = devices.unwrap_or_else(|error| {
        tracing::error!(%error, "the hardware probe failed");
        Vec::new()
    });
    devices.iter().map(of).enumerate().collect()
}

/// GPUs
#[utoipa::path(
    get,
    path = "/hardware/info",
    tag = "worker",
    responses((status = 200, description = "By index; empty without a GPU", body = HardwareInfo))
)]
pub(crate) async fn info(State(app): State<App>) -> Json<HardwareInfo> {
    let identity = &app.config.identity;
    Json(HardwareInfo {
        pipeline: identity.pipeline.clone(),
        model_id: identity.model_id().to_owned(),
        gpu_info: devices(&app, Info::of).await,
    })
}

/// Load of GPUs
#[utoipa::path(
    get,
    path = "/hardware/stats",
    tag = "worker",
    responses((status = 200, description = "By index; empty without a GPU", body = HardwareStats))
)]
pub(crate) async fn stats(State(app): State<App>) -> Json<HardwareStats> {
    let identity = &app.config.identity;
    Json(HardwareStats {
        pipeline: identity.pipeline.clone(),
        model_id: identity.model_id().to_owned(),
        gpu_stats: devices(&app, Stats::of).await,
    })
}
