//! OpenH264 as an [`Engine`].

use super::NAME;
use super::sps;
use super::sys::{MAX_UNIT_BYTES, Picture, RawDecoder, State};
use crate::codec::h264::{Engine, SpsError};
use crate::error::FrameError;
use crate::frame::{FramePool, PixelFormat, PlanarImage};
use crate::h264::sps::Sps;
use crate::stream::VideoParams;

/// An access unit delimiter (ITU-T H.264, 7.3.2.4), for pictures of any type.
const DELIMITER: [u8; 6] = [0, 0, 0, 1, 0x09, 0xf0];

/// Decodes progressive 8-bit 4:2:0 up to the High profile, the fastest of the CPU's.
pub(in crate::codec) struct OpenH264 {
    raw: RawDecoder,
    /// A picture with holes comes out, the holes filled.
    concealing: bool,
}

impl Engine for OpenH264 {
    const NAME: &'static str = NAME;

    fn refusal(params: &VideoParams) -> Option<String> {
        sps::refusal(
            params.profile,
            params.bit_depth,
            params.chroma_format,
            params.interlaced,
        )
    }

    fn start() -> Result<Self, String> {
        let raw = RawDecoder::new().map_err(|failed| failed.to_string())?;
        Ok(Self {
            raw,
            concealing: false,
        })
    }

    fn concealing() -> Result<Option<Self>, String> {
        let raw = RawDecoder::concealing().map_err(|failed| failed.to_string())?;
        Ok(Some(Self {
            raw,
            concealing: true,
        }))
    }

    fn adapt_sps(nal: &[u8], out: &mut Vec<u8>) -> Result<Sps, SpsError> {
        sps::for_decoder(nal, out)
    }

    fn parameter_sets(&mut self, sets: &[u8]) {
        self.raw.feed(sets);
    }

    fn decode(&mut self, unit: &[u8], pool: &FramePool) -> Result<Option<PlanarImage>, String> {
        if unit.len() > MAX_UNIT_BYTES {
            return Err(format!(
                "it has {} bytes, the decoder takes {MAX_UNIT_BYTES}",
                unit.len()
            ));
        }
        // One unit is one picture, which `finish_unit` brings out. If it were two, as in a stream
        // whose units are cut wrongly, the second would come out.
        let (fed, picture) = self.raw.feed(unit);
        let early = picture.map(|picture| copy(&picture, pool)).transpose();
        let (finished, picture) = self.raw.finish_unit();
        let late = picture.map(|picture| copy(&picture, pool)).transpose();
        // A picture with holes is held back to be completed, until something says that another
        // begins.
        let filled = if self.concealing && matches!(late, Ok(None)) {
            let (_, picture) = self.raw.feed(&DELIMITER);
            picture.map(|picture| copy(&picture, pool)).transpose()
        } else {
            Ok(None)
        };
        let image = late
            .and_then(|late| Ok(late.or(filled?)))
            .and_then(|image| Ok(image.or(early?)))
            .map_err(|error| error.to_string())?;
        let state = fed.and(finished);
        if state != State::OK && !(self.concealing && image.is_some()) {
            return Err(state.to_string());
        }
        Ok(image)
    }
}

/// The only copy between decoder and frame.
fn copy(picture: &Picture<'_>, pool: &FramePool) -> Result<PlanarImage, FrameError> {
    let mut image = PlanarImage::new(
        PixelFormat::I420,
        picture.width,
        picture.height,
        &pool.bytes,
    )?;
    for (plane, samples) in image.planes_mut().into_iter().enumerate() {
        let width = samples.len() / picture.rows(plane).count().max(1);
        if width == 0 {
            continue;
        }
        for (to, from) in samples.chunks_exact_mut(width).zip(picture.rows(plane)) {
            to.copy_from_slice(from);
        }
    }
    Ok(image)
}
