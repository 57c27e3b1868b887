//! What is known of an elementary stream before a frame of it is decoded.

use bytes::Bytes;
use serde::Serialize;

use crate::access_unit::{Codec, MediaKind, TrackId};

/// An elementary stream of a container.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamInfo {
    /// Its id, found again in every [`AccessUnit`](crate::AccessUnit).
    pub track: TrackId,
    /// Coding format.
    pub codec: Codec,
    /// ISO 639-2 language, where the container names one.
    pub language: Option<String>,
    /// Coding parameters, as far as the container or the stream's first headers tell.
    pub params: StreamParams,
}

impl StreamInfo {
    /// The stream of this kind that is worked on: the first in a coding that is of use here, else
    /// the first, so that its coding is refused by name.
    pub fn choose(streams: &[Self], kind: MediaKind, now: Option<TrackId>) -> Option<&Self> {
        let mut all = streams.iter().filter(|stream| stream.codec.kind() == kind);
        let current = all.clone().find(|stream| Some(stream.track) == now);
        let used = || all.clone().find(|stream| stream.codec.is_used());
        current.or_else(used).or_else(|| all.next())
    }

    /// How its pictures lie; what has none is upright.
    pub fn orientation(&self) -> Orientation {
        match &self.params {
            StreamParams::Video(video) => video.orientation,
            StreamParams::Audio(_) | StreamParams::Unknown => Orientation::UPRIGHT,
        }
    }
}

/// Coding parameters by kind of stream.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamParams {
    /// Nothing is known yet.
    Unknown,
    /// A video stream.
    Video(VideoParams),
    /// An audio stream.
    Audio(AudioParams),
}

/// Parameters of a video stream, from its sequence parameter set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VideoParams {
    /// Coding format.
    pub codec: Codec,
    /// Width of the picture shown, in luma samples, cropping applied.
    pub width: u32,
    /// Height of the picture shown, in luma samples, cropping applied.
    pub height: u32,
    /// Frames per second, where the stream states it.
    pub frame_rate: Option<Rational>,
    /// Colour.
    pub color: ColorDescription,
    /// Profile, by its number (`profile_idc`).
    pub profile: u8,
    /// Level, ten times its number (`level_idc`: 31 is level 3.1).
    pub level: u8,
    /// Bits per luma sample.
    pub bit_depth: u8,
    /// Chroma format: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4 (`chroma_format_idc`).
    pub chroma_format: u8,
    /// The stream may hold fields rather than frames (`frame_mbs_only_flag` is 0).
    pub interlaced: bool,
    /// Pictures by which decode order can differ from display order, where the stream states it
    /// (`max_num_reorder_frames`).
    pub reorder: Option<u32>,
    /// How the container wants pictures turned for display.
    pub orientation: Orientation,
}

impl VideoParams {
    /// Of a stream of which only the codec is known: enough for backends to say what they make of
    /// that.
    pub const fn unknown(codec: Codec) -> Self {
        Self {
            codec,
            width: 0,
            height: 0,
            frame_rate: None,
            color: ColorDescription::UNSPECIFIED,
            profile: 0,
            level: 0,
            bit_depth: 0,
            chroma_format: 0,
            interlaced: false,
            reorder: None,
            orientation: Orientation::UPRIGHT,
        }
    }
}

/// How a picture lies: what makes it upright. Phones state it rather than turn what they record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Orientation {
    /// To be mirrored, left to right, before it is turned.
    pub mirrored: bool,
    /// To be turned clockwise by so many quarter turns, 0 to 3.
    pub quarter_turns: u8,
}

impl Orientation {
    /// Nothing is to be done.
    pub const UPRIGHT: Self = Self {
        mirrored: false,
        quarter_turns: 0,
    };

    /// Of the matrix that maps the places of samples to those on display, `[a, b, c, d]`: x to
    /// a·x + c·y, y to b·x + d·y, with y pointing down. `None` for one that does not map axes to
    /// axes.
    pub fn of_matrix([a, b, c, d]: [i32; 4]) -> Option<Self> {
        let signs = [a, b, c, d].map(i32::signum);
        let mirrored = match signs {
            [1 | -1, 0, 0, 1 | -1] => signs[0] != signs[3],
            [0, 1 | -1, 1 | -1, 0] => signs[1] == signs[2],
            _ => return None,
        };
        // Where the x axis goes, without the mirror.
        let flip = if mirrored { -1 } else { 1 };
        let quarter_turns = match (flip * signs[0], flip * signs[1]) {
            (1, _) => 0,
            (_, 1) => 1,
            (-1, _) => 2,
            _ => 3,
        };
        Some(Self {
            mirrored,
            quarter_turns,
        })
    }

    /// Width and height on display of a picture of this size.
    pub fn size<T>(self, width: T, height: T) -> (T, T) {
        if self.quarter_turns.is_multiple_of(2) {
            (width, height)
        } else {
            (height, width)
        }
    }
}

/// Parameters of an audio stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioParams {
    /// Coding format.
    pub codec: Codec,
    /// Samples per second and channel.
    pub sample_rate: u32,
    /// Channels, 1 to 8.
    pub channels: u8,
    /// Decoder configuration: an AudioSpecificConfig for AAC (ISO/IEC 14496-3, 1.6.2.1), an
    /// OpusHead without its magic for Opus (RFC 7845, 5.1) where the channel mapping is not the
    /// plain one; else empty.
    pub config: Bytes,
}

/// A fraction, such as a frame rate of 30000/1001.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Rational {
    /// Numerator.
    pub num: u32,
    /// Denominator; never zero in a value that this crate made.
    pub den: u32,
}

impl Rational {
    /// `num / den`; `None` when either is zero, which no rate can be.
    pub const fn new(num: u32, den: u32) -> Option<Self> {
        if num == 0 || den == 0 {
            None
        } else {
            Some(Self { num, den })
        }
    }

    /// `num / den` in lowest terms; `None` also where these are beyond 32 bits.
    pub(crate) fn reduced(num: u64, den: u64) -> Option<Self> {
        let (mut divisor, mut rest) = (num, den);
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        let divisor = divisor.max(1);
        Self::new(
            u32::try_from(num / divisor).ok()?,
            u32::try_from(den / divisor).ok()?,
        )
    }

    /// As a float; lossy.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

/// Colour of a video stream, as the VUI states it (ITU-T H.264, E.2.1; code points of
/// ITU-T H.273). It is carried from the input to the output unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct ColorDescription {
    /// `colour_primaries`; 2 is unspecified.
    pub primaries: u8,
    /// `transfer_characteristics`; 2 is unspecified.
    pub transfer: u8,
    /// `matrix_coefficients`; 2 is unspecified.
    pub matrix: u8,
    /// Luma uses 0–255 rather than 16–235.
    pub full_range: bool,
}

impl ColorDescription {
    /// Nothing is stated: limited range, the matrix to be guessed from the size.
    pub const UNSPECIFIED: Self = Self {
        primaries: 2,
        transfer: 2,
        matrix: 2,
        full_range: false,
    };
    /// ITU-R BT.709, limited range.
    pub const BT709: Self = Self {
        primaries: 1,
        transfer: 1,
        matrix: 1,
        full_range: false,
    };
    /// ITU-R BT.601 of 625-line systems, limited range.
    pub const BT601: Self = Self {
        primaries: 5,
        transfer: 6,
        matrix: 5,
        full_range: false,
    };

    /// Which matrix to convert with. An unspecified one is BT.709 from 720 lines up (or 1280
    /// columns) and BT.601 below, as players guess.
    pub const fn yuv_matrix(self, width: u32, height: u32) -> YuvMatrix {
        match self.matrix {
            1 => YuvMatrix::Bt709,
            4..=6 => YuvMatrix::Bt601,
            _ if height >= 720 || width >= 1280 => YuvMatrix::Bt709,
            _ => YuvMatrix::Bt601,
        }
    }
}

impl ColorDescription {
    /// With the matrix stated that [`yuv_matrix`](Self::yuv_matrix) guesses from this size where
    /// none is. For planes that are about to change their size: their colours stay coded as they
    /// were.
    #[must_use]
    pub const fn resolved(self, width: u32, height: u32) -> Self {
        if self.matrix != Self::UNSPECIFIED.matrix {
            return self;
        }
        let matrix = match self.yuv_matrix(width, height) {
            YuvMatrix::Bt709 => Self::BT709.matrix,
            YuvMatrix::Bt601 => Self::BT601.matrix,
        };
        Self { matrix, ..self }
    }
}

impl Default for ColorDescription {
    fn default() -> Self {
        Self::UNSPECIFIED
    }
}

/// The matrices that conversion to and from RGB knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum YuvMatrix {
    /// ITU-R BT.601: Kr = 0.299, Kb = 0.114.
    Bt601,
    /// ITU-R BT.709: Kr = 0.2126, Kb = 0.0722.
    Bt709,
}

#[cfg(test)]
#[path = "stream_test.rs"]
mod tests;
