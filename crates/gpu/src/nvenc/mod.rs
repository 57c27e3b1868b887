//! The video encoder: its function list, and what a device can encode.

mod api;
mod caps;

pub(crate) use caps::encoder_caps;
