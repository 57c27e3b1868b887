//! Memory: allocation, copies, fills.

use std::ffi::{c_int, c_uint, c_void};

use super::pointer::{In, Out};
use crate::driver::{
    Driver, Handle, HostBytes, Status, Until, Work, call_in_context, device_memory,
};
use crate::settings::setting;

#[unsafe(no_mangle)]
extern "C" fn cuMemAlloc_v2(address: Out<u64>, bytes: usize) -> c_int {
    call_in_context(|driver| address.put(driver.memory.allocate(bytes)?))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFree_v2(address: u64) -> c_int {
    call_in_context(|driver| {
        if address == 0 {
            Ok(())
        } else {
            driver.memory.free(address)
        }
    })
}

/// Stream-ordered memory: on machines that have pools.
#[unsafe(no_mangle)]
extern "C" fn cuMemAllocAsync(address: Out<u64>, bytes: usize, stream: Handle) -> c_int {
    call_in_context(|driver| {
        if !setting("memory-pools") {
            return Err(Status::NOT_SUPPORTED);
        }
        driver.streams.check(stream)?;
        address.put(driver.memory.allocate_pooled(bytes)?)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFreeAsync(address: u64, stream: Handle) -> c_int {
    call_in_context(|driver| {
        if !driver.memory.is_pooled(address) {
            return Err(Status::INVALID_VALUE);
        }
        driver.streams.push(stream, Work::Free(address))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) -> c_int {
    call_in_context(|driver| {
        free.put(driver.memory.available())?;
        total.put(device_memory())
    })
}

/// An end of a copy.
#[derive(Clone, Copy)]
enum End {
    Host(*mut u8),
    Device(u64),
}

impl End {
    fn offset(self, bytes: usize) -> Self {
        match self {
            Self::Host(address) => Self::Host(address.wrapping_add(bytes)),
            Self::Device(address) => Self::Device(address.wrapping_add(bytes as u64)),
        }
    }
}

/// What a copy of `bytes` is for a stream; refused at once when device memory is too short.
fn copy(driver: &Driver, from: End, to: End, bytes: usize) -> Result<Work, Status> {
    for end in [from, to] {
        let fits = match end {
            End::Host(address) => !address.is_null(),
            End::Device(address) => driver.memory.holds(address, bytes),
        };
        if !fits {
            return Err(Status::INVALID_VALUE);
        }
    }
    Ok(match (from, to) {
        (End::Host(from), End::Device(to)) => Work::Upload {
            from: HostBytes(from),
            to,
            bytes,
        },
        (End::Device(from), End::Host(to)) => Work::Download {
            from,
            to: HostBytes(to),
            bytes,
        },
        (End::Device(from), End::Device(to)) => Work::Copy { from, to, bytes },
        (End::Host(_), End::Host(_)) => return Err(Status::INVALID_VALUE),
    })
}

/// A copy that the caller waits for: it also waits for the default stream, and for nothing else
/// that was created non-blocking.
fn copy_now(from: End, to: End, bytes: usize) -> c_int {
    call_in_context(|driver| {
        let work = copy(driver, from, to, bytes)?;
        driver.streams.push(0, work)?;
        driver.run(Until::Stream(0))
    })
}

fn copy_later(from: End, to: End, bytes: usize, stream: Handle) -> c_int {
    call_in_context(|driver| {
        let work = copy(driver, from, to, bytes)?;
        driver.streams.push(stream, work)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, bytes: usize) -> c_int {
    copy_now(End::Host(from.cast_mut().cast()), End::Device(to), bytes)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize) -> c_int {
    copy_now(End::Device(from), End::Host(to.cast()), bytes)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyHtoDAsync_v2(
    to: u64,
    from: *const c_void,
    bytes: usize,
    stream: Handle,
) -> c_int {
    copy_later(
        End::Host(from.cast_mut().cast()),
        End::Device(to),
        bytes,
        stream,
    )
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoHAsync_v2(
    to: *mut c_void,
    from: u64,
    bytes: usize,
    stream: Handle,
) -> c_int {
    copy_later(End::Device(from), End::Host(to.cast()), bytes, stream)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) -> c_int {
    copy_later(End::Device(from), End::Device(to), bytes, stream)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD8Async(to: u64, value: u8, bytes: usize, stream: Handle) -> c_int {
    call_in_context(|driver| {
        if !driver.memory.holds(to, bytes) {
            return Err(Status::INVALID_VALUE);
        }
        driver.streams.push(stream, Work::Fill { to, value, bytes })
    })
}

/// One side of a [`Copy2d`].
#[repr(C)]
struct Side {
    x: usize,
    y: usize,
    kind: c_uint,
    host: *mut c_void,
    device: u64,
    array: *mut c_void,
    pitch: usize,
}

/// `CUDA_MEMCPY2D`.
#[repr(C)]
struct Copy2d {
    from: Side,
    to: Side,
    width: usize,
    height: usize,
}

/// `CU_MEMORYTYPE_HOST` and `CU_MEMORYTYPE_DEVICE`.
const HOST: c_uint = 1;
const DEVICE: c_uint = 2;

impl Side {
    /// Where row `row` starts. Rows wider than the pitch are refused.
    fn row(&self, row: usize, width: usize) -> Result<End, Status> {
        if self.pitch < self.x + width {
            return Err(Status::INVALID_VALUE);
        }
        let first = match self.kind {
            HOST => End::Host(self.host.cast()),
            DEVICE => End::Device(self.device),
            _ => return Err(Status::INVALID_VALUE),
        };
        Ok(first.offset((self.y + row) * self.pitch + self.x))
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpy2DAsync_v2(params: In<Copy2d>, stream: Handle) -> c_int {
    call_in_context(|driver| {
        let params = params.get()?;
        let mut rows = Vec::new();
        for row in 0..params.height {
            let from = params.from.row(row, params.width)?;
            let to = params.to.row(row, params.width)?;
            rows.push(copy(driver, from, to, params.width)?);
        }
        // All of it, or nothing.
        rows.into_iter()
            .try_for_each(|work| driver.streams.push(stream, work))
    })
}
