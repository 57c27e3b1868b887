//! Video usability information of a sequence parameter set (ITU-T H.264, Annex E).

use crate::bits::{BitError, BitReader};
use crate::stream::{ColorDescription, Rational};
use crate::vui::read_signal;

/// More delivery schedules than the standard allows (E.2.2) mean that the data is damaged.
const MAX_CPB_COUNT: u32 = 32;

/// What the VUI states; each field is as if not stated where it is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vui {
    /// Colour and range.
    pub color: ColorDescription,
    /// Shape of a sample, width to height, where `aspect_ratio_idc` gives it as numbers.
    pub sample_aspect: Option<Rational>,
    /// Frames per second: `time_scale / (2 · num_units_in_tick)`.
    pub frame_rate: Option<Rational>,
    /// The time between frames never changes.
    pub fixed_frame_rate: bool,
    /// `max_num_reorder_frames`.
    pub max_num_reorder_frames: Option<u32>,
    /// `max_dec_frame_buffering`.
    pub max_dec_frame_buffering: Option<u32>,
}

impl Vui {
    /// Reads on into `self`. After an error the fields that came before it are set.
    pub(super) fn read(&mut self, bits: &mut BitReader<'_>) -> Result<(), BitError> {
        read_signal(bits, &mut self.color, &mut self.sample_aspect)?;
        // timing_info_present_flag
        if bits.flag()? {
            let units = bits.bits(32)?;
            let scale = bits.bits(32)?;
            self.fixed_frame_rate = bits.flag()?;
            // A tick lasts a field, so a frame lasts two.
            self.frame_rate = Rational::reduced(scale.into(), 2 * u64::from(units));
        }
        let nal_hrd = bits.flag()?;
        if nal_hrd {
            skip_hrd(bits)?;
        }
        let vcl_hrd = bits.flag()?;
        if vcl_hrd {
            skip_hrd(bits)?;
        }
        if nal_hrd || vcl_hrd {
            // low_delay_hrd_flag
            bits.skip(1)?;
        }
        // pic_struct_present_flag
        bits.skip(1)?;
        // bitstream_restriction_flag
        if bits.flag()? {
            bits.skip(1)?;
            for _ in 0..4 {
                bits.ue()?;
            }
            self.max_num_reorder_frames = Some(bits.ue()?);
            self.max_dec_frame_buffering = Some(bits.ue()?);
        }
        Ok(())
    }
}

/// `hrd_parameters()` (E.1.2).
fn skip_hrd(bits: &mut BitReader<'_>) -> Result<(), BitError> {
    let count = bits.ue()?;
    if count >= MAX_CPB_COUNT {
        return Err(BitError::TooLong);
    }
    bits.skip(8)?;
    for _ in 0..=count {
        bits.ue()?;
        bits.ue()?;
        bits.skip(1)?;
    }
    bits.skip(20)
}
