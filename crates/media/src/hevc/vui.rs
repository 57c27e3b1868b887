//! What H.265 parameter sets state beside the pictures' format: colour and rate (ITU-T H.265,
//! Annex E), and the profile that precedes either.

use crate::bits::{BitError, BitReader};
use crate::stream::{ColorDescription, Rational};
use crate::vui::read_signal;

/// Bits of `profile_tier_level()` before the level: profile, compatibility, constraints.
const PROFILE_BITS: u32 = 88;

/// `general_profile_idc` and `general_level_idc` of `profile_tier_level()` (7.3.3).
pub(super) struct ProfileLevel {
    pub(super) profile: u8,
    pub(super) level: u8,
}

impl ProfileLevel {
    /// `sub_layers`: how many temporal sub-layers there are besides the first.
    pub(super) fn read(bits: &mut BitReader<'_>, sub_layers: u32) -> Result<Self, BitError> {
        // general_profile_space, general_tier_flag
        bits.skip(3)?;
        let profile = bits.bits(5)? as u8;
        bits.skip(PROFILE_BITS - 8)?;
        let level = bits.byte()?;
        let mut present = Vec::new();
        for _ in 0..sub_layers {
            present.push((bits.flag()?, bits.flag()?));
        }
        if sub_layers > 0 {
            bits.skip(2 * (8 - sub_layers))?;
        }
        for (profile, level) in present {
            bits.skip(if profile { PROFILE_BITS } else { 0 })?;
            bits.skip(if level { 8 } else { 0 })?;
        }
        Ok(Self { profile, level })
    }
}

/// What both kinds of set say of the order of pictures: the highest sub-layer's
/// `max_num_reorder_pics`.
pub(super) fn reorder(bits: &mut BitReader<'_>, sub_layers: u32) -> Result<u32, BitError> {
    // Without the flag only the highest sub-layer's numbers are there.
    let listed = if bits.flag()? { sub_layers + 1 } else { 1 };
    let mut reorder = 0;
    for _ in 0..listed {
        // max_dec_pic_buffering_minus1, max_num_reorder_pics, max_latency_increase_plus1
        bits.ue()?;
        reorder = bits.ue()?;
        bits.ue()?;
    }
    Ok(reorder)
}

/// `num_units_in_tick` and `time_scale`: unlike H.264's, a tick is a picture.
pub(super) fn rate(bits: &mut BitReader<'_>) -> Result<Option<Rational>, BitError> {
    let (units, scale) = (bits.bits(32)?, bits.bits(32)?);
    Ok(Rational::reduced(u64::from(scale), u64::from(units)))
}

/// The start of `vui_parameters()` (E.2.1). After an error the fields before it are set.
#[derive(Debug, Default)]
pub(super) struct Vui {
    pub(super) color: ColorDescription,
    pub(super) frame_rate: Option<Rational>,
}

impl Vui {
    pub(super) fn read(&mut self, bits: &mut BitReader<'_>) -> Result<(), BitError> {
        read_signal(bits, &mut self.color, &mut None)?;
        // neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
        bits.skip(3)?;
        // default_display_window_flag
        if bits.flag()? {
            for _ in 0..4 {
                bits.ue()?;
            }
        }
        // vui_timing_info_present_flag
        if bits.flag()? {
            self.frame_rate = rate(bits)?;
        }
        Ok(())
    }
}
