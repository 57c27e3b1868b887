//! Picture parameter sets: the first fields, which slice headers need (ITU-T H.264, 7.3.2.2).

use super::sps::limited;
use super::{NalKind, ParameterSetError};
use crate::bits::{BitError, BitReader};

/// The part of a picture parameter set that decides how slice headers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pps {
    /// `pic_parameter_set_id`, 0 to 255.
    pub id: u8,
    /// The sequence parameter set that it refers to, 0 to 31.
    pub sps_id: u8,
    /// `entropy_coding_mode_flag`: CABAC rather than CAVLC.
    pub cabac: bool,
    /// `bottom_field_pic_order_in_frame_present_flag`.
    pub bottom_field_order: bool,
}

impl Pps {
    /// Reads the first fields of a picture parameter set from a NAL unit, header byte included,
    /// start code not.
    ///
    /// # Errors
    /// [`ParameterSetError`] names the element that is wrong.
    pub fn parse(nal: &[u8]) -> Result<Self, ParameterSetError> {
        let (&header, payload) = nal.split_first().ok_or(BitError::End)?;
        ParameterSetError::expect_kind(header, NalKind::PPS)?;
        let bits = &mut BitReader::rbsp(payload);
        Ok(Self {
            id: limited(bits, "pic_parameter_set_id", 255)? as u8,
            sps_id: limited(bits, "seq_parameter_set_id", 31)? as u8,
            cabac: bits.flag()?,
            bottom_field_order: bits.flag()?,
        })
    }
}
