//! `libnvidia-encode.so.1`: configuration, buffers, pictures.

use std::ffi::c_void;
use std::ptr;
use std::ptr::{addr_of, addr_of_mut};

use nvidia_video_codec_sdk::sys::nvEncodeAPI::{
    GUID, NV_ENC_BUFFER_FORMAT, NV_ENC_CODEC_H264_GUID, NV_ENC_CODEC_HEVC_GUID, NV_ENC_CONFIG,
    NV_ENC_CONFIG_VER, NV_ENC_CREATE_BITSTREAM_BUFFER, NV_ENC_CREATE_BITSTREAM_BUFFER_VER,
    NV_ENC_H264_PROFILE_MAIN_GUID, NV_ENC_HEVC_PROFILE_MAIN_GUID, NV_ENC_INITIALIZE_PARAMS,
    NV_ENC_INITIALIZE_PARAMS_VER, NV_ENC_INPUT_RESOURCE_TYPE, NV_ENC_LOCK_BITSTREAM,
    NV_ENC_LOCK_BITSTREAM_VER, NV_ENC_MAP_INPUT_RESOURCE, NV_ENC_MAP_INPUT_RESOURCE_VER,
    NV_ENC_PIC_PARAMS, NV_ENC_PIC_PARAMS_VER, NV_ENC_PRESET_CONFIG, NV_ENC_PRESET_CONFIG_VER,
    NV_ENC_PRESET_P1_GUID, NV_ENC_PRESET_P2_GUID, NV_ENC_PRESET_P3_GUID, NV_ENC_PRESET_P4_GUID,
    NV_ENC_PRESET_P5_GUID, NV_ENC_PRESET_P6_GUID, NV_ENC_PRESET_P7_GUID, NV_ENC_RECONFIGURE_PARAMS,
    NV_ENC_RECONFIGURE_PARAMS_VER, NV_ENC_REGISTER_RESOURCE, NV_ENC_REGISTER_RESOURCE_VER,
    NV_ENC_TUNING_INFO, NVENC_INFINITE_GOPLENGTH, NVENCSTATUS,
};
use trickle_media::coder::{RateControl, VideoEncoderSettings};
use trickle_media::stream::Rational;
use trickle_media::{Codec, ColorDescription};

use super::nvenc::on_session;
use crate::driver::{EncodeError, Handle, Input, Order, Output, Setup, encode_settings, handle};
use crate::settings::setting;

const PRESETS: [GUID; 7] = [
    NV_ENC_PRESET_P1_GUID,
    NV_ENC_PRESET_P2_GUID,
    NV_ENC_PRESET_P3_GUID,
    NV_ENC_PRESET_P4_GUID,
    NV_ENC_PRESET_P5_GUID,
    NV_ENC_PRESET_P6_GUID,
    NV_ENC_PRESET_P7_GUID,
];
/// `repeatSPSPPS` among the flags of the H.264 and of the HEVC configuration.
const H264_REPEAT_HEADERS: usize = 12;
const HEVC_REPEAT_HEADERS: usize = 7;
/// `resetEncoder` and `forceIDR` among the flags of a reconfiguration.
const RESET_AND_IDR: u64 = 0b11;
/// `NV_ENC_PARAMS_RC_VBR` and `NV_ENC_PARAMS_RC_CBR`; the modes of old are gone.
const VBR: u32 = 1;
const CBR: u32 = 2;
/// Flags of a picture.
const FORCE_IDR: u32 = 2;
const OUTPUT_SPS_PPS: u32 = 4;
const EOS: u32 = 8;
/// `NV_ENC_PIC_STRUCT_FRAME`.
const FRAME: u32 = 1;
/// `NV_ENC_PIC_TYPE_P` and `NV_ENC_PIC_TYPE_IDR`.
const P: u32 = 0;
const IDR: u32 = 3;

/// A handle as the program sees it.
fn pointer(handle: Handle) -> *mut c_void {
    ptr::without_provenance_mut(handle as usize)
}

fn check(holds: bool, error: EncodeError) -> Result<(), EncodeError> {
    if holds { Ok(()) } else { Err(error) }
}

pub(super) unsafe extern "C" fn preset_config(
    session: *mut c_void,
    codec: GUID,
    preset: GUID,
    tuning: NV_ENC_TUNING_INFO,
    config: *mut NV_ENC_PRESET_CONFIG,
) -> NVENCSTATUS {
    on_session(session, |_, _| {
        check(!config.is_null(), EncodeError::INVALID_PTR)?;
        // SAFETY: not null; the caller's structure, of which fields are read and written.
        let (version, inner) = unsafe {
            let inner = addr_of_mut!((*config).presetCfg);
            (addr_of!((*config).version).read(), inner)
        };
        // SAFETY: as above.
        let inner_version = unsafe { addr_of!((*inner).version).read() };
        let versions = version == NV_ENC_PRESET_CONFIG_VER && inner_version == NV_ENC_CONFIG_VER;
        check(versions, EncodeError::INVALID_VERSION)?;
        let known = codec_of(codec).is_some()
            && PRESETS.contains(&preset)
            && tuning != NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_UNDEFINED;
        check(known, EncodeError::INVALID_PARAM)?;
        // What no program wants for a live stream, so that what is not set is noticed.
        // SAFETY: as above.
        unsafe {
            addr_of_mut!((*inner).gopLength).write(250);
            addr_of_mut!((*inner).frameIntervalP).write(3);
            addr_of_mut!((*inner).rcParams.averageBitRate).write(0);
        }
        Ok(())
    })
}

/// The codec of a GUID.
fn codec_of(guid: GUID) -> Option<Codec> {
    match guid {
        NV_ENC_CODEC_H264_GUID => Some(Codec::H264),
        NV_ENC_CODEC_HEVC_GUID => Some(Codec::Hevc),
        _ => None,
    }
}

/// What the configuration says, if hardware would take it and a live stream may use it.
///
/// # Safety
/// Both point to structures of the program.
unsafe fn setup(
    params: *const NV_ENC_INITIALIZE_PARAMS,
    config: *const NV_ENC_CONFIG,
) -> Result<Setup, EncodeError> {
    // SAFETY: by the contract above; fields are read as the numbers that they are.
    unsafe {
        let versions = addr_of!((*params).version).read() == NV_ENC_INITIALIZE_PARAMS_VER
            && addr_of!((*config).version).read() == NV_ENC_CONFIG_VER;
        check(versions, EncodeError::INVALID_VERSION)?;
        let size = (
            addr_of!((*params).encodeWidth).read(),
            addr_of!((*params).encodeHeight).read(),
        );
        let rate = Rational::new(
            addr_of!((*params).frameRateNum).read(),
            addr_of!((*params).frameRateDen).read(),
        );
        let control = addr_of!((*config).rcParams);
        let bitrate = addr_of!((*control).averageBitRate).read();
        let codec = codec_of(addr_of!((*params).encodeGUID).read());
        let codec = codec.ok_or(EncodeError::INVALID_PARAM)?;
        let largest = (
            addr_of!((*params).maxEncodeWidth).read(),
            addr_of!((*params).maxEncodeHeight).read(),
        );
        let (profile, idr_period, vui, repeat_headers) = match codec {
            Codec::Hevc => {
                let hevc = addr_of!((*config).encodeCodecConfig.hevcConfig);
                (
                    NV_ENC_HEVC_PROFILE_MAIN_GUID,
                    addr_of!((*hevc).idrPeriod).read(),
                    addr_of!((*hevc).hevcVUIParameters),
                    (*addr_of!((*hevc)._bitfield_1)).get(HEVC_REPEAT_HEADERS, 1) != 0,
                )
            }
            _ => {
                let h264 = addr_of!((*config).encodeCodecConfig.h264Config);
                (
                    NV_ENC_H264_PROFILE_MAIN_GUID,
                    addr_of!((*h264).idrPeriod).read(),
                    addr_of!((*h264).h264VUIParameters),
                    (*addr_of!((*h264)._bitfield_1)).get(H264_REPEAT_HEADERS, 1) != 0,
                )
            }
        };
        let mode = addr_of!((*control).rateControlMode).cast::<u32>().read();
        let peak = addr_of!((*control).maxBitRate).read();
        let buffer = addr_of!((*control).vbvBufferSize).read();
        let rate_control = match mode {
            VBR => RateControl::Variable,
            _ => RateControl::Constant,
        };
        let fits = addr_of!((*config).profileGUID).read() == profile
            && addr_of!((*params).tuningInfo).cast::<u32>().read() != 0
            && addr_of!((*params).enablePTD).read() == 1
            // Linux has no asynchronous mode.
            && addr_of!((*params).enableEncodeAsync).read() == 0
            && size.0.is_multiple_of(2)
            && size.1.is_multiple_of(2)
            && largest.0 >= size.0
            && largest.1 >= size.1
            && [VBR, CBR].contains(&mode)
            && (peak >= bitrate && (mode == VBR || peak == bitrate))
            && buffer > 0
            && bitrate > 0
            // Pictures held back would need more of the interface than is emulated.
            && addr_of!((*config).frameIntervalP).read() == 1
            && addr_of!((*config).gopLength).read() == NVENC_INFINITE_GOPLENGTH
            && idr_period == NVENC_INFINITE_GOPLENGTH;
        check(fits, EncodeError::INVALID_PARAM)?;
        let code = |field: *const u32| u8::try_from(field.read()).unwrap_or(2);
        let described = addr_of!((*vui).colourDescriptionPresentFlag).read() != 0;
        let mut color = ColorDescription::UNSPECIFIED;
        if addr_of!((*vui).videoSignalTypePresentFlag).read() != 0 {
            color.full_range = addr_of!((*vui).videoFullRangeFlag).read() != 0;
            if described {
                color.primaries = code(addr_of!((*vui).colourPrimaries).cast());
                color.transfer = code(addr_of!((*vui).transferCharacteristics).cast());
                color.matrix = code(addr_of!((*vui).colourMatrix).cast());
            }
        }
        let rate = rate.ok_or(EncodeError::INVALID_PARAM)?;
        Ok(Setup {
            settings: VideoEncoderSettings {
                rate_control,
                ..encode_settings(codec, size, bitrate, rate, color)
            },
            repeat_headers,
            largest,
        })
    }
}

pub(super) unsafe extern "C" fn initialize(
    session: *mut c_void,
    params: *mut NV_ENC_INITIALIZE_PARAMS,
) -> NVENCSTATUS {
    on_session(session, |_, session| {
        check(!params.is_null(), EncodeError::INVALID_PTR)?;
        // SAFETY: not null; the caller's structure.
        let config = unsafe { addr_of!((*params).encodeConfig).read() };
        check(!config.is_null(), EncodeError::INVALID_PTR)?;
        // SAFETY: neither is null; both are the caller's.
        session.initialize(unsafe { setup(params, config) }?)
    })
}

pub(super) unsafe extern "C" fn reconfigure(
    session: *mut c_void,
    params: *mut NV_ENC_RECONFIGURE_PARAMS,
) -> NVENCSTATUS {
    on_session(session, |_, session| {
        check(!params.is_null(), EncodeError::INVALID_PTR)?;
        // SAFETY: not null; the caller's structure, of which fields are read as numbers.
        let (version, flags, inner) = unsafe {
            (
                addr_of!((*params).version).read(),
                (*addr_of!((*params)._bitfield_1)).get(0, 2),
                addr_of!((*params).reInitEncodeParams),
            )
        };
        check(
            version == NV_ENC_RECONFIGURE_PARAMS_VER,
            EncodeError::INVALID_VERSION,
        )?;
        // A new size without these leaves viewers with pictures that they cannot decode.
        check(flags == RESET_AND_IDR, EncodeError::INVALID_PARAM)?;
        // SAFETY: as above.
        let config = unsafe { addr_of!((*inner).encodeConfig).read() };
        check(!config.is_null(), EncodeError::INVALID_PTR)?;
        // SAFETY: neither is null; both are the caller's.
        session.reconfigure(unsafe { setup(inner, config) }?)
    })
}

pub(super) unsafe extern "C" fn create_bitstream(
    session: *mut c_void,
    params: *mut NV_ENC_CREATE_BITSTREAM_BUFFER,
) -> NVENCSTATUS {
    on_session(session, |_, session| {
        // SAFETY: the caller gives a structure or null.
        let params = unsafe { params.as_mut() }.ok_or(EncodeError::INVALID_PTR)?;
        let version = params.version == NV_ENC_CREATE_BITSTREAM_BUFFER_VER;
        check(version, EncodeError::INVALID_VERSION)?;
        check(
            session.is_initialized(),
            EncodeError::ENCODER_NOT_INITIALIZED,
        )?;
        let handle = handle();
        session.outputs.insert(handle, Output::default());
        params.bitstreamBuffer = pointer(handle);
        Ok(())
    })
}

pub(super) unsafe extern "C" fn destroy_bitstream(
    session: *mut c_void,
    output: *mut c_void,
) -> NVENCSTATUS {
    on_session(session, |_, session| {
        let output = session.outputs.remove(&(output.addr() as Handle));
        let output = output.ok_or(EncodeError::INVALID_PARAM)?;
        check(!output.locked, EncodeError::INVALID_CALL)
    })
}

pub(super) unsafe extern "C" fn register(
    session: *mut c_void,
    params: *mut NV_ENC_REGISTER_RESOURCE,
) -> NVENCSTATUS {
    on_session(session, |driver, session| {
        // SAFETY: the caller gives a structure or null.
        let params = unsafe { params.as_mut() }.ok_or(EncodeError::INVALID_PTR)?;
        let version = params.version == NV_ENC_REGISTER_RESOURCE_VER;
        check(version, EncodeError::INVALID_VERSION)?;
        let kind = NV_ENC_INPUT_RESOURCE_TYPE::NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR;
        let fits = params.resourceType == kind
            && params.bufferFormat == NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12;
        check(fits, EncodeError::INVALID_PARAM)?;
        let input = Input {
            address: params.resourceToRegister.addr() as u64,
            pitch: params.pitch as usize,
            width: params.width as usize,
            height: params.height as usize,
        };
        let handle = handle();
        session.register(handle, input, &driver.memory)?;
        params.registeredResource = pointer(handle);
        Ok(())
    })
}

pub(super) unsafe extern "C" fn unregister(
    session: *mut c_void,
    registered: *mut c_void,
) -> NVENCSTATUS {
    on_session(session, |_, session| {
        session.unregister(registered.addr() as Handle)
    })
}

pub(super) unsafe extern "C" fn map(
    session: *mut c_void,
    params: *mut NV_ENC_MAP_INPUT_RESOURCE,
) -> NVENCSTATUS {
    on_session(session, |_, session| {
        // SAFETY: the caller gives a structure or null.
        let params = unsafe { params.as_mut() }.ok_or(EncodeError::INVALID_PTR)?;
        let version = params.version == NV_ENC_MAP_INPUT_RESOURCE_VER;
        check(version, EncodeError::INVALID_VERSION)?;
        let handle = handle();
        session.map(handle, params.registeredResource.addr() as Handle)?;
        params.mappedResource = pointer(handle);
        params.mappedBufferFmt = NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12;
        Ok(())
    })
}

pub(super) unsafe extern "C" fn unmap(session: *mut c_void, mapped: *mut c_void) -> NVENCSTATUS {
    on_session(session, |_, session| session.unmap(mapped.addr() as Handle))
}

pub(super) unsafe extern "C" fn encode(
    session: *mut c_void,
    params: *mut NV_ENC_PIC_PARAMS,
) -> NVENCSTATUS {
    on_session(session, |driver, session| {
        check(!params.is_null(), EncodeError::INVALID_PTR)?;
        // SAFETY: not null; the caller's structure, of which fields are read as numbers.
        let (version, structure, flags, order) = unsafe {
            let flags = addr_of!((*params).encodePicFlags).read();
            let order = Order {
                input: addr_of!((*params).inputBuffer).read().addr() as Handle,
                output: addr_of!((*params).outputBitstream).read().addr() as Handle,
                pitch: addr_of!((*params).inputPitch).read() as usize,
                timestamp: addr_of!((*params).inputTimeStamp).read(),
                keyframe: flags & FORCE_IDR != 0,
                headers: flags & OUTPUT_SPS_PPS != 0,
            };
            (
                addr_of!((*params).version).read(),
                addr_of!((*params).pictureStruct).cast::<u32>().read(),
                flags,
                order,
            )
        };
        check(
            version == NV_ENC_PIC_PARAMS_VER,
            EncodeError::INVALID_VERSION,
        )?;
        if flags == EOS {
            return session.end();
        }
        let known = structure == FRAME && flags & !(FORCE_IDR | OUTPUT_SPS_PPS) == 0;
        check(known, EncodeError::INVALID_PARAM)?;
        if setting("third-picture-fails") && session.pictures() == 2 {
            return Err(EncodeError::GENERIC);
        }
        let hold = match (setting("holds-pictures"), setting("holds-all")) {
            (_, true) => usize::MAX,
            (true, false) => 2,
            (false, false) => 0,
        };
        session.encode(&order, hold, &driver.memory)
    })
}

pub(super) unsafe extern "C" fn lock(
    session: *mut c_void,
    params: *mut NV_ENC_LOCK_BITSTREAM,
) -> NVENCSTATUS {
    on_session(session, |_, session| {
        check(!params.is_null(), EncodeError::INVALID_PTR)?;
        // SAFETY: not null; the caller's structure, of which fields are read and written.
        let (version, output) = unsafe {
            (
                addr_of!((*params).version).read(),
                addr_of!((*params).outputBitstream).read().addr() as Handle,
            )
        };
        check(
            version == NV_ENC_LOCK_BITSTREAM_VER,
            EncodeError::INVALID_VERSION,
        )?;
        let output = session
            .outputs
            .get_mut(&output)
            .ok_or(EncodeError::INVALID_PARAM)?;
        // Nothing was given to this buffer.
        let coded = output.coded.as_ref().ok_or(EncodeError::INVALID_CALL)?;
        check(!output.locked, EncodeError::INVALID_CALL)?;
        session.locks += 1;
        check(
            !(session.locks == 2 && setting("second-lock-fails")),
            EncodeError::GENERIC,
        )?;
        let nothing = session.locks == 3 && setting("third-lock-gives-nothing");
        // SAFETY: as above; the bytes stay until the buffer is unlocked.
        unsafe {
            addr_of_mut!((*params).bitstreamBufferPtr).write(match nothing {
                true => ptr::null_mut(),
                false => coded.bytes.as_ptr().cast_mut().cast(),
            });
            addr_of_mut!((*params).bitstreamSizeInBytes).write(coded.bytes.len() as u32);
            addr_of_mut!((*params).outputTimeStamp).write(coded.timestamp);
            let kind = if coded.keyframe { IDR } else { P };
            addr_of_mut!((*params).pictureType)
                .cast::<u32>()
                .write(kind);
            addr_of_mut!((*params).pictureStruct)
                .cast::<u32>()
                .write(FRAME);
        }
        output.locked = true;
        Ok(())
    })
}

pub(super) unsafe extern "C" fn unlock(session: *mut c_void, output: *mut c_void) -> NVENCSTATUS {
    on_session(session, |_, session| {
        let output = session.outputs.get_mut(&(output.addr() as Handle));
        let output = output.ok_or(EncodeError::INVALID_PARAM)?;
        check(output.locked, EncodeError::INVALID_CALL)?;
        // The buffer is the encoder's again, and so are its bytes.
        *output = Output::default();
        Ok(())
    })
}
