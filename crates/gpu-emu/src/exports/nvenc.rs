//! `libnvidia-encode.so.1`: sessions, and what the encoder can.

use std::ffi::{c_char, c_int, c_void};

use nvidia_video_codec_sdk::sys::nvEncodeAPI::{
    GUID, NV_ENC_CAPS, NV_ENC_CAPS_PARAM, NV_ENC_CAPS_PARAM_VER, NV_ENC_CODEC_H264_GUID,
    NV_ENC_CODEC_HEVC_GUID, NV_ENC_DEVICE_TYPE, NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS,
    NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER, NV_ENCODE_API_FUNCTION_LIST,
    NV_ENCODE_API_FUNCTION_LIST_VER, NVENCAPI_VERSION, NVENCSTATUS,
};

use super::pointer::Out;
use crate::driver::{Handle, call};
use crate::settings::setting;

const OK: NVENCSTATUS = NVENCSTATUS::NV_ENC_SUCCESS;

/// Sessions that a consumer's card allows.
const MAX_SESSIONS: usize = 3;

#[unsafe(no_mangle)]
extern "C" fn NvEncodeAPIGetMaxSupportedVersion(version: Out<u32>) -> NVENCSTATUS {
    let supported = if setting("old-encoder") {
        11 << 4 | 1
    } else {
        12 << 4 | 1
    };
    match version.put(supported) {
        Ok(()) => OK,
        Err(_) => NVENCSTATUS::NV_ENC_ERR_INVALID_PTR,
    }
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
    OK
}

/// Runs `body` with the number of a session that is open.
fn with_session(session: *mut c_void, body: impl FnOnce() -> NVENCSTATUS) -> NVENCSTATUS {
    let mut open = false;
    call(|driver| {
        open = driver.encoders.contains(&(session.addr() as Handle));
        Ok(())
    });
    if open {
        body()
    } else {
        NVENCSTATUS::NV_ENC_ERR_INVALID_ENCODERDEVICE
    }
}

unsafe extern "C" fn open(
    params: *mut NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS,
    session: *mut *mut c_void,
) -> NVENCSTATUS {
    // SAFETY: the caller gives a structure or null.
    let Some(params) = (unsafe { params.as_ref() }) else {
        return NVENCSTATUS::NV_ENC_ERR_INVALID_PTR;
    };
    if session.is_null() {
        return NVENCSTATUS::NV_ENC_ERR_INVALID_PTR;
    }
    if params.version != NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER
        || params.apiVersion != NVENCAPI_VERSION
    {
        return NVENCSTATUS::NV_ENC_ERR_INVALID_VERSION;
    }
    if setting("no-encoder") {
        return NVENCSTATUS::NV_ENC_ERR_UNSUPPORTED_DEVICE;
    }
    let mut opened = Err(NVENCSTATUS::NV_ENC_ERR_GENERIC);
    call(|driver| {
        let alive =
            driver.context.retained > 0 && params.device.addr() as Handle == driver.context.handle;
        opened = if params.deviceType != NV_ENC_DEVICE_TYPE::NV_ENC_DEVICE_TYPE_CUDA || !alive {
            Err(NVENCSTATUS::NV_ENC_ERR_INVALID_DEVICE)
        } else if driver.encoders.len() >= MAX_SESSIONS || setting("encoder-busy") {
            Err(NVENCSTATUS::NV_ENC_ERR_OUT_OF_MEMORY)
        } else {
            let handle = driver.handle();
            driver.encoders.insert(handle);
            Ok(handle)
        };
        Ok(())
    });
    match opened {
        Ok(handle) => {
            // SAFETY: not null, by the check above; the caller's to write.
            unsafe { session.write(std::ptr::without_provenance_mut(handle as usize)) };
            OK
        }
        Err(status) => status,
    }
}

unsafe extern "C" fn destroy(session: *mut c_void) -> NVENCSTATUS {
    with_session(session, || {
        call(|driver| {
            driver.encoders.remove(&(session.addr() as Handle));
            Ok(())
        });
        OK
    })
}

unsafe extern "C" fn last_error(_session: *mut c_void) -> *const c_char {
    c"".as_ptr()
}

const GUIDS: [GUID; 2] = [NV_ENC_CODEC_H264_GUID, NV_ENC_CODEC_HEVC_GUID];

unsafe extern "C" fn guid_count(session: *mut c_void, count: *mut u32) -> NVENCSTATUS {
    with_session(session, || {
        // SAFETY: the caller's to write; null was promised not to be.
        unsafe { count.write(GUIDS.len() as u32) };
        OK
    })
}

unsafe extern "C" fn guids(
    session: *mut c_void,
    to: *mut GUID,
    room: u32,
    count: *mut u32,
) -> NVENCSTATUS {
    with_session(session, || {
        if room < GUIDS.len() as u32 {
            return NVENCSTATUS::NV_ENC_ERR_INVALID_PARAM;
        }
        // SAFETY: the caller promised room for `room` values, which is enough.
        unsafe {
            to.copy_from_nonoverlapping(GUIDS.as_ptr(), GUIDS.len());
            count.write(GUIDS.len() as u32);
        }
        OK
    })
}

unsafe extern "C" fn caps(
    session: *mut c_void,
    codec: GUID,
    param: *mut NV_ENC_CAPS_PARAM,
    value: *mut c_int,
) -> NVENCSTATUS {
    with_session(session, || {
        // SAFETY: the caller gives a structure or null.
        let Some(param) = (unsafe { param.as_ref() }) else {
            return NVENCSTATUS::NV_ENC_ERR_INVALID_PTR;
        };
        if param.version != NV_ENC_CAPS_PARAM_VER {
            return NVENCSTATUS::NV_ENC_ERR_INVALID_VERSION;
        }
        if !GUIDS.contains(&codec) {
            return NVENCSTATUS::NV_ENC_ERR_INVALID_PARAM;
        }
        let side = if codec == NV_ENC_CODEC_H264_GUID {
            4096
        } else {
            8192
        };
        let answer = match param.capsToQuery {
            NV_ENC_CAPS::NV_ENC_CAPS_WIDTH_MIN => 145,
            NV_ENC_CAPS::NV_ENC_CAPS_HEIGHT_MIN => 49,
            NV_ENC_CAPS::NV_ENC_CAPS_WIDTH_MAX | NV_ENC_CAPS::NV_ENC_CAPS_HEIGHT_MAX => side,
            _ => 0,
        };
        // SAFETY: the caller's to write.
        unsafe { value.write(answer) };
        OK
    })
}
