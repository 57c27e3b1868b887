//! The kernels that ship, run from their PTX and compared with scalar programs.

#![allow(clippy::unwrap_used)] // Helpers of tests may, like tests.

mod color;
mod convert;
#[cfg(target_os = "linux")]
mod hardware;
mod overlay;
mod resize;
mod support;
