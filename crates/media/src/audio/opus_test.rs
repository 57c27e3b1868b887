//! Opus: packet durations, control headers, channel codes.

use proptest::prelude::*;

use super::*;

#[test]
fn durations_follow_the_table_of_configurations() {
    // RFC 6716, table 2, one frame per packet (code 0).
    let ms = |config: u8| packet_samples(&[config << 3]).unwrap();
    assert_eq!([ms(0), ms(1), ms(2), ms(3)], [480, 960, 1_920, 2_880]);
    assert_eq!([ms(12), ms(13), ms(14), ms(15)], [480, 960, 480, 960]);
    assert_eq!([ms(16), ms(17), ms(18), ms(31)], [120, 240, 480, 960]);
}

#[test]
fn packets_hold_one_two_or_a_stated_number_of_frames() {
    assert_eq!(packet_samples(&[31 << 3 | 1]), Ok(1_920));
    assert_eq!(packet_samples(&[31 << 3 | 2]), Ok(1_920));
    assert_eq!(packet_samples(&[31 << 3 | 3, 6]), Ok(5_760));
    assert_eq!(packet_samples(&[31 << 3 | 3]), Err(OpusError::Short));
    assert_eq!(packet_samples(&[]), Err(OpusError::Empty));
    for frames in [0, 7] {
        assert_eq!(
            packet_samples(&[31 << 3 | 3, frames]),
            Err(OpusError::Duration {
                frames: u32::from(frames),
                frame_samples: 960
            })
        );
    }
}

#[test]
fn a_control_header_with_everything_in_it() {
    // Both trims, an extension of two bytes, a packet of 255 + 4 bytes.
    let mut bytes = vec![0x7f, 0xfc, 0xff, 4, 0x01, 0x38, 0xe0, 0x10, 2, 9, 9];
    bytes.resize(11 + 259, 0);
    let header = ControlHeader {
        header_len: 11,
        packet_len: 259,
        start_trim: 312,
        end_trim: 16,
    };
    assert_eq!(ControlHeader::parse(&bytes), Ok(header));
    bytes.pop();
    assert_eq!(
        ControlHeader::parse(&bytes),
        Err(OpusError::Length {
            wanted: 270,
            there: 269
        })
    );
}

#[test]
fn what_is_no_control_header_is_named() {
    assert_eq!(
        ControlHeader::parse(&[0x12, 0x34, 5]),
        Err(OpusError::Prefix(0x1234))
    );
    assert_eq!(
        ControlHeader::parse(&[0x7f]),
        Err(OpusError::Length {
            wanted: 2,
            there: 1
        })
    );
}

#[test]
fn channel_codes_and_parameters_are_two_names_of_one_thing() {
    for code in 0..=8 {
        let params = params_of_code(code).unwrap();
        assert_eq!(params.channels, if code == 0 { 2 } else { code });
        assert_eq!(code_of_params(&params), Ok(code));
    }
    assert_eq!(params_of_code(0x81), Err(OpusError::ChannelCode(0x81)));
    let mut odd = params_of_code(3).unwrap();
    odd.config = head(3, MAPPING_VORBIS, 3, 0, &[0, 1, 2]);
    assert!(matches!(code_of_params(&odd), Err(OpusError::Mapping(_))));
}

proptest! {
    #[test]
    fn a_written_control_header_reads_back(length in 0usize..2_000) {
        let mut out = BytesMut::new();
        ControlHeader::write(length, &mut out);
        prop_assert_eq!(out.len(), ControlHeader::written_len(length));
        out.resize(out.len() + length, 0xab);
        let header = ControlHeader::parse(&out).unwrap();
        prop_assert_eq!((header.packet_len, header.start_trim), (length, 0));
        prop_assert_eq!(header.header_len + header.packet_len, out.len());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = ControlHeader::parse(&bytes);
        let _ = packet_samples(&bytes);
    }
}
