//! A device's primary context: the one that every library in the process shares.

use std::ffi::c_char;
use std::marker::PhantomData;
use std::ptr;

use crate::dl::{self, CuContext, CuDevice, CuResult, Cuda};
use crate::error::GpuError;

/// Opens the driver and initialises it; cheap after the first time.
pub(crate) fn driver() -> Result<&'static Cuda, GpuError> {
    let cuda = dl::cuda()?;
    // SAFETY: takes no pointer; may be called any number of times.
    cuda.check("cuInit", unsafe { (cuda.init)(0) })?;
    Ok(cuda)
}

/// A CUDA device by its number.
#[derive(Clone, Copy)]
pub(crate) struct Device {
    pub(crate) cuda: &'static Cuda,
    pub(crate) handle: CuDevice,
}

/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR`.
const COMPUTE_MAJOR: i32 = 75;
/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR`.
const COMPUTE_MINOR: i32 = 76;

impl Device {
    /// How many there are; none is not an error.
    pub(crate) fn count() -> Result<i32, GpuError> {
        let cuda = match driver() {
            Err(GpuError::Cuda { code, .. }) if code == CuResult::NO_DEVICE.0 => return Ok(0),
            other => other?,
        };
        let mut count = 0;
        // SAFETY: `count` is writable.
        cuda.check("cuDeviceGetCount", unsafe {
            (cuda.device_get_count)(&raw mut count)
        })?;
        Ok(count)
    }

    pub(crate) fn get(index: i32) -> Result<Self, GpuError> {
        let cuda = driver()?;
        let mut handle = 0;
        // SAFETY: `handle` is writable.
        cuda.check("cuDeviceGet", unsafe {
            (cuda.device_get)(&raw mut handle, index)
        })?;
        Ok(Self { cuda, handle })
    }

    pub(crate) fn name(&self) -> Result<String, GpuError> {
        self.text("cuDeviceGetName", self.cuda.device_get_name)
    }

    /// As in `0000:65:00.0`.
    pub(crate) fn pci_bus_id(&self) -> Result<String, GpuError> {
        self.text("cuDeviceGetPCIBusId", self.cuda.device_get_pci_bus_id)
    }

    pub(crate) fn total_memory(&self) -> Result<u64, GpuError> {
        let mut bytes = 0usize;
        // SAFETY: `bytes` is writable.
        self.cuda.check("cuDeviceTotalMem", unsafe {
            (self.cuda.device_total_mem)(&raw mut bytes, self.handle)
        })?;
        Ok(bytes as u64)
    }

    /// Compute capability.
    pub(crate) fn compute(&self) -> Result<(i32, i32), GpuError> {
        Ok((
            self.attribute(COMPUTE_MAJOR)?,
            self.attribute(COMPUTE_MINOR)?,
        ))
    }

    fn attribute(&self, attribute: i32) -> Result<i32, GpuError> {
        let mut value = 0;
        // SAFETY: `value` is writable.
        self.cuda.check("cuDeviceGetAttribute", unsafe {
            (self.cuda.device_get_attribute)(&raw mut value, attribute, self.handle)
        })?;
        Ok(value)
    }

    fn text(
        &self,
        call: &'static str,
        get: unsafe extern "C" fn(*mut c_char, i32, CuDevice) -> CuResult,
    ) -> Result<String, GpuError> {
        let mut buffer = [0u8; 256];
        // SAFETY: the function writes at most the 255 bytes it is told of, zero included; the
        // last byte stays zero whatever it does.
        let result = unsafe { get(buffer.as_mut_ptr().cast(), 255, self.handle) };
        self.cuda.check(call, result)?;
        let text = buffer.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

/// A device's primary context, held.
pub(crate) struct Context {
    device: Device,
    handle: CuContext,
}

// SAFETY: contexts may be used from any thread (CUDA Driver API, "Context Management"); the
// handle is never written after construction.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    pub(crate) fn retain(device: Device) -> Result<Self, GpuError> {
        let mut handle = ptr::null_mut();
        // SAFETY: `handle` is writable.
        device.cuda.check("cuDevicePrimaryCtxRetain", unsafe {
            (device.cuda.primary_ctx_retain)(&raw mut handle, device.handle)
        })?;
        Ok(Self { device, handle })
    }

    pub(crate) fn cuda(&self) -> &'static Cuda {
        self.device.cuda
    }

    pub(crate) fn handle(&self) -> CuContext {
        self.handle
    }

    /// Makes the context current on this thread until the guard goes, also by a panic.
    pub(crate) fn enter(&self) -> Result<Entered<'_>, GpuError> {
        let cuda = self.device.cuda;
        // SAFETY: the handle is valid as long as `self`.
        cuda.check("cuCtxPushCurrent", unsafe {
            (cuda.ctx_push_current)(self.handle)
        })?;
        Ok(Entered {
            cuda,
            thread: PhantomData,
            context: PhantomData,
        })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: pairs with the retain. A failure (the driver going down at exit) leaves
        // nothing to do.
        unsafe { (self.device.cuda.primary_ctx_release)(self.device.handle) };
    }
}

/// A context is current on this thread.
pub(crate) struct Entered<'a> {
    cuda: &'static Cuda,
    /// What was pushed on this thread is popped on this thread.
    thread: PhantomData<*mut ()>,
    context: PhantomData<&'a Context>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut popped = ptr::null_mut();
        // SAFETY: pairs with the push, on the same thread.
        unsafe { (self.cuda.ctx_pop_current)(&raw mut popped) };
    }
}
