//! Boxes and their fields (ISO/IEC 14496-12, 4.2), read from memory with every bound checked.

use std::fmt;

use super::Mp4Error;

/// Type of a box, a brand or a coding: four characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FourCc(pub [u8; 4]);

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FourCc({self})")
    }
}

/// The unread rest of one box.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    /// Type of the box, for errors.
    pub(super) kind: FourCc,
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(kind: FourCc, bytes: &'a [u8]) -> Self {
        Self { kind, bytes }
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next `length` bytes.
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Mp4Error> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or(Mp4Error::malformed(self.kind, "it ends too early"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Mp4Error> {
        let taken = self.take(N)?;
        Ok(*taken.first_chunk().unwrap_or(&[0; N]))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Mp4Error> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, Mp4Error> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Mp4Error> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32, Mp4Error> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Mp4Error> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(super) fn fourcc(&mut self) -> Result<FourCc, Mp4Error> {
        Ok(FourCc(self.array()?))
    }

    /// A number of 32 bits in version 0 of the box, of 64 bits in later ones.
    pub(super) fn sized(&mut self, version: u8) -> Result<u64, Mp4Error> {
        if version == 0 {
            Ok(u64::from(self.u32()?))
        } else {
            self.u64()
        }
    }

    /// Version and flags of a full box.
    pub(super) fn version_and_flags(&mut self) -> Result<(u8, u32), Mp4Error> {
        let word = self.u32()?;
        Ok(((word >> 24) as u8, word & 0x00ff_ffff))
    }

    /// A table of `count` rows of `row` bytes each: nothing is allocated for rows that are not
    /// there.
    pub(super) fn table(
        &mut self,
        count: u32,
        row: usize,
    ) -> Result<std::slice::ChunksExact<'a, u8>, Mp4Error> {
        let length = (count as usize).checked_mul(row);
        let bytes = length
            .filter(|length| *length <= self.bytes.len())
            .ok_or(Mp4Error::malformed(self.kind, "its table ends too early"))?;
        Ok(self.take(bytes)?.chunks_exact(row))
    }
}

/// The number at the start of a row of a [table](Fields::table).
pub(super) fn word(row: &[u8], index: usize) -> u32 {
    row.get(4 * index..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The boxes inside `parent`, each with its content.
pub(super) fn children(parent: Fields<'_>) -> impl Iterator<Item = Result<Fields<'_>, Mp4Error>> {
    let mut rest = parent;
    std::iter::from_fn(move || {
        // Some writers end a box with a zero word.
        if rest.rest().len() < 8 {
            return None;
        }
        let child = next_child(&mut rest);
        if child.is_err() {
            rest = Fields::new(parent.kind, &[]);
        }
        Some(child)
    })
}

fn next_child<'a>(rest: &mut Fields<'a>) -> Result<Fields<'a>, Mp4Error> {
    let parent = rest.kind;
    let bad = |detail| Mp4Error::malformed(parent, detail);
    let mut header = *rest;
    let size = header.u32()?;
    let kind = header.fourcc()?;
    let (header_size, size) = match size {
        0 => (8, rest.rest().len() as u64),
        1 => (16, header.u64()?),
        size => (8, u64::from(size)),
    };
    let content = size
        .checked_sub(header_size)
        .and_then(|length| usize::try_from(length).ok())
        .ok_or(bad("a box in it is smaller than its header"))?;
    rest.take(header_size as usize)?;
    if content > rest.rest().len() {
        return Err(bad("a box in it is larger than itself"));
    }
    Ok(Fields::new(kind, rest.take(content)?))
}

/// The first box of type `kind` inside `parent`.
pub(super) fn child<'a>(
    parent: Fields<'a>,
    kind: &[u8; 4],
) -> Result<Option<Fields<'a>>, Mp4Error> {
    for found in children(parent) {
        let found = found?;
        if found.kind.0 == *kind {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The first box of type `kind` inside `parent`, which must have one.
pub(super) fn require<'a>(parent: Fields<'a>, kind: &[u8; 4]) -> Result<Fields<'a>, Mp4Error> {
    child(parent, kind)?.ok_or(Mp4Error::malformed(FourCc(*kind), "it is missing"))
}
