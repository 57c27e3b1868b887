//! Frames that stay on the GPU.
//!
//! Nothing of NVIDIA's is needed to build, link or start a program with this crate: the driver's
//! libraries are opened at run time, each on its own and only when it is needed.
//!
//! - [`probe()`] says which devices there are, what each can decode and encode, and why not;
//! - [`backends()`] makes the table of backends that a worker is given: a device, the CPU, or both;
//! - [`NvidiaHardware`] gives the devices' load and free memory;
//! - [`Gpu`] is an opened device, [`Stream`] the order of work on it, [`CudaImage`] a picture in
//!   its memory: uploads, conversion, resizing and overlays stay on the device, and only
//!   [`VideoFrame::to_host`](trickle_media::VideoFrame::to_host) comes back from it;
//! - [`CudaBackend`] decodes H.264 and HEVC to frames in device memory, and encodes;
//! - [`Code`] is a program of your own on the device;
//! - [`kernels`] holds what runs on the device: conversion between NV12 and RGB f32, resizing and
//!   overlays, as PTX text that any driver since CUDA 10 loads.

#[cfg(target_os = "linux")]
mod backend;
#[cfg(target_os = "linux")]
mod code;
#[cfg(target_os = "linux")]
mod context;
#[cfg(target_os = "linux")]
mod convert;
#[cfg(target_os = "linux")]
mod device;
#[cfg(target_os = "linux")]
mod dl;
#[cfg(target_os = "linux")]
mod dlpack;
mod error;
#[cfg(target_os = "linux")]
mod image;
pub mod kernels;
#[cfg(target_os = "linux")]
mod monitor;
#[cfg(target_os = "linux")]
mod nvdec;
#[cfg(target_os = "linux")]
mod nvenc;
#[cfg(target_os = "linux")]
mod pool;
mod probe;
mod select;
#[cfg(target_os = "linux")]
mod stream;
#[cfg(target_os = "linux")]
mod worker;

#[cfg(target_os = "linux")]
pub use backend::CudaBackend;
#[cfg(target_os = "linux")]
pub use code::Code;
#[cfg(target_os = "linux")]
pub use convert::Rgba;
#[cfg(target_os = "linux")]
pub use device::Gpu;
pub use error::GpuError;
#[cfg(target_os = "linux")]
pub use image::{CudaImage, Layout};
#[cfg(target_os = "linux")]
pub use monitor::{NvidiaHardware, device_loads};
pub use probe::{CodecCaps, Coding, DeviceReport, MIN_COMPUTE, Report, probe};
pub use select::{Choice, ChoiceError, Refusal, backends};
#[cfg(target_os = "linux")]
pub use stream::Stream;
#[cfg(not(target_os = "linux"))]
pub use trickle_media::hardware::NoHardware as NvidiaHardware;
