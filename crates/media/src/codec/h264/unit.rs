//! An access unit made ready for the decoder: the NAL units that it needs, and no others.

use super::engine::{Engine, SpsError};
use crate::access_unit::Codec;
use crate::error::Unsupported;
use crate::h264::NalKind;
use crate::h264::annexb::{START_CODE, nal_units};
use crate::h264::sps::Sps;

/// Data partitions B and C of a slice; A has a name in [`NalKind`].
const PARTITION_B: NalKind = NalKind(3);
const PARTITION_C: NalKind = NalKind(4);

/// Parameter sets beyond this are not kept: no sane stream has so many.
const MAX_PARAMETER_SETS: usize = 1 << 16;

/// Slices and parameter sets of one access unit, as Annex B bytes.
///
/// Everything else is left out: the decoder needs none of it, and scalable and multiview
/// extensions (NAL unit types 14, 15, 20) would have it decode more than the base layer, with
/// parameter sets that nobody checked.
#[derive(Default)]
pub(super) struct CleanUnit {
    bytes: Vec<u8>,
    /// Where the parameter sets are in `bytes`.
    parameter_sets: Vec<std::ops::Range<usize>>,
    sps: Option<Sps>,
    picture: bool,
    reference: bool,
    idr: bool,
    /// The sequence parameter set that was adapted last: nearly every keyframe repeats it.
    adapted: Option<Adapted>,
}

/// A sequence parameter set as it came and as the decoder is to see it.
struct Adapted {
    from: Vec<u8>,
    to: Vec<u8>,
    sps: Sps,
}

impl CleanUnit {
    /// Takes over the access unit `data`, in place of the one before.
    pub(super) fn fill<E: Engine>(&mut self, data: &[u8]) -> Result<(), SpsError> {
        self.bytes.clear();
        self.parameter_sets.clear();
        self.sps = None;
        (self.picture, self.reference, self.idr) = (false, false, false);
        for nal in nal_units(data) {
            let start = self.bytes.len();
            match nal.kind() {
                NalKind::SLICE | NalKind::IDR => {
                    self.picture = true;
                    self.reference |= nal.ref_idc() != 0;
                    self.idr |= nal.kind() == NalKind::IDR;
                    self.bytes.extend_from_slice(&START_CODE);
                    self.bytes.extend_from_slice(nal.bytes);
                }
                NalKind::SPS => {
                    let adapted = adapted::<E>(&mut self.adapted, nal.bytes)?;
                    self.sps = Some(adapted.sps.clone());
                    self.bytes.extend_from_slice(&START_CODE);
                    self.bytes.extend_from_slice(&adapted.to);
                    self.parameter_sets.push(start..self.bytes.len());
                }
                NalKind::PPS => {
                    self.bytes.extend_from_slice(&START_CODE);
                    self.bytes.extend_from_slice(nal.bytes);
                    self.parameter_sets.push(start..self.bytes.len());
                }
                NalKind::PARTITION_A | PARTITION_B | PARTITION_C => {
                    return Err(SpsError::Unsupported(Unsupported::new(
                        Codec::H264,
                        "slices are partitioned (Extended profile), which no decoder here takes",
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The unit for the decoder.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// It holds slices.
    pub(super) fn has_picture(&self) -> bool {
        self.picture
    }

    /// Other pictures may refer to its picture (`nal_ref_idc` is not 0).
    pub(super) fn is_reference(&self) -> bool {
        self.reference
    }

    /// Its picture is an IDR picture: no later one refers to, or is shown before, earlier ones.
    pub(super) fn is_idr(&self) -> bool {
        self.idr
    }

    /// The sequence parameter set that it brings.
    pub(super) fn sps(&self) -> Option<&Sps> {
        self.sps.as_ref()
    }

    /// Copies its parameter sets to `kept`, in place of older ones when there is a sequence
    /// parameter set among them.
    pub(super) fn keep_parameter_sets(&self, kept: &mut Vec<u8>) {
        if self.sps.is_some() {
            kept.clear();
        }
        for range in &self.parameter_sets {
            if let Some(bytes) = self.bytes.get(range.clone())
                && kept.len() + bytes.len() <= MAX_PARAMETER_SETS
            {
                kept.extend_from_slice(bytes);
            }
        }
    }
}

/// `nal` adapted for the decoder; worked out anew only when it is not the one in `last`.
fn adapted<'a, E: Engine>(
    last: &'a mut Option<Adapted>,
    nal: &[u8],
) -> Result<&'a Adapted, SpsError> {
    let known = last.take_if(|last| last.from == nal);
    let adapted = match known {
        Some(known) => known,
        None => {
            let mut to = Vec::new();
            let sps = E::adapt_sps(nal, &mut to)?;
            let from = nal.to_vec();
            Adapted { from, to, sps }
        }
    };
    Ok(last.insert(adapted))
}

#[cfg(test)]
#[path = "unit_test.rs"]
mod tests;
