//! AudioSpecificConfig: how an AAC stream is to be decoded (ISO/IEC 14496-3, 1.6.2.1).

use thiserror::Error;

use crate::bits::{BitError, BitReader};

/// Samples per second by `samplingFrequencyIndex` (table 1.18).
const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// `samplingFrequencyIndex` behind which the rate itself stands.
const EXPLICIT_RATE: u32 = 15;
/// Audio object type 5: spectral band replication, states its core's type behind it.
const SBR: u8 = 5;
/// Audio object type 29: parametric stereo, likewise.
const PARAMETRIC_STEREO: u8 = 29;
/// Audio object type behind which larger numbers stand.
const ESCAPE: u8 = 31;

/// Why bytes are not an AudioSpecificConfig that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AacConfigError {
    /// Cut short.
    #[error("AudioSpecificConfig: {0}")]
    Bits(#[from] BitError),
    /// A reserved index of the table of rates.
    #[error("AudioSpecificConfig: samplingFrequencyIndex {0} is reserved")]
    RateIndex(u32),
    /// The rate is zero.
    #[error("AudioSpecificConfig: a sampling frequency of 0 Hz")]
    NoRate,
    /// The channels are stated in the stream (0) or by a number that nothing stands behind.
    #[error("AudioSpecificConfig: channelConfiguration {0} names no channels")]
    Channels(u8),
}

/// The fields of an AudioSpecificConfig that every kind of AAC has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// Audio object type of the core: 2 is AAC-LC.
    pub object_type: u8,
    /// Samples per second of the core.
    pub sample_rate: u32,
    /// `channelConfiguration` (table 1.19).
    pub channel_config: u8,
    /// Samples per second that spectral band replication makes of it, where it is announced.
    pub extended_rate: Option<u32>,
    /// Samples per frame and channel of the core: 1024, or 960.
    pub frame_samples: u32,
}

impl AudioSpecificConfig {
    /// Reads a configuration, such as an MP4 file's `esds` box holds.
    ///
    /// # Errors
    /// [`AacConfigError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AacConfigError> {
        Self::read(&mut BitReader::plain(bytes))
    }

    /// Reads a configuration up to and including its `frameLengthFlag`.
    pub(super) fn read(bits: &mut BitReader<'_>) -> Result<Self, AacConfigError> {
        let mut object_type = read_object_type(bits)?;
        let sample_rate = read_rate(bits)?;
        let channel_config = bits.bits(4)? as u8;
        let mut extended_rate = None;
        if matches!(object_type, SBR | PARAMETRIC_STEREO) {
            extended_rate = Some(read_rate(bits)?);
            object_type = read_object_type(bits)?;
        }
        // frameLengthFlag, the first field of GASpecificConfig (4.4.1).
        let short = bits.flag()?;
        let config = Self {
            object_type,
            sample_rate,
            channel_config,
            extended_rate,
            frame_samples: if short { 960 } else { 1024 },
        };
        config.channels()?;
        Ok(config)
    }

    /// That of AAC-LC with frames of 1024 samples.
    pub const fn lc(sample_rate: u32, channels: u8) -> Self {
        Self {
            object_type: 2,
            sample_rate,
            channel_config: channels,
            extended_rate: None,
            frame_samples: 1_024,
        }
    }

    /// The configuration of a stream without extensions, as two bytes where its rate is in the
    /// table, else five.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut value = u64::from(self.object_type & 0x1f);
        let mut length = 5;
        let mut put = |bits: u32, field: u64| {
            value = value << bits | field;
            length += bits;
        };
        match rate_index(self.sample_rate) {
            Some(index) => put(4, u64::from(index)),
            None => {
                put(4, u64::from(EXPLICIT_RATE));
                put(24, u64::from(self.sample_rate & 0xff_ffff));
            }
        }
        put(4, u64::from(self.channel_config & 0xf));
        // frameLengthFlag, dependsOnCoreCoder, extensionFlag
        put(1, u64::from(self.frame_samples == 960));
        put(2, 0);
        let bytes = length.div_ceil(8);
        let value = value << (8 * bytes - length);
        value
            .to_be_bytes()
            .into_iter()
            .skip(8 - bytes as usize)
            .collect()
    }

    /// Number of channels (table 1.19).
    ///
    /// # Errors
    /// [`AacConfigError::Channels`] when the number stands for none.
    pub fn channels(&self) -> Result<u8, AacConfigError> {
        channels(self.channel_config).ok_or(AacConfigError::Channels(self.channel_config))
    }
}

/// Channels by `channelConfiguration` (table 1.19).
pub(super) fn channels(config: u8) -> Option<u8> {
    match config {
        1..=6 => Some(config),
        7 | 12 | 14 => Some(8),
        11 => Some(7),
        _ => None,
    }
}

/// The rate behind an index; `None` for reserved ones.
pub(super) fn rate_of_index(index: u8) -> Option<u32> {
    SAMPLE_RATES.get(usize::from(index)).copied()
}

/// The index of a rate; `None` where the table has none.
pub(super) fn rate_index(rate: u32) -> Option<u8> {
    let at = SAMPLE_RATES.iter().position(|&known| known == rate)?;
    u8::try_from(at).ok()
}

fn read_object_type(bits: &mut BitReader<'_>) -> Result<u8, BitError> {
    let object_type = bits.bits(5)? as u8;
    if object_type == ESCAPE {
        return Ok(32 + bits.bits(6)? as u8);
    }
    Ok(object_type)
}

fn read_rate(bits: &mut BitReader<'_>) -> Result<u32, AacConfigError> {
    let index = bits.bits(4)?;
    let rate = if index == EXPLICIT_RATE {
        bits.bits(24)?
    } else {
        rate_of_index(index as u8).ok_or(AacConfigError::RateIndex(index))?
    };
    if rate == 0 {
        return Err(AacConfigError::NoRate);
    }
    Ok(rate)
}

#[cfg(test)]
#[path = "aac_config_test.rs"]
mod tests;
