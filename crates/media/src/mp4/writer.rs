//! Writing fragmented MP4: H.264 with AAC or Opus, playable up to wherever it was cut.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use super::write_boxes::{self, Description, TrackBoxes, boxed, full, patch};
use crate::access_unit::{AccessUnit, Codec, TrackId};
use crate::h264::NalKind;
use crate::h264::annexb::nal_units;
use crate::h264::sps::Sps;
use crate::stream::{AudioParams, StreamInfo, StreamParams};
use crate::time::{TimeBase, Timestamp};

/// A fragment ends at the next video keyframe, or after this time without one.
const LONGEST_FRAGMENT: Duration = Duration::from_secs(5);
/// A fragment of a file without video ends after this time.
const AUDIO_FRAGMENT: Duration = Duration::from_secs(1);
/// Bytes of media at which a fragment ends whatever its length.
const LARGEST_FRAGMENT: usize = 32 << 20;
/// Units that wait for the first video keyframe at most; the oldest are dropped beyond.
const MAX_WAITING: usize = 1024;
/// How long after the first video keyframe the first unit of each track is waited for: sound of
/// before the picture may come behind it. A track of which none comes is left out.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Sample lengths and sizes need 32 bits, so a unit has fewer bytes than this.
const LARGEST_UNIT: usize = LARGEST_FRAGMENT;

/// A stream or a unit that cannot be written to MP4. The writer stays usable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Mp4WriteError {
    /// Only H.264, AAC and Opus are written.
    #[error("{0} cannot be written to MP4; H.264, AAC and Opus can")]
    Codec(Codec),
    /// AAC needs its AudioSpecificConfig, of less than 100 bytes.
    #[error("the AAC stream {0} has no usable AudioSpecificConfig")]
    AacConfig(TrackId),
    /// A file has one video track at most, and each track once.
    #[error("track {0} is there already, or a second video track")]
    Track(TrackId),
    /// The unit's track was not announced.
    #[error("track {0} is not a track of this file")]
    UnknownTrack(TrackId),
    /// Decode times must rise within a track.
    #[error("track {track}: a unit at {at} comes after one at {last}")]
    Order {
        /// The track.
        track: TrackId,
        /// The unit's decode time.
        at: String,
        /// The decode time before.
        last: String,
    },
    /// The unit is empty, or larger than 32 MiB.
    #[error("track {track}: a unit of {size} bytes")]
    Size {
        /// The track.
        track: TrackId,
        /// Bytes of the unit.
        size: usize,
    },
}

/// Writes access units as a fragmented MP4 file (ISO/IEC 14496-12, 8.8).
///
/// Bytes are appended to a buffer of the caller's; the writer does no I/O. Nothing comes before
/// the first video keyframe, whose parameter sets the file's head needs, and before every stream has
/// a unit or 5 s have passed, after which those without one are left out; then a fragment for each
/// group of pictures. Call [`finish`](Self::finish) at the end. The file's time 0 is the first
/// decode time written, whatever the streams' clocks start at.
#[derive(Debug)]
pub struct Writer {
    tracks: Vec<Track>,
    waiting: VecDeque<AccessUnit>,
    /// Time 0 of the file, once its head is written.
    origin: Option<Timestamp>,
    /// Bytes of all tracks' pending samples.
    pending_bytes: usize,
    /// Fragments written.
    fragments: u32,
}

#[derive(Debug)]
struct Track {
    source: TrackId,
    id: u32,
    codec: Codec,
    base: TimeBase,
    language: Option<String>,
    audio: Option<AudioParams>,
    /// Parameter sets in the file's head, which samples need not repeat.
    sets: Option<(Bytes, Bytes)>,
    /// Others came, which may have taken the place of those: from then on samples bring theirs.
    other_sets: bool,
    pending: Vec<Sample>,
    /// Decode time of the last unit.
    last: Option<i64>,
    /// Length of a sample that has no next one to measure it by.
    usual: i64,
}

#[derive(Debug)]
struct Sample {
    dts: i64,
    pts: i64,
    keyframe: bool,
    data: Bytes,
}

impl Writer {
    /// A writer of a file with these tracks.
    ///
    /// # Errors
    /// [`Mp4WriteError::Codec`], [`Mp4WriteError::AacConfig`] or [`Mp4WriteError::Track`].
    pub fn new(streams: &[StreamInfo]) -> Result<Self, Mp4WriteError> {
        let mut tracks: Vec<Track> = Vec::new();
        for (stream, id) in streams.iter().zip(1..) {
            let video = stream.codec == Codec::H264;
            let taken = |track: &Track| {
                track.source == stream.track || (video && track.codec == Codec::H264)
            };
            if tracks.iter().any(taken) {
                return Err(Mp4WriteError::Track(stream.track));
            }
            let audio = match &stream.params {
                StreamParams::Audio(params) => Some(params.clone()),
                _ => None,
            };
            let (base, usual) = match (stream.codec, &audio) {
                (Codec::H264, _) => (TimeBase::MPEG, 3000),
                (Codec::Opus, Some(_)) => (TimeBase::OPUS, 960),
                (Codec::Aac, Some(params)) => {
                    if params.config.is_empty() || params.config.len() > 100 {
                        return Err(Mp4WriteError::AacConfig(stream.track));
                    }
                    (TimeBase::per_second(params.sample_rate), 1024)
                }
                (other, _) => return Err(Mp4WriteError::Codec(other)),
            };
            tracks.push(Track {
                source: stream.track,
                id,
                codec: stream.codec,
                base,
                language: stream.language.clone(),
                audio,
                sets: None,
                other_sets: false,
                pending: Vec::new(),
                last: None,
                usual,
            });
        }
        Ok(Self {
            tracks,
            waiting: VecDeque::new(),
            origin: None,
            pending_bytes: 0,
            fragments: 0,
        })
    }

    /// Takes a unit; appends what became ready to `out`.
    ///
    /// # Errors
    /// [`Mp4WriteError`] says why the unit was not taken.
    pub fn write(&mut self, unit: &AccessUnit, out: &mut BytesMut) -> Result<(), Mp4WriteError> {
        let track = self.tracks.iter_mut().find(|t| t.source == unit.track);
        let track = track.ok_or(Mp4WriteError::UnknownTrack(unit.track))?;
        if unit.data.is_empty() || unit.data.len() > LARGEST_UNIT {
            return Err(Mp4WriteError::Size {
                track: unit.track,
                size: unit.data.len(),
            });
        }
        if self.origin.is_some() {
            return self.add(unit, out);
        }
        if track.codec == Codec::H264 && track.sets.is_none() {
            track.sets = unit.keyframe.then(|| parameter_sets(&unit.data)).flatten();
            if track.sets.is_none() {
                // Pictures before the first keyframe cannot be decoded.
                return Ok(());
            }
        }
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(unit.clone());
        if self.can_start() && (self.all_tracks_wait() || self.waited_long()) {
            self.start(out)?;
        }
        Ok(())
    }

    /// The head of the file can be written.
    fn can_start(&self) -> bool {
        let ready = |track: &Track| track.codec != Codec::H264 || track.sets.is_some();
        self.tracks.iter().all(ready)
    }

    fn all_tracks_wait(&self) -> bool {
        let mut tracks = self.tracks.iter();
        tracks.all(|track| self.waiting.iter().any(|unit| unit.track == track.source))
    }

    fn waited_long(&self) -> bool {
        let times = || self.waiting.iter().map(|unit| unit.dts);
        let span = times().max().zip(times().min());
        let span = span.and_then(|(last, first)| last.since(first));
        span >= Some(LONGEST_WAIT) || self.waiting.len() == MAX_WAITING
    }

    /// Ends the file: the last fragment is appended to `out`. A file whose first video keyframe
    /// never came stays empty.
    pub fn finish(&mut self, out: &mut BytesMut) {
        if self.origin.is_none() && self.can_start() && !self.waiting.is_empty() {
            // Units out of order are left out, as they would have been.
            let _ = self.start(out);
        }
        self.fragment(None, out);
    }

    /// Writes the file's head, and takes the units that waited for it.
    fn start(&mut self, out: &mut BytesMut) -> Result<(), Mp4WriteError> {
        self.origin = self.waiting.iter().map(|unit| unit.dts).min();
        self.leave_out_empty();
        let boxes: Vec<TrackBoxes<'_>> = self.tracks.iter().filter_map(Track::boxes).collect();
        write_boxes::head(out, &boxes);
        let mut result = Ok(());
        for unit in std::mem::take(&mut self.waiting) {
            result = result.and(self.add(&unit, out));
        }
        result
    }

    /// Players show a track without samples as one that is broken.
    fn leave_out_empty(&mut self) {
        let waiting = &self.waiting;
        self.tracks.retain(|track| {
            let comes = waiting.iter().any(|unit| unit.track == track.source);
            if !comes {
                tracing::warn!(
                    track = %track.source,
                    codec = %track.codec,
                    "nothing came of a stream: the MP4 file has no track of it"
                );
            }
            comes
        });
    }

    /// Takes a unit after the head; ends the fragment before it where one ends.
    fn add(&mut self, unit: &AccessUnit, out: &mut BytesMut) -> Result<(), Mp4WriteError> {
        let origin = self.origin.unwrap_or(unit.dts);
        let has_video = self.tracks.iter().any(|t| t.codec == Codec::H264);
        let first = self
            .tracks
            .iter()
            .filter_map(|t| t.pending.first().map(|s| Timestamp::new(s.dts, t.base)))
            .min();
        let Some(index) = self.tracks.iter().position(|t| t.source == unit.track) else {
            return Err(Mp4WriteError::UnknownTrack(unit.track));
        };
        let Some(track) = self.tracks.get(index) else {
            return Ok(());
        };
        let dts = track.time(unit.dts, origin);
        // Nothing can be before the file's time 0.
        let last = track.last.unwrap_or(-1);
        if dts <= last {
            return Err(Mp4WriteError::Order {
                track: unit.track,
                at: Timestamp::new(dts, track.base).to_string(),
                last: Timestamp::new(last, track.base).to_string(),
            });
        }
        let other_sets = track.other_sets || track.brings_other_sets(unit);
        let sample = track.sample(unit, dts, origin, other_sets);
        let picture = track.codec == Codec::H264;
        let length = first
            .and_then(|first| Timestamp::new(dts, track.base).since(first))
            .unwrap_or_default();
        let longest = if has_video {
            LONGEST_FRAGMENT
        } else {
            AUDIO_FRAGMENT
        };
        let ends = (picture && unit.keyframe)
            || length >= longest
            || self.pending_bytes + sample.data.len() > LARGEST_FRAGMENT;
        if ends && first.is_some() {
            self.fragment(Some((index, dts)), out);
        }
        self.pending_bytes += sample.data.len();
        if let Some(track) = self.tracks.get_mut(index) {
            if let Some(last) = track.last {
                track.usual = dts - last;
            }
            track.last = Some(dts);
            track.other_sets = other_sets;
            track.pending.push(sample);
        }
        Ok(())
    }

    /// Writes all pending samples as one fragment. `next` is the track and decode time of the
    /// sample that follows.
    fn fragment(&mut self, next: Option<(usize, i64)>, out: &mut BytesMut) {
        if self.tracks.iter().all(|track| track.pending.is_empty()) {
            return;
        }
        self.fragments += 1;
        self.pending_bytes = 0;
        let start = out.len();
        // Where each track's data offset stands in the box, and how much data it has.
        let mut places: Vec<(usize, usize)> = Vec::new();
        boxed(out, b"moof", |out| {
            full(out, b"mfhd", 0, 0, |out| out.put_u32(self.fragments));
            for (index, track) in self.tracks.iter().enumerate() {
                if let Some(first) = track.pending.first() {
                    let next = next.and_then(|(at, dts)| (at == index).then_some(dts));
                    boxed(out, b"traf", |out| {
                        let place = track.traf(first, next, out);
                        places.push((place, track.pending.iter().map(|s| s.data.len()).sum()));
                    });
                }
            }
        });
        let mut offset = out.len() - start + 8;
        for (place, length) in places {
            patch(out, place, u32::try_from(offset).unwrap_or(u32::MAX));
            offset += length;
        }
        boxed(out, b"mdat", |out| {
            for track in &mut self.tracks {
                for sample in track.pending.drain(..) {
                    out.put_slice(&sample.data);
                }
            }
        });
    }
}

impl Track {
    /// What the file's head says of the track; `None` before its parameter sets are known.
    fn boxes(&self) -> Option<TrackBoxes<'_>> {
        let description = match (&self.audio, &self.sets) {
            (Some(params), _) if self.codec == Codec::Opus => Description::Opus(params),
            (Some(params), _) => Description::Aac(params),
            (None, Some((sps, pps))) => {
                let size = Sps::parse(sps).ok();
                Description::Avc {
                    width: size.as_ref().map_or(0, |sps| sps.width),
                    height: size.as_ref().map_or(0, |sps| sps.height),
                    sps,
                    pps,
                }
            }
            (None, None) => return None,
        };
        Some(TrackBoxes {
            id: self.id,
            timescale: self.base.den(),
            language: self.language.as_deref(),
            description,
        })
    }

    /// `time` in this track's ticks since `origin`.
    fn time(&self, time: Timestamp, origin: Timestamp) -> i64 {
        time.in_base(self.base)
            .saturating_sub(origin.in_base(self.base))
    }

    /// Whether the unit holds parameter sets that are not in the file's head.
    fn brings_other_sets(&self, unit: &AccessUnit) -> bool {
        let Some((sps, pps)) = self.sets.as_ref().filter(|_| unit.keyframe) else {
            return false;
        };
        nal_units(&unit.data).any(|nal| match nal.kind() {
            NalKind::SPS => nal.bytes != sps,
            NalKind::PPS => nal.bytes != pps,
            _ => false,
        })
    }

    fn sample(&self, unit: &AccessUnit, dts: i64, origin: Timestamp, other_sets: bool) -> Sample {
        let data = match &self.sets {
            Some(_) if other_sets => length_prefixed(&unit.data, &[], &[]),
            Some((sps, pps)) => length_prefixed(&unit.data, sps, pps),
            None => unit.data.clone(),
        };
        Sample {
            dts,
            pts: self.time(unit.pts, origin),
            keyframe: unit.keyframe,
            data,
        }
    }

    /// Appends `tfhd`, `tfdt` and `trun`; gives the place of the data offset.
    fn traf(&self, first: &Sample, next: Option<i64>, out: &mut BytesMut) -> usize {
        const BASE_IS_MOOF: u32 = 0x02_0000;
        // data offset; duration, size, flags and composition offset of each sample
        const RUN_FIELDS: u32 = 0x0f01;
        const SYNC: u32 = 0x0200_0000;
        const NOT_SYNC: u32 = 0x0101_0000;
        full(out, b"tfhd", 0, BASE_IS_MOOF, |out| out.put_u32(self.id));
        full(out, b"tfdt", 1, 0, |out| {
            out.put_u64(u64::try_from(first.dts).unwrap_or(0));
        });
        let mut place = 0;
        full(out, b"trun", 1, RUN_FIELDS, |out| {
            out.put_u32(u32::try_from(self.pending.len()).unwrap_or(u32::MAX));
            place = out.len();
            out.put_u32(0);
            let ends = self.pending.iter().skip(1).map(|sample| sample.dts);
            let last = self.pending.last().map_or(0, |sample| sample.dts);
            let ends = ends.chain([next.unwrap_or(last.saturating_add(self.usual))]);
            for (sample, end) in self.pending.iter().zip(ends) {
                out.put_u32(u32::try_from(end - sample.dts).unwrap_or(0));
                out.put_u32(u32::try_from(sample.data.len()).unwrap_or(0));
                out.put_u32(if sample.keyframe { SYNC } else { NOT_SYNC });
                out.put_i32(i32::try_from(sample.pts - sample.dts).unwrap_or(0));
            }
        });
        place
    }
}

/// The first SPS and PPS of an access unit, where it has both and the SPS can be read.
fn parameter_sets(data: &[u8]) -> Option<(Bytes, Bytes)> {
    let first = |wanted: NalKind| {
        nal_units(data)
            .find(|nal| nal.kind() == wanted)
            .map(|nal| Bytes::copy_from_slice(nal.bytes))
    };
    let sps = first(NalKind::SPS).filter(|sps| Sps::parse(sps).is_ok())?;
    Some((sps, first(NalKind::PPS)?))
}

/// NAL units behind their lengths, without delimiters and without the parameter sets of the
/// file's head. Others stay, so that a change of size in the stream can be decoded.
fn length_prefixed(annexb: &[u8], sps: &[u8], pps: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(annexb.len() + 16);
    for nal in nal_units(annexb) {
        let known = nal.bytes == sps || nal.bytes == pps;
        if !known && nal.kind() != NalKind::AUD {
            out.put_u32(u32::try_from(nal.bytes.len()).unwrap_or(0));
            out.put_slice(nal.bytes);
        }
    }
    out.freeze()
}

#[cfg(test)]
#[path = "writer_test.rs"]
mod tests;
