//! Which decoder serves an audio stream.

use super::{AacDecoder, OpusDecoder};
use crate::access_unit::Codec;
use crate::coder::AudioDecoder;
use crate::error::Unsupported;
use crate::frame::FramePool;
use crate::stream::AudioParams;

/// Opens a decoder for an audio stream; its frames are made in `pool`.
///
/// # Errors
/// [`Unsupported`] says what of the stream cannot be decoded.
pub fn open_audio_decoder(
    params: &AudioParams,
    pool: &FramePool,
) -> Result<AudioDecoder, Unsupported> {
    match params.codec {
        Codec::Aac => Ok(Box::new(AacDecoder::new(params, pool)?)),
        Codec::Opus => Ok(Box::new(OpusDecoder::new(params, pool)?)),
        other => Err(Unsupported::new(
            other,
            "no decoder is built in; AAC and Opus can be decoded",
        )),
    }
}

#[cfg(test)]
#[path = "audio_test.rs"]
mod tests;
