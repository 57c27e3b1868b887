//! The encoder's functions, out of the list that the library fills.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

use nvidia_video_codec_sdk::sys::nvEncodeAPI::NV_ENCODE_API_FUNCTION_LIST_VER;
use nvidia_video_codec_sdk::sys::nvEncodeAPI::{
    GUID, NV_ENC_CAPS_PARAM, NV_ENC_CREATE_BITSTREAM_BUFFER, NV_ENC_INITIALIZE_PARAMS,
    NV_ENC_LOCK_BITSTREAM, NV_ENC_MAP_INPUT_RESOURCE, NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS,
    NV_ENC_PIC_PARAMS, NV_ENC_PRESET_CONFIG, NV_ENC_RECONFIGURE_PARAMS, NV_ENC_REGISTER_RESOURCE,
    NV_ENC_TUNING_INFO, NV_ENCODE_API_FUNCTION_LIST, NVENCAPI_MAJOR_VERSION,
    NVENCAPI_MINOR_VERSION,
};

use crate::dl::{self, EncStatus};
use crate::error::GpuError;

const SUCCESS: EncStatus = EncStatus(0);

/// Declares the functions that are taken out of the list.
macro_rules! functions {
    ($($field:ident $name:ident($($arg:ty),*) -> $ret:ty;)*) => {
        /// The functions used here, as the library gave them.
        pub(super) struct Api {
            $(pub(super) $name: unsafe extern "C" fn($($arg),*) -> $ret,)*
        }

        impl Api {
            fn from_list(list: &NV_ENCODE_API_FUNCTION_LIST) -> Result<Self, GpuError> {
                Ok(Self {
                    $($name: {
                        let function = list.$field.ok_or(GpuError::Symbol {
                            library: "libnvidia-encode.so.1",
                            symbol: stringify!($field),
                        })?;
                        // SAFETY: the same C function; only the status is typed otherwise, as an
                        // open number instead of an enum that newer drivers' codes would break.
                        unsafe {
                            std::mem::transmute::<
                                *const c_void,
                                unsafe extern "C" fn($($arg),*) -> $ret,
                            >(function as *const c_void)
                        }
                    },)*
                })
            }
        }
    };
}

functions! {
    nvEncOpenEncodeSessionEx open_session(
        *mut NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, *mut *mut c_void) -> EncStatus;
    nvEncDestroyEncoder destroy(*mut c_void) -> EncStatus;
    nvEncGetLastErrorString last_error(*mut c_void) -> *const c_char;
    nvEncGetEncodeGUIDCount guid_count(*mut c_void, *mut u32) -> EncStatus;
    nvEncGetEncodeGUIDs guids(*mut c_void, *mut GUID, u32, *mut u32) -> EncStatus;
    nvEncGetEncodeCaps caps(*mut c_void, GUID, *mut NV_ENC_CAPS_PARAM, *mut c_int) -> EncStatus;
    nvEncGetEncodePresetConfigEx preset_config(
        *mut c_void, GUID, GUID, NV_ENC_TUNING_INFO, *mut NV_ENC_PRESET_CONFIG) -> EncStatus;
    nvEncInitializeEncoder initialize(*mut c_void, *mut NV_ENC_INITIALIZE_PARAMS) -> EncStatus;
    nvEncReconfigureEncoder reconfigure(
        *mut c_void, *mut NV_ENC_RECONFIGURE_PARAMS) -> EncStatus;
    nvEncCreateBitstreamBuffer create_bitstream(
        *mut c_void, *mut NV_ENC_CREATE_BITSTREAM_BUFFER) -> EncStatus;
    nvEncDestroyBitstreamBuffer destroy_bitstream(*mut c_void, *mut c_void) -> EncStatus;
    nvEncRegisterResource register(*mut c_void, *mut NV_ENC_REGISTER_RESOURCE) -> EncStatus;
    nvEncUnregisterResource unregister(*mut c_void, *mut c_void) -> EncStatus;
    nvEncMapInputResource map(*mut c_void, *mut NV_ENC_MAP_INPUT_RESOURCE) -> EncStatus;
    nvEncUnmapInputResource unmap(*mut c_void, *mut c_void) -> EncStatus;
    nvEncEncodePicture encode(*mut c_void, *mut NV_ENC_PIC_PARAMS) -> EncStatus;
    nvEncLockBitstream lock(*mut c_void, *mut NV_ENC_LOCK_BITSTREAM) -> EncStatus;
    nvEncUnlockBitstream unlock(*mut c_void, *mut c_void) -> EncStatus;
}

/// The functions, taken at the first call; the outcome stays for the process.
pub(super) fn api() -> Result<&'static Api, GpuError> {
    static API: OnceLock<Result<Api, GpuError>> = OnceLock::new();
    API.get_or_init(create).as_ref().map_err(Clone::clone)
}

fn create() -> Result<Api, GpuError> {
    let library = dl::nvenc()?;
    let mut version = 0;
    // SAFETY: `version` is writable.
    let status = unsafe { (library.get_max_supported_version)(&raw mut version) };
    check("NvEncodeAPIGetMaxSupportedVersion", status, None)?;
    // The library creates lists that are newer than itself without complaint, and fails later.
    let (major, minor) = (version >> 4, version & 15);
    if (major, minor) < (NVENCAPI_MAJOR_VERSION, NVENCAPI_MINOR_VERSION) {
        return Err(GpuError::EncoderVersion {
            major,
            minor,
            wanted_major: NVENCAPI_MAJOR_VERSION,
            wanted_minor: NVENCAPI_MINOR_VERSION,
        });
    }
    // SAFETY: integers, optional functions and pointers: all zeroes is a value of it.
    let mut list: NV_ENCODE_API_FUNCTION_LIST = unsafe { std::mem::zeroed() };
    list.version = NV_ENCODE_API_FUNCTION_LIST_VER;
    // SAFETY: `list` is writable and says its version.
    let status = unsafe { (library.create_instance)(&raw mut list) };
    check("NvEncodeAPICreateInstance", status, None)?;
    Api::from_list(&list)
}

/// An error where `status` is one, with what the session has to say of it.
pub(super) fn check(
    call: &'static str,
    status: EncStatus,
    session: Option<(&Api, *mut c_void)>,
) -> Result<(), GpuError> {
    if status == SUCCESS {
        return Ok(());
    }
    let detail = session.map_or_else(String::new, |(api, session)| {
        // SAFETY: the session is open; the string is the library's and is copied at once.
        let text = unsafe {
            let text = (api.last_error)(session);
            if text.is_null() {
                return String::new();
            }
            CStr::from_ptr(text)
        };
        match text.to_string_lossy() {
            text if text.is_empty() => String::new(),
            text => format!(": {text}"),
        }
    });
    Err(GpuError::Encoder {
        call,
        code: status.0,
        name: name(status),
        detail,
    })
}

/// Statuses in the order of their numbers (`NVENCSTATUS`).
const NAMES: [&str; 27] = [
    "NV_ENC_SUCCESS",
    "NV_ENC_ERR_NO_ENCODE_DEVICE",
    "NV_ENC_ERR_UNSUPPORTED_DEVICE",
    "NV_ENC_ERR_INVALID_ENCODERDEVICE",
    "NV_ENC_ERR_INVALID_DEVICE",
    "NV_ENC_ERR_DEVICE_NOT_EXIST",
    "NV_ENC_ERR_INVALID_PTR",
    "NV_ENC_ERR_INVALID_EVENT",
    "NV_ENC_ERR_INVALID_PARAM",
    "NV_ENC_ERR_INVALID_CALL",
    "NV_ENC_ERR_OUT_OF_MEMORY",
    "NV_ENC_ERR_ENCODER_NOT_INITIALIZED",
    "NV_ENC_ERR_UNSUPPORTED_PARAM",
    "NV_ENC_ERR_LOCK_BUSY",
    "NV_ENC_ERR_NOT_ENOUGH_BUFFER",
    "NV_ENC_ERR_INVALID_VERSION",
    "NV_ENC_ERR_MAP_FAILED",
    "NV_ENC_ERR_NEED_MORE_INPUT",
    "NV_ENC_ERR_ENCODER_BUSY",
    "NV_ENC_ERR_EVENT_NOT_REGISTERD",
    "NV_ENC_ERR_GENERIC",
    "NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY",
    "NV_ENC_ERR_UNIMPLEMENTED",
    "NV_ENC_ERR_RESOURCE_REGISTER_FAILED",
    "NV_ENC_ERR_RESOURCE_NOT_REGISTERED",
    "NV_ENC_ERR_RESOURCE_NOT_MAPPED",
    "NV_ENC_ERR_NEED_MORE_OUTPUT",
];

fn name(status: EncStatus) -> &'static str {
    usize::try_from(status.0)
        .ok()
        .and_then(|index| NAMES.get(index).copied())
        .unwrap_or("unknown error")
}
