//! H.264 that OpenH264 does not decode: interlaced, 10-bit, 4:2:2 and monochrome, through the
//! pure-Rust crate rust_h264.
//!
//! What its pictures become is in [`Samples`](crate::frame::Samples).

mod engine;

pub(super) use engine::RustH264;
