//! AAC in LATM, as DVB carries it (ISO/IEC 14496-3, 1.7): elements behind a syncword, whose frames
//! begin at any bit.
//!
//! What broadcasters send is read: one program of one layer whose frames state their own length.

use bytes::Bytes;
use thiserror::Error;

use super::aac_config::{AacConfigError, AudioSpecificConfig};
use crate::access_unit::Codec;
use crate::bits::{BitError, BitReader};
use crate::stream::AudioParams;

/// First byte of every element: the upper eight of the eleven bits of the syncword 0x2b7.
pub const SYNC: u8 = 0x56;
/// The other three bits, as they stand in the second byte.
const SYNC_LOW: u8 = 0xe0;
/// Syncword and length.
const HEADER_LEN: usize = 3;
/// Frames of an element at most (`numSubFrames` has 6 bits).
const MAX_FRAMES: u32 = 64;
/// Object types whose configuration goes on as GASpecificConfig says: AAC-LC, Main, SSR, LTP.
const GENERAL_AUDIO: std::ops::RangeInclusive<u8> = 1..=4;

/// Why bytes are not a LATM element that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LatmError {
    /// More bytes are needed to tell.
    #[error("LATM: the header is cut short")]
    Short,
    /// No syncword.
    #[error("LATM: no syncword, the bytes are {0:02x} {1:02x}")]
    Sync(u8, u8),
    /// No element brought a configuration yet.
    #[error("LATM: no configuration came yet")]
    NoConfig,
    /// The element ends inside a field.
    #[error("LATM: {0}")]
    Bits(#[from] BitError),
    /// The configuration of the AAC inside cannot be used.
    #[error("LATM: {0}")]
    Config(#[from] AacConfigError),
    /// A form of the multiplex that is not read.
    #[error("LATM: {0} is not supported")]
    Unsupported(&'static str),
}

/// Bytes of the element at the start of `bytes`, header included.
///
/// # Errors
/// [`LatmError::Short`], [`LatmError::Sync`].
pub fn element_len(bytes: &[u8]) -> Result<usize, LatmError> {
    let &[b0, b1, b2] = bytes.first_chunk::<HEADER_LEN>().ok_or(LatmError::Short)?;
    if b0 != SYNC || b1 & SYNC_LOW != SYNC_LOW {
        return Err(LatmError::Sync(b0, b1));
    }
    Ok(HEADER_LEN + (usize::from(b1 & 0x1f) << 8 | usize::from(b2)))
}

/// What a stream's elements hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatmConfig {
    /// Parameters of the AAC.
    pub params: AudioParams,
    /// Samples per frame and channel, at the core's rate.
    pub frame_samples: u32,
    /// Samples per second of the core.
    pub core_rate: u32,
    /// Frames in an element.
    frames: u32,
    /// Bits behind the frames that are no audio.
    other_bits: u32,
}

/// Reads elements; keeps the configuration, which not every one repeats.
#[derive(Clone, Debug, Default)]
pub struct LatmReader {
    config: Option<LatmConfig>,
}

impl LatmReader {
    /// The configuration that came last.
    pub fn config(&self) -> Option<&LatmConfig> {
        self.config.as_ref()
    }

    /// The AAC frames of an element, header included.
    ///
    /// # Errors
    /// [`LatmError`].
    pub fn frames(&mut self, element: &[u8]) -> Result<Vec<Bytes>, LatmError> {
        let body = element.get(HEADER_LEN..).ok_or(LatmError::Short)?;
        let bits = &mut BitReader::plain(body);
        // useSameStreamMux
        if !bits.flag()? {
            self.config = Some(read_config(bits)?);
        }
        let config = self.config.as_ref().ok_or(LatmError::NoConfig)?;
        let mut frames = Vec::new();
        for _ in 0..config.frames {
            let mut length = 0usize;
            loop {
                let byte = bits.byte()?;
                length += usize::from(byte);
                if byte != 0xff {
                    break;
                }
            }
            if length > body.len() {
                return Err(BitError::End.into());
            }
            let frame: Result<Vec<u8>, BitError> = (0..length).map(|_| bits.byte()).collect();
            frames.push(frame?.into());
        }
        bits.skip(config.other_bits)?;
        Ok(frames)
    }
}

/// StreamMuxConfig (table 1.42).
fn read_config(bits: &mut BitReader<'_>) -> Result<LatmConfig, LatmError> {
    let version = bits.flag()?;
    if version {
        // audioMuxVersionA
        if bits.flag()? {
            return Err(LatmError::Unsupported("audioMuxVersionA 1"));
        }
        // taraBufferFullness
        value(bits)?;
    }
    if !bits.flag()? {
        return Err(LatmError::Unsupported("programs that are timed apart"));
    }
    let frames = bits.bits(6)? + 1;
    debug_assert!(frames <= MAX_FRAMES);
    if bits.bits(4)? != 0 || bits.bits(3)? != 0 {
        return Err(LatmError::Unsupported("more than one program or layer"));
    }
    let (config, asc) = if version {
        let length = value(bits)?;
        let start = bits.clone();
        bits.skip(length)?;
        (
            AudioSpecificConfig::read(&mut start.clone())?,
            copied(start, length)?,
        )
    } else {
        let start = bits.clone();
        let config = AudioSpecificConfig::read(bits)?;
        finish_general_config(&config, bits)?;
        let length = start.left() - bits.left();
        (config, copied(start, length)?)
    };
    // frameLengthType 0: each frame states its length.
    if bits.bits(3)? != 0 {
        return Err(LatmError::Unsupported("a frameLengthType other than 0"));
    }
    // latmBufferFullness
    bits.skip(8)?;
    let mut other_bits = 0u32;
    if bits.flag()? {
        other_bits = if version {
            value(bits)?
        } else {
            let mut length = 0u32;
            loop {
                let more = bits.flag()?;
                length = length.saturating_mul(256).saturating_add(bits.bits(8)?);
                if !more {
                    break length;
                }
            }
        };
    }
    // crcCheckSum
    if bits.flag()? {
        bits.skip(8)?;
    }
    Ok(LatmConfig {
        params: AudioParams {
            codec: Codec::Aac,
            sample_rate: config.extended_rate.unwrap_or(config.sample_rate),
            channels: config.channels()?,
            config: asc,
        },
        frame_samples: config.frame_samples,
        core_rate: config.sample_rate,
        frames,
        other_bits,
    })
}

/// What of GASpecificConfig stands behind `frameLengthFlag` (table 4.1).
fn finish_general_config(
    config: &AudioSpecificConfig,
    bits: &mut BitReader<'_>,
) -> Result<(), LatmError> {
    if !GENERAL_AUDIO.contains(&config.object_type) {
        return Err(LatmError::Unsupported("an audio object type beyond AAC"));
    }
    // dependsOnCoreCoder
    if bits.flag()? {
        bits.skip(14)?;
    }
    // extensionFlag
    if bits.flag()? {
        return Err(LatmError::Unsupported("an extension of the configuration"));
    }
    Ok(())
}

/// LatmGetValue (table 1.44).
fn value(bits: &mut BitReader<'_>) -> Result<u32, BitError> {
    let bytes = bits.bits(2)? + 1;
    bits.bits(8 * bytes)
}

/// So many bits, from the first bit of a byte on, filled up with zeros.
fn copied(mut bits: BitReader<'_>, mut length: u32) -> Result<Bytes, BitError> {
    let mut bytes = Vec::new();
    while length > 0 {
        let take = length.min(8);
        bytes.push((bits.bits(take)? << (8 - take)) as u8);
        length -= take;
    }
    Ok(bytes.into())
}

#[cfg(test)]
#[path = "latm_test.rs"]
mod tests;
