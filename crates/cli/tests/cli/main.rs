//! The `trickle` binary as its users run it.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod basics;
mod config;
mod files;
mod init;
mod live;
mod relay;
mod signals;
mod support;
