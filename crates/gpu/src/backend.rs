//! A CUDA device as a [`Backend`].

use trickle_media::Unsupported;
use trickle_media::backend::{Backend, BackendDescription};
use trickle_media::coder::{VideoDecoder, VideoEncoder, VideoEncoderSettings};
use trickle_media::frame::FramePool;
use trickle_media::stream::VideoParams;

use crate::device::Gpu;
use crate::error::GpuError;
use crate::nvdec::NvDecoder;
use crate::nvenc::NvEncoder;
use crate::probe::{CodecCaps, Coding, DeviceReport, report_of};

/// Video codecs of one CUDA device: `cuda:0`. Decoded frames are in its memory, as NV12; the
/// encoder takes frames from there and from anywhere else.
#[derive(Debug)]
pub struct CudaBackend {
    gpu: Gpu,
    report: DeviceReport,
}

impl CudaBackend {
    /// Opens a device by CUDA's number of it.
    ///
    /// # Errors
    /// [`GpuError`] where there is no driver or no such device; a device without decoder or
    /// encoder is none.
    pub fn open(index: u32) -> Result<Self, GpuError> {
        Self::of_report(report_of(index)?)
    }

    /// Opens the device that was found.
    pub(crate) fn of_report(report: DeviceReport) -> Result<Self, GpuError> {
        Ok(Self {
            gpu: Gpu::open(report.index)?,
            report,
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
fn describe(name: &str, coding: &Coding) -> String {
    let names: Vec<&str> = coding.codecs.iter().map(|caps| caps.codec.name()).collect();
    match &coding.reason {
        Some(reason) => reason.clone(),
        None => format!("{name} ({})", names.join(", ")),
    }
}

impl Backend for CudaBackend {
    fn name(&self) -> &str {
        self.gpu.name()
    }

    fn describe(&self) -> BackendDescription {
        BackendDescription {
            name: self.name().to_owned(),
            decoder: describe("NVDEC", &self.report.decode),
            encoder: describe("NVENC", &self.report.encode),
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
        let decoder = NvDecoder::open(&self.gpu, params.codec, pool);
        decoder
            .map(|decoder| Box::new(decoder) as VideoDecoder)
            .map_err(|error| unsupported(error.to_string()))
    }

    fn open_encoder(&self, settings: &VideoEncoderSettings) -> Result<VideoEncoder, Unsupported> {
        let unsupported = |reason: String| Unsupported::new(settings.codec, reason);
        let caps = match usable(&self.report.encode, settings) {
            Ok(caps) => caps,
            Err(reason) => return Err(unsupported(reason)),
        };
        NvEncoder::open(&self.gpu, settings, (caps.max_width, caps.max_height))
            .map(|encoder| Box::new(encoder) as VideoEncoder)
            .map_err(|error| match &error {
                // OUT_OF_MEMORY, with newer drivers INCOMPATIBLE_CLIENT_KEY: what the limit on
                // consumer cards looks like.
                GpuError::Encoder { code: 10 | 21, .. } => unsupported(format!(
                    "{error}: all of the card's encode sessions may be taken"
                )),
                _ => unsupported(error.to_string()),
            })
    }
}

/// What the device encodes of the settings' codec; else why it cannot encode with them.
fn usable<'a>(
    encode: &'a Coding,
    settings: &VideoEncoderSettings,
) -> Result<&'a CodecCaps, String> {
    let caps = encode
        .codecs
        .iter()
        .find(|caps| caps.codec == settings.codec);
    let Some(caps) = caps else {
        let reason = encode.reason.clone();
        return Err(reason.unwrap_or_else(|| "the device does not encode it".to_owned()));
    };
    let (width, height) = (settings.width, settings.height);
    if width % 2 != 0 || height % 2 != 0 {
        return Err(format!("{width}×{height} has an odd side"));
    }
    if settings.bitrate == 0 {
        return Err("the bit rate is 0 bit/s".to_owned());
    }
    outside(caps, width, height, "encodes").map_or(Ok(caps), Err)
}

/// Why a size is too small or too large, if it is.
fn outside(caps: &CodecCaps, width: u32, height: u32, does: &str) -> Option<String> {
    let fits = (caps.min_width..=caps.max_width).contains(&width)
        && (caps.min_height..=caps.max_height).contains(&height);
    (!fits).then(|| {
        format!(
            "{width}×{height} is outside of what the device {does}, {}×{} to {}×{}",
            caps.min_width, caps.min_height, caps.max_width, caps.max_height
        )
    })
}

/// Why the device cannot decode such a stream, if it cannot.
fn refuse(decode: &Coding, params: &VideoParams) -> Option<String> {
    let caps = decode.codecs.iter().find(|caps| caps.codec == params.codec);
    let Some(caps) = caps else {
        let reason = decode.reason.clone();
        return Some(reason.unwrap_or_else(|| "the device does not decode it".to_owned()));
    };
    // Of HEVC nothing is known before its first headers: the decoder says then.
    if params.width == 0 {
        return None;
    }
    if params.bit_depth != 8 {
        Some(format!(
            "{} bits per sample; 8 are supported",
            params.bit_depth
        ))
    } else if params.chroma_format != 1 {
        Some("chroma other than 4:2:0".to_owned())
    } else {
        outside(caps, params.width, params.height, "decodes")
    }
}
