//! The video decoder: what a device can decode.

mod caps;

pub(crate) use caps::decoder_caps;
