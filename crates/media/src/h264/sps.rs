//! Sequence parameter sets: size, cropping, format, colour, rate (ITU-T H.264, 7.3.2.1.1).

use super::{NalKind, ParameterSetError, Vui};
use crate::access_unit::Codec;
use crate::bits::{BitError, BitReader};
use crate::frame::MAX_SIDE;
use crate::stream::{Orientation, VideoParams};

/// `constraint_set3_flag` in the byte after `profile_idc`.
const CONSTRAINT_SET3: u8 = 0x10;

/// How the order of pictures is coded (`pic_order_cnt_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PicOrder {
    /// Type 0: each slice states the lower `lsb_bits` bits of its picture's order count.
    Lsb {
        /// `log2_max_pic_order_cnt_lsb_minus4 + 4`.
        lsb_bits: u8,
    },
    /// Type 1: differences to an expected count.
    Delta {
        /// `delta_pic_order_always_zero_flag`.
        always_zero: bool,
    },
    /// Type 2: pictures are shown in the order they are coded in.
    DecodeOrder,
}

/// A sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    /// `seq_parameter_set_id`, 0 to 31.
    pub id: u8,
    /// `profile_idc`.
    pub profile: u8,
    /// The constraint flags, as the byte after `profile_idc`.
    pub constraints: u8,
    /// `level_idc`.
    pub level: u8,
    /// `chroma_format_idc`: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// `separate_colour_plane_flag`: slices state their plane.
    pub separate_planes: bool,
    /// Bits per luma sample.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample.
    pub bit_depth_chroma: u8,
    /// `log2_max_frame_num_minus4 + 4`: bits of `frame_num` in slice headers.
    pub frame_num_bits: u8,
    /// How the order of pictures is coded.
    pub pic_order: PicOrder,
    /// `max_num_ref_frames`.
    pub max_num_ref_frames: u32,
    /// `gaps_in_frame_num_value_allowed_flag`: reference pictures may have been left out by intent.
    pub gaps_allowed: bool,
    /// `frame_mbs_only_flag`: every picture is a whole frame.
    pub frame_mbs_only: bool,
    /// Columns coded, in luma samples.
    pub coded_width: u32,
    /// Rows coded, in luma samples.
    pub coded_height: u32,
    /// Columns shown, cropping applied.
    pub width: u32,
    /// Rows shown, cropping applied.
    pub height: u32,
    /// Video usability information.
    pub vui: Option<Vui>,
}

impl Sps {
    /// Reads a sequence parameter set from a NAL unit, header byte included, start code not.
    ///
    /// Damage inside the VUI, which real encoders write wrongly now and then, costs only the VUI
    /// fields after it.
    ///
    /// # Errors
    /// [`ParameterSetError`] names the element that is wrong.
    pub fn parse(nal: &[u8]) -> Result<Self, ParameterSetError> {
        let (&header, payload) = nal.split_first().ok_or(BitError::End)?;
        ParameterSetError::expect_kind(header, NalKind::SPS)?;
        let bits = &mut BitReader::rbsp(payload);
        let profile = bits.byte()?;
        let constraints = bits.byte()?;
        let level = bits.byte()?;
        let id = limited(bits, "seq_parameter_set_id", 31)? as u8;
        let format = SampleFormat::read(bits, profile)?;
        let frame_num_bits = 4 + limited(bits, "log2_max_frame_num_minus4", 12)? as u8;
        let pic_order = PicOrder::read(bits)?;
        let max_num_ref_frames = bits.ue()?;
        let gaps_allowed = bits.flag()?;
        let coded_width = 16 * (u64::from(bits.ue()?) + 1);
        let map_units = u64::from(bits.ue()?) + 1;
        let frame_mbs_only = bits.flag()?;
        if !frame_mbs_only {
            // mb_adaptive_frame_field_flag
            bits.skip(1)?;
        }
        let rows_per_unit = if frame_mbs_only { 1 } else { 2 };
        let coded_height = 16 * map_units * rows_per_unit;
        // direct_8x8_inference_flag
        bits.skip(1)?;
        let mut crop = [0u64; 4];
        if bits.flag()? {
            for side in &mut crop {
                *side = u64::from(bits.ue()?);
            }
        }
        let [left, right, top, bottom] = crop;
        // Units of cropping: table 6-1, and equations 7-19 to 7-22.
        let (unit_x, unit_y) = match (format.separate_planes, format.chroma) {
            (false, 1) => (2, 2),
            (false, 2) => (2, 1),
            _ => (1, 1),
        };
        let width = coded_width.saturating_sub(unit_x * (left + right));
        let height = coded_height.saturating_sub(unit_y * rows_per_unit * (top + bottom));
        let sides = 1..=MAX_SIDE as u64;
        if !sides.contains(&width)
            || !sides.contains(&height)
            || coded_width.max(coded_height) > 2 * MAX_SIDE as u64
        {
            return Err(ParameterSetError::Size { width, height });
        }
        let vui = if bits.flag()? {
            let mut vui = Vui::default();
            // What was read before the damage stands: see above.
            let _ = vui.read(bits);
            Some(vui)
        } else {
            None
        };
        Ok(Self {
            id,
            profile,
            constraints,
            level,
            chroma_format: format.chroma,
            separate_planes: format.separate_planes,
            bit_depth_luma: format.luma_bits,
            bit_depth_chroma: format.chroma_bits,
            frame_num_bits,
            pic_order,
            max_num_ref_frames,
            gaps_allowed,
            frame_mbs_only,
            coded_width: coded_width as u32,
            coded_height: coded_height as u32,
            width: width as u32,
            height: height as u32,
            vui,
        })
    }

    /// The parameters of a stream that this set describes.
    pub fn video_params(&self) -> VideoParams {
        let vui = self.vui.as_ref();
        VideoParams {
            codec: Codec::H264,
            width: self.width,
            height: self.height,
            frame_rate: vui.and_then(|vui| vui.frame_rate),
            color: vui.map(|vui| vui.color).unwrap_or_default(),
            profile: self.profile,
            level: self.level,
            bit_depth: self.bit_depth_luma,
            chroma_format: self.chroma_format,
            interlaced: !self.frame_mbs_only,
            reorder: self.reorder(),
            orientation: Orientation::UPRIGHT,
        }
    }

    /// Pictures by which decode order can differ from display order, where the set states it or
    /// rules it out (E.2.1, `max_num_reorder_frames` and what is inferred without it).
    fn reorder(&self) -> Option<u32> {
        let stated = self.vui.as_ref().and_then(|vui| vui.max_num_reorder_frames);
        let intra_only = self.constraints & CONSTRAINT_SET3 != 0
            && matches!(self.profile, 44 | 86 | 100 | 110 | 122 | 244);
        if self.pic_order == PicOrder::DecodeOrder || intra_only {
            Some(0)
        } else {
            stated
        }
    }
}

struct SampleFormat {
    chroma: u8,
    separate_planes: bool,
    luma_bits: u8,
    chroma_bits: u8,
}

impl SampleFormat {
    fn read(bits: &mut BitReader<'_>, profile: u8) -> Result<Self, ParameterSetError> {
        let mut format = Self {
            chroma: 1,
            separate_planes: false,
            luma_bits: 8,
            chroma_bits: 8,
        };
        // The profiles whose sets state it: 7.3.2.1.1.
        if !matches!(
            profile,
            100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
        ) {
            return Ok(format);
        }
        format.chroma = limited(bits, "chroma_format_idc", 3)? as u8;
        if format.chroma == 3 {
            format.separate_planes = bits.flag()?;
        }
        format.luma_bits = 8 + limited(bits, "bit_depth_luma_minus8", 6)? as u8;
        format.chroma_bits = 8 + limited(bits, "bit_depth_chroma_minus8", 6)? as u8;
        // qpprime_y_zero_transform_bypass_flag
        bits.skip(1)?;
        // seq_scaling_matrix_present_flag
        if bits.flag()? {
            let lists = if format.chroma == 3 { 12 } else { 8 };
            for list in 0..lists {
                if bits.flag()? {
                    skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
        Ok(format)
    }
}

impl PicOrder {
    fn read(bits: &mut BitReader<'_>) -> Result<Self, ParameterSetError> {
        Ok(match limited(bits, "pic_order_cnt_type", 2)? {
            0 => Self::Lsb {
                lsb_bits: 4 + limited(bits, "log2_max_pic_order_cnt_lsb_minus4", 12)? as u8,
            },
            1 => {
                let always_zero = bits.flag()?;
                bits.se()?;
                bits.se()?;
                let cycle = limited(bits, "num_ref_frames_in_pic_order_cnt_cycle", 255)?;
                for _ in 0..cycle {
                    bits.se()?;
                }
                Self::Delta { always_zero }
            }
            _ => Self::DecodeOrder,
        })
    }
}

/// An Exp-Golomb code of at most `max`.
pub(super) fn limited(
    bits: &mut BitReader<'_>,
    field: &'static str,
    max: u32,
) -> Result<u32, ParameterSetError> {
    let value = bits.ue()?;
    if value > max {
        return Err(ParameterSetError::Range { field, value, max });
    }
    Ok(value)
}

/// `scaling_list()` (7.3.2.1.1.1).
fn skip_scaling_list(bits: &mut BitReader<'_>, size: usize) -> Result<(), BitError> {
    let (mut last, mut next) = (8i32, 8i32);
    for _ in 0..size {
        if next != 0 {
            next = last.wrapping_add(bits.se()?).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "sps_test.rs"]
mod tests;
