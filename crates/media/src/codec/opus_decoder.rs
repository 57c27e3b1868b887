//! Opus decoding (RFC 6716), 1 to 8 channels by the mappings of RFC 7845, 5.1.1.

use std::collections::VecDeque;

use opus_pure::{MAX_PACKET_SAMPLES, OpusMSDecoder};

use crate::access_unit::{AccessUnit, Codec};
use crate::audio::OPUS_SAMPLE_RATE;
use crate::coder::Decoder;
use crate::error::{CodecError, Unsupported};
use crate::frame::{AudioFrame, FramePool, Pool};
use crate::stream::AudioParams;

const NAME: &str = "opus-pure";

/// For each channel of an [`AudioFrame`], its place in the Vorbis order that Opus uses (RFC 7845,
/// 5.1.1.2), by number of channels.
const VORBIS_PLACES: [&[usize]; 8] = [
    &[0],
    &[0, 1],
    &[0, 2, 1],
    &[0, 1, 2, 3],
    &[0, 2, 1, 3, 4],
    &[0, 2, 1, 5, 3, 4],
    &[0, 2, 1, 6, 5, 3, 4],
    &[0, 2, 1, 7, 5, 6, 3, 4],
];

/// Decodes Opus packets to frames of 48 kHz.
pub struct OpusDecoder {
    decoder: OpusMSDecoder,
    places: &'static [usize],
    pool: Pool<f32>,
    interleaved: Vec<f32>,
    ready: VecDeque<AudioFrame>,
}

impl OpusDecoder {
    /// A decoder for a stream with these parameters.
    ///
    /// # Errors
    /// [`Unsupported`] for more than 8 channels, a malformed OpusHead, and channel mappings other
    /// than those of mapping families 0 and 1.
    pub fn new(params: &AudioParams, pool: &FramePool) -> Result<Self, Unsupported> {
        let refuse = |reason: String| Unsupported::new(Codec::Opus, reason);
        let channels = usize::from(params.channels);
        let places = channels
            .checked_sub(1)
            .and_then(|index| VORBIS_PLACES.get(index))
            .ok_or_else(|| refuse(format!("{channels} channels; 1 to 8 can be decoded")))?;
        // Family 0 is family 1 of one or two channels.
        let mut decoder = OpusMSDecoder::new(OPUS_SAMPLE_RATE as i32, channels, 1)
            .map_err(|error| refuse(error.to_string()))?;
        if !params.config.is_empty() {
            let gain = check_head(&params.config, &decoder).map_err(refuse)?;
            for stream in decoder.streams_mut() {
                stream.gain_q8 = gain;
            }
        }
        Ok(Self {
            decoder,
            places,
            pool: pool.floats.clone(),
            interleaved: vec![0.0; MAX_PACKET_SAMPLES * channels],
            ready: VecDeque::new(),
        })
    }
}

/// Whether an OpusHead without its magic (RFC 7845, 5.1) has the mapping of `decoder`; its output
/// gain in 1/256 dB.
fn check_head(head: &[u8], decoder: &OpusMSDecoder) -> Result<i32, String> {
    let [
        _,
        count,
        _,
        _,
        _,
        _,
        _,
        _,
        gain_low,
        gain_high,
        family,
        table @ ..,
    ] = head
    else {
        return Err(format!(
            "its OpusHead has {} bytes, 11 at least",
            head.len()
        ));
    };
    let layout = decoder.layout();
    if usize::from(*count) != layout.nb_channels {
        return Err(format!(
            "its OpusHead states {count} channels, its container {}",
            layout.nb_channels
        ));
    }
    let known = match family {
        0 => layout.nb_channels <= 2,
        1 => match table {
            [streams, coupled, mapping @ ..] => {
                usize::from(*streams) == layout.nb_streams
                    && usize::from(*coupled) == layout.nb_coupled_streams
                    && mapping == layout.mapping
            }
            _ => false,
        },
        _ => false,
    };
    if !known {
        return Err(format!(
            "channel mapping family {family} with table {table:02x?} for {count} channels; the \
             plain mappings of families 0 and 1 can be decoded"
        ));
    }
    Ok(i32::from(i16::from_le_bytes([*gain_low, *gain_high])))
}

impl Decoder for OpusDecoder {
    type Frame = AudioFrame;

    fn name(&self) -> &'static str {
        NAME
    }

    fn push(&mut self, unit: &AccessUnit) -> Result<(), CodecError> {
        let damaged = |detail: String| CodecError::Damaged {
            codec: Codec::Opus,
            pts: unit.pts.to_string(),
            detail,
        };
        // The library takes an empty packet as a request to conceal a lost one.
        if unit.data.is_empty() {
            return Err(damaged("an empty packet".into()));
        }
        let samples = self
            .decoder
            .decode(&unit.data, MAX_PACKET_SAMPLES, &mut self.interleaved)
            .map_err(|error| damaged(error.to_string()))?;
        if samples == 0 {
            return Err(damaged("no samples".into()));
        }
        let channels = self.places.len();
        let mut planes = self.pool.take(channels * samples);
        for (plane, place) in planes
            .make_mut()
            .chunks_exact_mut(samples)
            .zip(self.places.iter())
        {
            let source = self.interleaved.iter().skip(*place).step_by(channels);
            for (to, from) in plane.iter_mut().zip(source) {
                *to = *from;
            }
        }
        let frame = AudioFrame::new(channels, OPUS_SAMPLE_RATE, unit.pts, planes)?;
        self.ready.push_back(frame);
        Ok(())
    }

    fn pull(&mut self) -> Option<AudioFrame> {
        self.ready.pop_front()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        self.decoder
            .reset_state()
            .map_err(|error| CodecError::Broken {
                backend: NAME,
                detail: error.to_string(),
            })
    }
}

#[cfg(test)]
#[path = "opus_decoder_test.rs"]
mod tests;
