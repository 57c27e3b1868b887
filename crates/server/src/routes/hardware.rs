//! `/hardware/info` and `/hardware/stats`: the machine's devices; empty maps where there is none.
//! Their keys are PyTrickle's, and then what video is coded with.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use trickle_media::backend::BackendDescription;
use trickle_media::hardware::{DeviceLoad, HardwareProbe};
use utoipa::ToSchema;

use crate::app::App;

/// GPUs by index, as text.
#[derive(Serialize, ToSchema)]
pub(crate) struct HardwareInfo {
    pipeline: String,
    model_id: String,
    gpu_info: BTreeMap<usize, Info>,
    /// Version of the GPUs' driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<String>,
    /// What video is decoded and encoded with, in order of preference, and why something is not.
    #[schema(value_type = Vec<Object>)]
    backends: Vec<BackendDescription>,
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
    /// Place on the bus.
    pci_bus_id: String,
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
            pci_bus_id: device.pci_bus_id.clone(),
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

/// What the probe tells. The driver may take its time to answer.
pub(crate) async fn ask<T: Default + Send + 'static>(
    app: &App,
    of: impl FnOnce(&dyn HardwareProbe) -> T + Send + 'static,
) -> T {
    let probe = app.hardware.clone();
    let told = tokio::task::spawn_blocking(move || of(&*probe)).await;
    told.unwrap_or_else(|error| {
        tracing::error!(%error, "the hardware probe failed");
        T::default()
    })
}

/// By index.
fn numbered<T>(devices: &[DeviceLoad], of: fn(&DeviceLoad) -> T) -> BTreeMap<usize, T> {
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
    let (devices, driver) = ask(&app, |probe| (probe.devices(), probe.driver())).await;
    Json(HardwareInfo {
        pipeline: identity.pipeline.clone(),
        model_id: identity.model_id().to_owned(),
        gpu_info: numbered(&devices, Info::of),
        driver,
        backends: app.slots.backends().describe(),
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
    let devices = ask(&app, |probe| probe.devices()).await;
    Json(HardwareStats {
        pipeline: identity.pipeline.clone(),
        model_id: identity.model_id().to_owned(),
        gpu_stats: numbered(&devices, Stats::of),
    })
}
