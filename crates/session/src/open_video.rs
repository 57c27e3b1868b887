//! A video encoder that is open: what it holds, and the group of pictures that it codes.

use std::collections::VecDeque;
use std::time::Duration;

use trickle_media::coder::{VideoEncoder, VideoEncoderSettings};
use trickle_media::error::CodecError;
use trickle_media::frame::StageTimes;
use trickle_media::stream::Rational;
use trickle_media::{AccessUnit, Timestamp, VideoFrame};

/// By how much, as a share, the measured frame rate may differ from the encoder's.
const RATE_TOLERANCE: f64 = 0.2;
/// Frames that an encoder may hold; times of more are forgotten.
const MAX_HELD: usize = 64;

pub(crate) struct OpenVideo {
    pub(crate) encoder: VideoEncoder,
    /// Name of the backend that it is of.
    pub(crate) backend: String,
    pub(crate) settings: VideoEncoderSettings,
    /// Times of the frames that are in the encoder.
    held: VecDeque<(Timestamp, StageTimes)>,
    /// `None` before the first frame.
    gop: Option<Gop>,
}

/// The group of pictures that is being coded.
#[derive(Clone, Copy)]
struct Gop {
    /// Its first frame.
    start: Timestamp,
    /// Frames since.
    frames: u32,
}

impl OpenVideo {
    pub(crate) fn new(
        encoder: VideoEncoder,
        backend: String,
        settings: VideoEncoderSettings,
    ) -> Self {
        Self {
            encoder,
            backend,
            settings,
            held: VecDeque::with_capacity(MAX_HELD),
            gop: None,
        }
    }

    /// Feeds a frame.
    pub(crate) fn push(&mut self, frame: VideoFrame) -> Result<(), CodecError> {
        let start = frame.pts();
        self.gop.get_or_insert(Gop { start, frames: 0 }).frames += 1;
        if self.held.len() == MAX_HELD {
            self.held.pop_front();
        }
        self.held.push_back((frame.pts(), *frame.times()));
        let pushed = self.encoder.push(frame);
        if pushed.is_err() {
            self.held.pop_back();
        }
        pushed
    }

    /// The next unit, with the times of its frame.
    pub(crate) fn pull(&mut self) -> Option<(AccessUnit, StageTimes)> {
        let unit = self.encoder.pull()?;
        let mut times = StageTimes::default();
        // Units come in the order of the frames; an encoder may have left some out.
        while let Some((pts, held)) = self.held.front().copied() {
            if pts > unit.pts {
                break;
            }
            times = held;
            self.held.pop_front();
        }
        if unit.keyframe && self.gop.is_some_and(|gop| gop.start < unit.pts) {
            self.gop = Some(Gop {
                start: unit.pts,
                frames: 1,
            });
        }
        Some((unit, times))
    }

    /// It goes on with these settings, and a keyframe.
    pub(crate) fn reconfigured(&mut self, settings: &VideoEncoderSettings) {
        self.settings = settings.clone();
        self.gop = None;
    }

    /// The rate that frames came at, where it is another than the encoder's and a keyframe is due
    /// with the frame at `pts`.
    pub(crate) fn other_rate(&self, pts: Timestamp) -> Option<Rational> {
        let gop = self.gop?;
        let length = pts.since(gop.start)?;
        if length < self.settings.gop || length.is_zero() {
            return None;
        }
        let rate = f64::from(gop.frames) / Duration::as_secs_f64(&length);
        let rate = Rational::new((rate * 1000.0).round() as u32, 1000)?;
        differs(rate, self.settings.frame_rate).then_some(rate)
    }
}

fn differs(measured: Rational, nominal: Rational) -> bool {
    (measured.as_f64() / nominal.as_f64() - 1.0).abs() > RATE_TOLERANCE
}
