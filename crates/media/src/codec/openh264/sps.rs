//! Sequence parameter sets on their way into the decoder and out of the encoder
//! (ITU-T H.264, 7.3.2.1.1).

use super::rbsp::{BitWriter, escape, unescape};
use crate::access_unit::Codec;
use crate::bits::{BitError, BitReader};
use crate::codec::h264::SpsError;
use crate::coder::VideoEncoderSettings;
use crate::error::Unsupported;
use crate::h264::sps::{PicOrder, Sps};
use crate::stream::{ColorDescription, Rational};

/// `profile_idc`.
mod profile {
    pub(super) const BASELINE: u8 = 66;
    pub(super) const MAIN: u8 = 77;
    pub(super) const SCALABLE_BASELINE: u8 = 83;
    pub(super) const EXTENDED: u8 = 88;
    pub(super) const HIGH: u8 = 100;
}

/// Why OpenH264 does not decode a stream of this kind, if it does not.
pub(super) fn refusal(
    profile: u8,
    bit_depth: u8,
    chroma_format: u8,
    interlaced: bool,
) -> Option<String> {
    let chroma = match chroma_format {
        0 => "monochrome",
        1 => "4:2:0",
        2 => "4:2:2",
        _ => "4:4:4",
    };
    if bit_depth != 8 {
        Some(format!(
            "the stream has {bit_depth} bits per sample, OpenH264 decodes 8"
        ))
    } else if chroma_format != 1 {
        Some(format!(
            "the stream is {chroma}, OpenH264 decodes 4:2:0 only"
        ))
    } else if interlaced {
        Some(
            "the stream is interlaced (frame_mbs_only_flag is 0), OpenH264 decodes progressive \
             pictures only"
                .into(),
        )
    } else {
        match profile {
            profile::BASELINE | profile::MAIN | profile::HIGH => None,
            profile::EXTENDED => {
                Some("the stream is of the Extended profile, OpenH264 decodes up to High".into())
            }
            _ => Some(format!(
                "the stream is of profile {profile}, OpenH264 decodes Baseline, Main and High"
            )),
        }
    }
}

/// The parameter set `nal` as the decoder is to see it, appended to `out` without start code; and
/// what it says.
///
/// OpenH264 sorts the pictures of every profile but the baseline ones by itself, and by rules
/// that hold one picture back even where nothing is reordered. Here every picture leaves the
/// decoder at once and `reorder` sorts by time stamps. So the profile is changed to one with which
/// OpenH264 does not sort and decodes as before: scalable baseline. (Not baseline itself: with
/// that, reference lists are modified by code that knows less of B slices.)
///
/// Cropping was checked with the rest of the set: the library does not look for overflow there.
pub(super) fn for_decoder(nal: &[u8], out: &mut Vec<u8>) -> Result<Sps, SpsError> {
    let sps = Sps::parse(nal)?;
    let bit_depth = sps.bit_depth_luma.max(sps.bit_depth_chroma);
    if let Some(reason) = refusal(
        sps.profile,
        bit_depth,
        sps.chroma_format,
        !sps.frame_mbs_only,
    ) {
        let unsupported = Unsupported::new(Codec::H264, reason);
        return Err(SpsError::Unsupported(unsupported));
    }
    if sps.profile == profile::BASELINE {
        out.extend_from_slice(nal);
        return Ok(sps);
    }
    let rbsp = unescape(nal);
    let mut from = BitReader::plain(&rbsp);
    let mut bits = BitWriter::default();
    bits.copy(&mut from, 8)?;
    from.byte()?;
    bits.bits(profile::SCALABLE_BASELINE.into(), 8);
    // constraint flags, level_idc, seq_parameter_set_id
    bits.copy(&mut from, 16)?;
    bits.ue(from.ue()?);
    if sps.profile == profile::MAIN {
        // What Main implies and scalable baseline states: 4:2:0, 8 bits, no transform bypass, no
        // scaling lists.
        bits.ue(1);
        bits.ue(0);
        bits.ue(0);
        bits.bits(0, 2);
    }
    let id_bits = 2 * (u8::BITS - (sps.id + 1).leading_zeros()) - 1;
    let rest = stop_bit(&rbsp).checked_sub(32 + id_bits as usize);
    bits.copy(&mut from, rest.ok_or(BitError::End)?)?;
    escape(&bits.finish(), out);
    Ok(sps)
}

/// Position of the last bit that is 1.
fn stop_bit(rbsp: &[u8]) -> usize {
    let last = rbsp.iter().enumerate().rfind(|(_, byte)| **byte != 0);
    last.map_or(0, |(at, byte)| 8 * at + 7 - byte.trailing_zeros() as usize)
}

/// `level_idc` and `MaxMBPS`, macroblocks per second (table A-1).
const LEVELS: [(u8, u32); 14] = [
    (10, 1_485),
    (11, 3_000),
    (12, 6_000),
    (13, 11_880),
    (21, 19_800),
    (22, 20_250),
    (30, 40_500),
    (31, 108_000),
    (32, 216_000),
    (40, 245_760),
    (42, 522_240),
    (50, 589_824),
    (51, 983_040),
    (52, 2_073_600),
];
/// The highest level.
const LEVEL_6_2: u8 = 62;

/// The lowest level that allows for so many macroblocks per second.
fn level_of_speed(sps: &Sps, rate: Rational) -> u8 {
    let macroblocks = f64::from(sps.coded_width / 16) * f64::from(sps.coded_height / 16);
    let speed = macroblocks * rate.as_f64();
    let level = LEVELS.iter().find(|(_, most)| speed <= f64::from(*most));
    level.map_or(LEVEL_6_2, |(level, _)| *level)
}

/// The parameter set `nal` of the encoder, written anew with what the encoder does not write:
/// frame rate, colour, and a level that allows for the frame rate. Appended to `out` without
/// start code.
pub(super) fn from_encoder(
    nal: &[u8],
    settings: &VideoEncoderSettings,
    out: &mut Vec<u8>,
) -> Result<(), SpsError> {
    let sps = Sps::parse(nal)?;
    let mut bits = BitWriter::default();
    bits.bits(nal.first().copied().unwrap_or_default().into(), 8);
    bits.bits(profile::MAIN.into(), 8);
    bits.bits(sps.constraints.into(), 8);
    let level = sps.level.max(level_of_speed(&sps, settings.frame_rate));
    bits.bits(level.into(), 8);
    bits.ue(sps.id.into());
    bits.ue(u32::from(sps.frame_num_bits) - 4);
    match sps.pic_order {
        PicOrder::Lsb { lsb_bits } => {
            bits.ue(0);
            bits.ue(u32::from(lsb_bits) - 4);
        }
        // OpenH264 writes no other type; this one would be as short.
        PicOrder::DecodeOrder | PicOrder::Delta { .. } => bits.ue(2),
    }
    bits.ue(sps.max_num_ref_frames);
    // gaps_in_frame_num_value_allowed_flag
    bits.flag(false);
    bits.ue(sps.coded_width / 16 - 1);
    bits.ue(sps.coded_height / 16 - 1);
    // frame_mbs_only_flag, direct_8x8_inference_flag (of no meaning without B slices)
    bits.bits(0b11, 2);
    cropping(&mut bits, &sps);
    // vui_parameters_present_flag
    bits.flag(true);
    vui(&mut bits, &sps, settings);
    escape(&bits.finish(), out);
    Ok(())
}

/// Cropping at the right and the bottom, in units of two samples (7.4.2.1.1, for 4:2:0 frames).
fn cropping(bits: &mut BitWriter, sps: &Sps) {
    let right = (sps.coded_width - sps.width) / 2;
    let bottom = (sps.coded_height - sps.height) / 2;
    let cropped = (right, bottom) != (0, 0);
    bits.flag(cropped);
    if cropped {
        for offset in [0, right, 0, bottom] {
            bits.ue(offset);
        }
    }
}

/// `vui_parameters()` (E.1.1).
fn vui(bits: &mut BitWriter, sps: &Sps, settings: &VideoEncoderSettings) {
    // aspect_ratio_info_present_flag, overscan_info_present_flag
    bits.bits(0, 2);
    video_signal_type(bits, settings.color);
    // chroma_loc_info_present_flag
    bits.flag(false);
    timing(bits, settings.frame_rate);
    // nal_hrd_parameters_present_flag, vcl_hrd_parameters_present_flag, pic_struct_present_flag
    bits.bits(0, 3);
    // bitstream_restriction_flag, motion_vectors_over_pic_boundaries_flag
    bits.bits(0b11, 2);
    // max_bytes_per_pic_denom, max_bits_per_mb_denom: no limit
    bits.ue(0);
    bits.ue(0);
    // log2_max_mv_length_horizontal, log2_max_mv_length_vertical: no limit
    bits.ue(15);
    bits.ue(15);
    // max_num_reorder_frames: a decoder need hold nothing back. max_dec_frame_buffering
    bits.ue(0);
    bits.ue(sps.max_num_ref_frames);
}

fn video_signal_type(bits: &mut BitWriter, color: ColorDescription) {
    let stated = color != ColorDescription::UNSPECIFIED;
    // video_signal_type_present_flag
    bits.flag(stated);
    if !stated {
        return;
    }
    // video_format: unspecified
    bits.bits(5, 3);
    bits.flag(color.full_range);
    let ColorDescription {
        primaries,
        transfer,
        matrix,
        ..
    } = ColorDescription::UNSPECIFIED;
    let described =
        (color.primaries, color.transfer, color.matrix) != (primaries, transfer, matrix);
    // colour_description_present_flag
    bits.flag(described);
    if described {
        for code in [color.primaries, color.transfer, color.matrix] {
            bits.bits(code.into(), 8);
        }
    }
}

fn timing(bits: &mut BitWriter, rate: Rational) {
    // A tick lasts half a frame.
    let scale = rate.num.checked_mul(2);
    // timing_info_present_flag
    bits.flag(scale.is_some());
    if let Some(scale) = scale {
        bits.bits(rate.den, 32);
        bits.bits(scale, 32);
        // fixed_frame_rate_flag: time stamps decide
        bits.flag(false);
    }
}

#[cfg(test)]
#[path = "sps_test.rs"]
mod tests;
