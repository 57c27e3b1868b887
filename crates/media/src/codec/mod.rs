//! The CPU codecs.

mod cpu;
mod openh264;

pub use cpu::CpuBackend;
