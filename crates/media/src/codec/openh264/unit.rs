//! An access unit made ready for the decoder: the NAL units that it needs, and no others.

use super::sps::{self, SpsError};
use crate::access_unit::Codec;
use crate::error::Unsupported;

/// `nal_unit_type` (ITU-T H.264, table 7-1).
mod nal_type {
    pub(super) const SLICE: u8 = 1;
    pub(super) const PARTITION_A: u8 = 2;
    pub(super) const PARTITION_C: u8 = 4;
    pub(super) const IDR_SLICE: u8 = 5;
    pub(super) const SPS: u8 = 7;
    pub(super) const PPS: u8 = 8;
}

const START_CODE: [u8; 4] = [0, 0, 0, 1];
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
    sps: bool,
    picture: bool,
    reference: bool,
}

impl CleanUnit {
    /// Takes over the access unit `data`, in place of the one before.
    pub(super) fn fill(&mut self, data: &[u8]) -> Result<(), SpsError> {
        self.bytes.clear();
        self.parameter_sets.clear();
        (self.sps, self.picture, self.reference) = (false, false, false);
        for nal in nal_units(data) {
            let Some(&header) = nal.first() else { continue };
            let start = self.bytes.len();
            match header & 0x1f {
                nal_type::SLICE | nal_type::IDR_SLICE => {
                    self.picture = true;
                    self.reference |= header >> 5 & 3 != 0;
                    self.bytes.extend_from_slice(&START_CODE);
                    self.bytes.extend_from_slice(nal);
                }
                nal_type::SPS => {
                    self.bytes.extend_from_slice(&START_CODE);
                    if let Err(error) = sps::for_decoder(nal, &mut self.bytes) {
                        self.bytes.truncate(start);
                        return Err(error);
                    }
                    self.sps = true;
                    self.parameter_sets.push(start..self.bytes.len());
                }
                nal_type::PPS => {
                    self.bytes.extend_from_slice(&START_CODE);
                    self.bytes.extend_from_slice(nal);
                    self.parameter_sets.push(start..self.bytes.len());
                }
                nal_type::PARTITION_A..=nal_type::PARTITION_C => {
                    return Err(SpsError::Unsupported(Unsupported::new(
                        Codec::H264,
                        "slices are partitioned (Extended profile), OpenH264 decodes up to High",
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

    /// It brings a sequence parameter set.
    pub(super) fn has_parameter_sets(&self) -> bool {
        self.sps
    }

    /// Copies its parameter sets to `kept`, in place of older ones when there is a sequence
    /// parameter set among them.
    pub(super) fn keep_parameter_sets(&self, kept: &mut Vec<u8>) {
        if self.sps {
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

/// NAL units of an Annex B byte stream (B.1), without start codes and trailing zeros.
fn nal_units(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = start_code(data).map(|(_, after)| after);
    std::iter::from_fn(move || {
        let data = rest?;
        let (nal, after) = match start_code(data) {
            Some((nal, after)) => (nal, Some(after)),
            None => (data, None),
        };
        rest = after;
        let end = nal
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |at| at + 1);
        nal.get(..end)
    })
}

/// What is before and after the first start code.
fn start_code(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = data.windows(3).position(|window| window == [0, 0, 1])?;
    Some((data.get(..at)?, data.get(at + 3..)?))
}

#[cfg(test)]
#[path = "unit_test.rs"]
mod tests;
