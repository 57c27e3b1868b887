//! The video encoder: frames on the device in, access units out.
//!
//! `api` has the library's functions, `session` an open session, `config` what it is told to
//! encode like, `buffers` its input and output, `encoder` the whole as an `Encoder`.

mod api;
mod buffers;
mod caps;
mod config;
mod encoder;
mod session;

pub(crate) use caps::encoder_caps;
pub(crate) use encoder::NvEncoder;
