//! Sequence and video parameter sets of H.265 (ITU-T H.265, 7.3.2.1 and 7.3.2.2).

use super::vui::{self, ProfileLevel, Vui};
use crate::access_unit::Codec;
use crate::bits::{BitError, BitReader};
use crate::frame::MAX_SIDE;
use crate::stream::{Rational, VideoParams};

/// Most short-term reference picture sets (7.4.3.2.1), and pictures of one either way (7.4.8).
const MAX_SETS: u32 = 64;
const MAX_PICTURES: u32 = 16;
/// Most long-term reference pictures (7.4.3.2.1).
const MAX_LONG_TERM: u32 = 32;
/// Largest `log2_max_pic_order_cnt_lsb_minus4` (7.4.3.2.1).
const MAX_ORDER_BITS: u32 = 12;

/// A sequence parameter set.
#[derive(Debug)]
pub(super) struct Sps {
    /// `sps_seq_parameter_set_id`.
    pub(super) id: u32,
    pub(super) params: VideoParams,
}

impl Sps {
    /// Reads the payload of a NAL unit, its two header bytes not included; `None` for what no
    /// stream has. Damage behind the format costs only what stands after it.
    pub(super) fn parse(payload: &[u8]) -> Result<Option<Self>, BitError> {
        let bits = &mut BitReader::rbsp(payload);
        // sps_video_parameter_set_id
        bits.skip(4)?;
        let sub_layers = bits.bits(3)?;
        // sps_temporal_id_nesting_flag
        bits.skip(1)?;
        let profile = ProfileLevel::read(bits, sub_layers)?;
        let id = bits.ue()?;
        let chroma_format = bits.ue()?;
        if chroma_format == 3 {
            bits.skip(1)?;
        }
        let (mut width, mut height) = (u64::from(bits.ue()?), u64::from(bits.ue()?));
        if bits.flag()? {
            let (unit_x, unit_y) = match chroma_format {
                1 => (2, 2),
                2 => (2, 1),
                _ => (1, 1),
            };
            let mut side = |unit: u64| -> Result<u64, BitError> {
                Ok(unit * (u64::from(bits.ue()?) + u64::from(bits.ue()?)))
            };
            width = width.saturating_sub(side(unit_x)?);
            height = height.saturating_sub(side(unit_y)?);
        }
        let bit_depth = bits.ue()?.saturating_add(8);
        let sides = 1..=MAX_SIDE as u64;
        if !sides.contains(&width)
            || !sides.contains(&height)
            || bit_depth > 16
            || chroma_format > 3
        {
            return Ok(None);
        }
        let mut params = VideoParams {
            width: width as u32,
            height: height as u32,
            profile: profile.profile,
            // Thirty times its number, where H.264 has ten times.
            level: profile.level / 3,
            bit_depth: bit_depth as u8,
            chroma_format: chroma_format as u8,
            ..VideoParams::unknown(Codec::Hevc)
        };
        // What was read before the damage stands: see above.
        let _ = rest(bits, sub_layers, chroma_format, &mut params);
        Ok(Some(Self { id, params }))
    }
}

/// What stands behind the format of samples: the order of pictures, tools, and the VUI.
fn rest(
    bits: &mut BitReader<'_>,
    sub_layers: u32,
    chroma_format: u32,
    params: &mut VideoParams,
) -> Result<(), BitError> {
    // bit_depth_chroma_minus8
    bits.ue()?;
    let order_bits = limited(bits, MAX_ORDER_BITS)? + 4;
    params.reorder = Some(vui::reorder(bits, sub_layers)?).filter(|most| *most <= MAX_PICTURES);
    // Sizes of coding and transform blocks, depths of transform hierarchies.
    for _ in 0..6 {
        bits.ue()?;
    }
    // scaling_list_enabled_flag, sps_scaling_list_data_present_flag
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(bits, chroma_format)?;
    }
    // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    bits.skip(2)?;
    // pcm_enabled_flag
    if bits.flag()? {
        bits.skip(8)?;
        bits.ue()?;
        bits.ue()?;
        bits.skip(1)?;
    }
    skip_reference_sets(bits)?;
    // long_term_ref_pics_present_flag
    if bits.flag()? {
        for _ in 0..limited(bits, MAX_LONG_TERM)? {
            bits.skip(order_bits + 1)?;
        }
    }
    // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    bits.skip(2)?;
    // vui_parameters_present_flag
    if bits.flag()? {
        let mut vui = Vui::default();
        let read = vui.read(bits);
        params.color = vui.color;
        params.frame_rate = vui.frame_rate;
        read?;
    }
    Ok(())
}

/// `scaling_list_data()` (7.3.4).
fn skip_scaling_lists(bits: &mut BitReader<'_>, chroma_format: u32) -> Result<(), BitError> {
    for size in 0..4u32 {
        let step = if size == 3 && chroma_format != 3 {
            3
        } else {
            1
        };
        for _ in (0..6).step_by(step) {
            // scaling_list_pred_mode_flag
            if !bits.flag()? {
                bits.ue()?;
                continue;
            }
            // scaling_list_dc_coef_minus8
            if size > 1 {
                bits.se()?;
            }
            for _ in 0..64.min(1 << (4 + 2 * size)) {
                bits.se()?;
            }
        }
    }
    Ok(())
}

/// All `st_ref_pic_set()`s (7.3.7). Each is coded by the one before, so all are kept track of.
fn skip_reference_sets(bits: &mut BitReader<'_>) -> Result<(), BitError> {
    // Differences in picture order: the earlier pictures from near to far, then the later ones.
    let mut set: Vec<i64> = Vec::new();
    for index in 0..limited(bits, MAX_SETS)? {
        // inter_ref_pic_set_prediction_flag
        set = if index > 0 && bits.flag()? {
            let negative = bits.flag()?;
            let step = i64::from(bits.ue()?) + 1;
            let step = if negative { -step } else { step };
            let mut next = Vec::new();
            for earlier in set.iter().copied().chain([0]) {
                // used_by_curr_pic_flag, use_delta_flag
                if (bits.flag()? || bits.flag()?) && earlier + step != 0 {
                    next.push(earlier + step);
                }
            }
            next.sort_unstable_by_key(|delta| (*delta > 0, delta.unsigned_abs()));
            next
        } else {
            let (before, after) = (limited(bits, MAX_PICTURES)?, limited(bits, MAX_PICTURES)?);
            let mut next = Vec::new();
            for (count, sign) in [(before, -1), (after, 1)] {
                let mut delta = 0;
                for _ in 0..count {
                    delta += sign * (i64::from(bits.ue()?) + 1);
                    next.push(delta);
                    // used_by_curr_pic_flag
                    bits.skip(1)?;
                }
            }
            next
        };
    }
    Ok(())
}

/// An Exp-Golomb code; one beyond `most` means that the set is damaged.
fn limited(bits: &mut BitReader<'_>, most: u32) -> Result<u32, BitError> {
    let value = bits.ue()?;
    if value > most {
        return Err(BitError::TooLong);
    }
    Ok(value)
}

/// The frame rate that a video parameter set states; the payload is as for [`Sps::parse`].
pub(super) fn rate_of_vps(payload: &[u8]) -> Result<Option<Rational>, BitError> {
    let bits = &mut BitReader::rbsp(payload);
    // vps_video_parameter_set_id, both base layer flags, vps_max_layers_minus1
    bits.skip(12)?;
    let sub_layers = bits.bits(3)?;
    // vps_temporal_id_nesting_flag, vps_reserved_0xffff_16bits
    bits.skip(17)?;
    ProfileLevel::read(bits, sub_layers)?;
    vui::reorder(bits, sub_layers)?;
    let highest = bits.bits(6)?;
    // layer_id_included_flag of each layer set but the first
    for _ in 0..limited(bits, 1_023)? {
        bits.skip(highest + 1)?;
    }
    // vps_timing_info_present_flag
    if bits.flag()? {
        vui::rate(bits)
    } else {
        Ok(None)
    }
}
