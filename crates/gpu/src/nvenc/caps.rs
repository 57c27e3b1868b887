//! What a device can encode, asked from a session that encodes nothing.

use std::ffi::c_void;
use std::ptr;

use nvidia_video_codec_sdk::sys::nvEncodeAPI::{
    GUID, NV_ENC_CAPS, NV_ENC_CAPS_PARAM, NV_ENC_DEVICE_TYPE, NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS,
    NVENCAPI_VERSION,
};
use nvidia_video_codec_sdk::sys::nvEncodeAPI::{
    NV_ENC_CAPS_PARAM_VER, NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER,
};
use nvidia_video_codec_sdk::sys::nvEncodeAPI::{NV_ENC_CODEC_H264_GUID, NV_ENC_CODEC_HEVC_GUID};
use trickle_media::Codec;

use super::api::{self, Api, check};
use crate::context::Context;
use crate::error::GpuError;
use crate::probe::CodecCaps;

/// More codecs than any encoder has, to bound what the library is believed.
const MAX_GUIDS: u32 = 64;

/// An open encode session.
struct Session<'a> {
    api: &'static Api,
    handle: *mut c_void,
    /// The session lives in this context.
    _context: &'a Context,
}

/// The codecs of ours that the device encodes; none is not an error.
pub(crate) fn encoder_caps(context: &Context) -> Result<Vec<CodecCaps>, GpuError> {
    let session = Session::open(context)?;
    let guids = session.guids()?;
    let ours = [
        (NV_ENC_CODEC_H264_GUID, Codec::H264),
        (NV_ENC_CODEC_HEVC_GUID, Codec::Hevc),
    ];
    ours.into_iter()
        .filter(|(guid, _)| guids.contains(guid))
        .map(|(guid, codec)| {
            let cap = |cap| session.cap(guid, cap);
            Ok(CodecCaps {
                codec,
                min_width: cap(NV_ENC_CAPS::NV_ENC_CAPS_WIDTH_MIN)?,
                min_height: cap(NV_ENC_CAPS::NV_ENC_CAPS_HEIGHT_MIN)?,
                max_width: cap(NV_ENC_CAPS::NV_ENC_CAPS_WIDTH_MAX)?,
                max_height: cap(NV_ENC_CAPS::NV_ENC_CAPS_HEIGHT_MAX)?,
            })
        })
        .collect()
}

impl<'a> Session<'a> {
    fn open(context: &'a Context) -> Result<Self, GpuError> {
        let api = api::api()?;
        let mut params = NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS {
            version: NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER,
            deviceType: NV_ENC_DEVICE_TYPE::NV_ENC_DEVICE_TYPE_CUDA,
            device: context.handle(),
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
            _context: context,
        };
        // A failed open may still give a handle, which must be destroyed: `Drop` does.
        check("nvEncOpenEncodeSessionEx", status, None)?;
        Ok(session)
    }

    fn guids(&self) -> Result<Vec<GUID>, GpuError> {
        let mut count = 0;
        // SAFETY: the session is open, `count` writable.
        let status = unsafe { (self.api.guid_count)(self.handle, &raw mut count) };
        self.check("nvEncGetEncodeGUIDCount", status)?;
        let room = count.min(MAX_GUIDS);
        let mut guids = vec![NV_ENC_CODEC_H264_GUID; room as usize];
        let mut written = 0;
        // SAFETY: the library writes at most `room` values.
        let status =
            unsafe { (self.api.guids)(self.handle, guids.as_mut_ptr(), room, &raw mut written) };
        self.check("nvEncGetEncodeGUIDs", status)?;
        guids.truncate(written as usize);
        Ok(guids)
    }

    fn cap(&self, codec: GUID, cap: NV_ENC_CAPS) -> Result<u32, GpuError> {
        let mut param = NV_ENC_CAPS_PARAM {
            version: NV_ENC_CAPS_PARAM_VER,
            capsToQuery: cap,
            reserved: [0; 62],
        };
        let mut value = 0;
        // SAFETY: the session is open, both structures are ours.
        let status = unsafe { (self.api.caps)(self.handle, codec, &raw mut param, &raw mut value) };
        self.check("nvEncGetEncodeCaps", status)?;
        Ok(u32::try_from(value).unwrap_or(0))
    }

    fn check(&self, call: &'static str, status: crate::dl::EncStatus) -> Result<(), GpuError> {
        check(call, status, Some((self.api, self.handle)))
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: opened by `open`, destroyed once.
            unsafe { (self.api.destroy)(self.handle) };
        }
    }
}
