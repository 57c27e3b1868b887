//! The beginning of `vui_parameters()`, which is the same in H.264 and H.265 (ITU-T H.264 E.1.1,
//! H.265 E.2.1).

use crate::bits::{BitError, BitReader};
use crate::stream::{ColorDescription, Rational};

/// `aspect_ratio_idc` that is followed by the ratio itself (table E-1).
const EXTENDED_SAR: u8 = 255;

/// Reads from the sample aspect ratio to the place of the chroma samples. After an error what came
/// before it is set.
pub(crate) fn read_signal(
    bits: &mut BitReader<'_>,
    color: &mut ColorDescription,
    aspect: &mut Option<Rational>,
) -> Result<(), BitError> {
    // aspect_ratio_info_present_flag
    if bits.flag()? && bits.byte()? == EXTENDED_SAR {
        *aspect = Rational::new(bits.bits(16)?, bits.bits(16)?);
    }
    // overscan_info_present_flag
    if bits.flag()? {
        bits.skip(1)?;
    }
    // video_signal_type_present_flag
    if bits.flag()? {
        bits.skip(3)?;
        color.full_range = bits.flag()?;
        // colour_description_present_flag
        if bits.flag()? {
            color.primaries = bits.byte()?;
            color.transfer = bits.byte()?;
            color.matrix = bits.byte()?;
        }
    }
    // chroma_loc_info_present_flag
    if bits.flag()? {
        bits.ue()?;
        bits.ue()?;
    }
    Ok(())
}
