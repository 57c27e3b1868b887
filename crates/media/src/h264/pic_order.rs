//! The order in which pictures are shown, as their slices state it (ITU-T H.264, 8.2.1.1).

use super::slice::SliceHeader;
use super::sps::{PicOrder, Sps};

/// Counts the order of pictures, for streams that code it in slice headers (type 0).
#[derive(Clone, Copy, Debug, Default)]
pub struct PicOrderCount {
    /// `prevPicOrderCntMsb` and `prevPicOrderCntLsb`.
    before: (i64, i64),
}

impl PicOrderCount {
    /// The count of the next picture in decoding order, of its first field where it has two; it
    /// begins at an IDR picture anew. `None` where slices do not state it.
    pub fn next(&mut self, slice: &SliceHeader, sps: &Sps) -> Option<i64> {
        let PicOrder::Lsb { lsb_bits } = sps.pic_order else {
            return None;
        };
        let lsb = i64::from(slice.picture?.pic_order_lsb);
        if slice.idr {
            self.before = (0, 0);
        }
        let (before_msb, before_lsb) = self.before;
        let wrap = 1i64 << lsb_bits;
        let msb = if lsb < before_lsb && before_lsb - lsb >= wrap / 2 {
            before_msb.saturating_add(wrap)
        } else if lsb > before_lsb && lsb - before_lsb > wrap / 2 {
            before_msb.saturating_sub(wrap)
        } else {
            before_msb
        };
        if slice.ref_idc != 0 {
            self.before = (msb, lsb);
        }
        Some(msb.saturating_add(lsb))
    }
}

#[cfg(test)]
#[path = "pic_order_test.rs"]
mod tests;
