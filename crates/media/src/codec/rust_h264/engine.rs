//! The library rust_h264 as an [`Engine`].

use std::panic::{AssertUnwindSafe, catch_unwind};

use rust_h264::decoder::{ChromaFormat, Decoder, Frame};
use rust_h264::error::DecodeError;
use rust_h264::nal::parse_annex_b;

use crate::access_unit::Codec;
use crate::codec::h264::{Engine, SpsError};
use crate::error::Unsupported;
use crate::frame::{Chroma, FramePool, PlanarImage, SamplePlane, Samples};
use crate::h264::FrameNumbers;
use crate::h264::sps::Sps;
use crate::stream::VideoParams;

/// `profile_idc`s that are decoded: Baseline, Main, High, High 10, High 4:2:2.
const PROFILES: [u8; 5] = [66, 77, 100, 110, 122];

/// Decodes 8 and 10 bits, 4:2:0, 4:2:2 and monochrome, pictures coded as frames and as fields.
pub(in crate::codec) struct RustH264 {
    decoder: Decoder,
    /// Pictures may hold two moments: one field each.
    interlaced: bool,
    /// Rows of a whole picture, as far as known: a lone field has half of them.
    rows: Option<u32>,
    /// Finds missing pictures, which the library would make up silently.
    numbers: FrameNumbers,
}

impl RustH264 {
    /// All that the unit gives; the last picture where there are several.
    fn picture(&mut self, unit: &[u8]) -> Result<Option<Frame>, DecodeError> {
        let mut picture = None;
        for nal in parse_annex_b(unit) {
            if let Some(earlier) = self.decoder.decode_nal(&nal)? {
                picture = Some(earlier);
            }
        }
        // Without it the picture would come out with the next one.
        Ok(self.decoder.flush().or(picture))
    }
}

impl Engine for RustH264 {
    const NAME: &'static str = "rust_h264";

    fn refusal(params: &VideoParams) -> Option<String> {
        if !matches!(params.bit_depth, 8 | 10) {
            Some(format!(
                "the stream has {} bits per sample, rust_h264 decodes 8 and 10",
                params.bit_depth
            ))
        } else if params.chroma_format > 2 {
            Some("the stream is 4:4:4, rust_h264 decodes up to 4:2:2".into())
        } else if !PROFILES.contains(&params.profile) {
            Some(format!(
                "the stream is of profile {}, rust_h264 decodes Baseline, Main, High, High 10 and \
                 High 4:2:2",
                params.profile
            ))
        } else {
            None
        }
    }

    fn start() -> Result<Self, String> {
        Ok(Self {
            decoder: Decoder::new(),
            interlaced: false,
            rows: None,
            numbers: FrameNumbers::new(),
        })
    }

    fn adapt_sps(nal: &[u8], out: &mut Vec<u8>) -> Result<Sps, SpsError> {
        let sps = Sps::parse(nal)?;
        let different_depths = sps.chroma_format != 0 && sps.bit_depth_chroma != sps.bit_depth_luma;
        let refusal = if different_depths {
            Some("luma and chroma have different bit depths".into())
        } else {
            Self::refusal(&sps.video_params())
        };
        if let Some(reason) = refusal {
            return Err(SpsError::Unsupported(Unsupported::new(Codec::H264, reason)));
        }
        out.extend_from_slice(nal);
        Ok(sps)
    }

    fn sequence(&mut self, sps: &Sps) {
        self.interlaced = !sps.frame_mbs_only;
        self.rows = Some(sps.height);
    }

    fn parameter_sets(&mut self, sets: &[u8]) {
        self.numbers.follow_a_gap(sets);
        for nal in parse_annex_b(sets) {
            // A set that it cannot read leaves slices without one, which is told then.
            let _ = self.decoder.decode_nal(&nal);
        }
    }

    fn leave_out(&mut self, unit: &[u8]) {
        self.numbers.follow_a_gap(unit);
    }

    fn decode(&mut self, unit: &[u8], pool: &FramePool) -> Result<Option<PlanarImage>, String> {
        if self.numbers.follow_a_gap(unit) {
            return Err("pictures that it may refer to are missing".into());
        }
        // The library is young: what it does not expect of a damaged stream may make it panic,
        // which costs this decoder and no more.
        let decoded = catch_unwind(AssertUnwindSafe(|| self.picture(unit)));
        let frame = match decoded {
            Ok(Ok(frame)) => frame,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("rust_h264 panicked".into()),
        };
        let Some(frame) = frame else { return Ok(None) };
        if self.rows.is_some_and(|rows| frame.height < rows) {
            return Err("one of its two fields is missing".into());
        }
        samples(&frame, self.interlaced)
            .to_i420(&pool.bytes)
            .map(Some)
            .map_err(|error| error.to_string())
    }
}

fn samples(frame: &Frame, interlaced: bool) -> Samples<'_> {
    let plane = |bytes, columns: u32| SamplePlane {
        bytes,
        stride: columns as usize * frame.bytes_per_sample(),
    };
    Samples {
        width: frame.width as usize,
        height: frame.height as usize,
        bit_depth: frame.bit_depth,
        chroma: match frame.chroma_format {
            ChromaFormat::Yuv420 => Chroma::C420,
            ChromaFormat::Yuv422 => Chroma::C422,
        },
        planes: [
            plane(&frame.y, frame.width),
            plane(&frame.u, frame.chroma_width()),
            plane(&frame.v, frame.chroma_width()),
        ],
        interlaced,
    }
}

#[cfg(test)]
#[path = "engine_test.rs"]
mod tests;
