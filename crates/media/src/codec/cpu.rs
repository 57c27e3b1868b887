//! The CPU's codecs as a [`Backend`].

use crate::backend::{Backend, BackendDescription};
use crate::codec::h264::H264Decoder;
use crate::codec::openh264::{self, H264Encoder, OpenH264};
use crate::codec::rust_h264::RustH264;
use crate::coder::{VideoDecoder, VideoEncoder, VideoEncoderSettings};
use crate::error::Unsupported;
use crate::frame::FramePool;
use crate::stream::VideoParams;

/// The CPU's video codecs: H.264 both ways through OpenH264, and decoding through rust_h264 of what
/// OpenH264 refuses. Which one is known before the first picture, from its parameter set.
#[derive(Debug, Default)]
pub struct CpuBackend {}

impl CpuBackend {
    /// The backend named `cpu`.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Backend for CpuBackend {
    fn name(&self) -> &str {
        "cpu"
    }

    fn describe(&self) -> BackendDescription {
        BackendDescription {
            name: "cpu".into(),
            decoder: format!(
                "{}; rust_h264 for interlaced, 10-bit, 4:2:2 and monochrome H.264",
                openh264::title()
            ),
            encoder: openh264::title(),
            warnings: openh264::slow_build_warning().into_iter().collect(),
        }
    }

    fn open_decoder(
        &self,
        params: &VideoParams,
        pool: &FramePool,
    ) -> Result<VideoDecoder, Unsupported> {
        let refused = match H264Decoder::<OpenH264>::open(params, pool) {
            Ok(decoder) => return Ok(Box::new(decoder)),
            Err(refused) => refused,
        };
        match H264Decoder::<RustH264>::open(params, pool) {
            Ok(decoder) => Ok(Box::new(decoder)),
            Err(also) => Err(Unsupported::new(
                params.codec,
                format!("{}; {}", refused.reason, also.reason),
            )),
        }
    }

    fn open_encoder(&self, settings: &VideoEncoderSettings) -> Result<VideoEncoder, Unsupported> {
        Ok(Box::new(H264Encoder::open(settings)?))
    }
}
