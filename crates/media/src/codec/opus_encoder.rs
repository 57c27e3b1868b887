//! Opus encoding (RFC 6716): frames of any rate and layout in, packets of 20 ms out.

use std::collections::VecDeque;

use bytes::Bytes;
use opus_pure::Application;

use crate::access_unit::{AccessUnit, Codec, TrackId, UnitFlags};
use crate::audio::clock::SampleClock;
use crate::audio::{Normalizer, OPUS_SAMPLE_RATE};
use crate::coder::Encoder;
use crate::error::{CodecError, Unsupported};
use crate::frame::{AudioFrame, FramePool};

const NAME: &str = "opus-pure";

/// Samples per channel in a packet: 20 ms.
pub const OPUS_PACKET_SAMPLES: usize = 960;

/// Gaps up to this many samples (500 ms) are filled with silence, and overlaps up to it are cut,
/// so that packets stay evenly spaced. Beyond it the stream starts anew at the frame's own time.
const MAX_REPAIR: i64 = OPUS_SAMPLE_RATE as i64 / 2;

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
/// pre-skip being signalled. Units are of [`TrackId`] 0; the muxer gives them their own.
pub struct OpusEncoder {
    encoder: opus_pure::OpusEncoder,
    normalizer: Normalizer,
    channels: usize,
    run: Option<Run>,
    ready: VecDeque<AccessUnit>,
    packet: Vec<u8>,
    discontinuity: bool,
}

/// Input without a gap that could not be repaired.
struct Run {
    /// Counts the input, repairs included.
    input: SampleClock,
    /// Input not yet encoded, interleaved: less than a packet after each push.
    held: Vec<f32>,
    /// Packets made.
    packets: i64,
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
        let normalizer = Normalizer::new(channels, pool.floats.clone())
            .map_err(|_| refuse(format!("encoding takes 1 or 2 channels, not {channels}")))?;
        let mut encoder =
            opus_pure::OpusEncoder::new(OPUS_SAMPLE_RATE as i32, channels, Application::Audio)
                .map_err(|error| refuse(error.to_string()))?;
        encoder.bitrate_bps = settings.bitrate as i32;
        Ok(Self {
            encoder,
            normalizer,
            channels,
            run: None,
            ready: VecDeque::new(),
            packet: vec![0; opus_pure::MAX_PACKET_BYTES],
            discontinuity: false,
        })
    }

    /// Encodes what the normalizer has ready.
    fn drain(&mut self) -> Result<(), CodecError> {
        while let Some(frame) = self.normalizer.pull() {
            self.feed(&frame)?;
        }
        Ok(())
    }

    /// Takes a frame of 48 kHz and the right number of channels.
    fn feed(&mut self, frame: &AudioFrame) -> Result<(), CodecError> {
        let drift = self
            .run
            .as_ref()
            .map_or(0, |run| run.input.drift(frame.pts()));
        if drift.saturating_abs() > MAX_REPAIR {
            self.end_run()?;
            self.discontinuity = true;
        }
        let channels = self.channels;
        let run = self.run.get_or_insert_with(|| Run {
            input: SampleClock::new(OPUS_SAMPLE_RATE, frame.pts()),
            held: Vec::new(),
            packets: 0,
        });
        let mut skip = 0;
        if (1..=MAX_REPAIR).contains(&drift) {
            let silence = usize::try_from(drift).unwrap_or(0);
            run.held.resize(run.held.len() + silence * channels, 0.0);
            run.input.advance(silence);
        } else if (-MAX_REPAIR..0).contains(&drift) {
            skip = usize::try_from(-drift).unwrap_or(0).min(frame.samples());
        }
        for sample in skip..frame.samples() {
            for channel in 0..channels {
                let value = frame.channel(channel).get(sample).copied().unwrap_or(0.0);
                // A processor's NaN must not reach the encoder's state.
                let value = if value.is_nan() { 0.0 } else { value };
                run.held.push(value.clamp(-1.0, 1.0));
            }
        }
        run.input.advance(frame.samples() - skip);
        self.encode_held()
    }

    /// Encodes whole packets.
    fn encode_held(&mut self) -> Result<(), CodecError> {
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        let lookahead = i64::try_from(self.encoder.lookahead()).unwrap_or(0);
        let size = OPUS_PACKET_SAMPLES * self.channels;
        let mut chunks = run.held.chunks_exact(size);
        for input in chunks.by_ref() {
            let bytes = self
                .encoder
                .encode(input, OPUS_PACKET_SAMPLES, &mut self.packet)
                .map_err(broken)?;
            let first = run.packets * OPUS_PACKET_SAMPLES as i64;
            let pts = run.input.start().offset(first - lookahead);
            run.packets += 1;
            self.ready.push_back(AccessUnit {
                track: TrackId(0),
                codec: Codec::Opus,
                data: Bytes::copy_from_slice(self.packet.get(..bytes).unwrap_or_default()),
                pts,
                dts: pts,
                keyframe: true,
                flags: UnitFlags {
                    discontinuity: std::mem::take(&mut self.discontinuity),
                    ..UnitFlags::default()
                },
                received: None,
            });
        }
        let rest = chunks.remainder().len();
        run.held.drain(..run.held.len() - rest);
        Ok(())
    }

    /// Encodes all that is left, followed by silence up to a whole packet.
    fn end_run(&mut self) -> Result<(), CodecError> {
        if let Some(run) = &mut self.run {
            // The look-ahead keeps the last samples inside the encoder: silence pushes them out.
            let lookahead = self.encoder.lookahead() * self.channels;
            let size = OPUS_PACKET_SAMPLES * self.channels;
            let padded = (run.held.len() + lookahead).next_multiple_of(size);
            run.held.resize(padded, 0.0);
        }
        self.encode_held()?;
        self.run = None;
        self.encoder.reset_state().map_err(broken)
    }
}

impl Encoder for OpusEncoder {
    type Frame = AudioFrame;

    fn name(&self) -> &'static str {
        NAME
    }

    fn push(&mut self, frame: AudioFrame) -> Result<(), CodecError> {
        self.normalizer.push(&frame)?;
        self.drain()
    }

    fn pull(&mut self) -> Option<AccessUnit> {
        self.ready.pop_front()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        self.normalizer.flush()?;
        self.drain()?;
        self.end_run()
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
