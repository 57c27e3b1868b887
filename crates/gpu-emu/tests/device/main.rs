//! `trickle-gpu` on the emulated driver, which it opens as it opens the real one.
//!
//! Every test runs in a process of its own, because a driver is one per process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // Helpers of tests may, like tests.

mod damage;
mod decode;
mod dlpack;
mod emulated;
mod encode;
mod encode_faults;
mod faults;
mod frames;
mod pipeline;
mod probe;
mod rules;
mod rules_encoder;
mod select;
mod sharing;
mod unmodified;
