//! The CPU codecs.

use crate::access_unit::Codec;
use crate::backend::{Backend, BackendDescription};
use crate::coder::{VideoDecoder, VideoEncoder, VideoEncoderSettings};
use crate::error::Unsupported;
use crate::frame::FramePool;
use crate::stream::VideoParams;

/// The CPU's codecs as a backend.
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
            decoder: "none".into(),
            encoder: "none".into(),
            warnings: Vec::new(),
        }
    }

    fn open_decoder(
        &self,
        params: &VideoParams,
        _: &FramePool,
    ) -> Result<VideoDecoder, Unsupported> {
        Err(Unsupported::new(params.codec, "no decoder is built in"))
    }

    fn open_encoder(&self, _: &VideoEncoderSettings) -> Result<VideoEncoder, Unsupported> {
        Err(Unsupported::new(Codec::H264, "no encoder is built in"))
    }
}
