//! Reading an MP4 file as a sequence of access units.

use std::io::{Read, Seek, SeekFrom};

use bytes::Bytes;

use super::boxes::{Fields, child, children};
use super::fragment::{self, Defaults, Target};
use super::sample_table::{MAX_SAMPLES, Sample};
use super::track::Track;
use super::{FourCc, Mp4Error};
use crate::access_unit::{AccessUnit, MediaKind, TrackId, UnitFlags};
use crate::stream::StreamInfo;
use crate::time::TimeBase;

/// Bytes of `moov` and of all `moof` boxes together, at most.
const MAX_METADATA: u64 = 256 << 20;
/// Boxes at the top level of a file at most: a day of fragments of a tenth of a second.
const MAX_TOP_LEVEL: usize = 1 << 21;
/// Bytes of a sample at most.
const MAX_SAMPLE: u32 = 64 << 20;

/// Reads H.264, H.265 and audio tracks of an MP4 file, fragmented or not.
///
/// Units come in decode order across tracks. Video comes in Annex B, with the parameter sets
/// before each random access picture that does not bring its own; times are in the track's timescale with
/// its edit list applied, so that 0 is where the presentation begins: what decoders need of before is
/// given as [hidden](crate::access_unit::UnitFlags::hidden). Tracks of other codings are
/// listed and give no units.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    size: u64,
    /// Where the source stands; `None` after it failed.
    position: Option<u64>,
    streams: Vec<StreamInfo>,
    tracks: Vec<Track>,
}

impl<R: Read + Seek> Reader<R> {
    /// Reads the boxes of a file of `size` bytes. The media itself stays in the file; a file that
    /// ends before its last fragment does is read up to there.
    ///
    /// # Errors
    /// [`Mp4Error`] says which box cannot be used, and why.
    pub fn open(mut source: R, size: u64) -> Result<Self, Mp4Error> {
        let boxes = top_level(&mut source, size)?;
        let moov = boxes
            .iter()
            .find(|found| found.kind.0 == *b"moov")
            .ok_or(Mp4Error::NotPlayable("it has no moov box"))?;
        let moov = moov.fields();
        let movie_base = movie_base(moov)?;
        let mut tracks: Vec<Track> = Vec::new();
        let mut left = MAX_SAMPLES;
        for trak in children(moov) {
            let trak = trak?;
            if trak.kind.0 != *b"trak" {
                continue;
            }
            let track = Track::parse(trak, movie_base, left, size)?;
            if tracks.iter().any(|other| other.id == track.id) {
                return Err(Mp4Error::malformed(trak.kind, "its track id is taken"));
            }
            left -= track.samples.len().min(left);
            tracks.push(track);
        }
        let defaults = Defaults::of_movie(moov)?;
        for found in boxes.iter().filter(|found| found.kind.0 == *b"moof") {
            let mut targets: Vec<Target<'_>> = tracks
                .iter_mut()
                .filter(|track| track.entry.is_read())
                .map(|track| Target {
                    track: track.id,
                    samples: &mut track.samples,
                    end: &mut track.end,
                })
                .collect();
            fragment::append(found.fields(), found.start, size, &defaults, &mut targets)?;
        }
        let fragmented = boxes.iter().any(|found| found.kind.0 == *b"moof");
        for track in &mut tracks {
            track.end_with_edit(fragmented);
            track.decode_in_time();
        }
        Ok(Self {
            source,
            size,
            position: None,
            streams: tracks.iter().map(Track::info).collect(),
            tracks,
        })
    }

    /// The file's tracks, in its order.
    pub fn streams(&self) -> &[StreamInfo] {
        &self.streams
    }

    /// The next unit in decode order across tracks; `None` at the end of the file.
    ///
    /// # Errors
    /// [`Mp4Error::Sample`] for a sample that is missing or damaged, [`Mp4Error::Io`] when the
    /// source fails. The next call goes on with the next sample in both cases.
    pub fn next_unit(&mut self) -> Result<Option<AccessUnit>, Mp4Error> {
        let next = self
            .tracks
            .iter_mut()
            .filter_map(|track| track.next_dts().map(|dts| (dts, track)))
            .min_by_key(|(dts, _)| *dts);
        let Some((dts, track)) = next else {
            return Ok(None);
        };
        let index = track.next;
        let Some(sample) = track.samples.get(index).copied() else {
            return Ok(None);
        };
        track.next += 1;
        let shown = sample.dts.saturating_add(sample.composition.into());
        let length = match track.samples.get(track.next) {
            Some(next) => next.dts.saturating_sub(sample.dts),
            None => 0,
        };
        let id = TrackId(track.id);
        let failed = |detail| Mp4Error::Sample {
            track: id,
            index,
            detail,
        };
        let pts = track.timestamp(shown);
        let end = sample.offset.saturating_add(u64::from(sample.size));
        if end > self.size {
            return Err(failed("it is beyond the end of the file"));
        }
        if sample.size > MAX_SAMPLE {
            return Err(failed("it is larger than 64 MiB"));
        }
        let data = read_at(&mut self.source, &mut self.position, sample)?;
        let (mut keyframe, mut flags) = (true, UnitFlags::default());
        let picture = track.entry.codec.kind() == MediaKind::Video;
        flags.hidden = track.edit.hides(picture, shown, length);
        let data = match &track.entry.nals {
            Some(nals) => {
                let unit = nals.annexb(&data).ok_or(failed("it holds no NAL unit"))?;
                keyframe = unit.idr;
                flags.damaged = unit.damaged;
                unit.data
            }
            None => data,
        };
        Ok(Some(AccessUnit {
            track: id,
            codec: track.entry.codec,
            data,
            pts,
            dts,
            keyframe,
            flags,
            received: None,
        }))
    }
}

/// Reads a sample's bytes. Seeks only where the source is not there already, and by steps that a
/// buffered source can serve from its buffer.
fn read_at<R: Read + Seek>(
    source: &mut R,
    position: &mut Option<u64>,
    sample: Sample,
) -> Result<Bytes, Mp4Error> {
    let io = |at: u64| move |error| Mp4Error::Io { at, source: error };
    match position.take() {
        Some(at) if at == sample.offset => {}
        Some(at) => {
            let distance = i128::from(sample.offset) - i128::from(at);
            let distance = i64::try_from(distance).unwrap_or(i64::MAX);
            source.seek_relative(distance).map_err(io(sample.offset))?;
        }
        None => {
            source
                .seek(SeekFrom::Start(sample.offset))
                .map_err(io(sample.offset))?;
        }
    }
    let mut data = vec![0; sample.size as usize];
    source.read_exact(&mut data).map_err(io(sample.offset))?;
    *position = Some(sample.offset.saturating_add(u64::from(sample.size)));
    Ok(data.into())
}

/// A box at the file's top level, in memory.
struct TopLevel {
    kind: FourCc,
    start: u64,
    content: Vec<u8>,
}

impl TopLevel {
    fn fields(&self) -> Fields<'_> {
        Fields::new(self.kind, &self.content)
    }
}

/// Reads the `moov` and `moof` boxes of a file, passing over all others.
fn top_level<R: Read + Seek>(source: &mut R, size: u64) -> Result<Vec<TopLevel>, Mp4Error> {
    let (mut found, mut metadata, mut at) = (Vec::new(), 0u64, 0u64);
    for _ in 0..MAX_TOP_LEVEL {
        let io = |error| Mp4Error::Io { at, source: error };
        // Less than a header at the end is what a cut recording leaves.
        if size.saturating_sub(at) < 8 {
            return Ok(found);
        }
        source.seek(SeekFrom::Start(at)).map_err(io)?;
        let mut header = [0; 16];
        let length = if size - at < 16 { 8 } else { 16 };
        let (head, _) = header.split_at_mut(length);
        source.read_exact(head).map_err(io)?;
        let mut fields = Fields::new(FourCc(*b"file"), head);
        let short = fields.u32()?;
        let kind = fields.fourcc()?;
        let (header_size, box_size) = match short {
            0 => (8, size - at),
            1 => (16, fields.u64()?),
            short => (8, u64::from(short)),
        };
        let content = box_size
            .checked_sub(header_size)
            .ok_or(Mp4Error::malformed(kind, "it is smaller than its header"))?;
        let end = at.saturating_add(box_size);
        if matches!(&kind.0, b"moov" | b"moof") {
            if end > size {
                // The last fragment of a recording that was cut; a cut moov is told by its lack.
                return Ok(found);
            }
            metadata = metadata.saturating_add(content);
            if metadata > MAX_METADATA {
                return Err(Mp4Error::TooLarge {
                    what: "metadata in bytes",
                    size: metadata,
                    max: MAX_METADATA,
                });
            }
            source.seek(SeekFrom::Start(at + header_size)).map_err(io)?;
            let mut bytes = vec![0; usize::try_from(content).unwrap_or(0)];
            source.read_exact(&mut bytes).map_err(io)?;
            found.push(TopLevel {
                kind,
                start: at,
                content: bytes,
            });
        }
        at = end;
    }
    Err(Mp4Error::TooLarge {
        what: "a number of boxes",
        size: MAX_TOP_LEVEL as u64 + 1,
        max: MAX_TOP_LEVEL as u64,
    })
}

/// `mvhd`: the timescale of edit lists' durations.
fn movie_base(moov: Fields<'_>) -> Result<Option<TimeBase>, Mp4Error> {
    let Some(mut mvhd) = child(moov, b"mvhd")? else {
        return Ok(None);
    };
    let (version, _) = mvhd.version_and_flags()?;
    mvhd.sized(version)?;
    mvhd.sized(version)?;
    Ok(TimeBase::new(1, mvhd.u32()?))
}

#[cfg(test)]
#[path = "reader_test.rs"]
mod tests;
