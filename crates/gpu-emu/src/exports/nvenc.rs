//! `libnvidia-encode.so.1`: the library's two functions, sessions, and what the encoder can.

use std::ffi::{c_char, c_int, c_void};

use nvidia_video_codec_sdk::sys::nvEncodeAPI::{
    GUID, NV_ENC_CAPS, NV_ENC_CAPS_PARAM, NV_ENC_CAPS_PARAM_VER, NV_ENC_CODEC_H264_GUID,
    NV_ENC_CODEC_HEVC_GUID, NV_ENC_DEVICE_TYPE, NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS,
    NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER, NV_ENCODE_API_FUNCTION_LIST,
    NV_ENCODE_API_FUNCTION_LIST_VER, NVENCAPI_VERSION, NVENCSTATUS,
};

use super::nvenc_work as work;
use super::pointer::Out;
use crate::driver::{Driver, EncodeError, EncodeSession, Handle, Machine, call, current, handle};
use crate::settings::setting;

/// Sessions that a consumer's card allows.
const MAX_SESSIONS: usize = 3;

/// The status of a result. Its number is one of the enum's by construction.
pub(super) fn status(result: Result<(), EncodeError>) -> NVENCSTATUS {
    match result {
        Ok(()) => NVENCSTATUS::NV_ENC_SUCCESS,
        // SAFETY: every constant of `EncodeError` is a status of the interface.
        Err(error) => unsafe { std::mem::transmute::<u32, NVENCSTATUS>(error.0) },
    }
}

/// Runs `body` on the driver.
fn on_machine(body: impl FnOnce(&mut Machine) -> Result<(), EncodeError>) -> NVENCSTATUS {
    let mut result = Err(EncodeError::GENERIC);
    call(|machine| {
        result = body(machine);
        Ok(())
    });
    status(result)
}

/// The device whose context is current: hardware wants the session's to be.
fn current_device(machine: &mut Machine) -> Result<&mut Driver, EncodeError> {
    let context = current().ok_or(EncodeError::INVALID_DEVICE)?;
    let device = machine.of_context(context);
    device.ok_or(EncodeError::INVALID_DEVICE)
}

/// Runs `body` on an open session, in the context that it is of.
pub(super) fn on_session(
    handle: *mut c_void,
    body: impl FnOnce(&mut Driver, &mut EncodeSession) -> Result<(), EncodeError>,
) -> NVENCSTATUS {
    on_machine(|machine| {
        let driver = current_device(machine)?;
        let handle = handle.addr() as Handle;
        let taken = driver.encoders.remove(&handle);
        let mut session = taken.ok_or(EncodeError::INVALID_ENCODERDEVICE)?;
        let result = body(driver, &mut session);
        driver.encoders.insert(handle, session);
        result
    })
}

#[unsafe(no_mangle)]
extern "C" fn NvEncodeAPIGetMaxSupportedVersion(version: Out<u32>) -> NVENCSTATUS {
    let supported = if setting("old-encoder") {
        (11 << 4) | 1
    } else {
        (12 << 4) | 1
    };
    status(version.put(supported).map_err(|_| EncodeError::INVALID_PTR))
}

#[unsafe(no_mangle)]
extern "C" fn NvEncodeAPICreateInstance(mut list: Out<NV_ENCODE_API_FUNCTION_LIST>) -> NVENCSTATUS {
    let Some(list) = list.get() else {
        return NVENCSTATUS::NV_ENC_ERR_INVALID_PTR;
    };
    if list.version != NV_ENCODE_API_FUNCTION_LIST_VER {
        return NVENCSTATUS::NV_ENC_ERR_INVALID_VERSION;
    }
    list.nvEncOpenEncodeSessionEx = Some(open);
    list.nvEncDestroyEncoder = Some(destroy);
    list.nvEncGetLastErrorString = Some(last_error);
    list.nvEncGetEncodeGUIDCount = Some(guid_count);
    list.nvEncGetEncodeGUIDs = Some(guids);
    list.nvEncGetEncodeCaps = Some(caps);
    list.nvEncGetEncodePresetConfigEx = Some(work::preset_config);
    list.nvEncInitializeEncoder = Some(work::initialize);
    list.nvEncReconfigureEncoder = Some(work::reconfigure);
    list.nvEncCreateBitstreamBuffer = Some(work::create_bitstream);
    list.nvEncDestroyBitstreamBuffer = Some(work::destroy_bitstream);
    list.nvEncRegisterResource = Some(work::register);
    list.nvEncUnregisterResource = Some(work::unregister);
    list.nvEncMapInputResource = Some(work::map);
    list.nvEncUnmapInputResource = Some(work::unmap);
    list.nvEncEncodePicture = Some(work::encode);
    list.nvEncLockBitstream = Some(work::lock);
    list.nvEncUnlockBitstream = Some(work::unlock);
    NVENCSTATUS::NV_ENC_SUCCESS
}

unsafe extern "C" fn open(
    params: *mut NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS,
    session: *mut *mut c_void,
) -> NVENCSTATUS {
    on_machine(|machine| {
        // SAFETY: the caller gives a structure or null.
        let params = unsafe { params.as_ref() }.ok_or(EncodeError::INVALID_PTR)?;
        // SAFETY: the caller gives room for a handle or null.
        let session = unsafe { session.as_mut() }.ok_or(EncodeError::INVALID_PTR)?;
        if params.version != NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER
            || params.apiVersion != NVENCAPI_VERSION
        {
            return Err(EncodeError::INVALID_VERSION);
        }
        let first = machine.devices[0].context.handle;
        let driver = current_device(machine)?;
        let context = params.device.addr() as Handle;
        if params.deviceType != NV_ENC_DEVICE_TYPE::NV_ENC_DEVICE_TYPE_CUDA
            || context != driver.context.handle
        {
            return Err(EncodeError::INVALID_DEVICE);
        }
        let most = if setting("one-session") {
            1
        } else {
            MAX_SESSIONS
        };
        let refused =
            if setting("no-encoder") || setting("first-without-encoder") && context == first {
                Err(EncodeError::UNSUPPORTED_DEVICE)
            } else if driver.encoders.len() < most && !setting("encoder-busy") {
                Ok(())
            } else if setting("new-driver") {
                Err(EncodeError::INCOMPATIBLE_CLIENT_KEY)
            } else {
                Err(EncodeError::OUT_OF_MEMORY)
            };
        // Hardware may give a handle also with an error, which is to be destroyed like any.
        let handle = handle();
        driver.encoders.insert(handle, EncodeSession::default());
        *session = std::ptr::without_provenance_mut(handle as usize);
        refused
    })
}

unsafe extern "C" fn destroy(session: *mut c_void) -> NVENCSTATUS {
    on_machine(|machine| {
        let driver = current_device(machine)?;
        let session = driver.encoders.remove(&(session.addr() as Handle));
        let left = session.ok_or(EncodeError::INVALID_ENCODERDEVICE)?.left();
        driver.lose(left);
        Ok(())
    })
}

unsafe extern "C" fn last_error(_session: *mut c_void) -> *const c_char {
    c"".as_ptr()
}

const GUIDS: [GUID; 2] = [NV_ENC_CODEC_H264_GUID, NV_ENC_CODEC_HEVC_GUID];

unsafe extern "C" fn guid_count(session: *mut c_void, count: *mut u32) -> NVENCSTATUS {
    on_session(session, |_, _| {
        // SAFETY: the caller gives room for a number or null.
        *unsafe { count.as_mut() }.ok_or(EncodeError::INVALID_PTR)? = GUIDS.len() as u32;
        Ok(())
    })
}

unsafe extern "C" fn guids(
    session: *mut c_void,
    to: *mut GUID,
    room: u32,
    count: *mut u32,
) -> NVENCSTATUS {
    on_session(session, |_, _| {
        if room < GUIDS.len() as u32 || to.is_null() {
            return Err(EncodeError::INVALID_PARAM);
        }
        // SAFETY: the caller promised room for `room` values, which is enough.
        unsafe { to.copy_from_nonoverlapping(GUIDS.as_ptr(), GUIDS.len()) };
        // SAFETY: the caller gives room for a number or null.
        *unsafe { count.as_mut() }.ok_or(EncodeError::INVALID_PTR)? = GUIDS.len() as u32;
        Ok(())
    })
}

unsafe extern "C" fn caps(
    session: *mut c_void,
    codec: GUID,
    param: *mut NV_ENC_CAPS_PARAM,
    value: *mut c_int,
) -> NVENCSTATUS {
    on_session(session, |_, _| {
        // SAFETY: the caller gives a structure or null.
        let param = unsafe { param.as_ref() }.ok_or(EncodeError::INVALID_PTR)?;
        if param.version != NV_ENC_CAPS_PARAM_VER {
            return Err(EncodeError::INVALID_VERSION);
        }
        if !GUIDS.contains(&codec) {
            return Err(EncodeError::INVALID_PARAM);
        }
        let side = if codec == NV_ENC_CODEC_H264_GUID {
            4096
        } else {
            8192
        };
        // SAFETY: the caller gives room for a number or null.
        *unsafe { value.as_mut() }.ok_or(EncodeError::INVALID_PTR)? = match param.capsToQuery {
            NV_ENC_CAPS::NV_ENC_CAPS_WIDTH_MIN => 145,
            NV_ENC_CAPS::NV_ENC_CAPS_HEIGHT_MIN => 49,
            NV_ENC_CAPS::NV_ENC_CAPS_WIDTH_MAX | NV_ENC_CAPS::NV_ENC_CAPS_HEIGHT_MAX => side,
            _ => 0,
        };
        Ok(())
    })
}
