//! Supplemental enhancement information: where decoding can start (ITU-T H.264, D.1.8).

use super::NalUnit;
use crate::bits::{BitError, BitReader};

/// `payloadType` of a recovery point.
const RECOVERY_POINT: u32 = 6;
/// Messages in a NAL unit that are looked at.
const MAX_MESSAGES: usize = 16;

/// `recovery_frame_cnt` of the recovery point in an SEI NAL unit: after so many frames pictures are
/// right. `None` without one, or where it cannot be read.
pub(super) fn recovery_frames(nal: NalUnit<'_>) -> Option<u32> {
    find(nal).ok().flatten()
}

fn find(nal: NalUnit<'_>) -> Result<Option<u32>, BitError> {
    let bits = &mut BitReader::rbsp(nal.payload());
    for _ in 0..MAX_MESSAGES {
        let kind = extended(bits)?;
        let size = extended(bits)?;
        if kind == RECOVERY_POINT {
            return Ok(Some(bits.ue()?));
        }
        bits.skip(size.saturating_mul(8))?;
    }
    Ok(None)
}

/// A number whose bytes add up as long as they are 255.
fn extended(bits: &mut BitReader<'_>) -> Result<u32, BitError> {
    let mut number = 0u32;
    loop {
        let byte = bits.byte()?;
        number = number.saturating_add(u32::from(byte));
        if byte != 0xff {
            return Ok(number);
        }
    }
}

#[cfg(test)]
#[path = "sei_test.rs"]
mod tests;
