//! NAL units: what kind of data one holds (ITU-T H.264, 7.3.1 and table 7-1).

/// `nal_unit_type`: an open set, so that unknown numbers pass through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NalKind(pub u8);

impl NalKind {
    /// Coded slice of a picture that is not an IDR picture.
    pub const SLICE: Self = Self(1);
    /// Data partition A of a slice.
    pub const PARTITION_A: Self = Self(2);
    /// Coded slice of an IDR picture.
    pub const IDR: Self = Self(5);
    /// Supplemental enhancement information.
    pub const SEI: Self = Self(6);
    /// Sequence parameter set.
    pub const SPS: Self = Self(7);
    /// Picture parameter set.
    pub const PPS: Self = Self(8);
    /// Access unit delimiter.
    pub const AUD: Self = Self(9);
    /// End of sequence.
    pub const END_OF_SEQUENCE: Self = Self(10);
    /// End of stream.
    pub const END_OF_STREAM: Self = Self(11);
    /// Filler data.
    pub const FILLER: Self = Self(12);

    /// Holds the first (or only) part of a slice of the primary coded picture, with its header.
    pub const fn is_slice(self) -> bool {
        matches!(self, Self::SLICE | Self::PARTITION_A | Self::IDR)
    }

    /// After the last slice of a picture, such a unit is the first of the next access unit
    /// (ITU-T H.264, 7.4.1.2.3).
    pub const fn opens_access_unit(self) -> bool {
        matches!(self.0, 6..=9 | 14..=18)
    }
}

/// One NAL unit of a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NalUnit<'a> {
    /// Where its start code begins in the byte stream, the leading zero byte included.
    pub offset: usize,
    /// Header byte and payload; start code and trailing zeros left out. Never empty.
    pub bytes: &'a [u8],
}

impl<'a> NalUnit<'a> {
    fn header(&self) -> u8 {
        self.bytes.first().copied().unwrap_or(0)
    }

    /// What it holds.
    pub fn kind(&self) -> NalKind {
        NalKind(self.header() & 0x1f)
    }

    /// `nal_ref_idc`: 0 when no other picture refers to this one.
    pub fn ref_idc(&self) -> u8 {
        self.header() >> 5 & 3
    }

    /// What follows the header byte, emulation prevention bytes included.
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(1..).unwrap_or_default()
    }
}
