//! FFmpeg as a row of the table of backends.

use ffmpeg_next as ffmpeg;
use trickle_media::backend::BackendDescription;
use trickle_media::coder::{VideoDecoder, VideoEncoder, VideoEncoderSettings};
use trickle_media::frame::FramePool;
use trickle_media::{Backend, Unsupported, VideoParams};

use crate::decoder::FfmpegDecoder;
use crate::encoder::{self, FfmpegEncoder};

/// The system's libavcodec.
#[derive(Debug)]
pub struct FfmpegBackend {
    _private: (),
}

impl FfmpegBackend {
    /// The backend named `ffmpeg`.
    ///
    /// # Errors
    /// What libavcodec says when it cannot be used.
    pub fn new() -> Result<Self, String> {
        ffmpeg::init().map_err(|error| error.to_string())?;
        // Damage is counted and told here; libavcodec would write it to stderr as well.
        ffmpeg::log::set_level(ffmpeg::log::Level::Fatal);
        Ok(Self { _private: () })
    }
}

impl Backend for FfmpegBackend {
    fn name(&self) -> &str {
        "ffmpeg"
    }

    fn describe(&self) -> BackendDescription {
        let version = ffmpeg::codec::version();
        let (major, minor, micro) = (version >> 16, version >> 8 & 0xff, version & 0xff);
        BackendDescription {
            name: "ffmpeg".into(),
            decoder: format!("libavcodec {major}.{minor}.{micro}: H.264, HEVC"),
            encoder: match encoder::available() {
                names if names.is_empty() => "none: this FFmpeg has no H.264 encoder".into(),
                names => names.join(", "),
            },
            warnings: Vec::new(),
        }
    }

    fn open_decoder(
        &self,
        params: &VideoParams,
        pool: &FramePool,
    ) -> Result<VideoDecoder, Unsupported> {
        Ok(Box::new(FfmpegDecoder::open(params, pool)?))
    }

    fn open_encoder(&self, settings: &VideoEncoderSettings) -> Result<VideoEncoder, Unsupported> {
        Ok(Box::new(FfmpegEncoder::open(settings)?))
    }
}
