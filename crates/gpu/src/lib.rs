//! Frames that stay on the GPU.
//!
//! Nothing of NVIDIA's is needed to build, link or start a program with this crate: the driver's
//! libraries are opened at run time, each on its own and only when it is needed.
//!
//! - [`probe()`] says which devices there are, what each can decode and encode, and why not;
//! - [`device_loads`] gives their load and free memory;
//! - [`kernels`] holds what runs on the device: conversion between NV12 and RGB f32, resizing and
//!   overlays, as PTX text that any driver since CUDA 10 loads.

#[cfg(target_os = "linux")]
mod context;
#[cfg(target_os = "linux")]
mod dl;
mod error;
pub mod kernels;
#[cfg(target_os = "linux")]
mod monitor;
#[cfg(target_os = "linux")]
mod nvdec;
#[cfg(target_os = "linux")]
mod nvenc;
mod probe;

pub use error::GpuError;
#[cfg(target_os = "linux")]
pub use monitor::{DeviceLoad, device_loads};
pub use probe::{CodecCaps, Coding, DeviceReport, MIN_COMPUTE, Report, probe};
