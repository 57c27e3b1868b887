//! The input of a measurement: a clip's coded frames, again and again, as the bytes of a live
//! stream.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use trickle_media::access_unit::MediaKind;
use trickle_media::ts::{MuxError, Placed, Segmenter, SegmenterOptions};
use trickle_media::{AccessUnit, StreamInfo, TimeBase, Timestamp};
use trickle_session::feed::{MediaEvent, MediaReader, ReadError};

use crate::latency::jitter;

/// A clip in memory.
#[derive(Clone, Debug)]
pub struct Clip {
    streams: Vec<StreamInfo>,
    /// In decoding order; times begin at 0.
    units: Vec<AccessUnit>,
    /// What is added to the times with every repetition, in ticks of 90 kHz.
    length: i64,
    frames: usize,
}

/// Why a clip cannot be the input of a measurement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClipError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It has fewer than two frames of video.
    #[error("the clip has {0} frames of video, at least 2 are needed")]
    Frames(usize),
    /// It cannot be muxed again.
    #[error(transparent)]
    Mux(#[from] MuxError),
}

impl Clip {
    /// Reads a file: its first video, and its first audio if `audio`.
    ///
    /// # Errors
    /// [`ClipError::Read`], and [`ClipError::Frames`] when there is no video in it.
    pub fn read(mut reader: MediaReader, audio: bool) -> Result<Self, ClipError> {
        let mut streams = Vec::new();
        let mut units = Vec::new();
        while let Some(event) = reader.next_event()? {
            match event {
                MediaEvent::Streams(found) => streams = found,
                MediaEvent::Unit(unit) => units.push(unit),
                MediaEvent::Fault(_) => {}
            }
        }
        let first = |kind| {
            streams
                .iter()
                .find(|stream| stream.codec.kind() == kind)
                .cloned()
        };
        let mut chosen: Vec<StreamInfo> = first(MediaKind::Video).into_iter().collect();
        if audio {
            chosen.extend(first(MediaKind::Audio));
        }
        units.retain(|unit| chosen.iter().any(|stream| stream.track == unit.track));
        Self::new(chosen, units)
    }

    fn new(streams: Vec<StreamInfo>, mut units: Vec<AccessUnit>) -> Result<Self, ClipError> {
        let times: Vec<i64> = units
            .iter()
            .filter(|unit| is_video(unit))
            .map(|u| u.dts.in_base(TimeBase::MPEG))
            .collect();
        let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else {
            return Err(ClipError::Frames(0));
        };
        let steps = times.len() as i64 - 1;
        if steps == 0 {
            return Err(ClipError::Frames(1));
        }
        let length = (last - first) + (last - first) / steps;
        for unit in &mut units {
            unit.pts = Timestamp::mpeg(unit.pts.in_base(TimeBase::MPEG) - first);
            unit.dts = Timestamp::mpeg(unit.dts.in_base(TimeBase::MPEG) - first);
        }
        units.sort_by_key(|unit| unit.dts.ticks);
        Ok(Self {
            streams,
            units,
            length,
            frames: times.len(),
        })
    }

    /// Frames per second.
    pub fn fps(&self) -> f64 {
        self.frames as f64 * 90_000.0 / self.length as f64
    }

    /// The clip's frames without end.
    ///
    /// # Errors
    /// [`ClipError::Mux`].
    pub fn play(&self) -> Result<Player<'_>, ClipError> {
        let segmenter = Segmenter::new(&self.streams, &SegmenterOptions::default())?;
        Ok(Player {
            clip: self,
            segmenter,
            at: 0,
            round: 0,
            frame: 0,
            buffer: BytesMut::new(),
        })
    }
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub struct Piece {
    /// When, from the start, at normal speed.
    pub due: Duration,
    /// A segment begins with it.
    pub new_segment: bool,
    /// The packets of one access unit.
    pub bytes: Bytes,
    /// Presentation time of the frame in it, in ticks of 90 kHz; `None` for audio.
    pub frame: Option<i64>,
}

/// Iterates over the pieces of an endless stream made of a clip.
#[derive(Debug)]
pub struct Player<'a> {
    clip: &'a Clip,
    segmenter: Segmenter,
    at: usize,
    round: i64,
    frame: u64,
    buffer: BytesMut,
}

/// Times of the stream begin here, so that nothing on the way has to count below zero.
const START: i64 = 90_000;

impl Player<'_> {
    /// The next piece.
    ///
    /// # Errors
    /// [`ClipError::Mux`] for a unit that cannot be carried.
    pub fn next_piece(&mut self) -> Result<Piece, ClipError> {
        loop {
            let Some(unit) = self.clip.units.get(self.at) else {
                self.at = 0;
                self.round += 1;
                continue;
            };
            self.at += 1;
            let offset = START + self.round * self.clip.length;
            let due = u64::try_from(unit.dts.ticks + self.round * self.clip.length).unwrap_or(0);
            let mut unit = unit.clone();
            let frame = is_video(&unit).then(|| {
                self.frame += 1;
                jitter(self.frame)
            });
            unit.pts = unit.pts.offset(offset + frame.unwrap_or(0));
            unit.dts = unit.dts.offset(offset + frame.unwrap_or(0));
            let placed = self.segmenter.write(&unit, &mut self.buffer)?;
            if placed == Placed::BeforeKeyframe {
                continue;
            }
            return Ok(Piece {
                due: Duration::from_nanos(due.saturating_mul(100_000) / 9),
                new_segment: placed == Placed::NewSegment,
                bytes: self.buffer.split().freeze(),
                frame: frame.map(|_| unit.pts.ticks),
            });
        }
    }
}

fn is_video(unit: &AccessUnit) -> bool {
    unit.codec.kind() == MediaKind::Video
}

#[cfg(test)]
#[path = "source_test.rs"]
mod tests;
