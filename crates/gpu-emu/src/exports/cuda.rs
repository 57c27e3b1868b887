//! Initialisation, device, contexts, modules.

use std::ffi::{c_char, c_int, c_uint};
use std::ptr;

use super::emulator::{COMPUTE, NAME, report_at_exit};
use super::pointer::{Out, Text};
use crate::driver::{
    Handle, Machine, Status, call, call_in_context, call_on, current, device_memory, devices,
    guarded, handle, push, with_stack,
};
use crate::ptx::Module;
use crate::settings::setting;

#[unsafe(no_mangle)]
extern "C" fn cuInit(flags: c_uint) -> c_int {
    guarded(|machine| {
        if flags != 0 {
            return Err(Status::INVALID_VALUE);
        }
        if devices() == 0 {
            return Err(Status::NO_DEVICE);
        }
        if !machine.initialized && setting("report-at-exit") {
            report_at_exit();
        }
        machine.initialized = true;
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuGetErrorName(code: c_int, name: Out<*const c_char>) -> c_int {
    guarded(|_| match Status::name(code) {
        Some(text) => name.put(text.as_ptr().cast()),
        None => name.put(ptr::null()).and(Err(Status::INVALID_VALUE)),
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuGetErrorString(code: c_int, text: Out<*const c_char>) -> c_int {
    cuGetErrorName(code, text)
}

#[unsafe(no_mangle)]
extern "C" fn cuDriverGetVersion(version: Out<c_int>) -> c_int {
    guarded(|_| version.put(12_020))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetCount(count: Out<c_int>) -> c_int {
    call(|_| count.put(devices() as c_int))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGet(device: Out<c_int>, index: c_int) -> c_int {
    call_on(index, |_| device.put(index))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetName(name: Out<c_char>, room: c_int, device: c_int) -> c_int {
    call_on(device, |_| name.put_text(NAME, room))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetPCIBusId(id: Out<c_char>, room: c_int, device: c_int) -> c_int {
    call_on(device, |_| {
        id.put_text(&format!("0000:{device:02}:00.0"), room)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceTotalMem_v2(bytes: Out<usize>, device: c_int) -> c_int {
    call_on(device, |_| bytes.put(device_memory()))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetAttribute(value: Out<c_int>, attribute: c_int, device: c_int) -> c_int {
    call_on(device, |_| {
        value.put(match attribute {
            // MAX_THREADS_PER_BLOCK, WARP_SIZE, MULTIPROCESSOR_COUNT.
            1 => 1024,
            10 => 32,
            16 => 1,
            // COMPUTE_CAPABILITY_MAJOR, _MINOR.
            75 => COMPUTE.0,
            76 => COMPUTE.1,
            // MEMORY_POOLS_SUPPORTED.
            115 => setting("memory-pools").into(),
            _ => return Err(Status::INVALID_VALUE),
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRetain(context: Out<Handle>, device: c_int) -> c_int {
    call_on(device, |driver| {
        if driver.context.retained == 0 {
            driver.context.handle = handle();
            driver.context.made += 1;
        }
        driver.context.retained += 1;
        context.put(driver.context.handle)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRelease_v2(device: c_int) -> c_int {
    call_on(device, |driver| {
        if driver.context.retained == 0 {
            return Err(Status::INVALID_CONTEXT);
        }
        driver.context.retained -= 1;
        if driver.context.retained == 0 {
            driver.bury();
        }
        Ok(())
    })
}

/// Takes everything in the context away, whoever else retained it: what `cudaDeviceReset` does.
#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxReset_v2(device: c_int) -> c_int {
    call_on(device, |driver| {
        driver.reset();
        Ok(())
    })
}

/// A handle that may be pushed: a primary context's, alive.
fn check_context(machine: &mut Machine, context: Handle) -> Result<(), Status> {
    let device = machine.of_context(context);
    device.map(|_| ()).ok_or(Status::CONTEXT_IS_DESTROYED)
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxPushCurrent_v2(context: Handle) -> c_int {
    call(|machine| {
        check_context(machine, context)?;
        push(Some(context));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxPopCurrent_v2(context: Out<Handle>) -> c_int {
    // Also after a sticky error: unwinding must be possible.
    guarded(|_| {
        let popped = with_stack(Vec::pop).ok_or(Status::INVALID_CONTEXT)?;
        if context.is_null() {
            return Ok(());
        }
        context.put(popped.unwrap_or(0))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetCurrent(context: Handle) -> c_int {
    call(|machine| {
        if context != 0 {
            check_context(machine, context)?;
        }
        with_stack(|stack| {
            stack.pop();
            if context != 0 {
                stack.push(Some(context));
            }
        });
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxGetCurrent(context: Out<Handle>) -> c_int {
    // Like popping, it answers after a sticky error.
    guarded(|_| context.put(current().unwrap_or(0)))
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleLoadData(module: Out<Handle>, image: Text) -> c_int {
    call_in_context(|driver| {
        let parsed = Module::parse(image.get()?).map_err(|error| {
            eprintln!("emulated device: {error}");
            Status::INVALID_PTX
        })?;
        let handle = handle();
        driver.modules.insert(handle, parsed);
        module.put(handle)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleUnload(module: Handle) -> c_int {
    call_in_context(|driver| {
        driver
            .modules
            .remove(&module)
            .ok_or(Status::INVALID_HANDLE)?;
        driver.functions.retain(|_, (owner, _)| *owner != module);
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleGetFunction(function: Out<Handle>, module: Handle, name: Text) -> c_int {
    call_in_context(|driver| {
        let name = name.get()?;
        let found = driver.modules.get(&module).ok_or(Status::INVALID_HANDLE)?;
        found.kernel(name).ok_or(Status::NOT_FOUND)?;
        let handle = handle();
        driver.functions.insert(handle, (module, name.to_owned()));
        function.put(handle)
    })
}
