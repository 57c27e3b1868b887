//! A CUDA device without hardware, for tests only.
//!
//! - [`ptx`] runs kernels from their PTX text on the CPU, strictly: it is how the kernels of
//!   `trickle-gpu` are tested bit for bit where no GPU is.
//! - Built as a shared library it is the driver: links named `libcuda.so.1`, `libnvcuvid.so.1`
//!   and `libnvidia-encode.so.1` to it, in a folder on `LD_LIBRARY_PATH`, give an unmodified
//!   program a device. Streams are lazy, device memory faults on the host, and everything that
//!   is still alive can be listed, so that what runs here relies on nothing that is not promised.
//!
//! The device's name says that it is an emulator.

#[cfg(target_os = "linux")]
mod driver;
#[cfg(target_os = "linux")]
mod exports;
pub mod ptx;
#[cfg(target_os = "linux")]
mod settings;
