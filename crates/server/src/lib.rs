//! The worker HTTP API.
#![forbid(unsafe_code)]
