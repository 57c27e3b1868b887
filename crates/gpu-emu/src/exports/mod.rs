//! The C functions that programs find in `libcuda.so.1` and its sisters.
//!
//! All of them are in one file: the libraries' names are links to it, so that they share their
//! state as the driver's do.

mod cuda;
mod cuda_memory;
mod cuda_work;
mod cuvid;
mod emulator;
mod nvenc;
mod nvenc_work;
mod nvml;
mod pointer;
