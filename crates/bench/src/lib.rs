//! Measures a trickle worker from outside.

#![forbid(unsafe_code)]

pub mod latency;
pub mod usage;
