//! Streams, events and launches.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr;

use super::pointer::Out;
use crate::driver::{Handle, Status, Until, Work, call_in_context, handle};
use crate::ptx::{Launch, Order, Param};
use crate::settings::setting;

#[unsafe(no_mangle)]
extern "C" fn cuStreamCreate(stream: Out<Handle>, flags: c_uint) -> c_int {
    call_in_context(|driver| {
        // CU_STREAM_NON_BLOCKING: what a program with streams of its own wants. The others wait
        // for the default stream and it for them, which is not emulated.
        if flags != 1 {
            return Err(Status::INVALID_VALUE);
        }
        let handle = handle();
        driver.streams.create(handle);
        stream.put(handle)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamDestroy_v2(stream: Handle) -> c_int {
    call_in_context(|driver| driver.streams.destroy(stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamSynchronize(stream: Handle) -> c_int {
    call_in_context(|driver| driver.run(Until::Stream(stream)))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamQuery(stream: Handle) -> c_int {
    // Asking once shows that work is waiting; asking again shows that it was done meanwhile.
    call_in_context(|driver| {
        if driver.streams.is_idle(stream)? {
            return Ok(());
        }
        driver.run(Until::Stream(stream))?;
        Err(Status::NOT_READY)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamWaitEvent(stream: Handle, event: Handle, flags: c_uint) -> c_int {
    call_in_context(|driver| {
        if flags != 0 {
            return Err(Status::INVALID_VALUE);
        }
        driver.streams.wait(stream, event)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSynchronize() -> c_int {
    call_in_context(|driver| driver.run(Until::All))
}

#[unsafe(no_mangle)]
extern "C" fn cuEventCreate(event: Out<Handle>, _flags: c_uint) -> c_int {
    call_in_context(|driver| {
        let handle = handle();
        driver.streams.create_event(handle);
        event.put(handle)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventDestroy_v2(event: Handle) -> c_int {
    call_in_context(|driver| driver.streams.destroy_event(event))
}

#[unsafe(no_mangle)]
extern "C" fn cuEventRecord(event: Handle, stream: Handle) -> c_int {
    call_in_context(|driver| driver.streams.record(event, stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuEventSynchronize(event: Handle) -> c_int {
    call_in_context(|driver| match driver.streams.recorded(event)? {
        Some(point) => driver.run(Until::Reached(point)),
        None => Ok(()),
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventQuery(event: Handle) -> c_int {
    call_in_context(|driver| match driver.streams.recorded(event)? {
        Some(point) if !driver.streams.is_reached(point) => {
            driver.run(Until::Reached(point))?;
            Err(Status::NOT_READY)
        }
        _ => Ok(()),
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuLaunchKernel(
    function: Handle,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared_bytes: c_uint,
    stream: Handle,
    params: *const *const c_void,
    extra: *const *const c_void,
) -> c_int {
    call_in_context(|driver| {
        let (module, name) = driver
            .functions
            .get(&function)
            .ok_or(Status::INVALID_HANDLE)?;
        let found = driver.modules.get(module).ok_or(Status::INVALID_HANDLE)?;
        let kernel = found.kernel(name).ok_or(Status::NOT_FOUND)?;
        let launch = Launch {
            grid: [grid_x, grid_y, grid_z],
            block: [block_x, block_y, block_z],
            order: Order::Forward,
        };
        if shared_bytes != 0 || launch.check().is_err() {
            return Err(Status::INVALID_VALUE);
        }
        let params = match (params.is_null(), extra.is_null()) {
            (false, true) => each(params, kernel.params()),
            (true, false) => packed(extra, kernel.param_bytes())?,
            (true, true) if kernel.param_bytes() == 0 => Vec::new(),
            _ => return Err(Status::INVALID_VALUE),
        };
        let work = if setting("kernels-fail") {
            Work::Fail(Status::LAUNCH_FAILED)
        } else {
            Work::Launch {
                module: *module,
                kernel: name.clone(),
                launch,
                params,
            }
        };
        driver.streams.push(stream, work)
    })
}

/// Parameters by one pointer each.
fn each(pointers: *const *const c_void, params: &[Param]) -> Vec<u8> {
    let len = params.last().map_or(0, |last| last.offset + last.bytes);
    let mut bytes = vec![0; len];
    for (index, param) in params.iter().enumerate() {
        let to = &mut bytes[param.offset..param.offset + param.bytes];
        // SAFETY: the caller promised a pointer to each of the kernel's parameters.
        unsafe {
            let from: *const u8 = (*pointers.add(index)).cast();
            ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len());
        }
    }
    bytes
}

/// `CU_LAUNCH_PARAM_END`, `_BUFFER_POINTER`, `_BUFFER_SIZE`.
const END: usize = 0;
const BUFFER: usize = 1;
const SIZE: usize = 2;

/// Parameters in one buffer: key, value, key, value, end.
fn packed(extra: *const *const c_void, expected: usize) -> Result<Vec<u8>, Status> {
    let (mut buffer, mut size) = (ptr::null::<u8>(), 0);
    for pair in 0..2 {
        // SAFETY: the caller promised a list that ends with `END`, which is looked for.
        let (key, value) = unsafe { (*extra.add(2 * pair), *extra.add(2 * pair + 1)) };
        match key.addr() {
            END => break,
            BUFFER => buffer = value.cast(),
            // SAFETY: the value of this key is a pointer to the size.
            SIZE => size = unsafe { *value.cast::<usize>() },
            _ => return Err(Status::INVALID_VALUE),
        }
    }
    if buffer.is_null() || size != expected {
        return Err(Status::INVALID_VALUE);
    }
    // SAFETY: the caller promised `size` bytes there.
    Ok(unsafe { std::slice::from_raw_parts(buffer, size) }.to_vec())
}
