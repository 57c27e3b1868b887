//! The `trickle` binary as its users run it.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod basics;
mod config;
#[cfg(target_os = "linux")]
mod cycles;
#[cfg(feature = "ffmpeg")]
mod ffmpeg;
mod files;
#[cfg(target_os = "linux")]
mod gpu;
mod init;
mod live;
mod relay;
mod signals;
mod support;
#[cfg(feature = "otel")]
mod telemetry;
