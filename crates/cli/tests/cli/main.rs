//! The `trickle` binary as its users run it.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod basics;
mod files;
mod live;
mod relay;
mod support;
