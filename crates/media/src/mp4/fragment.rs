//! Movie fragments (ISO/IEC 14496-12, 8.8): samples of recordings that were written as they came.

use super::Mp4Error;
use super::boxes::{Fields, child, children, require};
use super::sample_table::{MAX_SAMPLES, Sample};

/// What samples of a track have where its fragments do not say (`trex`).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Defaults {
    track: u32,
    duration: u32,
    size: u32,
}

impl Defaults {
    /// Those of every track.
    pub(super) fn of_movie(moov: Fields<'_>) -> Result<Vec<Self>, Mp4Error> {
        let Some(mvex) = child(moov, b"mvex")? else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for found in children(mvex) {
            let mut trex = found?;
            if trex.kind.0 != *b"trex" {
                continue;
            }
            trex.version_and_flags()?;
            let track = trex.u32()?;
            // default_sample_description_index
            trex.u32()?;
            all.push(Self {
                track,
                duration: trex.u32()?,
                size: trex.u32()?,
            });
        }
        Ok(all)
    }
}

/// A track that fragments add to.
pub(super) struct Target<'a> {
    pub(super) track: u32,
    pub(super) samples: &'a mut Vec<Sample>,
    /// Decode time after the last sample.
    pub(super) end: &'a mut i64,
}

/// Adds the samples of a fragment that starts at byte `start` of a file of `file_size` bytes.
pub(super) fn append(
    moof: Fields<'_>,
    start: u64,
    file_size: u64,
    defaults: &[Defaults],
    targets: &mut [Target<'_>],
) -> Result<(), Mp4Error> {
    // Without a stated base, data of later tracks follows that of earlier ones.
    let mut data = start;
    for traf in children(moof) {
        let traf = traf?;
        if traf.kind.0 != *b"traf" {
            continue;
        }
        let header = Header::parse(require(traf, b"tfhd")?, start, data, defaults)?;
        data = header.base;
        let mut total: usize = targets.iter().map(|target| target.samples.len()).sum();
        let target = targets.iter_mut().find(|to| to.track == header.track);
        let Some(target) = target else {
            continue;
        };
        if let Some(mut tfdt) = child(traf, b"tfdt")? {
            let (version, _) = tfdt.version_and_flags()?;
            *target.end = i64::try_from(tfdt.sized(version)?).unwrap_or(i64::MAX);
        }
        for trun in children(traf) {
            let trun = trun?;
            if trun.kind.0 == *b"trun" {
                data = run(trun, &header, data, file_size, target, &mut total)?;
            }
        }
    }
    Ok(())
}

/// `tfhd`.
struct Header {
    track: u32,
    base: u64,
    duration: u32,
    size: u32,
}

impl Header {
    fn parse(
        mut tfhd: Fields<'_>,
        moof: u64,
        previous: u64,
        defaults: &[Defaults],
    ) -> Result<Self, Mp4Error> {
        const BASE_DATA_OFFSET: u32 = 0x01;
        const DESCRIPTION_INDEX: u32 = 0x02;
        const DURATION: u32 = 0x08;
        const SIZE: u32 = 0x10;
        const BASE_IS_MOOF: u32 = 0x02_0000;
        let (_, flags) = tfhd.version_and_flags()?;
        let track = tfhd.u32()?;
        let known = defaults.iter().find(|known| known.track == track);
        let Defaults { duration, size, .. } = known.copied().unwrap_or_default();
        let base = if flags & BASE_DATA_OFFSET != 0 {
            tfhd.u64()?
        } else if flags & BASE_IS_MOOF != 0 {
            moof
        } else {
            previous
        };
        if flags & DESCRIPTION_INDEX != 0 {
            tfhd.u32()?;
        }
        let duration = if flags & DURATION != 0 {
            tfhd.u32()?
        } else {
            duration
        };
        let size = if flags & SIZE != 0 { tfhd.u32()? } else { size };
        Ok(Self {
            track,
            base,
            duration,
            size,
        })
    }
}

/// Adds the samples of a `trun`; gives the byte after the last.
fn run(
    mut trun: Fields<'_>,
    header: &Header,
    previous: u64,
    file_size: u64,
    target: &mut Target<'_>,
    total: &mut usize,
) -> Result<u64, Mp4Error> {
    const DATA_OFFSET: u32 = 0x001;
    const FIRST_FLAGS: u32 = 0x004;
    const DURATION: u32 = 0x100;
    const SIZE: u32 = 0x200;
    const FLAGS: u32 = 0x400;
    const COMPOSITION: u32 = 0x800;
    let (_, flags) = trun.version_and_flags()?;
    let count = trun.u32()?;
    let mut offset = previous;
    if flags & DATA_OFFSET != 0 {
        let distance = i64::from(trun.i32()?);
        offset = header
            .base
            .checked_add_signed(distance)
            .ok_or(Mp4Error::malformed(
                trun.kind,
                "its data is outside the file",
            ))?;
    }
    if flags & FIRST_FLAGS != 0 {
        trun.u32()?;
    }
    // Samples without fields of their own need no bytes here, so that any number can be claimed.
    let stated = flags & (DURATION | SIZE | FLAGS | COMPOSITION) != 0;
    if !stated && u64::from(count) * u64::from(header.size.max(1)) > file_size {
        return Err(Mp4Error::malformed(
            trun.kind,
            "its samples exceed the file",
        ));
    }
    *total += count as usize;
    if *total > MAX_SAMPLES {
        return Err(Mp4Error::TooLarge {
            what: "a number of samples",
            size: *total as u64,
            max: MAX_SAMPLES as u64,
        });
    }
    for _ in 0..count {
        let mut optional = |flag: u32, default: u32| {
            if flags & flag != 0 {
                trun.u32()
            } else {
                Ok(default)
            }
        };
        let duration = optional(DURATION, header.duration)?;
        let size = optional(SIZE, header.size)?;
        optional(FLAGS, 0)?;
        let composition = optional(COMPOSITION, 0)?.cast_signed();
        target.samples.push(Sample {
            offset,
            dts: *target.end,
            size,
            composition,
        });
        offset = offset.saturating_add(u64::from(size));
        *target.end = target.end.saturating_add(i64::from(duration));
    }
    Ok(offset)
}
