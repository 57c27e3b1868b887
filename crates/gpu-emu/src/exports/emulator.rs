//! What only the emulator has: its name and its report of what is still alive.

use std::ffi::c_char;

use super::pointer::Out;
use crate::driver::guarded;

/// Nobody takes it for hardware.
pub(super) const NAME: &str = "trickle emulator (no hardware)";
/// Compute capability.
pub(super) const COMPUTE: (i32, i32) = (8, 6);

/// Writes what is alive, or was when its context went, a line each; nothing, once a program has
/// let go of everything.
#[unsafe(no_mangle)]
extern "C" fn trickleEmulatorAlive(text: Out<c_char>, room: i32) -> i32 {
    guarded(|machine| {
        let mut lines = machine.alive().join("\n");
        lines.truncate(usize::try_from(room).unwrap_or(0).saturating_sub(1));
        text.put_text(&lines, room)
    })
}

/// Times that a context was made on a device.
#[unsafe(no_mangle)]
extern "C" fn trickleEmulatorContexts(device: i32) -> i32 {
    let mut made = 0;
    guarded(|machine| {
        let device = usize::try_from(device).ok();
        let device = device.and_then(|device| machine.devices.get(device));
        made = device.map_or(0, |device| device.context.made).cast_signed();
        Ok(())
    });
    made
}

/// Has the end of the process say what is alive then.
pub(super) fn report_at_exit() {
    extern "C" fn report() {
        guarded(|machine| {
            let alive = machine.alive();
            if alive.is_empty() {
                eprintln!("emulated device: nothing is alive at the end");
            }
            for left in alive {
                eprintln!("emulated device: still alive at the end: {left}");
            }
            Ok(())
        });
    }
    // SAFETY: the function may run at any time, and the library is never unloaded.
    unsafe { libc::atexit(report) };
}
