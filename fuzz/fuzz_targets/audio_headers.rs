//! Any bytes are read as ADTS, AudioSpecificConfig and Opus headers without panic; what is read
//! never reaches beyond them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trickle_media::audio::aac_config::AudioSpecificConfig;
use trickle_media::audio::adts::AdtsHeader;
use trickle_media::audio::opus::{ControlHeader, packet_samples};

fuzz_target!(|data: &[u8]| {
    if let Ok(header) = AdtsHeader::parse(data) {
        assert!(header.header_len < header.frame_len);
        assert!(AdtsHeader::of_config(&header.config()).is_ok());
    }
    if let Ok(config) = AudioSpecificConfig::parse(data) {
        assert!(config.sample_rate > 0 && config.channels().is_ok());
        let _ = config.to_bytes();
    }
    if let Ok(header) = ControlHeader::parse(data) {
        assert!(header.header_len + header.packet_len <= data.len());
    }
    if let Ok(samples) = packet_samples(data) {
        assert!((120..=5_760).contains(&samples));
    }
});
