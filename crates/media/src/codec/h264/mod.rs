//! H.264 decoding on the CPU, whichever library does the arithmetic.
//!
//! | file | what for |
//! |---|---|
//! | `decoder` | access units to frames: what is decoded, shown, skipped and decoded again |
//! | `engine` | what a library must do for that |
//! | `unit` | what the library gets to see of an access unit |
//! | `reorder` | decode order to display order |

mod decoder;
mod engine;
mod reorder;
mod unit;

pub(super) use decoder::H264Decoder;
pub(super) use engine::{Engine, SpsError};
