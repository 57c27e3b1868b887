//! Runs PTX on the CPU, instruction by instruction, so that what is tested is what ships.
//!
//! Only what the project's kernels use is understood; everything else is refused with its line,
//! never guessed at. Arithmetic is that of the PTX ISA: f32 without fused multiply-add and
//! without flushing of denormals, NaN results in canonical form. An access outside the memory
//! that was handed out stops the launch and names the line, the thread and the address.

mod decode;
mod error;
mod exec;
mod isa;
mod memory;
mod parse;

pub use error::{Access, Fault, LaunchError, ParseError, Problem};
pub use exec::{Launch, Order, ThreadId};
pub use memory::{Arena, Memory};
pub use parse::{Kernel, Module, Param};

#[cfg(test)]
#[path = "ptx_test.rs"]
mod tests;
