//! PES headers: timestamps, lengths, damage, round trips.

use proptest::prelude::*;

use super::*;

/// As FFmpeg writes video: no length, PTS and DTS.
const VIDEO: [u8; 19] = [
    0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10, 0x31, 0, 9, 7, 0x41, 0x11, 0, 7, 0xd8, 0x61,
];

#[test]
fn fields_of_a_video_header() {
    let header = PesHeader::parse(&VIDEO).unwrap().unwrap();
    assert_eq!(header.stream_id, StreamId::VIDEO);
    assert_eq!(header.header_len, 19);
    assert_eq!(header.payload_len, None);
    assert_eq!(header.pts, Some(132_000));
    assert_eq!(header.dts, Some(126_000));
}

#[test]
fn a_header_cut_short_asks_for_more() {
    for length in 0..VIDEO.len() {
        assert_eq!(
            PesHeader::parse(&VIDEO[..length]),
            Ok(None),
            "{length} bytes"
        );
    }
}

#[test]
fn damage_is_named() {
    let with = |at: usize, byte: u8| {
        let mut bytes = VIDEO;
        bytes[at] = byte;
        PesHeader::parse(&bytes)
    };
    assert_eq!(with(2, 2), Err(PesError::StartCode(0, 0, 2)));
    assert_eq!(with(6, 0x40), Err(PesError::Marker(0x40)));
    assert_eq!(with(5, 3), Err(PesError::Length { length: 3 }));
    // Without its marker bit a timestamp is no timestamp.
    assert_eq!(with(9, 0x30).unwrap().unwrap().pts, None);
}

#[test]
fn padding_has_no_optional_header() {
    let header = PesHeader::parse(&[0, 0, 1, 0xbe, 0, 20, 0xff, 0xff, 0xff]);
    let header = header.unwrap().unwrap();
    assert!(header.is_padding());
    assert_eq!((header.header_len, header.payload_len), (6, Some(20)));
}

proptest! {
    #[test]
    fn a_written_header_reads_back(
        pts in any::<i64>(),
        delay in 0i64..100_000,
        payload_len in 0usize..100_000,
        stuffing in 0u8..32,
    ) {
        let dts = pts.saturating_sub(delay);
        let mut out = BytesMut::new();
        write_header(StreamId::AUDIO, (pts, dts), payload_len, stuffing, &mut out);
        prop_assert_eq!(out.len(), written_len(pts, dts) + usize::from(stuffing));
        let header = PesHeader::parse(&out).unwrap().unwrap();
        let wrap = |time: i64| time.rem_euclid(1 << TIMESTAMP_BITS) as u64;
        prop_assert_eq!(header.pts, Some(wrap(pts)));
        prop_assert_eq!(header.dts.or(header.pts), Some(wrap(dts)));
        prop_assert_eq!(header.header_len, out.len());
        let stated = out.len() - 6 + payload_len <= 0xffff;
        prop_assert_eq!(header.payload_len, stated.then_some(payload_len));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = PesHeader::parse(&bytes);
        let mut started = vec![0, 0, 1];
        started.extend(bytes);
        let _ = PesHeader::parse(&started);
    }
}
