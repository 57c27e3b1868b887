//! An open encode session.

use std::ffi::c_void;
use std::ptr;

use nvidia_video_codec_sdk::sys::nvEncodeAPI::{
    NV_ENC_DEVICE_TYPE, NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS,
    NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER, NVENCAPI_VERSION,
};

use super::api::{self, Api, check};
use crate::dl::{CuContext, EncStatus};
use crate::error::GpuError;

/// An open session in the context that `keeper` keeps.
pub(super) struct Session<K> {
    pub(super) api: &'static Api,
    pub(super) handle: *mut c_void,
    _keeper: K,
}

// SAFETY: a session may be used from any thread, one at a time (NVENC Programming Guide,
// "Threading Model"); there is one owner.
unsafe impl<K: Send> Send for Session<K> {}

impl<K> Session<K> {
    /// Opens a session; consumer cards have few.
    pub(super) fn open(context: CuContext, keeper: K) -> Result<Self, GpuError> {
        let api = api::api()?;
        let mut params = NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS {
            version: NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER,
            deviceType: NV_ENC_DEVICE_TYPE::NV_ENC_DEVICE_TYPE_CUDA,
            device: context,
            reserved: ptr::null_mut(),
            apiVersion: NVENCAPI_VERSION,
            reserved1: [0; 253],
            reserved2: [ptr::null_mut(); 64],
        };
        let mut handle = ptr::null_mut();
        // SAFETY: `params` is complete and `handle` writable; the context outlives the session.
        let status = unsafe { (api.open_session)(&raw mut params, &raw mut handle) };
        let session = Self {
            api,
            handle,
            _keeper: keeper,
        };
        // A failed open may still give a handle, which must be destroyed: `Drop` does.
        check("nvEncOpenEncodeSessionEx", status, None)?;
        Ok(session)
    }

    /// An error where `status` is one, with what the library says of it.
    pub(super) fn check(&self, call: &'static str, status: EncStatus) -> Result<(), GpuError> {
        check(call, status, Some((self.api, self.handle)))
    }
}

impl<K> Drop for Session<K> {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: opened by `open`, destroyed once.
            unsafe { (self.api.destroy)(self.handle) };
        }
    }
}
