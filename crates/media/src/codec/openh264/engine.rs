//! OpenH264 as an [`Engine`].

use super::NAME;
use super::sps;
use super::sys::{MAX_UNIT_BYTES, Picture, RawDecoder, State};
use crate::codec::h264::{Engine, SpsError};
use crate::codec::rust_h264::RustH264;
use crate::error::FrameError;
use crate::frame::{FramePool, PixelFormat, PlanarImage};
use crate::h264::sps::Sps;
use crate::stream::VideoParams;

/// An access unit delimiter (ITU-T H.264, 7.3.2.4), for pictures of any type.
const DELIMITER: [u8; 6] = [0, 0, 0, 1, 0x09, 0xf0];

/// Decodes progressive 8-bit 4:2:0 up to the High profile, the fastest of the CPU's.
///
/// The library begins with IDR pictures only. A stream that is joined at another keyframe is
/// decoded by rust_h264 up to the next one.
pub(in crate::codec) enum OpenH264 {
    Itself(Library),
    Joining(Box<RustH264>),
}

/// The library.
pub(in crate::codec) struct Library {
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
        Ok(Self::Itself(Library {
            raw,
            concealing: false,
        }))
    }

    fn concealing() -> Result<Option<Self>, String> {
        let raw = RawDecoder::concealing().map_err(|failed| failed.to_string())?;
        Ok(Some(Self::Itself(Library {
            raw,
            concealing: true,
        })))
    }

    fn joining() -> Result<Option<Self>, String> {
        Ok(Some(Self::Joining(Box::new(RustH264::start()?))))
    }

    fn adapt_sps(nal: &[u8], out: &mut Vec<u8>) -> Result<Sps, SpsError> {
        sps::for_decoder(nal, out)
    }

    fn sequence(&mut self, sps: &Sps) {
        if let Self::Joining(engine) = self {
            engine.sequence(sps);
        }
    }

    fn parameter_sets(&mut self, sets: &[u8]) {
        match self {
            Self::Itself(library) => {
                library.raw.feed(sets);
            }
            Self::Joining(engine) => engine.parameter_sets(sets),
        }
    }

    fn leave_out(&mut self, unit: &[u8]) {
        if let Self::Joining(engine) = self {
            engine.leave_out(unit);
        }
    }

    fn decode(&mut self, unit: &[u8], pool: &FramePool) -> Result<Option<PlanarImage>, String> {
        match self {
            Self::Itself(library) => library.decode(unit, pool),
            Self::Joining(engine) => engine.decode(unit, pool),
        }
    }
}

impl Library {
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
