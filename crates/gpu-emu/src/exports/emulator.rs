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
    guarded(|driver| {
        let mut lines = driver.alive().join("\n");
        lines.truncate(usize::try_from(room).unwrap_or(0).saturating_sub(1));
        text.put_text(&lines, room)
    })
}
