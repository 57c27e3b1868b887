//! What a device can decode.

use nvidia_video_codec_sdk::sys::cuviddec::{
    CUVIDDECODECAPS, cudaVideoChromaFormat, cudaVideoCodec, cudaVideoSurfaceFormat,
};
use trickle_media::Codec;

use crate::context::Context;
use crate::dl;
use crate::error::GpuError;
use crate::probe::CodecCaps;

/// The codecs of ours that the device decodes in 8-bit 4:2:0 to NV12; none is not an error.
pub(crate) fn decoder_caps(context: &Context) -> Result<Vec<CodecCaps>, GpuError> {
    let cuvid = dl::cuvid()?;
    let _entered = context.enter()?;
    let ours = [
        (cudaVideoCodec::cudaVideoCodec_H264, Codec::H264),
        (cudaVideoCodec::cudaVideoCodec_HEVC, Codec::Hevc),
    ];
    let mut found = Vec::new();
    for (kind, codec) in ours {
        let mut caps = CUVIDDECODECAPS {
            eCodecType: kind,
            eChromaFormat: cudaVideoChromaFormat::cudaVideoChromaFormat_420,
            nBitDepthMinus8: 0,
            reserved1: [0; 3],
            bIsSupported: 0,
            nNumNVDECs: 0,
            nOutputFormatMask: 0,
            nMaxWidth: 0,
            nMaxHeight: 0,
            nMaxMBCount: 0,
            nMinWidth: 0,
            nMinHeight: 0,
            bIsHistogramSupported: 0,
            nCounterBitDepth: 0,
            nMaxHistogramBins: 0,
            reserved3: [0; 10],
        };
        // SAFETY: a context is current; `caps` is writable.
        let result = unsafe { (cuvid.get_decoder_caps)(&raw mut caps) };
        context.cuda().check("cuvidGetDecoderCaps", result)?;
        let nv12 = 1 << cudaVideoSurfaceFormat::cudaVideoSurfaceFormat_NV12 as u16;
        if caps.bIsSupported != 0 && caps.nOutputFormatMask & nv12 != 0 {
            found.push(CodecCaps {
                codec,
                min_width: caps.nMinWidth.into(),
                min_height: caps.nMinHeight.into(),
                max_width: caps.nMaxWidth,
                max_height: caps.nMaxHeight,
            });
        }
    }
    Ok(found)
}
