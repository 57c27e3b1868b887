//! The video decoder: access units in, pictures in device memory out.
//!
//! NVIDIA's parser cuts the stream into pictures and calls back, always within a call of ours:
//! at a new sequence (`callbacks`), at a picture to be decoded, at a picture to be shown. The
//! hardware's surfaces are borrowed from the decoder for the time of one device-to-device copy
//! (`engine`), never longer.

mod callbacks;
mod caps;
mod decoder;
mod engine;

pub(crate) use caps::decoder_caps;
pub(crate) use decoder::NvDecoder;
