//! One track: its identity, its clock, its edit list, its samples.

use super::Mp4Error;
use super::boxes::{Fields, child, require};
use super::sample_entry::SampleEntry;
use super::sample_table::{self, Sample};
use crate::access_unit::{MediaKind, TrackId};
use crate::stream::{Orientation, Rational, StreamInfo, StreamParams};
use crate::time::{TimeBase, Timestamp};

/// Seconds by which a picture can be decoded ahead of the time that the file states: far more than
/// putting 16 pictures in order takes.
const MAX_AHEAD: i64 = 10;

/// A track and where reading is in it.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) id: u32,
    pub(super) orientation: Orientation,
    pub(super) base: TimeBase,
    pub(super) language: Option<String>,
    pub(super) entry: SampleEntry,
    /// What the edit list says.
    pub(super) edit: Edit,
    pub(super) samples: Vec<Sample>,
    /// Decode time after the last sample, for fragments.
    pub(super) end: i64,
    /// By how much samples are decoded ahead of the times that the file states.
    ahead: i64,
    /// The next sample to read.
    pub(super) next: usize,
}

impl Track {
    /// Reads `trak`, with at most `limit` samples, from a file of `file_size` bytes.
    pub(super) fn parse(
        trak: Fields<'_>,
        movie_base: Option<TimeBase>,
        limit: usize,
        file_size: u64,
    ) -> Result<Self, Mp4Error> {
        let (id, orientation) = track_header(require(trak, b"tkhd")?)?;
        let mdia = require(trak, b"mdia")?;
        let (timescale, language) = media_header(require(mdia, b"mdhd")?)?;
        let stbl = require(require(mdia, b"minf")?, b"stbl")?;
        let base = TimeBase::per_second(timescale);
        let kind = child(mdia, b"hdlr")?.and_then(handler);
        let entry = SampleEntry::parse(require(stbl, b"stsd")?, kind)?;
        let samples = if entry.is_read() {
            sample_table::samples(stbl, limit, file_size)?
        } else {
            Vec::new()
        };
        Ok(Self {
            id,
            orientation,
            base,
            language,
            entry,
            edit: match child(trak, b"edts")? {
                Some(edts) => Edit::parse(edts, base, movie_base)?,
                None => Edit::default(),
            },
            samples,
            end: 0,
            ahead: 0,
            next: 0,
        })
    }

    /// What is known of the stream.
    pub(super) fn info(&self) -> StreamInfo {
        let mut params = self.entry.params.clone();
        if let StreamParams::Video(video) = &mut params {
            video.frame_rate = video.frame_rate.or_else(|| self.constant_rate());
            video.orientation = self.orientation;
        }
        StreamInfo {
            track: TrackId(self.id),
            codec: self.entry.codec,
            language: self.language.clone(),
            params,
        }
    }

    /// Samples per second, where all last equally long.
    fn constant_rate(&self) -> Option<Rational> {
        let mut pairs = self.samples.windows(2).map(|pair| match pair {
            [first, second] => second.dts - first.dts,
            _ => 0,
        });
        let length = pairs.next()?;
        let constant = pairs.all(|other| other == length);
        let length = u32::try_from(length).ok().filter(|_| constant)?;
        Rational::new(self.base.den(), length)
    }

    /// Leaves out the samples behind the last one that its edit list shows. That of a fragmented
    /// file speaks of what its head holds only.
    pub(super) fn end_with_edit(&mut self, fragmented: bool) {
        if fragmented {
            self.edit.open_ended();
        }
        let shown = |sample: &Sample| {
            let time = sample.dts.saturating_add(sample.composition.into());
            !self.edit.is_over(time)
        };
        match self.samples.iter().rposition(shown) {
            Some(last) => self.samples.truncate(last + 1),
            None => self.edit.open_ended(),
        }
    }

    /// Has every sample decoded by the time at which it is shown. With composition offsets below
    /// zero (as CMAF has them) the stated decode times are those of a decoder without any delay
    /// for pictures to be put in order.
    pub(super) fn decode_in_time(&mut self) {
        let most = i64::from(self.base.den()).saturating_mul(MAX_AHEAD);
        let early = self
            .samples
            .iter()
            .map(|sample| -i64::from(sample.composition));
        // One that makes no sense must not move all others.
        self.ahead = early
            .filter(|early| (0..=most).contains(early))
            .max()
            .unwrap_or(0);
    }

    /// Decode time of the next sample on the presentation's clock.
    pub(super) fn next_dts(&self) -> Option<Timestamp> {
        let sample = self.samples.get(self.next)?;
        Some(self.timestamp(sample.dts.saturating_sub(self.ahead)))
    }

    /// `ticks` of media time on the presentation's clock.
    pub(super) fn timestamp(&self, ticks: i64) -> Timestamp {
        Timestamp::new(ticks.saturating_add(self.edit.shift), self.base)
    }
}

/// `tkhd`: the track's id, and how its pictures lie. What says the latter is not worth refusing a
/// file for.
fn track_header(mut tkhd: Fields<'_>) -> Result<(u32, Orientation), Mp4Error> {
    let (version, _) = tkhd.version_and_flags()?;
    // creation_time, modification_time
    tkhd.sized(version)?;
    tkhd.sized(version)?;
    let id = tkhd.u32()?;
    let matrix = matrix(tkhd, version).ok();
    Ok((
        id,
        matrix.and_then(Orientation::of_matrix).unwrap_or_default(),
    ))
}

/// What turns pictures, of the rest of a `tkhd` (8.3.2): `[a, b, c, d]`.
fn matrix(mut tkhd: Fields<'_>, version: u8) -> Result<[i32; 4], Mp4Error> {
    // reserved, duration; reserved, layer, alternate_group, volume, reserved
    tkhd.take(4)?;
    tkhd.sized(version)?;
    tkhd.take(16)?;
    let mut values = [0; 4];
    for pair in values.chunks_exact_mut(2) {
        for value in pair {
            *value = tkhd.i32()?;
        }
        // u, v
        tkhd.take(4)?;
    }
    Ok(values)
}

/// `hdlr`: what the track is.
fn handler(mut hdlr: Fields<'_>) -> Option<MediaKind> {
    // version, flags, pre_defined
    hdlr.take(8).ok()?;
    match &hdlr.fourcc().ok()?.0 {
        b"vide" => Some(MediaKind::Video),
        b"soun" => Some(MediaKind::Audio),
        _ => Some(MediaKind::Data),
    }
}

/// `mdhd`: timescale and language.
fn media_header(mut mdhd: Fields<'_>) -> Result<(u32, Option<String>), Mp4Error> {
    let (version, _) = mdhd.version_and_flags()?;
    mdhd.sized(version)?;
    mdhd.sized(version)?;
    let timescale = mdhd.u32()?;
    if timescale == 0 {
        return Err(Mp4Error::malformed(mdhd.kind, "its timescale is 0"));
    }
    mdhd.sized(version)?;
    Ok((timescale, language(mdhd.u16()?)))
}

/// Three letters of five bits each (ISO 639-2/T); `None` for `und` and for QuickTime's numbers.
fn language(packed: u16) -> Option<String> {
    let letters: String = [10, 5, 0]
        .iter()
        .map(|shift| char::from(0x60 + (packed >> shift & 0x1f) as u8))
        .collect();
    let known = letters.bytes().all(|letter| letter.is_ascii_lowercase()) && letters != "und";
    known.then_some(letters)
}

/// What an edit list shows of a track, and when (ISO/IEC 14496-12, 8.6.6): empty edits delay it, the
/// first other edit says which part of the media is presented. Samples outside that part are given
/// too where decoders need them, but are not to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edit {
    /// Ticks from media time to presentation time.
    pub(super) shift: i64,
    /// Media time at which the presentation begins.
    start: Option<i64>,
    /// Media time at which it ends.
    end: Option<i64>,
}

impl Edit {
    fn parse(
        edts: Fields<'_>,
        base: TimeBase,
        movie_base: Option<TimeBase>,
    ) -> Result<Self, Mp4Error> {
        const EMPTY: i64 = -1;
        let mut edit = Self::default();
        let Some(mut elst) = child(edts, b"elst")? else {
            return Ok(edit);
        };
        let (version, _) = elst.version_and_flags()?;
        let count = elst.u32()?;
        for index in 0..count {
            let duration = i64::try_from(elst.sized(version)?).unwrap_or(i64::MAX);
            let media_time = if version == 0 {
                i64::from(elst.i32()?)
            } else {
                elst.u64()?.cast_signed()
            };
            // media_rate
            elst.u32()?;
            let length = movie_base.map(|movie| Timestamp::new(duration, movie).in_base(base));
            if media_time != EMPTY {
                if index + 1 < count {
                    tracing::warn!(
                        edits = count,
                        "only the first edit of an MP4 track is applied"
                    );
                }
                edit.shift = edit.shift.saturating_sub(media_time);
                edit.start = Some(media_time);
                // Of files that are still being written no length is known.
                let length = length.filter(|length| *length > 0);
                edit.end = length.map(|length| media_time.saturating_add(length));
                break;
            }
            edit.shift = edit.shift.saturating_add(length.unwrap_or(0));
        }
        Ok(edit)
    }

    /// Whether the sample that is shown at `time`, for `length`, is left out: a picture that is
    /// shown before the presentation begins, sound that has ended by then.
    pub(super) fn hides(&self, picture: bool, time: i64, length: i64) -> bool {
        // Movie times are rounded: a picture may begin a little before the time that is meant.
        let shown = time.saturating_add(if picture { length / 4 } else { length });
        let early = |start| {
            if picture {
                shown < start
            } else {
                shown <= start
            }
        };
        self.start.is_some_and(early) || self.is_over(time)
    }

    /// Whether the presentation ends before a sample that is shown at `time`.
    pub(super) fn is_over(&self, time: i64) -> bool {
        self.end.is_some_and(|end| time >= end)
    }

    /// Forgets the end: fragments go on behind what the file's head knows of.
    pub(super) fn open_ended(&mut self) {
        self.end = None;
    }
}
