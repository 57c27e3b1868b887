//! Frames are found however the bytes are cut.

use super::*;
use proptest::prelude::*;
use trickle_testkit::{clip_bytes, figures};

fn found(pieces: &[&[u8]]) -> Vec<i64> {
    let mut scan = FirstBytes::default();
    let mut times = Vec::new();
    for piece in pieces {
        scan.push(piece, |pts| times.push(pts));
    }
    times
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn every_frame_is_found_in_pieces_of_any_size(size in 1usize..5_000) {
        let clip = "live_720p25_baseline_opus.ts";
        let bytes = clip_bytes(clip);
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        let figures = figures(clip);
        let video = figures.streams.iter().find(|stream| stream.codec == "h264").unwrap();
        let expected: Vec<i64> = video.pts.iter().flatten().copied().collect();
        prop_assert_eq!(found(&pieces), expected);
    }
}

#[test]
fn a_new_segment_begins_with_a_packet() {
    let bytes = clip_bytes("live_720p25_baseline_opus.ts");
    let mut scan = FirstBytes::default();
    scan.push(&bytes[..100], |_| {});
    scan.segment();
    let mut count = 0;
    scan.push(&bytes, |_| count += 1);
    assert_eq!(count, 125);
}

#[test]
fn what_is_no_packet_is_passed_over() {
    assert_eq!(found(&[&[0; 1_000]]), [0i64; 0]);
}
