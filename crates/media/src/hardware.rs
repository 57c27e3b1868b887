//! What devices a machine has and how loaded they are: for hardware routes and metrics.

use std::fmt;

use serde::Serialize;

/// Tells of the machine's devices; `trickle-gpu` does for NVIDIA's.
pub trait HardwareProbe: fmt::Debug + Send + Sync {
    /// Every device as it is at this moment, in a fixed order; none where there is none, or where
    /// nothing can be asked. Blocks for some milliseconds.
    fn devices(&self) -> Vec<DeviceLoad>;

    /// Version of the devices' driver, where there is one.
    fn driver(&self) -> Option<String> {
        None
    }
}

/// A machine without devices.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHardware;

impl HardwareProbe for NoHardware {
    fn devices(&self) -> Vec<DeviceLoad> {
        Vec::new()
    }
}

/// A device and its figures at one moment. `None` where this kind of device has no such figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceLoad {
    /// Universally unique id, such as `GPU-5d2f…`.
    pub id: String,
    /// Product name.
    pub name: String,
    /// Place on the bus, such as `00000000:65:00.0`.
    pub pci_bus_id: String,
    /// Compute capability, major and minor.
    pub compute: Option<(i32, i32)>,
    /// Bytes of memory.
    pub memory_total: u64,
    /// Bytes of memory that nobody uses.
    pub memory_free: u64,
    /// Percent of time in which a kernel ran.
    pub compute_percent: Option<u32>,
    /// Percent of time in which memory was read or written.
    pub memory_percent: Option<u32>,
    /// Percent of time in which the decoder was busy.
    pub decoder_percent: Option<u32>,
    /// Percent of time in which the encoder was busy.
    pub encoder_percent: Option<u32>,
    /// Degrees Celsius.
    pub temperature: Option<u32>,
}
