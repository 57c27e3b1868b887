//! Opus packets (RFC 6716) and how MPEG transport streams carry them (Xiph.Org's draft
//! specification of Opus in MPEG-TS, 0.1.3; what FFmpeg and OBS write).

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use crate::access_unit::Codec;
use crate::stream::AudioParams;

/// Samples per second of the Opus clock, whatever was coded (RFC 6716, 2).
pub const SAMPLE_RATE: u32 = 48_000;
/// The longest packet lasts 120 ms (RFC 6716, 3.2.5, requirement R5).
pub const MAX_PACKET_SAMPLES: u32 = 5_760;
/// The first eleven bits of a control header, ten of them ones.
const CONTROL_PREFIX: u16 = 0x7fe0;
const CONTROL_PREFIX_MASK: u16 = 0xffe0;
const START_TRIM: u8 = 0x10;
const END_TRIM: u8 = 0x08;
const EXTENSION: u8 = 0x04;
/// Trims are thirteen bits behind three reserved ones.
const TRIM_MASK: u16 = 0x1fff;

/// Why bytes are not an Opus packet, or not one as transport streams carry it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpusError {
    /// The packet is empty.
    #[error("Opus packet: empty")]
    Empty,
    /// The packet states no frames, or more than 120 ms.
    #[error("Opus packet: {frames} frames of {frame_samples} samples are not 1 to 120 ms")]
    Duration {
        /// Frames stated.
        frames: u32,
        /// Samples of each at 48 kHz.
        frame_samples: u32,
    },
    /// The packet ends inside its frame count.
    #[error("Opus packet: cut short")]
    Short,
    /// No control header where one should be.
    #[error("Opus control header: the prefix is {0:#06x}, not 0x7fe0")]
    Prefix(u16),
    /// The control header or its packet goes beyond the data.
    #[error("Opus control header: {wanted} bytes announced, {there} are there")]
    Length {
        /// Bytes of header and packet, as far as known.
        wanted: usize,
        /// Bytes that are there.
        there: usize,
    },
    /// A channel configuration that is not supported.
    #[error("Opus descriptor: channel_config_code {0:#04x} is not supported")]
    ChannelCode(u8),
    /// A channel mapping that has no channel configuration code.
    #[error("Opus channel mapping {0:02x?} has no code in MPEG-TS")]
    Mapping(Vec<u8>),
}

/// Samples per channel, at 48 kHz, that a packet decodes to (RFC 6716, 3.1 and 3.2).
///
/// # Errors
/// [`OpusError::Empty`], [`OpusError::Short`], [`OpusError::Duration`].
pub fn packet_samples(packet: &[u8]) -> Result<u32, OpusError> {
    let &toc = packet.first().ok_or(OpusError::Empty)?;
    let frame_samples = match toc >> 3 {
        // SILK: 10, 20, 40, 60 ms.
        config @ 0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        // Hybrid: 10, 20 ms.
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        // CELT: 2.5, 5, 10, 20 ms.
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1).ok_or(OpusError::Short)? & 0x3f),
    };
    let samples = frames * frame_samples;
    if samples == 0 || samples > MAX_PACKET_SAMPLES {
        return Err(OpusError::Duration {
            frames,
            frame_samples,
        });
    }
    Ok(samples)
}

/// The control header in front of each packet in a PES packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlHeader {
    /// Bytes of the header itself.
    pub header_len: usize,
    /// Bytes of the packet behind it.
    pub packet_len: usize,
    /// Samples at 48 kHz to leave out at the packet's start.
    pub start_trim: u16,
    /// Samples at 48 kHz to leave out at the packet's end.
    pub end_trim: u16,
}

impl ControlHeader {
    /// Reads the header at the start of `bytes`, and makes sure that its packet is there too.
    ///
    /// # Errors
    /// [`OpusError::Prefix`], [`OpusError::Length`].
    pub fn parse(bytes: &[u8]) -> Result<Self, OpusError> {
        let mut cursor = Cursor { bytes, at: 0 };
        let start = cursor.u16()?;
        if start & CONTROL_PREFIX_MASK != CONTROL_PREFIX {
            return Err(OpusError::Prefix(start));
        }
        let flags = (start & 0x1f) as u8;
        let mut packet_len = 0;
        loop {
            let byte = cursor.u8()?;
            packet_len += usize::from(byte);
            if byte != 0xff {
                break;
            }
        }
        let mut trim = |flag: u8| {
            if flags & flag == 0 {
                return Ok(0);
            }
            cursor.u16().map(|trim| trim & TRIM_MASK)
        };
        let start_trim = trim(START_TRIM)?;
        let end_trim = trim(END_TRIM)?;
        if flags & EXTENSION != 0 {
            cursor.at += usize::from(cursor.u8()?);
        }
        let header_len = cursor.at;
        if header_len + packet_len > bytes.len() {
            return Err(OpusError::Length {
                wanted: header_len + packet_len,
                there: bytes.len(),
            });
        }
        Ok(Self {
            header_len,
            packet_len,
            start_trim,
            end_trim,
        })
    }

    /// Writes the header of a packet of `packet_len` bytes, without trims.
    pub fn write(packet_len: usize, out: &mut BytesMut) {
        out.put_u16(CONTROL_PREFIX);
        out.put_bytes(0xff, packet_len / 0xff);
        out.put_u8((packet_len % 0xff) as u8);
    }

    /// Bytes that [`write`](Self::write) takes.
    pub const fn written_len(packet_len: usize) -> usize {
        3 + packet_len / 0xff
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn u8(&mut self) -> Result<u8, OpusError> {
        let byte = self.bytes.get(self.at).copied();
        self.at += 1;
        byte.ok_or(OpusError::Length {
            wanted: self.at,
            there: self.bytes.len(),
        })
    }

    fn u16(&mut self) -> Result<u16, OpusError> {
        Ok(u16::from(self.u8()?) << 8 | u16::from(self.u8()?))
    }
}

/// `channel_config_code` of two independent mono channels.
const DUAL_MONO: u8 = 0;
/// Streams and coupled streams of channel mapping family 1, by number of channels less one, and
/// the stream that each channel is taken from (RFC 7845, 5.1.1.2; as every encoder lays them out).
const SURROUND: [(u8, u8, &[u8]); 8] = [
    (1, 0, &[0]),
    (1, 1, &[0, 1]),
    (2, 1, &[0, 2, 1]),
    (2, 2, &[0, 1, 2, 3]),
    (3, 2, &[0, 4, 1, 2, 3]),
    (4, 2, &[0, 4, 1, 2, 3, 5]),
    (4, 3, &[0, 4, 1, 2, 3, 5, 6]),
    (5, 3, &[0, 6, 1, 2, 3, 4, 5, 7]),
];

/// Parameters of a stream whose descriptor holds this `channel_config_code`.
///
/// # Errors
/// [`OpusError::ChannelCode`] for codes beyond 8 channels, and for extended configurations.
pub fn params_of_code(code: u8) -> Result<AudioParams, OpusError> {
    let (channels, config) = match code {
        DUAL_MONO => (2, head(2, MAPPING_DISCRETE, 2, 0, &[0, 1])),
        1 | 2 => (code, Bytes::new()),
        3..=8 => match SURROUND.get(usize::from(code) - 1) {
            Some((streams, coupled, mapping)) => (
                code,
                head(code, MAPPING_VORBIS, *streams, *coupled, mapping),
            ),
            None => return Err(OpusError::ChannelCode(code)),
        },
        _ => return Err(OpusError::ChannelCode(code)),
    };
    Ok(AudioParams {
        codec: Codec::Opus,
        sample_rate: SAMPLE_RATE,
        channels,
        config,
    })
}

/// The `channel_config_code` of a stream with these parameters: the reverse of
/// [`params_of_code`].
///
/// # Errors
/// [`OpusError::Mapping`] when the channels are mapped in a way that has no code.
pub fn code_of_params(params: &AudioParams) -> Result<u8, OpusError> {
    // From the number of channels on; what stands before it, pre-skip and gain, is not carried.
    let layout = |config: &Bytes| config.get(10..).map(<[u8]>::to_vec).unwrap_or_default();
    if params.config.is_empty() && matches!(params.channels, 1 | 2) {
        return Ok(params.channels);
    }
    let wanted = layout(&params.config);
    (DUAL_MONO..=8)
        .find(|&code| {
            params_of_code(code).is_ok_and(|known| {
                known.channels == params.channels
                    && layout(&known.config) == wanted
                    && !wanted.is_empty()
            })
        })
        .ok_or(OpusError::Mapping(wanted))
}

/// Mapping family 1: the channel order of Vorbis (RFC 7845, 5.1.1.2).
const MAPPING_VORBIS: u8 = 1;
/// Mapping family 255: channels without an order (RFC 7845, 5.1.1.3).
const MAPPING_DISCRETE: u8 = 255;

/// An OpusHead without its magic (RFC 7845, 5.1), with no pre-skip and no gain.
fn head(channels: u8, family: u8, streams: u8, coupled: u8, mapping: &[u8]) -> Bytes {
    let mut head = BytesMut::with_capacity(13 + mapping.len());
    head.put_u8(1);
    head.put_u8(channels);
    head.put_u16_le(0);
    head.put_u32_le(SAMPLE_RATE);
    head.put_i16_le(0);
    head.put_slice(&[family, streams, coupled]);
    head.put_slice(mapping);
    head.freeze()
}

#[cfg(test)]
#[path = "opus_test.rs"]
mod tests;
