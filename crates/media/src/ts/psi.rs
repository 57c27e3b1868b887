//! Program specific information: sections, PAT, PMT, and the SDT on writing
//! (ISO/IEC 13818-1, 2.4.4; ETSI EN 300 468, 5.2.3).

use bytes::{BufMut, BytesMut};
use thiserror::Error;

use super::crc::crc32;
use super::packet::Pid;

/// The longest PAT or PMT section: `section_length` is at most 1021 (2.4.4.4).
pub const MAX_SECTION_LEN: usize = 1024;
const SECTION_HEAD: usize = 3;
/// Bytes of a section before its own fields: head, id, version, section numbers.
const COMMON_HEAD: usize = 8;
const CRC_LEN: usize = 4;
const STUFFING: u8 = 0xff;

/// `table_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableId(pub u8);

impl TableId {
    /// Program association section.
    pub const PAT: Self = Self(0);
    /// Program map section.
    pub const PMT: Self = Self(2);
    /// Service description section of this transport stream.
    pub const SDT: Self = Self(0x42);
}

/// Why a section is not used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PsiError {
    /// The CRC at its end does not match.
    #[error("section of table {table:#04x}: the CRC does not match")]
    Crc {
        /// `table_id`.
        table: u8,
    },
    /// Longer than its table allows, or shorter than its own fields.
    #[error("section of table {table:#04x}: a length of {length} bytes cannot be")]
    Length {
        /// `table_id`.
        table: u8,
        /// Bytes that it states.
        length: usize,
    },
    /// `pointer_field` goes beyond the packet.
    #[error("pointer_field {0} goes beyond the packet")]
    Pointer(u8),
}

/// Gathers sections from the payloads of one PID. Holds at most one section.
#[derive(Clone, Debug, Default)]
pub struct SectionAssembler {
    bytes: Vec<u8>,
    // The section in `bytes` began at a start that was seen.
    open: bool,
}

impl SectionAssembler {
    /// Forgets a section that was begun: a packet in the middle of it is lost.
    pub fn reset(&mut self) {
        self.open = false;
        self.bytes.clear();
    }

    /// Takes the payload of the next packet and hands each complete section, its CRC checked, to
    /// `section`; errors too.
    pub fn push(
        &mut self,
        unit_start: bool,
        payload: &[u8],
        mut section: impl FnMut(Result<&[u8], PsiError>),
    ) {
        if !unit_start {
            if self.open {
                self.append(payload, &mut section);
            }
            return;
        }
        let Some((&pointer, rest)) = payload.split_first() else {
            return;
        };
        let Some((tail, start)) = rest.split_at_checked(usize::from(pointer)) else {
            self.reset();
            return section(Err(PsiError::Pointer(pointer)));
        };
        if self.open {
            self.append(tail, &mut section);
        }
        self.reset();
        self.open = true;
        self.append(start, &mut section);
    }

    fn append(&mut self, mut payload: &[u8], section: &mut impl FnMut(Result<&[u8], PsiError>)) {
        while self.open && !payload.is_empty() {
            if self.bytes.is_empty() && payload.first() == Some(&STUFFING) {
                return self.reset();
            }
            let wanted = match self.total_len() {
                Some(total) => total,
                None => SECTION_HEAD,
            };
            let take = (wanted - self.bytes.len()).min(payload.len());
            let (head, rest) = payload.split_at(take);
            self.bytes.extend_from_slice(head);
            payload = rest;
            let Some(total) = self.total_len() else {
                continue;
            };
            let table = self.bytes.first().copied().unwrap_or_default();
            if !(COMMON_HEAD + CRC_LEN..=MAX_SECTION_LEN).contains(&total) {
                self.reset();
                return section(Err(PsiError::Length {
                    table,
                    length: total,
                }));
            }
            if self.bytes.len() == total {
                section(if crc32(&self.bytes) == 0 {
                    Ok(&self.bytes)
                } else {
                    Err(PsiError::Crc { table })
                });
                self.bytes.clear();
            }
        }
    }

    /// Bytes of the whole section, once its head is there.
    fn total_len(&self) -> Option<usize> {
        let &[_, high, low] = self.bytes.first_chunk::<SECTION_HEAD>()?;
        Some(SECTION_HEAD + (usize::from(high & 0x0f) << 8 | usize::from(low)))
    }
}

/// The fields between `section_length` and `CRC_32` of a section that is valid now.
fn body(section: &[u8], table: TableId) -> Option<(u16, &[u8])> {
    let &[table_id, _, _, id0, id1, version, ..] = section.first_chunk::<COMMON_HEAD>()?;
    let valid_now = version & 1 == 1;
    let end = section.len().checked_sub(CRC_LEN)?;
    (table_id == table.0 && valid_now).then(|| {
        Some((
            u16::from_be_bytes([id0, id1]),
            section.get(COMMON_HEAD..end)?,
        ))
    })?
}

/// A program of a PAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// `program_number`, never 0.
    pub number: u16,
    /// PID of its PMT.
    pub pmt: Pid,
}

/// Whether a section is all of its table.
pub(super) fn is_only_section(section: &[u8]) -> bool {
    // last_section_number
    section.get(7) == Some(&0)
}

/// The programs that a section of the PAT lists. `None` when it is no PAT that is valid now.
pub fn parse_pat(section: &[u8]) -> Option<Vec<Program>> {
    let (_, body) = body(section, TableId::PAT)?;
    let (entries, _) = body.as_chunks::<4>();
    Some(
        entries
            .iter()
            .map(|&[n0, n1, p0, p1]| Program {
                number: u16::from_be_bytes([n0, n1]),
                pmt: pid(p0, p1),
            })
            // Program 0 is the network information table.
            .filter(|program| program.number != 0)
            .collect(),
    )
}

/// `stream_type` (table 2-34).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamType(pub u8);

impl StreamType {
    /// MPEG-1 audio.
    pub const MPEG1_AUDIO: Self = Self(0x03);
    /// MPEG-2 audio.
    pub const MPEG2_AUDIO: Self = Self(0x04);
    /// Private sections.
    pub const PRIVATE_SECTIONS: Self = Self(0x05);
    /// Private data in PES packets: descriptors say what it is.
    pub const PRIVATE_DATA: Self = Self(0x06);
    /// MPEG-1 video.
    pub const MPEG1_VIDEO: Self = Self(0x01);
    /// MPEG-2 video.
    pub const MPEG2_VIDEO: Self = Self(0x02);
    /// AAC in LATM.
    pub const AAC_LATM: Self = Self(0x11);
    /// AAC in ADTS.
    pub const AAC_ADTS: Self = Self(0x0f);
    /// H.264.
    pub const H264: Self = Self(0x1b);
    /// H.265.
    pub const HEVC: Self = Self(0x24);
    /// AC-3, as ATSC numbers it.
    pub const AC3: Self = Self(0x81);
    /// SCTE-35 splice information sections.
    pub const SCTE35: Self = Self(0x86);
    /// E-AC-3, as ATSC numbers it.
    pub const EAC3: Self = Self(0x87);

    /// MPEG-4 video, part 2.
    pub const MPEG4_VIDEO: Self = Self(0x10);
    /// JPEG 2000.
    pub const JPEG2000: Self = Self(0x21);
    /// Chinese AVS.
    pub const CAVS: Self = Self(0x42);
    /// H.266.
    pub const VVC: Self = Self(0x33);
    /// Dolby TrueHD, as Blu-ray discs number it.
    pub const TRUEHD: Self = Self(0x83);
    /// DTS, as many muxers number it.
    pub const DTS: Self = Self(0x8a);
    /// VC-1.
    pub const VC1: Self = Self(0xea);
    /// From here on types are nobody's: whoever uses them says what they mean elsewhere, or not.
    pub const FIRST_USER_PRIVATE: u8 = 0x80;
}

/// `descriptor_tag`s (table 2-45; ETSI EN 300 468, table 12).
pub(super) mod tag {
    pub(crate) const REGISTRATION: u8 = 0x05;
    pub(crate) const LANGUAGE: u8 = 0x0a;
    pub(crate) const SERVICE: u8 = 0x48;
    pub(crate) const TELETEXT: u8 = 0x56;
    pub(crate) const SUBTITLES: u8 = 0x59;
    pub(crate) const AC3: u8 = 0x6a;
    pub(crate) const EAC3: u8 = 0x7a;
    pub(crate) const DTS: u8 = 0x7b;
    pub(crate) const AAC: u8 = 0x7c;
    pub(crate) const EXTENSION: u8 = 0x7f;
}

/// `descriptor_tag_extension` of the Opus descriptor.
const OPUS_EXTENSION: u8 = 0x80;
/// `format_identifier` of Opus.
pub(super) const OPUS_FORMAT: [u8; 4] = *b"Opus";

/// An elementary stream of a PMT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PmtStream {
    /// What the stream carries.
    pub stream_type: StreamType,
    /// Its PID.
    pub pid: Pid,
    /// Its descriptors, as they came.
    pub descriptors: Vec<u8>,
}

impl PmtStream {
    pub(super) fn descriptor(&self, wanted: u8) -> Option<&[u8]> {
        Descriptors(&self.descriptors)
            .find(|(tag, _)| *tag == wanted)
            .map(|(_, data)| data)
    }

    /// `format_identifier` of its registration descriptor.
    pub fn registration(&self) -> Option<[u8; 4]> {
        self.descriptor(tag::REGISTRATION)?.first_chunk().copied()
    }

    /// Language of its ISO 639 descriptor, three letters.
    pub fn language(&self) -> Option<String> {
        let letters: [u8; 3] = *self.descriptor(tag::LANGUAGE)?.first_chunk()?;
        let text = std::str::from_utf8(&letters).ok()?;
        let known = text.bytes().all(|letter| letter.is_ascii_alphabetic());
        known.then(|| text.to_ascii_lowercase())
    }

    /// `channel_config_code` of its Opus descriptor.
    pub fn opus_channel_code(&self) -> Option<u8> {
        match self.descriptor(tag::EXTENSION)? {
            [OPUS_EXTENSION, code, ..] => Some(*code),
            _ => None,
        }
    }
}

/// A program map table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pmt {
    /// `program_number`.
    pub program: u16,
    /// PID that carries the program clock reference.
    pub pcr_pid: Pid,
    /// `format_identifier` of the program's registration descriptor.
    pub registration: Option<[u8; 4]>,
    /// Elementary streams, in the table's order.
    pub streams: Vec<PmtStream>,
}

/// Reads a section of a PMT. `None` when it is no PMT that is valid now, or is cut short inside.
pub fn parse_pmt(section: &[u8]) -> Option<Pmt> {
    let (program, body) = body(section, TableId::PMT)?;
    let (&[p0, p1, l0, l1], rest) = body.split_first_chunk::<4>()?;
    let (info, mut rest) = rest.split_at_checked(length12(l0, l1))?;
    let registration = Descriptors(info)
        .find(|(tag, _)| *tag == tag::REGISTRATION)
        .and_then(|(_, data)| data.first_chunk().copied());
    let mut streams = Vec::new();
    while let Some((&[stream_type, e0, e1, l0, l1], after)) = rest.split_first_chunk::<5>() {
        let (descriptors, next) = after.split_at_checked(length12(l0, l1))?;
        streams.push(PmtStream {
            stream_type: StreamType(stream_type),
            pid: pid(e0, e1),
            descriptors: descriptors.to_vec(),
        });
        rest = next;
    }
    Some(Pmt {
        program,
        pcr_pid: pid(p0, p1),
        registration,
        streams,
    })
}

fn pid(high: u8, low: u8) -> Pid {
    Pid(u16::from_be_bytes([high & 0x1f, low]))
}

fn length12(high: u8, low: u8) -> usize {
    usize::from(high & 0x0f) << 8 | usize::from(low)
}

struct Descriptors<'a>(&'a [u8]);

impl<'a> Iterator for Descriptors<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[tag, length], rest) = self.0.split_first_chunk::<2>()?;
        let (data, rest) = rest.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some((tag, data))
    }
}

/// `transport_stream_id` of the streams written here.
const TRANSPORT_STREAM_ID: u16 = 1;
/// `program_number` of the program written here.
pub(super) const PROGRAM_NUMBER: u16 = 1;
/// `original_network_id` for private use (ETSI TS 101 162).
const PRIVATE_NETWORK: u16 = 0xff01;
const RUNNING: u8 = 4;
const DIGITAL_TELEVISION: u8 = 1;
/// Marks a DVB text as UTF-8 (ETSI EN 300 468, A.2).
const TEXT_IS_UTF8: u8 = 0x15;

/// A PAT of one program.
pub(super) fn write_pat(pmt: Pid) -> Vec<u8> {
    section(TableId::PAT, TRANSPORT_STREAM_ID, 0, 0xb0, |out| {
        out.put_u16(PROGRAM_NUMBER);
        out.put_u16(0xe000 | pmt.0);
    })
}

/// A PMT of these streams, of this version (0 to 31).
pub(super) fn write_pmt(version: u8, pcr_pid: Pid, streams: &[PmtStream]) -> Vec<u8> {
    section(TableId::PMT, PROGRAM_NUMBER, version, 0xb0, |out| {
        out.put_u16(0xe000 | pcr_pid.0);
        out.put_u16(0xf000);
        for stream in streams {
            out.put_u8(stream.stream_type.0);
            out.put_u16(0xe000 | stream.pid.0);
            out.put_u16(0xf000 | stream.descriptors.len() as u16);
            out.put_slice(&stream.descriptors);
        }
    })
}

/// An SDT that names the program.
pub(super) fn write_sdt(service: &str) -> Vec<u8> {
    section(TableId::SDT, TRANSPORT_STREAM_ID, 0, 0xf0, |out| {
        out.put_u16(PRIVATE_NETWORK);
        out.put_u8(0xff);
        out.put_u16(PROGRAM_NUMBER);
        // No event information.
        out.put_u8(0xfc);
        let mut name = Vec::new();
        if !service.is_ascii() {
            name.push(TEXT_IS_UTF8);
        }
        name.extend_from_slice(service.as_bytes());
        let descriptor_len = 3 + name.len();
        out.put_u16(u16::from(RUNNING << 1) << 12 | (2 + descriptor_len) as u16);
        // Service type, no provider, the name.
        out.put_slice(&[tag::SERVICE, descriptor_len as u8, DIGITAL_TELEVISION, 0]);
        out.put_u8(name.len() as u8);
        out.put_slice(&name);
    })
}

/// Descriptors of an Opus stream: registration, and how many channels it has.
pub(super) fn opus_descriptors(channel_code: u8) -> Vec<u8> {
    let mut descriptors = registration_descriptor(OPUS_FORMAT);
    descriptors.extend([tag::EXTENSION, 2, OPUS_EXTENSION, channel_code]);
    descriptors
}

/// An ISO 639 language descriptor (2.6.18): none for what is not a language of three letters.
pub(super) fn language_descriptor(language: &str) -> Vec<u8> {
    let letters = language.as_bytes();
    if letters.len() != 3 || !letters.iter().all(u8::is_ascii_alphabetic) {
        return Vec::new();
    }
    let mut descriptor = vec![tag::LANGUAGE, 4];
    descriptor.extend(letters);
    // Audio type: undefined.
    descriptor.push(0);
    descriptor
}

/// A registration descriptor (2.6.8).
pub(super) fn registration_descriptor(format: [u8; 4]) -> Vec<u8> {
    let mut descriptor = vec![tag::REGISTRATION, 4];
    descriptor.extend(format);
    descriptor
}

/// `flags`: section_syntax_indicator and the reserved bits beside the length.
fn section(
    table: TableId,
    id: u16,
    version: u8,
    flags: u8,
    fields: impl FnOnce(&mut BytesMut),
) -> Vec<u8> {
    let mut out = BytesMut::with_capacity(MAX_SECTION_LEN);
    out.put_slice(&[table.0, flags, 0]);
    out.put_u16(id);
    // Reserved bits, version, valid now; section 0 of 0.
    out.put_slice(&[0xc1 | (version & 0x1f) << 1, 0, 0]);
    fields(&mut out);
    let length = (out.len() + CRC_LEN - SECTION_HEAD) as u16;
    let [high, low] = length.to_be_bytes();
    if let Some(head) = out.first_chunk_mut::<SECTION_HEAD>() {
        *head = [table.0, flags | high, low];
    }
    out.put_u32(crc32(&out));
    out.to_vec()
}

#[cfg(test)]
#[path = "psi_test.rs"]
mod tests;
