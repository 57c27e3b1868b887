//! The CPU codecs.

mod aac;
mod aac_encoder;
mod audio;
mod cpu;
mod h264;
mod openh264;
mod opus_decoder;
mod opus_encoder;
mod rust_h264;
mod sound_encoder;

pub use aac::AacDecoder;
pub use aac_encoder::{AacEncoder, AacEncoderSettings};
pub use audio::open_audio_decoder;
pub use cpu::CpuBackend;
pub use openh264::give_memory_back;
pub use opus_decoder::OpusDecoder;
pub use opus_encoder::{OPUS_PACKET_SAMPLES, OpusEncoder, OpusEncoderSettings};
