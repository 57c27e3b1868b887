//! ADTS: AAC frames that each state their configuration (ISO/IEC 13818-7, 6.2).

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use super::aac_config::{self, AudioSpecificConfig};
use crate::access_unit::Codec;
use crate::stream::AudioParams;

/// Bytes of a header without CRC.
pub const HEADER_LEN: usize = 7;
/// Bytes that a CRC adds to a header.
const CRC_LEN: usize = 2;
/// The longest frame that `aac_frame_length` can state, header included.
pub const MAX_FRAME_LEN: usize = (1 << 13) - 1;
/// Samples per frame and channel.
pub const FRAME_SAMPLES: u32 = 1024;

/// Why bytes are not an ADTS header that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AdtsError {
    /// Fewer bytes than a header has.
    #[error("ADTS header: {0} of {HEADER_LEN} bytes are there")]
    Short(usize),
    /// No syncword.
    #[error("ADTS header: no syncword, the bytes are {0:02x} {1:02x}")]
    Sync(u8, u8),
    /// A reserved index of the table of rates.
    #[error("ADTS header: sampling_frequency_index {0} is reserved")]
    RateIndex(u8),
    /// The channels are stated by a program config element inside the frame.
    #[error(
        "ADTS header: channel_configuration 0 (channels stated in the stream) is not supported"
    )]
    ChannelsInStream,
    /// The frame is shorter than its own header.
    #[error("ADTS header: a frame of {0} bytes is shorter than its header")]
    Length(usize),
    /// Several raw data blocks in a frame, which cannot be told apart without decoding.
    #[error("ADTS header: {0} raw data blocks in a frame; only one is supported")]
    Blocks(u8),
}

/// Why a frame cannot be written behind an ADTS header.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AdtsWriteError {
    /// ADTS has room for the object types 1 to 4.
    #[error("ADTS cannot carry AAC of audio object type {0}")]
    ObjectType(u8),
    /// ADTS has room for rates of the table only.
    #[error("ADTS cannot carry a sample rate of {0} Hz")]
    Rate(u32),
    /// ADTS has room for the channel configurations 1 to 7.
    #[error("ADTS cannot carry channelConfiguration {0}")]
    Channels(u8),
    /// The frame is too long for the field that states its length.
    #[error("ADTS cannot carry a frame of {0} bytes")]
    Length(usize),
}

/// The header of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdtsHeader {
    /// Audio object type, 1 to 4: 2 is AAC-LC.
    pub object_type: u8,
    /// `sampling_frequency_index`, 0 to 12.
    pub rate_index: u8,
    /// `channel_configuration`, 1 to 7.
    pub channel_config: u8,
    /// Bytes of header and frame together.
    pub frame_len: usize,
    /// Bytes of the header: 7, or 9 with a CRC.
    pub header_len: usize,
}

impl AdtsHeader {
    /// Reads the header at the start of `bytes`.
    ///
    /// # Errors
    /// [`AdtsError`] names the field that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, AdtsError> {
        let Some(&[b0, b1, b2, b3, b4, b5, b6]) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(AdtsError::Short(bytes.len()));
        };
        // Twelve ones, any ID, layer 0.
        if b0 != 0xff || b1 & 0xf6 != 0xf0 {
            return Err(AdtsError::Sync(b0, b1));
        }
        let rate_index = b2 >> 2 & 0xf;
        if aac_config::rate_of_index(rate_index).is_none() {
            return Err(AdtsError::RateIndex(rate_index));
        }
        let channel_config = (b2 & 1) << 2 | b3 >> 6;
        let protected = b1 & 1 == 0;
        let header_len = HEADER_LEN + if protected { CRC_LEN } else { 0 };
        let frame_len = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5) >> 5;
        if frame_len <= header_len {
            return Err(AdtsError::Length(frame_len));
        }
        let blocks = (b6 & 3) + 1;
        if blocks > 1 {
            return Err(AdtsError::Blocks(blocks));
        }
        if channel_config == 0 {
            return Err(AdtsError::ChannelsInStream);
        }
        Ok(Self {
            object_type: (b2 >> 6) + 1,
            rate_index,
            channel_config,
            frame_len,
            header_len,
        })
    }

    /// A header for the frames of a stream with this configuration. The lengths in it are those
    /// of an empty frame: [`write`](Self::write) states the right ones.
    ///
    /// # Errors
    /// [`AdtsWriteError`] when ADTS has no room for it.
    pub fn of_config(config: &AudioSpecificConfig) -> Result<Self, AdtsWriteError> {
        if !(1..=4).contains(&config.object_type) {
            return Err(AdtsWriteError::ObjectType(config.object_type));
        }
        if !(1..=7).contains(&config.channel_config) {
            return Err(AdtsWriteError::Channels(config.channel_config));
        }
        Ok(Self {
            object_type: config.object_type,
            rate_index: aac_config::rate_index(config.sample_rate)
                .ok_or(AdtsWriteError::Rate(config.sample_rate))?,
            channel_config: config.channel_config,
            frame_len: HEADER_LEN,
            header_len: HEADER_LEN,
        })
    }

    /// Samples per second.
    pub fn sample_rate(&self) -> u32 {
        // A header that was parsed or made has an index of the table.
        aac_config::rate_of_index(self.rate_index).unwrap_or(48_000)
    }

    /// The configuration that all frames with this header share.
    pub fn config(&self) -> AudioSpecificConfig {
        AudioSpecificConfig {
            object_type: self.object_type,
            sample_rate: self.sample_rate(),
            channel_config: self.channel_config,
            extended_rate: None,
            frame_samples: FRAME_SAMPLES,
        }
    }

    /// Parameters of the stream that this frame belongs to.
    pub fn audio_params(&self) -> AudioParams {
        AudioParams {
            codec: Codec::Aac,
            sample_rate: self.sample_rate(),
            channels: aac_config::channels(self.channel_config).unwrap_or(2),
            config: Bytes::from(self.config().to_bytes()),
        }
    }

    /// Whether both frames can belong to one stream: only their lengths differ.
    pub fn same_stream(&self, other: &Self) -> bool {
        (self.object_type, self.rate_index, self.channel_config)
            == (other.object_type, other.rate_index, other.channel_config)
    }

    /// Writes the header, without CRC, of a frame of `payload` bytes.
    ///
    /// # Errors
    /// [`AdtsWriteError::Length`]; nothing is written then.
    pub fn write(&self, payload: usize, out: &mut BytesMut) -> Result<(), AdtsWriteError> {
        let length = payload + HEADER_LEN;
        if payload == 0 || length > MAX_FRAME_LEN {
            return Err(AdtsWriteError::Length(payload));
        }
        out.put_slice(&[
            0xff,
            // MPEG-4, layer 0, no CRC.
            0xf1,
            (self.object_type - 1) << 6 | self.rate_index << 2 | self.channel_config >> 2,
            (self.channel_config & 3) << 6 | (length >> 11) as u8,
            (length >> 3) as u8,
            // Buffer fullness 0x7ff: variable rate.
            (length << 5) as u8 | 0x1f,
            0xfc,
        ]);
        Ok(())
    }
}

#[cfg(test)]
#[path = "adts_test.rs"]
mod tests;
