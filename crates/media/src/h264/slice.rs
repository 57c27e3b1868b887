//! The first fields of a slice header: which picture a slice belongs to (ITU-T H.264, 7.3.3).

use super::sps::{PicOrder, Sps};
use super::{NalKind, NalUnit, ParameterSets};
use crate::bits::{BitError, BitReader};

/// The fields of a slice header that tell pictures apart (7.4.1.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceHeader {
    /// `nal_ref_idc` of its NAL unit.
    pub ref_idc: u8,
    /// It belongs to an IDR picture.
    pub idr: bool,
    /// `first_mb_in_slice`: 0 in the first slice of a picture, unless slices are in any order.
    pub first_mb: u32,
    /// `slice_type` without the mark that all slices are alike: 0 P, 1 B, 2 I, 3 SP, 4 SI.
    pub slice_type: u8,
    /// `pic_parameter_set_id`.
    pub pps_id: u8,
    /// The fields that can only be read where the parameter sets are known.
    pub picture: Option<PictureFields>,
}

/// The part of a slice header whose form the parameter sets decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PictureFields {
    /// `frame_num`.
    pub frame_num: u32,
    /// The slice belongs to a field, not to a frame.
    pub field: bool,
    /// The field is a bottom field.
    pub bottom: bool,
    /// `idr_pic_id`; 0 where there is none.
    pub idr_pic_id: u32,
    /// `pic_order_cnt_lsb`; 0 where there is none.
    pub pic_order_lsb: u32,
    /// `delta_pic_order_cnt_bottom`, or `delta_pic_order_cnt[0]` and `[1]`.
    pub pic_order_delta: [i32; 2],
}

impl SliceHeader {
    /// Reads the header of a slice.
    ///
    /// # Errors
    /// [`BitError`] when the unit is cut short or damaged, or is no slice at all.
    pub fn parse(nal: NalUnit<'_>, sets: &ParameterSets) -> Result<Self, BitError> {
        if !nal.kind().is_slice() {
            return Err(BitError::End);
        }
        let bits = &mut BitReader::rbsp(nal.payload());
        let idr = nal.kind() == NalKind::IDR;
        let mut header = Self {
            ref_idc: nal.ref_idc(),
            idr,
            first_mb: bits.ue()?,
            slice_type: (bits.ue()? % 5) as u8,
            pps_id: u8::try_from(bits.ue()?).map_err(|_| BitError::TooLong)?,
            picture: None,
        };
        if let Some((sps, pps)) = sets.of_slice(header.pps_id) {
            header.picture = Some(PictureFields::read(bits, sps, pps.bottom_field_order, idr)?);
        }
        Ok(header)
    }

    /// Whether this slice and an earlier one belong to one primary coded picture (7.4.1.2.4).
    /// Where parameter sets are missing, macroblock 0 is taken as the start of a picture.
    pub fn same_picture(&self, earlier: &Self) -> bool {
        let (Some(ours), Some(theirs)) = (self.picture, earlier.picture) else {
            return self.first_mb != 0;
        };
        self.pps_id == earlier.pps_id
            && self.idr == earlier.idr
            && (self.ref_idc == 0) == (earlier.ref_idc == 0)
            && ours == theirs
    }

    /// Whether this slice belongs to the second field of the frame whose first field an earlier
    /// slice belongs to (3.30, complementary field pairs): the other parity, the same
    /// `frame_num`, and no new IDR picture.
    pub fn completes_frame(&self, earlier: &Self) -> bool {
        let (Some(ours), Some(theirs)) = (self.picture, earlier.picture) else {
            return false;
        };
        ours.field
            && theirs.field
            && ours.bottom != theirs.bottom
            && ours.frame_num == theirs.frame_num
            && !self.idr
            // A reference field never completes a field that is none.
            && (earlier.ref_idc != 0 || self.ref_idc == 0)
    }

    /// Whether this slice belongs to a field, so that a second field may complete its frame.
    pub fn is_field(&self) -> bool {
        self.picture.is_some_and(|picture| picture.field)
    }
}

impl PictureFields {
    fn read(
        bits: &mut BitReader<'_>,
        sps: &Sps,
        bottom_field_order: bool,
        idr: bool,
    ) -> Result<Self, BitError> {
        let mut fields = Self::default();
        if sps.separate_planes {
            // colour_plane_id
            bits.skip(2)?;
        }
        fields.frame_num = bits.bits(u32::from(sps.frame_num_bits))?;
        if !sps.frame_mbs_only {
            fields.field = bits.flag()?;
            if fields.field {
                fields.bottom = bits.flag()?;
            }
        }
        if idr {
            fields.idr_pic_id = bits.ue()?;
        }
        let frame_has_delta = bottom_field_order && !fields.field;
        match sps.pic_order {
            PicOrder::Lsb { lsb_bits } => {
                fields.pic_order_lsb = bits.bits(u32::from(lsb_bits))?;
                if frame_has_delta {
                    fields.pic_order_delta[0] = bits.se()?;
                }
            }
            PicOrder::Delta { always_zero: false } => {
                fields.pic_order_delta[0] = bits.se()?;
                if frame_has_delta {
                    fields.pic_order_delta[1] = bits.se()?;
                }
            }
            PicOrder::Delta { always_zero: true } | PicOrder::DecodeOrder => {}
        }
        Ok(fields)
    }
}
