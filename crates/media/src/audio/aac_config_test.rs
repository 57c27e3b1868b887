//! AudioSpecificConfig: what encoders write, round trips, refusals.

use super::*;

#[test]
fn the_two_bytes_of_plain_aac_lc() {
    // AAC-LC, 44.1 kHz, stereo: the best known two bytes of all.
    let config = AudioSpecificConfig::parse(&[0x12, 0x10]).unwrap();
    assert_eq!(config.object_type, 2);
    assert_eq!(config.sample_rate, 44_100);
    assert_eq!(config.channels(), Ok(2));
    assert_eq!(config.frame_samples, 1024);
    assert_eq!(config.to_bytes(), [0x12, 0x10]);
}

#[test]
fn a_rate_outside_the_table_is_written_out() {
    let config = AudioSpecificConfig {
        object_type: 2,
        sample_rate: 12_345,
        channel_config: 7,
        extended_rate: None,
        frame_samples: 960,
    };
    let bytes = config.to_bytes();
    assert_eq!(bytes.len(), 5);
    assert_eq!(AudioSpecificConfig::parse(&bytes), Ok(config));
    assert_eq!(config.channels(), Ok(8));
}

#[test]
fn he_aac_states_both_rates() {
    // Object type 5, 24 kHz, 2 channels, extended to 48 kHz, core object type 2.
    let bytes = [0b0010_1011, 0b0001_0001, 0b1000_1000];
    let config = AudioSpecificConfig::parse(&bytes).unwrap();
    assert_eq!(config.object_type, 2);
    assert_eq!(config.sample_rate, 24_000);
    assert_eq!(config.extended_rate, Some(48_000));
}

#[test]
fn what_names_nothing_is_refused() {
    assert_eq!(
        AudioSpecificConfig::parse(&[0x12]),
        Err(AacConfigError::Bits(BitError::End))
    );
    // Index 13 is reserved.
    assert_eq!(
        AudioSpecificConfig::parse(&[0x16, 0x90]),
        Err(AacConfigError::RateIndex(13))
    );
    // Channel configuration 0.
    assert_eq!(
        AudioSpecificConfig::parse(&[0x12, 0x00]),
        Err(AacConfigError::Channels(0))
    );
}
