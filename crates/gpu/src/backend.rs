//! A CUDA device as a [`Backend`].

use trickle_media::backend::{Backend, BackendDescription};
use trickle_media::coder::{VideoDecoder, VideoEncoder, VideoEncoderSettings};
use trickle_media::frame::FramePool;
use trickle_media::stream::VideoParams;
use trickle_media::{Codec, Unsupported};

use crate::device::Gpu;
use crate::error::GpuError;
use crate::nvdec::NvDecoder;
use crate::probe::{CodecCaps, Coding, DeviceReport, report_of};

/// Where decoded frames are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// In device memory.
    #[default]
    Device,
    /// In host memory: for processors and encoders that work there. One copy a frame, NV12.
    Host,
}

/// Video codecs of one CUDA device: `cuda:0`.
#[derive(Debug)]
pub struct CudaBackend {
    gpu: Gpu,
    report: DeviceReport,
    place: Place,
}

impl CudaBackend {
    /// Opens a device by CUDA's number of it.
    ///
    /// # Errors
    /// [`GpuError`] where there is no driver or no such device; a device without decoder or
    /// encoder is none.
    pub fn open(index: u32, place: Place) -> Result<Self, GpuError> {
        Ok(Self {
            gpu: Gpu::open(index)?,
            report: report_of(index)?,
            place,
        })
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// What the device has.
    pub fn report(&self) -> &DeviceReport {
        &self.report
    }
}

/// In words, or why there is none.
fn describe(coding: &Coding) -> String {
    let names: Vec<&str> = coding.codecs.iter().map(|caps| caps.codec.name()).collect();
    match &coding.reason {
        Some(reason) => reason.clone(),
        None => format!("NVDEC ({})", names.join(", ")),
    }
}

impl Backend for CudaBackend {
    fn name(&self) -> &str {
        self.gpu.name()
    }

    fn describe(&self) -> BackendDescription {
        BackendDescription {
            name: self.name().to_owned(),
            decoder: describe(&self.report.decode),
            encoder: NO_ENCODER.to_owned(),
            warnings: self
                .gpu
                .poison()
                .map(|first| format!("unusable until the process ends, since: {first}"))
                .into_iter()
                .collect(),
        }
    }

    fn open_decoder(
        &self,
        params: &VideoParams,
        pool: &FramePool,
    ) -> Result<VideoDecoder, Unsupported> {
        let unsupported = |reason: String| Unsupported::new(params.codec, reason);
        if let Some(reason) = refuse(&self.report.decode, params) {
            return Err(unsupported(reason));
        }
        let decoder = NvDecoder::open(&self.gpu, params.codec, self.place, pool);
        decoder
            .map(|decoder| Box::new(decoder) as VideoDecoder)
            .map_err(|error| unsupported(error.to_string()))
    }

    fn open_encoder(&self, _settings: &VideoEncoderSettings) -> Result<VideoEncoder, Unsupported> {
        Err(Unsupported::new(Codec::H264, NO_ENCODER))
    }
}

const NO_ENCODER: &str = "encoding on the GPU is not supported yet";

/// Why the device cannot decode such a stream, if it cannot.
fn refuse(decode: &Coding, params: &VideoParams) -> Option<String> {
    let caps = decode.codecs.iter().find(|caps| caps.codec == params.codec);
    let Some(caps) = caps else {
        let reason = decode.reason.clone();
        return Some(reason.unwrap_or_else(|| "the device does not decode it".to_owned()));
    };
    let CodecCaps {
        min_width,
        min_height,
        max_width,
        max_height,
        ..
    } = *caps;
    let (width, height) = (params.width, params.height);
    if params.bit_depth != 8 {
        Some(format!(
            "{} bits per sample; 8 are supported",
            params.bit_depth
        ))
    } else if params.chroma_format != 1 {
        Some("chroma other than 4:2:0".to_owned())
    } else if !(min_width..=max_width).contains(&width)
        || !(min_height..=max_height).contains(&height)
    {
        Some(format!(
            "{width}×{height} is outside of what the device decodes, \
             {min_width}×{min_height} to {max_width}×{max_height}"
        ))
    } else {
        None
    }
}
