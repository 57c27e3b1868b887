//! The CPU codecs.

mod aac;
mod audio;
mod cpu;
mod openh264;
mod opus_decoder;
mod opus_encoder;

pub use aac::AacDecoder;
pub use audio::open_audio_decoder;
pub use cpu::CpuBackend;
pub use opus_decoder::OpusDecoder;
pub use opus_encoder::{OPUS_PACKET_SAMPLES, OpusEncoder, OpusEncoderSettings};
