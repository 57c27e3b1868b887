//! Where segments begin: at keyframes, so that a reader can start at any of them.

use std::time::Duration;

use bytes::BytesMut;

use super::mux::{MuxError, MuxOptions, Muxer};
use crate::access_unit::{AccessUnit, MediaKind};
use crate::stream::StreamInfo;
use crate::time::Timestamp;

/// How a stream is cut.
#[derive(Clone, Debug)]
pub struct SegmenterOptions {
    /// How long a segment is to be. With video, a segment begins at the first keyframe after
    /// half of this, so that keyframes that are a little early do not double it; without, at the
    /// first unit after all of it.
    pub target: Duration,
    /// What is muxed beside the streams.
    pub mux: MuxOptions,
}

impl Default for SegmenterOptions {
    /// 2 s, as trickle's peers cut.
    fn default() -> Self {
        Self {
            target: Duration::from_secs(2),
            mux: MuxOptions::default(),
        }
    }
}

/// Where the bytes of a unit belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// They begin a new segment, tables first.
    NewSegment,
    /// They go on with the segment of the unit before.
    SameSegment,
    /// Nowhere, and nothing was written: no segment can begin before a keyframe of the video.
    BeforeKeyframe,
}

/// A [`Muxer`] that says where segments begin.
///
/// Every segment begins with the tables, and then a keyframe of the video with its parameter
/// sets, or any unit where there is no video. When video stays away for twice the target while
/// sound goes on, segments are cut at sound as well.
#[derive(Debug)]
pub struct Segmenter {
    muxer: Muxer,
    target: Duration,
    has_video: bool,
    /// Time of the segment's first unit.
    began: Option<Timestamp>,
    last_video: Option<Timestamp>,
    /// The streams have changed: the next segment cannot come too soon.
    cut: bool,
}

impl Segmenter {
    /// A segmenter for these streams.
    ///
    /// # Errors
    /// As for [`Muxer::new`].
    pub fn new(streams: &[StreamInfo], options: &SegmenterOptions) -> Result<Self, MuxError> {
        Ok(Self {
            muxer: Muxer::new(streams, &options.mux)?,
            target: options.target,
            has_video: has_video(streams),
            began: None,
            last_video: None,
            cut: false,
        })
    }

    /// As [`Muxer::set_params`]: no new segment begins.
    ///
    /// # Errors
    /// As there.
    pub fn set_params(&mut self, info: &StreamInfo) -> Result<bool, MuxError> {
        self.muxer.set_params(info)
    }

    /// Changes the streams, as [`Muxer::set_streams`] does. The next unit that can begin a
    /// segment does.
    ///
    /// # Errors
    /// As there.
    pub fn set_streams(&mut self, streams: &[StreamInfo]) -> Result<(), MuxError> {
        self.muxer.set_streams(streams)?;
        self.has_video = has_video(streams);
        self.last_video = None;
        self.cut = true;
        Ok(())
    }

    /// Writes one unit to `out`, after the tables where a segment begins. What `out` held before
    /// belongs to the segment before: hand in an empty buffer.
    ///
    /// # Errors
    /// As for [`Muxer::write`]; nothing is written then, and no segment begins.
    pub fn write(&mut self, unit: &AccessUnit, out: &mut BytesMut) -> Result<Placed, MuxError> {
        let video = unit.codec.kind() == MediaKind::Video;
        let begins = self.begins(unit, video);
        if !begins && self.began.is_none() {
            return Ok(Placed::BeforeKeyframe);
        }
        let before = out.len();
        if begins {
            self.muxer.write_tables(out);
        }
        if let Err(error) = self.muxer.write(unit, out) {
            out.truncate(before);
            return Err(error);
        }
        if video {
            self.last_video = Some(unit.dts);
        }
        if !begins {
            return Ok(Placed::SameSegment);
        }
        self.began = Some(unit.dts);
        self.cut = false;
        Ok(Placed::NewSegment)
    }

    fn begins(&self, unit: &AccessUnit, video: bool) -> bool {
        let after = |moment: Option<Timestamp>, length: Duration| {
            // A clock that jumped back begins a segment as well.
            moment.is_none_or(|moment| unit.dts.since(moment).is_none_or(|past| past >= length))
        };
        if !self.has_video {
            return self.cut || after(self.began, self.target);
        }
        if video {
            return unit.keyframe && (self.cut || after(self.began, self.target / 2));
        }
        // Sound may be a little earlier than the video before it: that is no jump.
        let stalled = self.last_video.and_then(|last| unit.dts.since(last));
        self.began.is_some()
            && stalled.is_some_and(|past| past >= 2 * self.target)
            && after(self.began, self.target)
    }
}

fn has_video(streams: &[StreamInfo]) -> bool {
    streams
        .iter()
        .any(|stream| stream.codec.kind() == MediaKind::Video)
}

#[cfg(test)]
#[path = "segmenter_test.rs"]
mod tests;
