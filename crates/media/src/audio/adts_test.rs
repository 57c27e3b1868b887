//! ADTS headers: fields, round trips, refusals.

use proptest::prelude::*;

use super::*;

/// AAC-LC, 48 kHz, 5.1, no CRC, a frame of 100 bytes.
const HEADER: [u8; 7] = [0xff, 0xf1, 0x4d, 0x80, 0x0c, 0x9f, 0xfc];

#[test]
fn fields_of_a_header() {
    let header = AdtsHeader::parse(&HEADER).unwrap();
    assert_eq!(header.object_type, 2);
    assert_eq!(header.frame_len, 100);
    assert_eq!(header.header_len, 7);
    let params = header.audio_params();
    assert_eq!((params.sample_rate, params.channels), (48_000, 6));
    assert_eq!(params.config[..], [0x11, 0xb0]);
}

#[test]
fn a_crc_makes_the_header_longer() {
    let mut bytes = HEADER;
    bytes[1] = 0xf0;
    assert_eq!(AdtsHeader::parse(&bytes).unwrap().header_len, 9);
}

#[test]
fn each_wrong_field_is_named() {
    let parse = |at: usize, byte: u8| {
        let mut bytes = HEADER;
        bytes[at] = byte;
        AdtsHeader::parse(&bytes)
    };
    assert_eq!(AdtsHeader::parse(&HEADER[..6]), Err(AdtsError::Short(6)));
    assert_eq!(parse(1, 0xe1), Err(AdtsError::Sync(0xff, 0xe1)));
    assert_eq!(parse(2, 0x75), Err(AdtsError::RateIndex(13)));
    assert_eq!(parse(4, 0x00), Err(AdtsError::Length(4)));
    assert_eq!(parse(6, 0xfd), Err(AdtsError::Blocks(2)));
    let mut bytes = HEADER;
    bytes[2] = 0x4c;
    bytes[3] = 0;
    assert_eq!(AdtsHeader::parse(&bytes), Err(AdtsError::ChannelsInStream));
}

#[test]
fn what_adts_has_no_room_for_is_refused() {
    let config = AdtsHeader::parse(&HEADER).unwrap().config();
    let with = |change: fn(&mut AudioSpecificConfig)| {
        let mut config = config;
        change(&mut config);
        AdtsHeader::of_config(&config).unwrap_err()
    };
    assert_eq!(with(|c| c.object_type = 5), AdtsWriteError::ObjectType(5));
    assert_eq!(
        with(|c| c.sample_rate = 12_345),
        AdtsWriteError::Rate(12_345)
    );
    assert_eq!(
        with(|c| c.channel_config = 12),
        AdtsWriteError::Channels(12)
    );
    let header = AdtsHeader::of_config(&config).unwrap();
    let mut out = BytesMut::new();
    assert_eq!(
        header.write(8_185, &mut out),
        Err(AdtsWriteError::Length(8_185))
    );
    assert!(out.is_empty());
}

proptest! {
    #[test]
    fn a_written_header_reads_back(
        object_type in 1u8..=4,
        rate_index in 0u8..13,
        channel_config in 1u8..8,
        payload in 1usize..8_185,
    ) {
        let header = AdtsHeader {
            object_type,
            rate_index,
            channel_config,
            frame_len: payload + 7,
            header_len: 7,
        };
        let mut out = BytesMut::new();
        header.write(payload, &mut out).unwrap();
        prop_assert_eq!(AdtsHeader::parse(&out), Ok(header));
        prop_assert_eq!(AdtsHeader::of_config(&header.config()).map(|h| h.same_stream(&header)), Ok(true));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
        let _ = AdtsHeader::parse(&bytes);
        let _ = AudioSpecificConfig::parse(&bytes);
    }
}
