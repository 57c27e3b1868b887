//! Load and memory of the devices, as NVML tells them: for status and metrics.

use std::sync::OnceLock;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use trickle_media::hardware::{DeviceLoad, HardwareProbe};

use crate::error::GpuError;

const LIBRARY: &str = "libnvidia-ml.so.1";

/// Version of the installed driver.
pub(crate) fn driver_version() -> Result<String, GpuError> {
    nvml()?.sys_driver_version().map_err(|error| failed(&error))
}

/// Figures of every device, in NVML's order; blocks for some milliseconds.
///
/// # Errors
/// [`GpuError::Library`] without NVML or a driver; a device that answers nothing is left out.
pub fn device_loads() -> Result<Vec<DeviceLoad>, GpuError> {
    let nvml = nvml()?;
    let count = nvml.device_count().map_err(|error| failed(&error))?;
    let mut loads = Vec::new();
    for index in 0..count {
        match load(nvml, index) {
            Ok(load) => loads.push(load),
            Err(error) => tracing::warn!(index, %error, "NVML tells nothing of a device"),
        }
    }
    Ok(loads)
}

/// NVIDIA's devices, for hardware routes and metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct NvidiaHardware;

impl HardwareProbe for NvidiaHardware {
    fn devices(&self) -> Vec<DeviceLoad> {
        device_loads().unwrap_or_else(|error| {
            tracing::debug!(%error, "no figures of devices");
            Vec::new()
        })
    }

    fn driver(&self) -> Option<String> {
        driver_version().ok()
    }
}

fn load(nvml: &Nvml, index: u32) -> Result<DeviceLoad, NvmlError> {
    let device = nvml.device_by_index(index)?;
    let memory = device.memory_info()?;
    let utilization = device.utilization_rates().ok();
    let sensor = nvml_wrapper::enum_wrappers::device::TemperatureSensor::Gpu;
    Ok(DeviceLoad {
        id: device.uuid()?,
        name: device.name()?,
        pci_bus_id: device.pci_info()?.bus_id,
        compute: device
            .cuda_compute_capability()
            .ok()
            .map(|compute| (compute.major, compute.minor)),
        memory_total: memory.total,
        memory_free: memory.free,
        compute_percent: utilization.as_ref().map(|rates| rates.gpu),
        memory_percent: utilization.as_ref().map(|rates| rates.memory),
        decoder_percent: device
            .decoder_utilization()
            .ok()
            .map(|info| info.utilization),
        encoder_percent: device
            .encoder_utilization()
            .ok()
            .map(|info| info.utilization),
        temperature: device.temperature(sensor).ok(),
    })
}

/// NVML, initialised at the first call; the outcome stays for the process.
fn nvml() -> Result<&'static Nvml, GpuError> {
    static NVML: OnceLock<Result<Nvml, GpuError>> = OnceLock::new();
    let start = || {
        Nvml::builder()
            .lib_path(LIBRARY.as_ref())
            .init()
            .map_err(|error| failed(&error))
    };
    NVML.get_or_init(start).as_ref().map_err(Clone::clone)
}

fn failed(error: &NvmlError) -> GpuError {
    // The wrapper's text for a missing library is a fixed sentence; the linker's is in the source.
    let detail = match error {
        NvmlError::LibloadingError(error) => error.to_string(),
        other => other.to_string(),
    };
    GpuError::Library {
        library: LIBRARY,
        detail,
    }
}
