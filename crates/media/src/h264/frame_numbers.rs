//! Whether pictures are missing ahead of an access unit (ITU-T H.264, 7.4.3, `frame_num`).

use super::annexb::nal_units;
use super::slice::SliceHeader;
use super::{NalKind, ParameterSets};

/// Watches the numbers of reference pictures, for decoders that make up what is missing without
/// telling.
#[derive(Debug, Default)]
pub struct FrameNumbers {
    sets: ParameterSets,
    /// `frame_num` of the reference picture before.
    last: Option<u32>,
}

impl FrameNumbers {
    /// Nothing came yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next access unit, in Annex B; one that is left out on purpose as well. True where reference pictures are missing ahead of
    /// it, other than by intent (`gaps_in_frame_num_value_allowed_flag`).
    pub fn follow_a_gap(&mut self, unit: &[u8]) -> bool {
        let mut slice = None;
        for nal in nal_units(unit) {
            match nal.kind() {
                kind if kind.is_slice() => {
                    slice = SliceHeader::parse(nal, &self.sets).ok();
                    break;
                }
                // A set that cannot be read leaves slices without one, which decoders tell.
                NalKind::SPS | NalKind::PPS => drop(self.sets.insert(nal)),
                _ => {}
            }
        }
        let Some(slice) = slice else { return false };
        let (Some(picture), Some(sps)) = (slice.picture, self.sets.active_sps(&slice)) else {
            return false;
        };
        let number = picture.frame_num;
        let last = self.last;
        if slice.ref_idc != 0 {
            self.last = Some(number);
        }
        let Some(last) = last else { return false };
        let next = (last + 1) % (1 << sps.frame_num_bits);
        // Behind a picture that resets the count (memory_management_control_operation 5) stands 0
        // or 1.
        !slice.idr && !sps.gaps_allowed && ![last, next, 0, 1].contains(&number)
    }

    /// Forgets the pictures, but not the parameter sets: decoding begins anew.
    pub fn start_over(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
#[path = "frame_numbers_test.rs"]
mod tests;
