//! `libnvidia-ml.so.1`: what the device is and how loaded it is.

use std::ffi::{c_char, c_int, c_uint};

use super::emulator::{COMPUTE, NAME};
use super::pointer::Out;
use crate::driver::{Handle, MAX_DEVICES, device_memory, devices, guarded};

/// `nvmlReturn_t`.
type Return = c_int;
const SUCCESS: Return = 0;
const INVALID_ARGUMENT: Return = 2;
const NOT_FOUND: Return = 6;
const UNKNOWN: Return = 999;

/// The first device's handle; the others' come after it.
const DEVICE: Handle = 0x00d0_0000_0000;

/// Number of the device with this handle.
fn number(device: Handle) -> Option<usize> {
    let number = usize::try_from(device.checked_sub(DEVICE)?).ok()?;
    (number < MAX_DEVICES).then_some(number)
}

/// `nvmlMemory_v2_t`.
#[repr(C)]
struct Memory {
    version: c_uint,
    total: u64,
    reserved: u64,
    free: u64,
    used: u64,
}

/// `NVML_STRUCT_VERSION(Memory, 2)`.
const MEMORY_VERSION: c_uint = size_of::<Memory>() as c_uint | 2 << 24;

/// `nvmlUtilization_t`.
#[repr(C)]
struct Utilization {
    gpu: c_uint,
    memory: c_uint,
}

/// `nvmlPciInfo_t`.
#[repr(C)]
struct Pci {
    legacy_id: [u8; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    device_id: c_uint,
    subsystem_id: c_uint,
    id: [u8; 32],
}

/// An answer about the device.
fn answer(device: Handle, body: impl FnOnce() -> bool) -> Return {
    match number(device).is_some() && body() {
        true => SUCCESS,
        false => INVALID_ARGUMENT,
    }
}

fn put<T>(to: &Out<T>, value: T) -> bool {
    to.put(value).is_ok()
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> Return {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> Return {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn nvmlErrorString(code: Return) -> *const c_char {
    match code {
        SUCCESS => c"Success",
        INVALID_ARGUMENT => c"Invalid Argument",
        NOT_FOUND => c"Not Found",
        _ => c"Unknown Error",
    }
    .as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetDriverVersion(version: Out<c_char>, room: c_uint) -> Return {
    match version.put_text("535.000.00", room.cast_signed()) {
        Ok(()) => SUCCESS,
        Err(_) => INVALID_ARGUMENT,
    }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCount_v2(count: Out<c_uint>) -> Return {
    answer(DEVICE, || put(&count, devices() as c_uint))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: Out<Handle>) -> Return {
    if index as usize >= devices() {
        return NOT_FOUND;
    }
    answer(DEVICE, || put(&device, DEVICE + Handle::from(index)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetUUID(device: Handle, id: Out<c_char>, room: c_uint) -> Return {
    let number = number(device).unwrap_or_default();
    let text = format!("GPU-00000000-0000-0000-0000-{number:012}");
    answer(device, || id.put_text(&text, room.cast_signed()).is_ok())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetName(device: Handle, name: Out<c_char>, room: c_uint) -> Return {
    answer(device, || name.put_text(NAME, room.cast_signed()).is_ok())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPciInfo_v3(device: Handle, info: Out<Pci>) -> Return {
    let mut id = [0; 32];
    let text = format!("00000000:{:02}:00.0", number(device).unwrap_or_default());
    id[..text.len()].copy_from_slice(text.as_bytes());
    answer(device, || {
        put(
            &info,
            Pci {
                legacy_id: [0; 16],
                domain: 0,
                bus: 0,
                device: 0,
                device_id: 0,
                subsystem_id: 0,
                id,
            },
        )
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Handle, mut info: Out<Memory>) -> Return {
    let mut told = UNKNOWN;
    guarded(|machine| {
        let driver = &machine.devices[number(device).unwrap_or_default()];
        let free = driver.memory.available() as u64;
        let total = device_memory() as u64;
        told = answer(device, || match info.get() {
            Some(info) if info.version == MEMORY_VERSION => {
                *info = Memory {
                    version: MEMORY_VERSION,
                    total,
                    reserved: 0,
                    free,
                    used: total - free,
                };
                true
            }
            _ => false,
        });
        Ok(())
    });
    told
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCudaComputeCapability(
    device: Handle,
    major: Out<c_int>,
    minor: Out<c_int>,
) -> Return {
    answer(device, || put(&major, COMPUTE.0) && put(&minor, COMPUTE.1))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetUtilizationRates(device: Handle, rates: Out<Utilization>) -> Return {
    answer(device, || put(&rates, Utilization { gpu: 7, memory: 3 }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetDecoderUtilization(
    device: Handle,
    percent: Out<c_uint>,
    period: Out<c_uint>,
) -> Return {
    answer(device, || put(&percent, 11) && put(&period, 100_000))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEncoderUtilization(
    device: Handle,
    percent: Out<c_uint>,
    period: Out<c_uint>,
) -> Return {
    answer(device, || put(&percent, 13) && put(&period, 100_000))
}

/// It has no sensor.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTemperature(
    _device: Handle,
    _sensor: c_uint,
    _degrees: Out<c_uint>,
) -> Return {
    INVALID_ARGUMENT
}
