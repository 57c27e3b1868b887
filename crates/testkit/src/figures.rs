//! What ffprobe and ffmpeg say of the clips: `testdata/figures/CLIP.json`, made by
//! `testdata/figures/regenerate.sh`.

use serde::Deserialize;

/// Figures of one clip.
#[derive(Clone, Debug, Deserialize)]
pub struct Figures {
    /// Name of the clip in `testdata/media`.
    pub clip: String,
    /// Its elementary streams.
    pub streams: Vec<StreamFigures>,
    /// Its decoded pictures, in display order; `None` for damaged clips and those without video.
    pub frames: Option<FrameFigures>,
}

/// Figures of one elementary stream.
#[derive(Clone, Debug, Deserialize)]
pub struct StreamFigures {
    /// PID or track id, as a hexadecimal number.
    pub id: String,
    /// FFmpeg's name of the coding format.
    pub codec: String,
    /// Unit of the times, in seconds, as a fraction.
    pub time_base: String,
    /// Level of a video stream, ten times its number.
    pub level: Option<i32>,
    /// Columns shown.
    pub width: Option<u32>,
    /// Rows shown.
    pub height: Option<u32>,
    /// FFmpeg's name of the pixel format.
    pub pix_fmt: Option<String>,
    /// Frames per second, as a fraction; field rate or a guess for some streams.
    pub frame_rate: Option<String>,
    /// Pictures by which decode order differs from display order.
    pub reorder: Option<u32>,
    /// Samples per second of an audio stream.
    pub sample_rate: Option<u32>,
    /// Channels of an audio stream.
    pub channels: Option<u8>,
    /// Presentation time of each packet.
    pub pts: Vec<Option<i64>>,
    /// Decoding time of each packet.
    pub dts: Vec<Option<i64>>,
    /// Bytes of each packet; of AAC from transport streams with its ADTS header.
    pub size: Vec<usize>,
    /// Indices of the packets that are keyframes.
    pub key: Vec<usize>,
}

impl StreamFigures {
    /// The PID or track id.
    ///
    /// # Panics
    /// When the file is damaged.
    pub fn id(&self) -> u32 {
        let digits = self.id.trim_start_matches("0x");
        u32::from_str_radix(digits, 16).unwrap_or_else(|error| panic!("{}: {error}", self.id))
    }
}

/// Figures of the decoded pictures, in display order, pixels as they are coded.
#[derive(Clone, Debug, Deserialize)]
pub struct FrameFigures {
    /// Presentation times, in the stream's time base.
    pub pts: Vec<i64>,
    /// Bytes of each picture's planes, without padding.
    pub bytes: Vec<usize>,
    /// MD5 of each picture's planes, one after another, as hexadecimal digits.
    pub md5: Vec<String>,
}

/// The figures of a clip.
///
/// # Panics
/// When there are none: the checkout is incomplete.
pub fn figures(clip: &str) -> Figures {
    let path = crate::testdata()
        .join("figures")
        .join(format!("{clip}.json"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
