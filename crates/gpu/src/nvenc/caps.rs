//! What a device can encode, asked from a session that encodes nothing.

use nvidia_video_codec_sdk::sys::nvEncodeAPI::{
    GUID, NV_ENC_CAPS, NV_ENC_CAPS_PARAM, NV_ENC_CAPS_PARAM_VER, NV_ENC_CODEC_H264_GUID,
    NV_ENC_CODEC_HEVC_GUID,
};
use trickle_media::Codec;

use super::session::Session;
use crate::context::Context;
use crate::error::GpuError;
use crate::probe::CodecCaps;

/// More codecs than any encoder has, to bound what the library is believed.
const MAX_GUIDS: u32 = 64;

/// The codecs of ours that the device encodes; none is not an error.
pub(crate) fn encoder_caps(context: &Context) -> Result<Vec<CodecCaps>, GpuError> {
    // Current until the session, which comes later, has gone.
    let _entered = context.enter()?;
    let session = Session::open(context.handle(), ())?;
    let guids = guids(&session)?;
    let ours = [
        (NV_ENC_CODEC_H264_GUID, Codec::H264),
        (NV_ENC_CODEC_HEVC_GUID, Codec::Hevc),
    ];
    ours.into_iter()
        .filter(|(guid, _)| guids.contains(guid))
        .map(|(guid, codec)| {
            let cap = |cap| cap_of(&session, guid, cap);
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

fn guids(session: &Session<()>) -> Result<Vec<GUID>, GpuError> {
    let mut count = 0;
    // SAFETY: the session is open, `count` writable.
    let status = unsafe { (session.api.guid_count)(session.handle, &raw mut count) };
    session.check("nvEncGetEncodeGUIDCount", status)?;
    let room = count.min(MAX_GUIDS);
    let mut guids = vec![NV_ENC_CODEC_H264_GUID; room as usize];
    let mut written = 0;
    // SAFETY: the library writes at most `room` values.
    let status =
        unsafe { (session.api.guids)(session.handle, guids.as_mut_ptr(), room, &raw mut written) };
    session.check("nvEncGetEncodeGUIDs", status)?;
    guids.truncate(written as usize);
    Ok(guids)
}

fn cap_of(session: &Session<()>, codec: GUID, cap: NV_ENC_CAPS) -> Result<u32, GpuError> {
    let mut param = NV_ENC_CAPS_PARAM {
        version: NV_ENC_CAPS_PARAM_VER,
        capsToQuery: cap,
        reserved: [0; 62],
    };
    let mut value = 0;
    // SAFETY: the session is open, both structures are ours.
    let status =
        unsafe { (session.api.caps)(session.handle, codec, &raw mut param, &raw mut value) };
    session.check("nvEncGetEncodeCaps", status)?;
    Ok(u32::try_from(value).unwrap_or(0))
}
