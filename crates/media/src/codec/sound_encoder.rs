//! Sound of any rate and layout to evenly spaced packets, whatever codes them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::access_unit::{AccessUnit, Codec, TrackId, UnitFlags};
use crate::audio::clock::SampleClock;
use crate::audio::{Normalizer, OPUS_SAMPLE_RATE};
use crate::error::{CodecError, FrameError};
use crate::frame::{AudioFrame, FramePool};

/// Samples per second of all packets.
pub(super) const RATE: u32 = OPUS_SAMPLE_RATE;

/// Gaps up to this many samples (500 ms) are filled with silence, and overlaps up to it are cut,
/// so that packets stay evenly spaced. Beyond it the stream starts anew at the frame's own time.
const MAX_REPAIR: i64 = RATE as i64 / 2;

/// Codes packets of a fixed length at 48 kHz.
pub(super) trait PacketCoder: Send {
    /// Coding format.
    const CODEC: Codec;
    /// Samples per channel in a packet.
    const PACKET: usize;

    /// Samples by which what a decoder gives for a packet is behind what was put into it.
    fn lookahead(&self) -> usize;

    /// Codes one packet's samples, interleaved, and gives the packets that are ready to `out`.
    fn encode(&mut self, samples: &[f32], out: &mut Vec<Bytes>) -> Result<(), CodecError>;

    /// Forgets what it coded.
    fn reset(&mut self) -> Result<(), CodecError>;
}

/// Brings frames to 48 kHz and one or two channels, keeps packets evenly spaced, and takes the
/// look-ahead out of their times.
pub(super) struct SoundEncoder<C> {
    coder: C,
    normalizer: Normalizer,
    channels: usize,
    run: Option<Run>,
    ready: VecDeque<AccessUnit>,
    coded: Vec<Bytes>,
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

impl<C: PacketCoder> SoundEncoder<C> {
    /// An encoder for one or two channels.
    pub(super) fn new(coder: C, channels: usize, pool: &FramePool) -> Result<Self, FrameError> {
        Ok(Self {
            coder,
            normalizer: Normalizer::new(channels, pool.floats.clone())?,
            channels,
            run: None,
            ready: VecDeque::new(),
            coded: Vec::new(),
            discontinuity: false,
        })
    }

    pub(super) fn push(&mut self, frame: &AudioFrame) -> Result<(), CodecError> {
        self.normalizer.push(frame)?;
        self.drain()
    }

    pub(super) fn pull(&mut self) -> Option<AccessUnit> {
        self.ready.pop_front()
    }

    pub(super) fn flush(&mut self) -> Result<(), CodecError> {
        self.normalizer.flush()?;
        self.drain()?;
        self.end_run()
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
            input: SampleClock::new(RATE, frame.pts()),
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
        let lookahead = i64::try_from(self.coder.lookahead()).unwrap_or(0);
        let mut chunks = run.held.chunks_exact(C::PACKET * self.channels);
        for input in chunks.by_ref() {
            self.coder.encode(input, &mut self.coded)?;
            for data in self.coded.drain(..) {
                let first = run.packets * C::PACKET as i64;
                let pts = run.input.start().offset(first - lookahead);
                run.packets += 1;
                self.ready.push_back(AccessUnit {
                    track: TrackId(0),
                    codec: C::CODEC,
                    data,
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
        }
        let rest = chunks.remainder().len();
        run.held.drain(..run.held.len() - rest);
        Ok(())
    }

    /// Encodes all that is left, followed by silence up to a whole packet.
    fn end_run(&mut self) -> Result<(), CodecError> {
        if let Some(run) = &mut self.run {
            // The look-ahead keeps the last samples inside the encoder: silence pushes them out.
            let lookahead = self.coder.lookahead() * self.channels;
            let size = C::PACKET * self.channels;
            let padded = (run.held.len() + lookahead).next_multiple_of(size);
            run.held.resize(padded, 0.0);
        }
        self.encode_held()?;
        self.run = None;
        self.coder.reset()
    }
}
