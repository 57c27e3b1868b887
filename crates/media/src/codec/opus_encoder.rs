//! Opus encoding (RFC 6716): frames of any rate and layout in, packets of 20 ms out.

use bytes::Bytes;
use opus_pure::Application;

use super::sound_encoder::{PacketCoder, SoundEncoder};
use crate::access_unit::{AccessUnit, Codec};
use crate::audio::OPUS_SAMPLE_RATE;
use crate::coder::Encoder;
use crate::error::{CodecError, Unsupported};
use crate::frame::{AudioFrame, FramePool};

const NAME: &str = "opus-pure";

/// Samples per channel in a packet: 20 ms.
pub const OPUS_PACKET_SAMPLES: usize = 960;

/// Lowest and highest bit rate that Opus has a use for, in bits per second (RFC 6716, 2.1.1).
const BITRATES: std::ops::RangeInclusive<u32> = 6_000..=510_000;

/// How sound is encoded to Opus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusEncoderSettings {
    /// Channels of the output: 1 or 2. Input of any other layout is mixed.
    pub channels: u8,
    /// Target bit rate in bits per second, 6,000 to 510,000.
    pub bitrate: u32,
}

impl OpusEncoderSettings {
    /// 96 kbit/s for stereo, 64 kbit/s for mono.
    pub const fn new(channels: u8) -> Self {
        Self {
            channels,
            bitrate: if channels == 1 { 64_000 } else { 96_000 },
        }
    }
}

/// Encodes sound to Opus at 48 kHz in packets of 20 ms.
///
/// Frames may have any length, any rate from 1 to 384 kHz and 1 to 8 channels, and may change in
/// all of it. Packets carry times in [`TimeBase::OPUS`](crate::TimeBase::OPUS) that advance by exactly 960 while the
/// input is continuous. The encoder's look-ahead (6.5 ms) is taken out of them: what a decoder
/// gives for a packet belongs to the packet's time, so sound stays with the picture without
/// pre-skip being signalled. Units are of [`TrackId`](crate::access_unit::TrackId) 0; the muxer
/// gives them their own.
pub struct OpusEncoder {
    inner: SoundEncoder<Coder>,
}

struct Coder {
    encoder: opus_pure::OpusEncoder,
    packet: Vec<u8>,
}

impl OpusEncoder {
    /// An encoder with these settings.
    ///
    /// # Errors
    /// [`Unsupported`] for other numbers of channels than 1 and 2, and for bit rates outside
    /// 6 to 510 kbit/s.
    pub fn new(settings: OpusEncoderSettings, pool: &FramePool) -> Result<Self, Unsupported> {
        let refuse = |reason: String| Unsupported::new(Codec::Opus, reason);
        if !BITRATES.contains(&settings.bitrate) {
            return Err(refuse(format!(
                "a bit rate of {} bit/s is outside {} to {}",
                settings.bitrate,
                BITRATES.start(),
                BITRATES.end()
            )));
        }
        let channels = usize::from(settings.channels);
        if !(1..=2).contains(&channels) {
            return Err(refuse(format!(
                "encoding takes 1 or 2 channels, not {channels}"
            )));
        }
        let mut encoder =
            opus_pure::OpusEncoder::new(OPUS_SAMPLE_RATE as i32, channels, Application::Audio)
                .map_err(|error| refuse(error.to_string()))?;
        encoder.bitrate_bps = settings.bitrate as i32;
        let coder = Coder {
            encoder,
            packet: vec![0; opus_pure::MAX_PACKET_BYTES],
        };
        let inner = SoundEncoder::new(coder, channels, pool);
        Ok(Self {
            inner: inner.map_err(|error| refuse(error.to_string()))?,
        })
    }
}

impl PacketCoder for Coder {
    const CODEC: Codec = Codec::Opus;
    const PACKET: usize = OPUS_PACKET_SAMPLES;

    fn lookahead(&self) -> usize {
        self.encoder.lookahead()
    }

    fn encode(&mut self, samples: &[f32], out: &mut Vec<Bytes>) -> Result<(), CodecError> {
        let bytes = self
            .encoder
            .encode(samples, OPUS_PACKET_SAMPLES, &mut self.packet)
            .map_err(broken)?;
        out.push(Bytes::copy_from_slice(
            self.packet.get(..bytes).unwrap_or_default(),
        ));
        Ok(())
    }

    fn reset(&mut self) -> Result<(), CodecError> {
        self.encoder.reset_state().map_err(broken)
    }
}

impl Encoder for OpusEncoder {
    type Frame = AudioFrame;

    fn name(&self) -> &'static str {
        NAME
    }

    fn push(&mut self, frame: AudioFrame) -> Result<(), CodecError> {
        self.inner.push(&frame)
    }

    fn pull(&mut self) -> Option<AccessUnit> {
        self.inner.pull()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        self.inner.flush()
    }
}

fn broken(error: opus_pure::Error) -> CodecError {
    CodecError::Broken {
        backend: NAME,
        detail: error.to_string(),
    }
}

#[cfg(test)]
#[path = "opus_encoder_test.rs"]
mod tests;
