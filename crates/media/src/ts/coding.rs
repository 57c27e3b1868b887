//! What a stream of a program is coded in, as its PMT tells: by stream type, by descriptors, and by
//! who numbered the types.

use super::packet::Pid;
use super::psi::{OPUS_FORMAT, Pmt, PmtStream, StreamType, tag};
use crate::access_unit::Codec;

/// `format_identifier`s of programs whose stream types are those of Blu-ray discs, AVCHD cameras and
/// FFmpeg's `.m2ts`.
const BLU_RAY: [[u8; 4]; 2] = [*b"HDMV", *b"HDPR"];
/// PIDs of primary audio in these (Blu-ray Disc Read-Only Format, part 3).
const BLU_RAY_AUDIO: std::ops::RangeInclusive<u16> = 0x1100..=0x111f;

impl Pmt {
    fn is_blu_ray(&self) -> bool {
        let registered = self.registration.as_ref();
        registered.is_some_and(|format| BLU_RAY.contains(format))
    }

    /// The coding format of one of its streams.
    pub fn codec(&self, stream: &PmtStream) -> Codec {
        let blu_ray = self.is_blu_ray();
        let codec = blu_ray.then(|| blu_ray_codec(stream.stream_type)).flatten();
        match codec.unwrap_or_else(|| stream.codec()) {
            Codec::Other if blu_ray && BLU_RAY_AUDIO.contains(&stream.pid.0) => {
                Codec::UNDETERMINED_AUDIO
            }
            codec => codec,
        }
    }

    /// Whether one of its streams carries sections rather than PES packets.
    pub fn is_sections(&self, stream: &PmtStream) -> bool {
        stream.stream_type == StreamType::PRIVATE_SECTIONS || self.codec(stream) == Codec::Scte35
    }
}

/// Types that Blu-ray discs number for themselves.
fn blu_ray_codec(stream_type: StreamType) -> Option<Codec> {
    Some(match stream_type.0 {
        0x80 => Codec::OtherAudio("pcm"),
        0x81 => Codec::Ac3,
        0x82 | 0x85 | 0x86 | 0xa2 => Codec::OtherAudio("dts"),
        0x83 => Codec::OtherAudio("truehd"),
        0x84 | 0xa1 => Codec::Eac3,
        0x90 | 0x92 => Codec::Subtitles,
        _ => return None,
    })
}

impl PmtStream {
    /// The coding format, from stream type and descriptors.
    pub fn codec(&self) -> Codec {
        match self.stream_type {
            StreamType::H264 => Codec::H264,
            StreamType::HEVC => Codec::Hevc,
            StreamType::AAC_ADTS | StreamType::AAC_LATM => Codec::Aac,
            StreamType::MPEG1_VIDEO | StreamType::MPEG2_VIDEO => Codec::Mpeg2Video,
            StreamType::SCTE35 => Codec::Scte35,
            StreamType::MPEG1_AUDIO | StreamType::MPEG2_AUDIO => Codec::Mpeg,
            StreamType::AC3 => Codec::Ac3,
            StreamType::EAC3 => Codec::Eac3,
            StreamType::MPEG4_VIDEO => Codec::OtherVideo("mpeg4"),
            StreamType::VVC => Codec::OtherVideo("vvc"),
            StreamType::VC1 => Codec::OtherVideo("vc1"),
            StreamType::JPEG2000 => Codec::OtherVideo("jpeg2000"),
            StreamType::CAVS => Codec::OtherVideo("cavs"),
            StreamType::TRUEHD => Codec::OtherAudio("truehd"),
            StreamType::DTS => Codec::OtherAudio("dts"),
            _ => self.registered().unwrap_or_else(|| self.described()),
        }
    }

    /// What its registration descriptor names.
    fn registered(&self) -> Option<Codec> {
        Some(match &self.registration()? {
            &OPUS_FORMAT => Codec::Opus,
            b"AC-3" => Codec::Ac3,
            b"EAC3" => Codec::Eac3,
            b"HEVC" => Codec::Hevc,
            b"AV01" => Codec::OtherVideo("av1"),
            b"VC-1" => Codec::OtherVideo("vc1"),
            b"drac" => Codec::OtherVideo("dirac"),
            b"DTS1" | b"DTS2" | b"DTS3" => Codec::OtherAudio("dts"),
            b"BSSD" => Codec::OtherAudio("pcm"),
            b"AC-4" => Codec::OtherAudio("ac4"),
            _ => return None,
        })
    }

    /// What the descriptors of DVB say.
    fn described(&self) -> Codec {
        let kinds = [
            (tag::AC3, Codec::Ac3),
            (tag::EAC3, Codec::Eac3),
            (tag::AAC, Codec::Aac),
            (tag::DTS, Codec::OtherAudio("dts")),
            (tag::SUBTITLES, Codec::Subtitles),
            (tag::TELETEXT, Codec::Subtitles),
        ];
        let mut kinds = kinds.iter();
        kinds
            .find(|(tag, _)| self.descriptor(*tag).is_some())
            .map_or(Codec::Other, |(_, codec)| *codec)
    }

    /// Nothing says what the stream is, so its packets may.
    pub(super) fn is_unnamed(&self, codec: Codec) -> bool {
        let any = self.stream_type == StreamType::PRIVATE_DATA
            || self.stream_type.0 >= StreamType::FIRST_USER_PRIVATE;
        let of_no_kind = matches!(codec, Codec::Other | Codec::UNDETERMINED_AUDIO);
        any && of_no_kind && self.registration().is_none() && self.pid != Pid::NULL
    }
}

#[cfg(test)]
#[path = "coding_test.rs"]
mod tests;
