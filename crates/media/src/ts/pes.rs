//! PES packets: the header that carries timestamps (ISO/IEC 13818-1, 2.4.3.6 and 2.4.3.7).

use bytes::{BufMut, BytesMut};
use thiserror::Error;

/// Bytes of a PES header up to and including `PES_header_data_length`.
pub const FIXED_LEN: usize = 9;
/// Bytes before the part that `PES_packet_length` counts.
pub(super) const LENGTH_BASE: usize = 6;
/// The longest header: the fixed part and what its length byte can announce.
pub(super) const MAX_HEADER_LEN: usize = FIXED_LEN + 255;
/// Timestamps have 33 bits (2.4.3.7).
pub const TIMESTAMP_BITS: u32 = 33;

/// `stream_id` (table 2-22).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(pub u8);

impl StreamId {
    /// Private data with a PES header, such as Opus.
    pub const PRIVATE_1: Self = Self(0xbd);
    /// Padding.
    pub const PADDING: Self = Self(0xbe);
    /// The first audio stream.
    pub const AUDIO: Self = Self(0xc0);
    /// The first video stream.
    pub const VIDEO: Self = Self(0xe0);

    /// Packets of this stream have no optional header and hold nothing that is played: stream
    /// map and directory, padding, private data 2, ECM, EMM, DSM-CC, H.222.1 type E.
    const fn is_bare(self) -> bool {
        matches!(
            self.0,
            0xbc | 0xbe | 0xbf | 0xf0 | 0xf1 | 0xf2 | 0xf8 | 0xff
        )
    }
}

/// Why bytes are not a PES header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PesError {
    /// It does not begin with 0, 0, 1.
    #[error("PES header: no start code, the bytes are {0:02x} {1:02x} {2:02x}")]
    StartCode(u8, u8, u8),
    /// The marker bits before the flags are not 10.
    #[error("PES header: the marker bits are missing in {0:#04x}")]
    Marker(u8),
    /// `PES_packet_length` is shorter than the header itself.
    #[error("PES header: PES_packet_length {length} is shorter than the header")]
    Length {
        /// What it states.
        length: u16,
    },
}

/// A PES header, as far as it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PesHeader {
    /// Which kind of stream.
    pub stream_id: StreamId,
    /// Bytes of the header.
    pub header_len: usize,
    /// Bytes of the payload behind it; `None` where the header leaves it open, as video does.
    pub payload_len: Option<usize>,
    /// Presentation time, 33 bits.
    pub pts: Option<u64>,
    /// Decoding time, 33 bits, where it differs.
    pub dts: Option<u64>,
    /// `PES_scrambling_control` is not 0.
    pub scrambled: bool,
}

impl PesHeader {
    /// Reads a header. `None` when it goes on beyond `bytes`.
    ///
    /// Timestamps whose marker bits are wrong count as missing. Packets of streams without an
    /// optional header (padding and the like) come out with a payload length but nothing in it
    /// that is played.
    ///
    /// # Errors
    /// [`PesError`].
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, PesError> {
        if let Some(&[b0, b1, b2]) = bytes.first_chunk::<3>()
            && [b0, b1, b2] != [0, 0, 1]
        {
            return Err(PesError::StartCode(b0, b1, b2));
        }
        let Some(&[_, _, _, stream_id, l0, l1, flags, present, data_len]) =
            bytes.first_chunk::<FIXED_LEN>()
        else {
            return Ok(None);
        };
        let stream_id = StreamId(stream_id);
        let length = u16::from_be_bytes([l0, l1]);
        if stream_id.is_bare() {
            return Ok(Some(Self {
                stream_id,
                header_len: LENGTH_BASE,
                payload_len: Some(usize::from(length)),
                pts: None,
                dts: None,
                scrambled: false,
            }));
        }
        if flags & 0xc0 != 0x80 {
            return Err(PesError::Marker(flags));
        }
        let header_len = FIXED_LEN + usize::from(data_len);
        let Some(header) = bytes.get(..header_len) else {
            return Ok(None);
        };
        let payload_len = match length {
            0 => None,
            length => Some(
                (LENGTH_BASE + usize::from(length))
                    .checked_sub(header_len)
                    .ok_or(PesError::Length { length })?,
            ),
        };
        let pts = (present & 0x80 != 0).then(|| parse_timestamp(header, FIXED_LEN));
        let dts = (present & 0xc0 == 0xc0).then(|| parse_timestamp(header, FIXED_LEN + 5));
        Ok(Some(Self {
            stream_id,
            header_len,
            payload_len,
            pts: pts.flatten(),
            dts: dts.flatten(),
            scrambled: flags & 0x30 != 0,
        }))
    }

    /// Holds nothing that is played.
    pub fn is_padding(&self) -> bool {
        self.stream_id.is_bare()
    }
}

/// Writes a header in front of `payload_len` bytes. Times are taken modulo 2³³; `dts` is left
/// out where it equals `pts`. The length is stated wherever the field can hold it, so that a
/// receiver knows a packet's end without waiting for the next. `stuffing`: bytes at the header's
/// end that mean nothing.
pub(super) fn write_header(
    stream_id: StreamId,
    (pts, dts): (i64, i64),
    payload_len: usize,
    stuffing: u8,
    out: &mut BytesMut,
) {
    let both = pts != dts;
    let data_len = if both { 10 } else { 5 } + stuffing;
    let length = FIXED_LEN - LENGTH_BASE + usize::from(data_len) + payload_len;
    out.put_slice(&[0, 0, 1, stream_id.0]);
    out.put_u16(u16::try_from(length).unwrap_or(0));
    // Marker bits and data_alignment_indicator: an access unit begins right behind the header.
    out.put_u8(0x84);
    out.put_u8(if both { 0xc0 } else { 0x80 });
    out.put_u8(data_len);
    out.put_slice(&timestamp_bytes(if both { 3 } else { 2 }, pts));
    if both {
        out.put_slice(&timestamp_bytes(1, dts));
    }
    out.put_bytes(0xff, usize::from(stuffing));
}

/// Bytes that [`write_header`] takes without stuffing.
pub(super) const fn written_len(pts: i64, dts: i64) -> usize {
    FIXED_LEN + if pts == dts { 5 } else { 10 }
}

fn parse_timestamp(header: &[u8], at: usize) -> Option<u64> {
    let &[b0, b1, b2, b3, b4] = header.get(at..)?.first_chunk::<5>()?;
    if b0 & b2 & b4 & 1 == 0 {
        return None;
    }
    Some(
        u64::from(b0 >> 1 & 7) << 30
            | u64::from(b1) << 22
            | u64::from(b2 >> 1) << 15
            | u64::from(b3) << 7
            | u64::from(b4 >> 1),
    )
}

fn timestamp_bytes(prefix: u8, time: i64) -> [u8; 5] {
    // Two's complement makes the lower 33 bits right for negative times as well.
    let time = time as u64;
    [
        prefix << 4 | (time >> 29) as u8 & 0x0e | 1,
        (time >> 22) as u8,
        (time >> 14) as u8 | 1,
        (time >> 7) as u8,
        (time << 1) as u8 | 1,
    ]
}

#[cfg(test)]
#[path = "pes_test.rs"]
mod tests;
