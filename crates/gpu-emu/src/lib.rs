//! A CUDA device without hardware, for tests only.
//!
//! [`ptx`] runs kernels from their PTX text on the CPU, strictly: it is how the kernels of
//! `trickle-gpu` are tested bit for bit where no GPU is.

pub mod ptx;
