//! What an H.265 stream says of itself: the start of its sequence parameter set (ITU-T H.265,
//! 7.3.2.2), and which pictures decoding can start with.

use crate::access_unit::Codec;
use crate::bits::{BitError, BitReader};
use crate::frame::MAX_SIDE;
use crate::h264::annexb::nal_units;
use crate::stream::VideoParams;

/// `nal_unit_type`s (table 7-1).
const SPS: u8 = 33;
const RANDOM_ACCESS: std::ops::RangeInclusive<u8> = 16..=23;
const FIRST_NON_SLICE: u8 = 32;
/// Bits of `profile_tier_level()` before the level: profile, compatibility, constraints.
const PROFILE_BITS: u32 = 88;

/// `nal_unit_type` of a NAL unit, start code not included.
pub(crate) fn kind(nal: &[u8]) -> Option<u8> {
    nal.first().map(|header| header >> 1 & 0x3f)
}

/// Whether the first slice of an access unit, in Annex B, is one of a random access picture.
pub(crate) fn is_random_access(unit: &[u8]) -> bool {
    nal_units(unit)
        .filter_map(|nal| kind(nal.bytes))
        .find(|kind| *kind < FIRST_NON_SLICE)
        .is_some_and(|kind| RANDOM_ACCESS.contains(&kind))
}

/// Parameters from the sequence parameter set of an access unit; `None` without one that can be
/// read. What stands behind it, such as colour and rate, is not read.
pub(crate) fn video_params(unit: &[u8]) -> Option<VideoParams> {
    let sps = nal_units(unit).find(|nal| kind(nal.bytes) == Some(SPS))?;
    parse(sps.bytes.get(2..)?).ok().flatten()
}

fn parse(payload: &[u8]) -> Result<Option<VideoParams>, BitError> {
    let bits = &mut BitReader::rbsp(payload);
    // sps_video_parameter_set_id
    bits.skip(4)?;
    let sub_layers = bits.bits(3)?;
    // sps_temporal_id_nesting_flag, general_profile_space, general_tier_flag
    bits.skip(4)?;
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
    // sps_seq_parameter_set_id
    bits.ue()?;
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
    if !sides.contains(&width) || !sides.contains(&height) || bit_depth > 16 || chroma_format > 3 {
        return Ok(None);
    }
    Ok(Some(VideoParams {
        width: width as u32,
        height: height as u32,
        profile,
        // Thirty times its number, where H.264 has ten times.
        level: level / 3,
        bit_depth: bit_depth as u8,
        chroma_format: chroma_format as u8,
        ..VideoParams::unknown(Codec::Hevc)
    }))
}

#[cfg(test)]
#[path = "hevc_test.rs"]
mod tests;
