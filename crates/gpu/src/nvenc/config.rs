//! What the encoder is told: low delay, no B pictures, keyframes when we ask.
//!
//! The library's structures hold Rust enums without a zero, so that a zeroed value of them would
//! be undefined. They are written field by field through pointers, and a value never exists.

use std::mem::MaybeUninit;
use std::ptr::addr_of_mut;

use nvidia_video_codec_sdk::sys::nvEncodeAPI::{
    GUID, NV_ENC_CODEC_H264_GUID, NV_ENC_CODEC_HEVC_GUID, NV_ENC_CONFIG,
    NV_ENC_CONFIG_H264_VUI_PARAMETERS, NV_ENC_CONFIG_VER, NV_ENC_H264_PROFILE_MAIN_GUID,
    NV_ENC_HEVC_PROFILE_MAIN_GUID, NV_ENC_INITIALIZE_PARAMS, NV_ENC_INITIALIZE_PARAMS_VER,
    NV_ENC_PARAMS_RC_MODE, NV_ENC_PRESET_CONFIG, NV_ENC_PRESET_CONFIG_VER, NV_ENC_PRESET_P4_GUID,
    NV_ENC_RECONFIGURE_PARAMS, NV_ENC_RECONFIGURE_PARAMS_VER, NV_ENC_TUNING_INFO,
    NVENC_INFINITE_GOPLENGTH,
};
use trickle_media::Codec;
use trickle_media::coder::{RateControl, VideoEncoderSettings};

use super::session::Session;
use crate::error::GpuError;

/// Frames that the rate control may spend the bits of ahead of time where the rate is constant:
/// the delay that a viewer's buffer sees.
const VBV_FRAMES: u64 = 2;
/// Busy pictures may take this many times the rate where it is variable.
const PEAK: u32 = 2;
/// `repeatSPSPPS` among the flags of the H.264 configuration.
const H264_REPEAT_HEADERS: usize = 12;
/// `repeatSPSPPS` among the flags of the HEVC configuration.
const HEVC_REPEAT_HEADERS: usize = 7;
/// `resetEncoder` and `forceIDR` among the flags of a reconfiguration.
const RESET_AND_IDR: u64 = 0b11;
/// `video_format`: unspecified (H.264, table E-2).
const FORMAT_UNSPECIFIED: u32 = 5;
/// Code point of everything unspecified (H.273).
const UNSPECIFIED: u8 = 2;
/// Room that every session has for growing without a new one, where the device encodes as much:
/// a change of size then costs a keyframe and no more.
const ROOM: (u32, u32) = (1920, 1088);

const TUNING: NV_ENC_TUNING_INFO = NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY;

/// Largest size that a session opened with these settings can be changed to.
pub(super) fn largest(settings: &VideoEncoderSettings, device: (u32, u32)) -> (u32, u32) {
    (
        settings.width.max(ROOM.0.min(device.0)),
        settings.height.max(ROOM.1.min(device.1)),
    )
}

/// Structures that point into each other, kept in place.
struct Told {
    preset: MaybeUninit<NV_ENC_PRESET_CONFIG>,
    params: MaybeUninit<NV_ENC_INITIALIZE_PARAMS>,
}

/// Makes the session an encoder with these settings, that can grow to `largest`. The context is
/// current.
pub(super) fn initialize<K>(
    session: &Session<K>,
    settings: &VideoEncoderSettings,
    largest: (u32, u32),
) -> Result<(), GpuError> {
    let mut told = tell(session, settings, largest)?;
    // SAFETY: the session is open, the structure complete; the library copies what it keeps.
    session.check("nvEncInitializeEncoder", unsafe {
        (session.api.initialize)(session.handle, told.params.as_mut_ptr())
    })
}

/// Goes on with other settings, within `largest`, and a keyframe. Every picture given before has
/// come out. The context is current.
pub(super) fn reconfigure<K>(
    session: &Session<K>,
    settings: &VideoEncoderSettings,
    largest: (u32, u32),
) -> Result<(), GpuError> {
    let mut told = tell(session, settings, largest)?;
    let mut params = Box::new(MaybeUninit::<NV_ENC_RECONFIGURE_PARAMS>::zeroed());
    let params = params.as_mut_ptr();
    // SAFETY: `params` points to zeroed memory of its type, `told` holds a complete structure,
    // which is copied as bytes. The flags are plain bytes: a reference to them alone is sound.
    unsafe {
        addr_of_mut!((*params).version).write(NV_ENC_RECONFIGURE_PARAMS_VER);
        addr_of_mut!((*params).reInitEncodeParams)
            .copy_from_nonoverlapping(told.params.as_mut_ptr(), 1);
        (*addr_of_mut!((*params)._bitfield_1)).set(0, 2, RESET_AND_IDR);
    }
    // SAFETY: the session is initialised, the structure complete; the library copies it.
    session.check("nvEncReconfigureEncoder", unsafe {
        (session.api.reconfigure)(session.handle, params)
    })
}

/// The library's structures for these settings.
fn tell<K>(
    session: &Session<K>,
    settings: &VideoEncoderSettings,
    largest: (u32, u32),
) -> Result<Box<Told>, GpuError> {
    let mut told = Box::new(Told {
        preset: MaybeUninit::zeroed(),
        params: MaybeUninit::zeroed(),
    });
    let codec = guid(settings.codec);
    let preset = told.preset.as_mut_ptr();
    // SAFETY: `preset` points to zeroed memory of its type; fields are written through pointers.
    unsafe {
        addr_of_mut!((*preset).version).write(NV_ENC_PRESET_CONFIG_VER);
        addr_of_mut!((*preset).presetCfg.version).write(NV_ENC_CONFIG_VER);
    }
    // SAFETY: the session is open, `preset` says its versions.
    session.check("nvEncGetEncodePresetConfigEx", unsafe {
        (session.api.preset_config)(session.handle, codec, NV_ENC_PRESET_P4_GUID, TUNING, preset)
    })?;
    // SAFETY: `preset` is valid; the library has filled what is not written here.
    let config = unsafe {
        let config = addr_of_mut!((*preset).presetCfg);
        set_pictures(config, settings);
        set_rate(config, settings);
        config
    };
    let params = told.params.as_mut_ptr();
    // SAFETY: `params` points to zeroed memory of its type; fields are written through pointers.
    unsafe {
        addr_of_mut!((*params).version).write(NV_ENC_INITIALIZE_PARAMS_VER);
        addr_of_mut!((*params).encodeGUID).write(codec);
        addr_of_mut!((*params).presetGUID).write(NV_ENC_PRESET_P4_GUID);
        addr_of_mut!((*params).tuningInfo).write(TUNING);
        addr_of_mut!((*params).encodeWidth).write(settings.width);
        addr_of_mut!((*params).encodeHeight).write(settings.height);
        addr_of_mut!((*params).darWidth).write(settings.width);
        addr_of_mut!((*params).darHeight).write(settings.height);
        addr_of_mut!((*params).maxEncodeWidth).write(largest.0);
        addr_of_mut!((*params).maxEncodeHeight).write(largest.1);
        addr_of_mut!((*params).frameRateNum).write(settings.frame_rate.num);
        addr_of_mut!((*params).frameRateDen).write(settings.frame_rate.den);
        // The library decides the pictures' types, keyframes apart.
        addr_of_mut!((*params).enablePTD).write(1);
        addr_of_mut!((*params).encodeConfig).write(config);
    }
    Ok(told)
}

fn guid(codec: Codec) -> GUID {
    match codec {
        Codec::Hevc => NV_ENC_CODEC_HEVC_GUID,
        _ => NV_ENC_CODEC_H264_GUID,
    }
}

/// Profile, kinds of pictures and what the headers say.
///
/// # Safety
/// `config` points to a configuration that the library has filled for the settings' codec.
unsafe fn set_pictures(config: *mut NV_ENC_CONFIG, settings: &VideoEncoderSettings) {
    // SAFETY: by the contract above. Flags are plain bytes: a reference to them alone is sound.
    unsafe {
        // Keyframes come when they are forced: by presentation time, not by count.
        addr_of_mut!((*config).gopLength).write(NVENC_INFINITE_GOPLENGTH);
        // No B pictures.
        addr_of_mut!((*config).frameIntervalP).write(1);
        match settings.codec {
            Codec::Hevc => {
                addr_of_mut!((*config).profileGUID).write(NV_ENC_HEVC_PROFILE_MAIN_GUID);
                let hevc = addr_of_mut!((*config).encodeCodecConfig.hevcConfig);
                addr_of_mut!((*hevc).idrPeriod).write(NVENC_INFINITE_GOPLENGTH);
                (*addr_of_mut!((*hevc)._bitfield_1)).set(HEVC_REPEAT_HEADERS, 1, 1);
                set_vui(addr_of_mut!((*hevc).hevcVUIParameters), settings, 1);
            }
            _ => {
                addr_of_mut!((*config).profileGUID).write(NV_ENC_H264_PROFILE_MAIN_GUID);
                let h264 = addr_of_mut!((*config).encodeCodecConfig.h264Config);
                addr_of_mut!((*h264).idrPeriod).write(NVENC_INFINITE_GOPLENGTH);
                (*addr_of_mut!((*h264)._bitfield_1)).set(H264_REPEAT_HEADERS, 1, 1);
                // A tick is a field's time (H.264, E.2.1); HEVC's is a picture's (H.265, E.3.1).
                set_vui(addr_of_mut!((*h264).h264VUIParameters), settings, 2);
            }
        }
    }
}

/// Bits: how many, and how evenly.
///
/// # Safety
/// As for [`set_pictures`].
unsafe fn set_rate(config: *mut NV_ENC_CONFIG, settings: &VideoEncoderSettings) {
    let rate = settings.frame_rate;
    let frame_bits = u64::from(settings.bitrate) * u64::from(rate.den) / u64::from(rate.num);
    let (mode, peak, buffer) = match settings.rate_control {
        RateControl::Constant => (
            NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_CBR,
            settings.bitrate,
            u32::try_from(frame_bits * VBV_FRAMES).unwrap_or(u32::MAX),
        ),
        // One second: what the average is kept over.
        RateControl::Variable => (
            NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_VBR,
            settings.bitrate.saturating_mul(PEAK),
            settings.bitrate,
        ),
    };
    // SAFETY: by the contract above.
    unsafe {
        let control = addr_of_mut!((*config).rcParams);
        addr_of_mut!((*control).rateControlMode).write(mode);
        addr_of_mut!((*control).averageBitRate).write(settings.bitrate);
        addr_of_mut!((*control).maxBitRate).write(peak);
        addr_of_mut!((*control).vbvBufferSize).write(buffer);
        addr_of_mut!((*control).vbvInitialDelay).write(buffer);
    }
}

/// Colour, rate, and that no picture waits for another.
///
/// # Safety
/// `vui` points to such a structure.
unsafe fn set_vui(
    vui: *mut NV_ENC_CONFIG_H264_VUI_PARAMETERS,
    settings: &VideoEncoderSettings,
    ticks_per_frame: u32,
) {
    let color = settings.color;
    let said = [color.primaries, color.transfer, color.matrix];
    let described = said.iter().any(|&code| code != UNSPECIFIED);
    let time_scale = settings.frame_rate.num.saturating_mul(ticks_per_frame);
    // SAFETY: by the contract above; enums are written as the numbers that they are.
    unsafe {
        addr_of_mut!((*vui).bitstreamRestrictionFlag).write(1);
        addr_of_mut!((*vui).timingInfoPresentFlag).write(1);
        addr_of_mut!((*vui).numUnitInTicks).write(settings.frame_rate.den);
        addr_of_mut!((*vui).timeScale).write(time_scale);
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
}
