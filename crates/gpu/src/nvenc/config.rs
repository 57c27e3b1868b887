//! What the encoder is told: H.264 for live streams, one access unit for each frame at once.
//!
//! The library's structures hold enums without a zero, which newer drivers extend besides. They
//! stay in zeroed memory and are written and read by pointers to their fields; no reference to
//! one of them, and no value of it, is ever formed.

use std::mem::MaybeUninit;
use std::ptr::addr_of_mut;

use nvidia_video_codec_sdk::sys::nvEncodeAPI::{
    NV_ENC_CODEC_H264_GUID, NV_ENC_CONFIG_VER, NV_ENC_H264_PROFILE_MAIN_GUID,
    NV_ENC_INITIALIZE_PARAMS, NV_ENC_INITIALIZE_PARAMS_VER, NV_ENC_PARAMS_RC_MODE,
    NV_ENC_PRESET_CONFIG, NV_ENC_PRESET_CONFIG_VER, NV_ENC_PRESET_P4_GUID, NV_ENC_TUNING_INFO,
    NVENC_INFINITE_GOPLENGTH,
};
use trickle_media::coder::VideoEncoderSettings;

use super::session::Session;
use crate::error::GpuError;

/// Frames that the rate control may spend the bits of ahead of time: the delay that a viewer's
/// buffer sees.
const VBV_FRAMES: u64 = 2;
/// `repeatSPSPPS` among the flags of the H.264 configuration.
const REPEAT_SPS_PPS: usize = 12;
/// `video_format`: unspecified (H.264, table E-2).
const FORMAT_UNSPECIFIED: u32 = 5;
/// Code point of everything unspecified (H.273).
const UNSPECIFIED: u8 = 2;

/// Makes the session an encoder with these settings. The context is current.
pub(super) fn initialize<K>(
    session: &Session<K>,
    settings: &VideoEncoderSettings,
) -> Result<(), GpuError> {
    let tuning = NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY;
    let mut preset = Box::new(MaybeUninit::<NV_ENC_PRESET_CONFIG>::zeroed());
    let preset = preset.as_mut_ptr();
    // SAFETY: `preset` points to zeroed memory of its type; fields are written through pointers.
    unsafe {
        addr_of_mut!((*preset).version).write(NV_ENC_PRESET_CONFIG_VER);
        addr_of_mut!((*preset).presetCfg.version).write(NV_ENC_CONFIG_VER);
    }
    // SAFETY: the session is open, `preset` says its versions.
    session.check("nvEncGetEncodePresetConfigEx", unsafe {
        (session.api.preset_config)(
            session.handle,
            NV_ENC_CODEC_H264_GUID,
            NV_ENC_PRESET_P4_GUID,
            tuning,
            preset,
        )
    })?;
    let rate = settings.frame_rate;
    let frame_bits = u64::from(settings.bitrate) * u64::from(rate.den) / u64::from(rate.num);
    let buffer = u32::try_from(frame_bits * VBV_FRAMES).unwrap_or(u32::MAX);
    // SAFETY: as above; the preset has filled what is not written here.
    let config = unsafe { addr_of_mut!((*preset).presetCfg) };
    // SAFETY: `config` points into `preset`, as do the fields.
    unsafe {
        addr_of_mut!((*config).profileGUID).write(NV_ENC_H264_PROFILE_MAIN_GUID);
        // Keyframes come when they are forced: by presentation time, not by count.
        addr_of_mut!((*config).gopLength).write(NVENC_INFINITE_GOPLENGTH);
        // No B pictures.
        addr_of_mut!((*config).frameIntervalP).write(1);
        let rate = addr_of_mut!((*config).rcParams);
        addr_of_mut!((*rate).rateControlMode).write(NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_CBR);
        addr_of_mut!((*rate).averageBitRate).write(settings.bitrate);
        addr_of_mut!((*rate).maxBitRate).write(settings.bitrate);
        addr_of_mut!((*rate).vbvBufferSize).write(buffer);
        addr_of_mut!((*rate).vbvInitialDelay).write(buffer);
        let h264 = addr_of_mut!((*config).encodeCodecConfig.h264Config);
        addr_of_mut!((*h264).idrPeriod).write(NVENC_INFINITE_GOPLENGTH);
        // The flags are plain bytes: a reference to them alone is sound.
        (*addr_of_mut!((*h264)._bitfield_1)).set(REPEAT_SPS_PPS, 1, 1);
        let color = settings.color;
        let said = [color.primaries, color.transfer, color.matrix];
        let described = said.iter().any(|&code| code != UNSPECIFIED);
        let vui = addr_of_mut!((*h264).h264VUIParameters);
        // No picture is held back for another: players need not wait for one.
        addr_of_mut!((*vui).bitstreamRestrictionFlag).write(1);
        // A tick is a field's time (E.2.1).
        addr_of_mut!((*vui).timingInfoPresentFlag).write(1);
        addr_of_mut!((*vui).numUnitInTicks).write(settings.frame_rate.den);
        addr_of_mut!((*vui).timeScale).write(settings.frame_rate.num.saturating_mul(2));
        addr_of_mut!((*vui).videoSignalTypePresentFlag).write(1);
        addr_of_mut!((*vui).videoFormat)
            .cast::<u32>()
            .write(FORMAT_UNSPECIFIED);
        addr_of_mut!((*vui).videoFullRangeFlag).write(color.full_range.into());
        addr_of_mut!((*vui).colourDescriptionPresentFlag).write(described.into());
        addr_of_mut!((*vui).colourPrimaries)
            .cast::<u32>()
            .write(color.primaries.into());
        addr_of_mut!((*vui).transferCharacteristics)
            .cast::<u32>()
            .write(color.transfer.into());
        addr_of_mut!((*vui).colourMatrix)
            .cast::<u32>()
            .write(color.matrix.into());
    }
    let mut params = Box::new(MaybeUninit::<NV_ENC_INITIALIZE_PARAMS>::zeroed());
    let params = params.as_mut_ptr();
    // SAFETY: `params` points to zeroed memory of its type; fields are written through pointers.
    unsafe {
        addr_of_mut!((*params).version).write(NV_ENC_INITIALIZE_PARAMS_VER);
        addr_of_mut!((*params).encodeGUID).write(NV_ENC_CODEC_H264_GUID);
        addr_of_mut!((*params).presetGUID).write(NV_ENC_PRESET_P4_GUID);
        addr_of_mut!((*params).tuningInfo).write(tuning);
        addr_of_mut!((*params).encodeWidth).write(settings.width);
        addr_of_mut!((*params).encodeHeight).write(settings.height);
        addr_of_mut!((*params).darWidth).write(settings.width);
        addr_of_mut!((*params).darHeight).write(settings.height);
        addr_of_mut!((*params).maxEncodeWidth).write(settings.width);
        addr_of_mut!((*params).maxEncodeHeight).write(settings.height);
        addr_of_mut!((*params).frameRateNum).write(rate.num);
        addr_of_mut!((*params).frameRateDen).write(rate.den);
        // The library decides the pictures' types, keyframes apart.
        addr_of_mut!((*params).enablePTD).write(1);
        addr_of_mut!((*params).encodeConfig).write(config);
    }
    // SAFETY: the session is open, `params` complete; the library copies what it keeps.
    session.check("nvEncInitializeEncoder", unsafe {
        (session.api.initialize)(session.handle, params)
    })
}
