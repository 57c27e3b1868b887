//! Headers as FFmpeg's encoders write them.

use super::*;

fn read(codec: Codec, bytes: &[u8]) -> Option<(u32, u8)> {
    params(codec, bytes).map(|params| (params.sample_rate, params.channels))
}

#[test]
fn rate_and_channels_are_read() {
    assert_eq!(
        read(Codec::Mpeg, &[0xff, 0xfd, 0xe8, 0xc4]),
        Some((32_000, 1))
    );
    assert_eq!(
        read(Codec::Mpeg, &[0xff, 0xf5, 0xe0, 0x04]),
        Some((22_050, 2))
    );
    let surround = [0x0b, 0x77, 0x0d, 0xce, 0x5e, 0x40, 0xeb, 0xf8];
    assert_eq!(read(Codec::Ac3, &surround), Some((44_100, 6)));
    let stereo = [0x0b, 0x77, 0x01, 0xa0, 0x74, 0x87, 0xc0, 0x00];
    assert_eq!(read(Codec::Eac3, &stereo), Some((44_100, 2)));
}

#[test]
fn what_is_no_header_gives_nothing() {
    for bytes in [
        &[][..],
        &[0xff],
        &[0; 8],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        for codec in [Codec::Mpeg, Codec::Ac3, Codec::Eac3, Codec::Opus] {
            assert_eq!(read(codec, bytes), None, "{codec} {bytes:?}");
        }
    }
}
