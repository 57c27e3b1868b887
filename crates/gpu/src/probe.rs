//! What this machine's NVIDIA driver offers, and why something of it cannot be used.

use serde::Serialize;
use trickle_media::Codec;

/// Oldest compute capability that the kernels run on.
pub const MIN_COMPUTE: (i32, i32) = (7, 5);

/// What was found. Every field that is empty has its reason beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Version of the installed driver, such as `535.104.05`, where NVML tells it.
    pub driver: Option<String>,
    /// CUDA version that the driver supports, such as `12.2`.
    pub cuda: Option<String>,
    /// Devices, in CUDA's order.
    pub devices: Vec<DeviceReport>,
    /// Why there is no device; `None` when there is one.
    pub reason: Option<String>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceReport {
    /// CUDA's number of it.
    pub index: u32,
    /// Its backend's name: `cuda:0`.
    pub backend: String,
    /// Product name.
    pub name: String,
    /// Place on the bus, such as `0000:65:00.0`.
    pub pci_bus_id: String,
    /// Compute capability, such as `8.6`.
    pub compute: String,
    /// Bytes of memory.
    pub memory: u64,
    /// What it decodes.
    pub decode: Coding,
    /// What it encodes.
    pub encode: Coding,
}

/// One direction of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Coding {
    /// Usable codecs.
    pub codecs: Vec<CodecCaps>,
    /// Why there is none; `None` when there is one.
    pub reason: Option<String>,
}

/// A codec that a device has, for 8-bit 4:2:0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CodecCaps {
    /// Which.
    pub codec: Codec,
    /// Fewest columns.
    pub min_width: u32,
    /// Fewest rows.
    pub min_height: u32,
    /// Most columns.
    pub max_width: u32,
    /// Most rows.
    pub max_height: u32,
}

impl Coding {
    fn none(reason: impl Into<String>) -> Self {
        Self {
            codecs: Vec::new(),
            reason: Some(reason.into()),
        }
    }
}

/// Asks the driver for its devices. Needs nothing: where a library or a device is missing the
/// report says so.
///
/// It takes some 100 ms on a machine with GPUs, because a context is made on each of them, and
/// it blocks: call it from a thread that may wait.
pub fn probe() -> Report {
    #[cfg(target_os = "linux")]
    let report = devices::report(None);
    #[cfg(not(target_os = "linux"))]
    let report = Report {
        reason: Some("the GPU path exists on Linux only".to_owned()),
        ..Report::default()
    };
    report
}

/// As [`probe`]; of the device of that number alone where there is one: no context is made on others.
#[cfg(target_os = "linux")]
pub(crate) fn probe_for(only: Option<u32>) -> Report {
    devices::report(only)
}

/// The report of one device.
#[cfg(target_os = "linux")]
pub(crate) fn report_of(index: u32) -> Result<DeviceReport, crate::error::GpuError> {
    devices::device(index.try_into().unwrap_or(i32::MAX))
}

#[cfg(target_os = "linux")]
mod devices {
    //! The probe itself.

    use super::{CodecCaps, Coding, DeviceReport, MIN_COMPUTE, Report};
    use crate::context::{Context, Device, driver};
    use crate::error::GpuError;
    use crate::{monitor, nvdec, nvenc};

    pub(super) fn report(only: Option<u32>) -> Report {
        let mut report = Report {
            driver: monitor::driver_version().ok(),
            cuda: cuda_version().ok(),
            ..Report::default()
        };
        match Device::count() {
            Ok(0) => report.reason = Some("the driver finds no device".to_owned()),
            Err(error) => report.reason = Some(error.to_string()),
            Ok(count) => {
                let wanted = |index: &i32| only.is_none_or(|only| only == index.cast_unsigned());
                for index in (0..count).filter(wanted) {
                    match device(index) {
                        Ok(device) => report.devices.push(device),
                        Err(error) => {
                            tracing::warn!(index, %error, "GPU left out");
                            report.reason = Some(format!("device {index}: {error}"));
                        }
                    }
                }
                if !report.devices.is_empty() {
                    report.reason = None;
                }
            }
        }
        report
    }

    fn cuda_version() -> Result<String, GpuError> {
        let cuda = driver()?;
        let mut version = 0;
        // SAFETY: `version` is writable.
        cuda.check("cuDriverGetVersion", unsafe {
            (cuda.driver_get_version)(&raw mut version)
        })?;
        Ok(format!("{}.{}", version / 1000, version % 1000 / 10))
    }

    pub(super) fn device(index: i32) -> Result<DeviceReport, GpuError> {
        let device = Device::get(index)?;
        let compute = device.compute()?;
        let (decode, encode) = if compute < MIN_COMPUTE {
            let reason = format!(
                "compute capability {}.{} or later is needed",
                MIN_COMPUTE.0, MIN_COMPUTE.1
            );
            (Coding::none(reason.clone()), Coding::none(reason))
        } else {
            match Context::retain(device) {
                Err(error) => (
                    Coding::none(error.to_string()),
                    Coding::none(error.to_string()),
                ),
                Ok(context) => (
                    coding(nvdec::decoder_caps(&context), "decoder"),
                    coding(nvenc::encoder_caps(&context), "encoder"),
                ),
            }
        };
        Ok(DeviceReport {
            index: index.cast_unsigned(),
            backend: format!("cuda:{index}"),
            name: device.name()?,
            pci_bus_id: device.pci_bus_id()?,
            compute: format!("{}.{}", compute.0, compute.1),
            memory: device.total_memory()?,
            decode,
            encode,
        })
    }

    fn coding(caps: Result<Vec<CodecCaps>, GpuError>, what: &str) -> Coding {
        match caps {
            Ok(codecs) if codecs.is_empty() => {
                Coding::none(format!("the device has no {what} for H.264 or HEVC"))
            }
            Ok(codecs) => Coding {
                codecs,
                reason: None,
            },
            Err(GpuError::Encoder {
                call, code, name, ..
            }) if is_no_encoder(code) => {
                Coding::none(format!("the device has no encoder ({call}: {name})"))
            }
            Err(error) => Coding::none(error.to_string()),
        }
    }

    /// `NO_ENCODE_DEVICE` and `UNSUPPORTED_DEVICE`: what data-centre cards without NVENC say.
    fn is_no_encoder(code: u32) -> bool {
        matches!(code, 1 | 2)
    }
}
