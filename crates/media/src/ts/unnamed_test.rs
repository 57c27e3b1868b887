//! Frames of every coding that is recognised, and what is none.

use super::*;

const NOTHING: Named = Named {
    codec: None,
    latm: false,
};

fn named(codec: Codec) -> Named {
    Named {
        codec: Some(codec),
        latm: false,
    }
}

/// `header`, filled up to `length` bytes, so many times.
fn frames(header: &[u8], length: usize, count: usize) -> Vec<u8> {
    let mut frame = header.to_vec();
    frame.resize(length, 0x55);
    frame.repeat(count)
}

/// What a stream of these PES packets is told to be, and with which of them.
fn told(packets: &[&[u8]]) -> Option<(usize, Named)> {
    let mut unnamed = Unnamed::default();
    packets.iter().enumerate().find_map(|(at, packet)| {
        unnamed.begin(PesTimes::default());
        unnamed.append(packet);
        let last = at + 1 == packets.len();
        Some((at, unnamed.end(None, last)?))
    })
}

#[test]
fn three_frames_tell_what_a_stream_is() {
    // Headers as FFmpeg's encoders write them, and what they say that their frames have.
    let cases: [(&[u8], usize, Codec); 7] = [
        (&[0xff, 0xf1, 0x4c, 0x80, 0x0c, 0x9f, 0xfc], 100, Codec::Aac),
        (&[0xff, 0xfd, 0x84, 0x04], 384, Codec::Mpeg),
        (&[0xff, 0xfb, 0x54, 0x44], 192, Codec::Mpeg),
        (&[0x0b, 0x77, 0x5d, 0xa1, 0x14, 0x40, 0x43], 768, Codec::Ac3),
        (
            &[0x0b, 0x77, 0x0d, 0xce, 0x5e, 0x40, 0xeb, 0xf8],
            1950,
            Codec::Ac3,
        ),
        (
            &[0x0b, 0x77, 0x01, 0x7f, 0x34, 0x87, 0xc0],
            768,
            Codec::Eac3,
        ),
        (
            &[0x7f, 0xfe, 0x80, 0x01, 0xfc, 0x3c, 0x3f, 0xf0],
            1024,
            Codec::OtherAudio("dts"),
        ),
    ];
    for (header, length, codec) in cases {
        let stream = frames(header, length, 3);
        assert_eq!(recognise(&stream, 3), named(codec));
        // The last one may be cut.
        assert_eq!(recognise(&stream[..length * 2 + 20], 3), NOTHING);
        assert_eq!(recognise(&stream[..length * 2 + 20], 2), named(codec));
        let mut other = stream.clone();
        other[length] ^= 0xff;
        assert_eq!(recognise(&other, 1), NOTHING, "{codec}");
    }
    let mut latm = vec![0x56, 0xe0, 5];
    latm.resize(8, 1);
    assert_eq!(
        recognise(&latm.repeat(3), 3),
        Named {
            codec: Some(Codec::Aac),
            latm: true
        }
    );
}

#[test]
fn it_is_told_as_soon_as_it_is_certain() {
    let one = frames(&[0xff, 0xf1, 0x4c, 0x80, 0x0c, 0x9f, 0xfc], 100, 1);
    let four: Vec<&[u8]> = vec![&one; 4];
    assert_eq!(told(&four), Some((2, named(Codec::Aac))));
    // A stream that ends has no more to tell.
    assert_eq!(told(&four[..1]), Some((0, named(Codec::Aac))));
    // Frames may go on in the next PES packet.
    let (head, tail) = one.split_at(40);
    let cut: Vec<&[u8]> = vec![&one, head, tail, &one, &one];
    assert_eq!(told(&cut), Some((3, named(Codec::Aac))));
}

#[test]
fn what_is_nothing_known_is_given_up() {
    let data: &[u8] = b"some other data";
    let many = vec![data; 20];
    assert_eq!(told(&many), Some((MAX_PACKETS - 1, NOTHING)));
    let large = vec![0xffu8; MAX_BYTES];
    assert_eq!(told(&[&large, data]), Some((0, NOTHING)));
    assert_eq!(told(&[b"", b""]), Some((1, NOTHING)));
}

#[test]
fn no_more_is_held_than_is_allowed() {
    let mut unnamed = Unnamed::default();
    unnamed.begin(PesTimes::default());
    for _ in 0..32 {
        unnamed.append(&[0; MAX_BYTES]);
    }
    let held = unnamed.into_held();
    assert!(held[0].damaged);
    assert!(held[0].data.len() <= MAX_HELD);
}
