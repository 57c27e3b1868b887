//! The CPU's codecs as a [`Backend`].

use crate::backend::{Backend, BackendDescription};
use crate::codec::openh264::{self, H264Decoder, H264Encoder};
use crate::coder::{VideoDecoder, VideoEncoder, VideoEncoderSettings};
use crate::error::Unsupported;
use crate::frame::FramePool;
use crate::stream::VideoParams;

/// The CPU's video codecs: H.264 both ways through OpenH264.
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
            decoder: openh264::title(),
            encoder: openh264::title(),
            warnings: openh264::slow_build_warning().into_iter().collect(),
        }
    }

    fn open_decoder(
        &self,
        params: &VideoParams,
        pool: &FramePool,
    ) -> Result<VideoDecoder, Unsupported> {
        Ok(Box::new(H264Decoder::open(params, pool)?))
    }

    fn open_encoder(&self, settings: &VideoEncoderSettings) -> Result<VideoEncoder, Unsupported> {
        Ok(Box::new(H264Encoder::open(settings)?))
    }
}
