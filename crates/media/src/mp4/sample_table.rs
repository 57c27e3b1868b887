//! The sample table (ISO/IEC 14496-12, 8.5 to 8.7): where samples are, and when.

use super::Mp4Error;
use super::boxes::{Fields, child, require, word};

/// Samples of a file at most, over all tracks: a day of 48 kHz AAC and 50 fps, in 256 MB.
pub(super) const MAX_SAMPLES: usize = 1 << 23;

/// Where a sample is, and when it is decoded and shown, in the track's timescale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) offset: u64,
    pub(super) dts: i64,
    pub(super) size: u32,
    /// From decoding to showing.
    pub(super) composition: i32,
}

/// Runs of equal values, as `stts` and `ctts` hold them.
struct Runs<'a> {
    rows: std::slice::ChunksExact<'a, u8>,
    left: u32,
    value: u32,
}

impl<'a> Runs<'a> {
    fn new(table: Option<Fields<'a>>) -> Result<Self, Mp4Error> {
        let rows = match table {
            Some(mut table) => {
                table.version_and_flags()?;
                let count = table.u32()?;
                table.table(count, 8)?
            }
            None => [].chunks_exact(8),
        };
        Ok(Self {
            rows,
            left: 0,
            value: 0,
        })
    }

    /// The next sample's value; past the table's end the last one again.
    fn next(&mut self) -> u32 {
        while self.left == 0 {
            match self.rows.next() {
                Some(row) => (self.left, self.value) = (word(row, 0), word(row, 1)),
                None => return self.value,
            }
        }
        self.left -= 1;
        self.value
    }
}

/// Lists the samples of a track, at most `limit`, in a file of `file_size` bytes.
pub(super) fn samples(
    stbl: Fields<'_>,
    limit: usize,
    file_size: u64,
) -> Result<Vec<Sample>, Mp4Error> {
    let mut stsz = require(stbl, b"stsz")?;
    stsz.version_and_flags()?;
    let (fixed, count) = (stsz.u32()?, stsz.u32()?);
    let mut sizes = if fixed == 0 {
        stsz.table(count, 4)?
    } else {
        [].chunks_exact(4)
    };
    // Samples of one size need no row each, so that a small box can claim any number of them.
    if u64::from(fixed) * u64::from(count) > file_size {
        return Err(Mp4Error::malformed(
            stsz.kind,
            "its samples exceed the file",
        ));
    }
    let count = count as usize;
    if count > limit {
        return Err(Mp4Error::TooLarge {
            what: "a number of samples",
            size: count as u64,
            max: limit as u64,
        });
    }
    let mut durations = Runs::new(child(stbl, b"stts")?)?;
    let mut compositions = Runs::new(child(stbl, b"ctts")?)?;
    let mut per_chunk = SamplesPerChunk::new(require(stbl, b"stsc")?)?;

    let mut samples = Vec::with_capacity(count);
    let mut dts = 0i64;
    for offset in chunk_offsets(stbl)? {
        let mut offset = offset;
        for _ in 0..per_chunk.next()? {
            if samples.len() == count {
                return Ok(samples);
            }
            let size = if fixed == 0 {
                sizes.next().map_or(0, |row| word(row, 0))
            } else {
                fixed
            };
            samples.push(Sample {
                offset,
                dts,
                size,
                // Version 0 is unsigned by the book; files with negative offsets in it exist, and
                // none with offsets that large.
                composition: compositions.next().cast_signed(),
            });
            offset = offset.saturating_add(u64::from(size));
            dts = dts.saturating_add(i64::from(durations.next()));
        }
    }
    Ok(samples)
}

/// `stco` or `co64`.
fn chunk_offsets(stbl: Fields<'_>) -> Result<Vec<u64>, Mp4Error> {
    if let Some(mut stco) = child(stbl, b"stco")? {
        stco.version_and_flags()?;
        let count = stco.u32()?;
        let rows = stco.table(count, 4)?;
        return Ok(rows.map(|row| u64::from(word(row, 0))).collect());
    }
    let mut co64 = require(stbl, b"co64")?;
    co64.version_and_flags()?;
    let count = co64.u32()?;
    let rows = co64.table(count, 8)?;
    Ok(rows
        .map(|row| u64::from(word(row, 0)) << 32 | u64::from(word(row, 1)))
        .collect())
}

/// `stsc`: how many samples each chunk holds.
struct SamplesPerChunk<'a> {
    table: Fields<'a>,
    rows: std::iter::Peekable<std::slice::ChunksExact<'a, u8>>,
    chunk: u32,
    samples: u32,
}

impl<'a> SamplesPerChunk<'a> {
    fn new(mut table: Fields<'a>) -> Result<Self, Mp4Error> {
        table.version_and_flags()?;
        let count = table.u32()?;
        Ok(Self {
            rows: table.table(count, 12)?.peekable(),
            table,
            chunk: 0,
            samples: 0,
        })
    }

    /// The next chunk's number of samples.
    fn next(&mut self) -> Result<u32, Mp4Error> {
        self.chunk = self.chunk.saturating_add(1);
        while let Some(row) = self.rows.next_if(|row| word(row, 0) <= self.chunk) {
            if word(row, 2) != 1 {
                return Err(Mp4Error::malformed(
                    self.table.kind,
                    "the track changes its sample description, which is not supported",
                ));
            }
            self.samples = word(row, 1);
        }
        Ok(self.samples)
    }
}
