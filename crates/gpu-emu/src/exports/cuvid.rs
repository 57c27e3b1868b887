//! `libnvcuvid.so.1`: what the decoder can.

use std::ffi::c_int;

use nvidia_video_codec_sdk::sys::cuviddec::{
    CUVIDDECODECAPS, cudaVideoChromaFormat, cudaVideoCodec,
};

use super::pointer::Out;
use crate::driver::{Status, call_in_context};

/// Answers as a card of the Ampere generation does.
#[unsafe(no_mangle)]
extern "C" fn cuvidGetDecoderCaps(mut caps: Out<CUVIDDECODECAPS>) -> c_int {
    call_in_context(|_| {
        let caps = caps.get().ok_or(Status::INVALID_VALUE)?;
        if caps.reserved1 != [0; 3] || caps.reserved3 != [0; 10] {
            return Err(Status::INVALID_VALUE);
        }
        let codec = matches!(
            caps.eCodecType,
            cudaVideoCodec::cudaVideoCodec_H264 | cudaVideoCodec::cudaVideoCodec_HEVC
        );
        let format = caps.eChromaFormat == cudaVideoChromaFormat::cudaVideoChromaFormat_420;
        if !codec || !format || caps.nBitDepthMinus8 != 0 {
            caps.bIsSupported = 0;
            return Ok(());
        }
        let side = match caps.eCodecType {
            cudaVideoCodec::cudaVideoCodec_H264 => 4096,
            _ => 8192,
        };
        caps.bIsSupported = 1;
        caps.nNumNVDECs = 1;
        caps.nOutputFormatMask = 1;
        (caps.nMaxWidth, caps.nMaxHeight) = (side, side);
        caps.nMaxMBCount = side * side / 256;
        (caps.nMinWidth, caps.nMinHeight) = (48, 16);
        Ok(())
    })
}
