//! Audio bitstreams and sample processing: ADTS, LATM, Opus packets, headers of others, resampling, mixing down.

pub mod aac_config;
pub mod adts;
pub(crate) mod clock;
pub mod frame_header;
pub mod latm;
mod mix;
mod normalize;
pub mod opus;
mod resample;
#[cfg(test)]
pub(crate) mod tone;

pub use mix::downmix;
pub use normalize::Normalizer;
pub use opus::SAMPLE_RATE as OPUS_SAMPLE_RATE;
pub use resample::{MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, Resampler};
