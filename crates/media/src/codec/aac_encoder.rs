//! AAC encoding (ISO/IEC 14496-3, LC): frames of any rate and layout in, frames of 1024 samples out.

use bytes::Bytes;
use syom::EncodeOptions;

use super::sound_encoder::{PacketCoder, RATE, SoundEncoder};
use crate::access_unit::{AccessUnit, Codec};
use crate::audio::aac_config::AudioSpecificConfig;
use crate::coder::Encoder;
use crate::error::{CodecError, Unsupported};
use crate::frame::{AudioFrame, FramePool};
use crate::stream::AudioParams;

const NAME: &str = "syom";

/// Samples per channel in a frame.
const FRAME: usize = 1_024;

/// How sound is encoded to AAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AacEncoderSettings {
    /// Channels of the output: 1 or 2. Input of any other layout is mixed.
    pub channels: u8,
    /// Target bit rate in bits per second.
    pub bitrate: u32,
}

impl AacEncoderSettings {
    /// 128 kbit/s for stereo, 80 kbit/s for mono.
    pub const fn new(channels: u8) -> Self {
        Self {
            channels,
            bitrate: if channels == 1 { 80_000 } else { 128_000 },
        }
    }
}

/// Encodes sound to AAC-LC at 48 kHz, for players that take no Opus.
///
/// What is said of [`OpusEncoder`](super::OpusEncoder) holds here too, with frames of 1024 samples:
/// a decoder's delay of one frame is taken out of the units' times.
pub struct AacEncoder {
    inner: SoundEncoder<Coder>,
    params: AudioParams,
}

struct Coder {
    encoder: syom::Encoder,
    settings: AacEncoderSettings,
    /// One plane per channel.
    planes: Vec<Vec<f32>>,
}

impl AacEncoder {
    /// An encoder with these settings.
    ///
    /// # Errors
    /// [`Unsupported`] for other numbers of channels than 1 and 2, and for bit rates that AAC-LC
    /// cannot have.
    pub fn new(settings: AacEncoderSettings, pool: &FramePool) -> Result<Self, Unsupported> {
        let refuse = |reason: String| Unsupported::new(Codec::Aac, reason);
        let channels = usize::from(settings.channels);
        if !(1..=2).contains(&channels) {
            return Err(refuse(format!(
                "encoding takes 1 or 2 channels, not {channels}"
            )));
        }
        let encoder = open(settings).map_err(|error| refuse(error.to_string()))?;
        let params = AudioParams {
            codec: Codec::Aac,
            sample_rate: RATE,
            channels: settings.channels,
            config: AudioSpecificConfig::lc(RATE, settings.channels)
                .to_bytes()
                .into(),
        };
        let coder = Coder {
            encoder,
            settings,
            planes: vec![Vec::new(); channels],
        };
        let inner = SoundEncoder::new(coder, channels, pool);
        Ok(Self {
            inner: inner.map_err(|error| refuse(error.to_string()))?,
            params,
        })
    }

    /// Parameters of the stream that comes out.
    pub fn params(&self) -> &AudioParams {
        &self.params
    }
}

fn open(settings: AacEncoderSettings) -> Result<syom::Encoder, syom::AacError> {
    let options = EncodeOptions::raw().with_bitrate_bps(settings.bitrate);
    syom::Encoder::new(RATE, usize::from(settings.channels), &options)
}

impl PacketCoder for Coder {
    const CODEC: Codec = Codec::Aac;
    const PACKET: usize = FRAME;

    fn lookahead(&self) -> usize {
        // The transform overlaps two frames.
        FRAME
    }

    fn encode(&mut self, samples: &[f32], out: &mut Vec<Bytes>) -> Result<(), CodecError> {
        let channels = self.planes.len();
        for (channel, plane) in self.planes.iter_mut().enumerate() {
            plane.clear();
            plane.extend(samples.iter().skip(channel).step_by(channels));
        }
        let planes: Vec<&[f32]> = self.planes.iter().map(Vec::as_slice).collect();
        self.encoder
            .feed(&planes, |frame| {
                out.push(Bytes::copy_from_slice(frame.payload));
                Ok(())
            })
            .map(|_| ())
            .map_err(broken)
    }

    fn reset(&mut self) -> Result<(), CodecError> {
        self.encoder = open(self.settings).map_err(broken)?;
        Ok(())
    }
}

impl Encoder for AacEncoder {
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

fn broken(error: syom::AacError) -> CodecError {
    CodecError::Broken {
        backend: NAME,
        detail: error.to_string(),
    }
}

#[cfg(test)]
#[path = "aac_encoder_test.rs"]
mod tests;
