//! Coded media between demuxer and decoder, and between encoder and muxer.

use std::fmt;
use std::time::Instant;

use bytes::Bytes;
use serde::Serialize;

use crate::time::Timestamp;

/// Which elementary stream of its container a unit belongs to: the PID in a transport stream,
/// the track id in an MP4 file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct TrackId(pub u32);

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Coding format of an elementary stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Codec {
    /// H.264 / AVC (ITU-T H.264).
    H264,
    /// H.265 / HEVC (ITU-T H.265).
    Hevc,
    /// AAC (ISO/IEC 14496-3).
    Aac,
    /// Opus (RFC 6716).
    Opus,
    /// MPEG-1/2 audio, layers I to III.
    Mpeg,
    /// Dolby AC-3.
    Ac3,
    /// Dolby E-AC-3.
    Eac3,
    /// MPEG-1 or MPEG-2 video (ITU-T H.262): named, never decoded.
    Mpeg2Video,
    /// DVB subtitles or teletext (ETSI EN 300 743, EN 300 472): left out of every output.
    Subtitles,
    /// Splice information (ANSI/SCTE 35): left out of every output.
    Scte35,
    /// Anything else: left out of every output.
    Other,
    /// Video in any other coding, by its name: refused.
    #[serde(untagged)]
    OtherVideo(&'static str),
    /// Audio in any other coding, by its name: left out.
    #[serde(untagged)]
    OtherAudio(&'static str),
}

impl Codec {
    /// Video of which nothing is known.
    pub const UNKNOWN_VIDEO: Self = Self::OtherVideo("unknown video");
    /// Audio of which nothing is known.
    pub const UNKNOWN_AUDIO: Self = Self::OtherAudio("unknown audio");
    /// Audio whose coding its first packets will tell.
    pub const UNDETERMINED_AUDIO: Self = Self::OtherAudio("undetermined audio");

    /// Whether this is video, audio or neither.
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::H264 | Self::Hevc | Self::Mpeg2Video | Self::OtherVideo(_) => MediaKind::Video,
            Self::Aac | Self::Opus | Self::Mpeg | Self::Ac3 | Self::Eac3 | Self::OtherAudio(_) => {
                MediaKind::Audio
            }
            Self::Subtitles | Self::Scte35 | Self::Other => MediaKind::Data,
        }
    }

    /// Whether something is done with it, other than to name it.
    pub const fn is_used(self) -> bool {
        !matches!(
            self,
            Self::Mpeg2Video | Self::OtherVideo(_) | Self::OtherAudio(_)
        ) && !matches!(self.kind(), MediaKind::Data)
    }

    /// The name that ffprobe and people use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Aac => "aac",
            Self::Opus => "opus",
            Self::Mpeg => "mp2",
            Self::Ac3 => "ac3",
            Self::Eac3 => "eac3",
            Self::Mpeg2Video => "mpeg2video",
            Self::Subtitles => "subtitles",
            Self::Scte35 => "scte35",
            Self::Other => "data",
            Self::OtherVideo(name) | Self::OtherAudio(name) => name,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What an elementary stream is to its viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Neither: subtitles, SCTE-35, private data.
    Data,
}

/// One coded picture, or one coded audio frame.
///
/// `data` by codec:
/// - H.264, HEVC: the Annex B byte stream of one access unit, start codes included;
/// - AAC: one raw frame (`raw_data_block`) without ADTS header; its configuration is in
///   [`AudioParams::config`](crate::stream::AudioParams::config);
/// - Opus: one packet (RFC 6716) without the control header of Opus in MPEG-TS;
/// - others: the payload as it came.
#[derive(Clone, Debug)]
pub struct AccessUnit {
    /// Elementary stream.
    pub track: TrackId,
    /// Coding format.
    pub codec: Codec,
    /// Coded bytes; shared, never copied by a clone.
    pub data: Bytes,
    /// When it is shown, unwrapped: it never jumps back by 2³³.
    pub pts: Timestamp,
    /// When it is decoded: equal to `pts` where pictures are not reordered.
    pub dts: Timestamp,
    /// A decoder can start here: an IDR picture, or one of an open group of pictures that states
    /// so; always true for audio.
    pub keyframe: bool,
    /// What is known to be wrong with it.
    pub flags: UnitFlags,
    /// When its last byte arrived, for latency; `None` offline.
    pub received: Option<Instant>,
}

/// Faults and marks of an access unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitFlags {
    /// Bytes of it are missing or damaged (lost packets, cut PES).
    pub damaged: bool,
    /// The clock jumped between the unit before and this one.
    pub discontinuity: bool,
    /// The unit before was handed out after a pause although it was not complete. This one
    /// repeats its bytes and adds those that came late: it replaces the unit before.
    pub replaces_previous: bool,
    /// It is to be decoded, as others refer to it, but not shown: an edit list leaves it out.
    pub hidden: bool,
}
