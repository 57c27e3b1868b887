//! Counts of pictures over wraps, IDR pictures and pictures that no other refers to.

use super::*;
use crate::h264::fixtures;
use crate::h264::slice::PictureFields;

fn slice(lsb: u32, ref_idc: u8, idr: bool) -> SliceHeader {
    SliceHeader {
        ref_idc,
        idr,
        first_mb: 0,
        slice_type: 0,
        pps_id: 0,
        picture: Some(PictureFields {
            pic_order_lsb: lsb,
            ..PictureFields::default()
        }),
    }
}

fn sps(pic_order: PicOrder) -> Sps {
    Sps {
        pic_order,
        ..Sps::parse(&fixtures::sps(0, 10, false)).unwrap()
    }
}

#[test]
fn the_count_goes_on_over_wraps_either_way() {
    let sps = sps(PicOrder::Lsb { lsb_bits: 4 });
    let mut count = PicOrderCount::default();
    let pictures = [
        (0, 1, true),
        (8, 1, false),
        // Shown earlier, and no reference.
        (4, 0, false),
        (0, 1, false),
        // Before the wrap.
        (12, 0, false),
        (8, 1, false),
        (2, 1, true),
    ];
    let counted = pictures.map(|(lsb, ref_idc, idr)| count.next(&slice(lsb, ref_idc, idr), &sps));
    assert_eq!(counted, [0, 8, 4, 16, 12, 24, 2].map(Some));
}

#[test]
fn other_ways_to_code_the_order_tell_nothing() {
    let mut count = PicOrderCount::default();
    assert_eq!(
        count.next(&slice(4, 1, true), &sps(PicOrder::DecodeOrder)),
        None
    );
    let unread = SliceHeader {
        picture: None,
        ..slice(4, 1, true)
    };
    let sps = sps(PicOrder::Lsb { lsb_bits: 4 });
    assert_eq!(count.next(&unread, &sps), None);
}
