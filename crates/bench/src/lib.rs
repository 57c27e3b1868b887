//! Measures a trickle worker from outside: any worker with the `/api/stream` API, through any
//! relay.
//!
//! A clip is published as a live stream, the worker is told to process it, and its output is
//! read. Each frame is recognised by its timestamp, and timed from its last byte in to its first
//! byte out; CPU time and memory are those of the worker's process. [`find_max`] raises the pace
//! until the worker no longer keeps up.

#![forbid(unsafe_code)]

pub mod find_max;
pub mod first_bytes;
pub mod latency;
pub mod pipeline;
pub mod source;

pub use find_max::MaxReport;
pub use pipeline::{PipelineConfig, PipelineError, PipelineReport};
pub use source::{Clip, ClipError};
