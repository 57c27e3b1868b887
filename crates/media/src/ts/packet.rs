//! Transport packets: header, adaptation field, payload (ISO/IEC 13818-1, 2.4.3.2 to 2.4.3.5).

use std::fmt;

use serde::Serialize;
use thiserror::Error;

use crate::access_unit::TrackId;

/// Bytes of a transport packet.
pub const PACKET_LEN: usize = 188;
/// First byte of every packet.
pub const SYNC_BYTE: u8 = 0x47;
/// Bytes of a packet behind its four-byte header.
pub const MAX_PAYLOAD: usize = PACKET_LEN - HEADER_LEN;
pub(super) const HEADER_LEN: usize = 4;

/// Packet identifier: which table or elementary stream a packet belongs to; 13 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Pid(pub u16);

impl Pid {
    /// Program association table.
    pub const PAT: Self = Self(0);
    /// Service description table (ETSI EN 300 468, 5.1.3).
    pub const SDT: Self = Self(0x11);
    /// Null packets, which carry nothing.
    pub const NULL: Self = Self(0x1fff);
    /// How many there are.
    pub const COUNT: usize = 0x2000;

    /// The PID of a track of a transport stream.
    pub(super) const fn of(track: TrackId) -> Self {
        Self(track.0 as u16)
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why 188 bytes are not a sound packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PacketError {
    /// The sender, or a modem on the way, marked the packet as damaged.
    #[error("transport_error_indicator is set")]
    TransportError,
    /// `adaptation_field_control` is 0, which is reserved.
    #[error("adaptation_field_control 0 is reserved")]
    Control,
    /// The adaptation field is longer than the packet.
    #[error("an adaptation field of {0} bytes does not fit into a packet")]
    AdaptationLength(u8),
}

/// A packet, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its PID.
    pub pid: Pid,
    /// `payload_unit_start_indicator`: a PES packet or a section begins in it.
    pub unit_start: bool,
    /// `transport_scrambling_control` is not 0: the payload cannot be read.
    pub scrambled: bool,
    /// `continuity_counter`, 0 to 15.
    pub continuity: u8,
    /// Marks in the adaptation field; none where there is no field.
    pub adaptation: Adaptation,
    /// `None` when the packet has no payload, which also leaves the continuity counter alone.
    pub payload: Option<&'a [u8]>,
}

/// What of an adaptation field is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adaptation {
    /// `discontinuity_indicator`: the clock or the counters jump here by intent.
    pub discontinuity: bool,
    /// `random_access_indicator`.
    pub random_access: bool,
    /// Program clock reference, in ticks of 27 MHz.
    pub pcr: Option<u64>,
    /// The field holds bytes that do nothing but fill up the packet.
    pub stuffing: bool,
}

pub(super) const DISCONTINUITY: u8 = 0x80;
pub(super) const RANDOM_ACCESS: u8 = 0x40;
pub(super) const PCR_FLAG: u8 = 0x10;
const OPCR_FLAG: u8 = 0x08;
const SPLICING_FLAG: u8 = 0x04;
const PRIVATE_FLAG: u8 = 0x02;
const EXTENSION_FLAG: u8 = 0x01;
/// Bytes of a program clock reference.
pub(super) const PCR_LEN: usize = 6;

impl<'a> Packet<'a> {
    /// Takes a packet apart. Its first byte is not looked at.
    ///
    /// # Errors
    /// [`PacketError`].
    #[inline]
    pub fn parse(bytes: &'a [u8; PACKET_LEN]) -> Result<Self, PacketError> {
        let [_, b1, _, b3, ..] = *bytes;
        if b1 & 0x80 != 0 {
            return Err(PacketError::TransportError);
        }
        let mut packet = Self {
            pid: pid_of(bytes),
            unit_start: b1 & 0x40 != 0,
            scrambled: b3 & 0xc0 != 0,
            continuity: b3 & 0x0f,
            adaptation: Adaptation::default(),
            payload: None,
        };
        let body = &bytes[HEADER_LEN..];
        match b3 & 0x30 {
            0x10 => packet.payload = Some(body),
            0x00 => return Err(PacketError::Control),
            control => {
                let length = body[0];
                let end = 1 + usize::from(length);
                let field = body.get(1..end);
                let field = field.ok_or(PacketError::AdaptationLength(length))?;
                packet.adaptation = Adaptation::parse(field);
                if control == 0x30 {
                    packet.payload = body.get(end..);
                }
            }
        }
        Ok(packet)
    }
}

/// The PID of a packet.
#[inline]
pub(super) fn pid_of(bytes: &[u8; PACKET_LEN]) -> Pid {
    Pid(u16::from(bytes[1] & 0x1f) << 8 | u16::from(bytes[2]))
}

impl Adaptation {
    /// `field`: behind its length byte.
    fn parse(field: &[u8]) -> Self {
        // Without even a flags byte the length byte itself fills up the packet.
        let Some(&flags) = field.first() else {
            return Self {
                stuffing: true,
                ..Self::default()
            };
        };
        let mut used = 1;
        let mut pcr = None;
        if flags & PCR_FLAG != 0 {
            pcr = field.get(used..used + PCR_LEN).and_then(parse_pcr);
            used += PCR_LEN;
        }
        if flags & OPCR_FLAG != 0 {
            used += PCR_LEN;
        }
        if flags & SPLICING_FLAG != 0 {
            used += 1;
        }
        for part in [PRIVATE_FLAG, EXTENSION_FLAG] {
            if flags & part != 0 {
                used += 1 + usize::from(field.get(used).copied().unwrap_or(0));
            }
        }
        Self {
            discontinuity: flags & DISCONTINUITY != 0,
            random_access: flags & RANDOM_ACCESS != 0,
            pcr,
            // A flags byte that states nothing is there to fill up, too.
            stuffing: field.len() > used || flags == 0,
        }
    }
}

/// 33 bits of 90 kHz, six reserved, nine of 27 MHz.
fn parse_pcr(bytes: &[u8]) -> Option<u64> {
    let &[b0, b1, b2, b3, b4, b5] = bytes.first_chunk::<PCR_LEN>()?;
    let base = u64::from(u32::from_be_bytes([b0, b1, b2, b3])) << 1 | u64::from(b4 >> 7);
    let extension = u64::from(b4 & 1) << 8 | u64::from(b5);
    Some(base * 300 + extension)
}

/// The bytes of a program clock reference of `base` ticks of 90 kHz.
pub(super) fn pcr_bytes(base: u64) -> [u8; PCR_LEN] {
    // The 27 MHz part is 0, the reserved bits are ones.
    let value = (base & 0x1_ffff_ffff) << 15 | 0x7e00;
    let [_, _, bytes @ ..] = value.to_be_bytes();
    bytes
}

#[cfg(test)]
#[path = "packet_test.rs"]
mod tests;
