//! What an H.265 stream says of itself: its parameter sets, and which pictures decoding can start
//! with.

use bytes::Bytes;

use crate::h264::annexb::{START_CODE, nal_units};
use crate::stream::VideoParams;

mod sps;
mod vui;

use sps::Sps;

/// `nal_unit_type`s (table 7-1).
const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;
const AUD: u8 = 35;
const RANDOM_ACCESS: std::ops::RangeInclusive<u8> = 16..=23;
const FIRST_NON_SLICE: u8 = 32;

/// Bytes of a NAL unit header.
const HEADER: usize = 2;
/// Parameter sets beyond this are not kept: no sane stream has so many.
const MAX_SETS: usize = 64;

/// `nal_unit_type` of a NAL unit, start code not included.
pub(crate) fn kind(nal: &[u8]) -> Option<u8> {
    nal.first().map(|header| header >> 1 & 0x3f)
}

/// Whether the first slice of an access unit, in Annex B, is one of a random access picture.
pub fn is_random_access(unit: &[u8]) -> bool {
    nal_units(unit)
        .filter_map(|nal| kind(nal.bytes))
        .find(|kind| *kind < FIRST_NON_SLICE)
        .is_some_and(|kind| RANDOM_ACCESS.contains(&kind))
}

/// Parameters from the parameter sets of an access unit; `None` without a sequence parameter set
/// that can be read. What the video parameter set states fills in what that one does not.
pub fn video_params(unit: &[u8]) -> Option<VideoParams> {
    let payload = |wanted: u8| {
        let nal = nal_units(unit).find(|nal| kind(nal.bytes) == Some(wanted))?;
        nal.bytes.get(HEADER..)
    };
    let mut params = Sps::parse(payload(SPS)?).ok().flatten()?.params;
    params.frame_rate = params.frame_rate.or_else(|| {
        let rate = sps::rate_of_vps(payload(VPS)?);
        rate.ok().flatten()
    });
    Some(params)
}

/// The parameter sets of a stream, those that came last, for keyframes that come without.
#[derive(Debug, Default)]
pub(crate) struct ParameterSets {
    /// Kind, id and bytes.
    sets: Vec<(u8, u32, Bytes)>,
}

impl ParameterSets {
    /// Takes over the sets that `unit`, in Annex B, brings. A keyframe gets those that it lacks,
    /// behind its delimiter, so that decoders can start with it.
    pub(crate) fn complete(&mut self, unit: Bytes, keyframe: bool) -> Bytes {
        let (mut brought, mut delimited, mut start) = (0u8, false, 0);
        for nal in nal_units(&unit) {
            if std::mem::take(&mut delimited) {
                start = nal.offset;
            }
            match kind(nal.bytes) {
                Some(kind @ VPS..=PPS) => {
                    brought |= 1 << (kind - VPS);
                    self.keep(kind, nal.bytes);
                }
                Some(AUD) => delimited = true,
                Some(kind) if kind < FIRST_NON_SLICE => break,
                _ => {}
            }
        }
        if !keyframe || brought == 0b111 {
            return unit;
        }
        let mut missing: Vec<_> = self.sets.iter().collect();
        missing.retain(|(kind, ..)| brought & 1 << (kind - VPS) == 0);
        if missing.is_empty() {
            return unit;
        }
        missing.sort_by_key(|(kind, ..)| *kind);
        let (delimiter, rest) = unit.split_at(start.min(unit.len()));
        let mut whole = delimiter.to_vec();
        for (.., nal) in missing {
            whole.extend_from_slice(&START_CODE);
            whole.extend_from_slice(nal);
        }
        whole.extend_from_slice(rest);
        whole.into()
    }

    fn keep(&mut self, kind: u8, nal: &[u8]) {
        if self.sets.iter().any(|(.., held)| held == nal) {
            return;
        }
        let Some(id) = id(kind, nal) else { return };
        let nal = Bytes::copy_from_slice(nal);
        let known = |set: &&mut (u8, u32, Bytes)| (set.0, set.1) == (kind, id);
        if let Some(set) = self.sets.iter_mut().find(known) {
            set.2 = nal;
        } else if self.sets.len() < MAX_SETS {
            self.sets.push((kind, id, nal));
        }
    }
}

/// The id of a parameter set; `None` for one that cannot be read.
fn id(kind: u8, nal: &[u8]) -> Option<u32> {
    let payload = nal.get(HEADER..)?;
    let bits = &mut crate::bits::BitReader::rbsp(payload);
    match kind {
        VPS => bits.bits(4).ok(),
        PPS => bits.ue().ok(),
        _ => Some(Sps::parse(payload).ok().flatten()?.id),
    }
}

#[cfg(test)]
#[path = "hevc_test.rs"]
mod tests;
