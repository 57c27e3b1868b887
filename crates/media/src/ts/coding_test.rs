//! Types by whoever numbered them.

use super::*;

fn stream(stream_type: u8, pid: u16, descriptors: &[u8]) -> PmtStream {
    PmtStream {
        stream_type: StreamType(stream_type),
        pid: Pid(pid),
        descriptors: descriptors.to_vec(),
    }
}

fn codec(registration: Option<[u8; 4]>, stream: PmtStream) -> (Codec, bool) {
    let pmt = Pmt {
        program: 1,
        pcr_pid: Pid(0x100),
        registration,
        streams: vec![stream],
    };
    let [stream] = &pmt.streams[..] else {
        panic!("one stream")
    };
    (pmt.codec(stream), pmt.is_sections(stream))
}

#[test]
fn blu_ray_numbers_its_own_types() {
    for (stream_type, on_disc, elsewhere, sections) in [
        (0x80, Codec::OtherAudio("pcm"), Codec::Other, false),
        (0x81, Codec::Ac3, Codec::Ac3, false),
        (0x82, Codec::OtherAudio("dts"), Codec::Other, false),
        (
            0x83,
            Codec::OtherAudio("truehd"),
            Codec::OtherAudio("truehd"),
            false,
        ),
        (0x84, Codec::Eac3, Codec::Other, false),
        // DTS-HD, or sections of SCTE 35.
        (0x86, Codec::OtherAudio("dts"), Codec::Scte35, true),
        (0x90, Codec::Subtitles, Codec::Other, false),
        (0xa1, Codec::Eac3, Codec::Other, false),
        (0x1b, Codec::H264, Codec::H264, false),
        (0x0f, Codec::Aac, Codec::Aac, false),
    ] {
        let stream = || stream(stream_type, 0x1011, &[]);
        assert_eq!(codec(Some(*b"HDMV"), stream()), (on_disc, false));
        assert_eq!(codec(None, stream()), (elsewhere, sections));
        assert_eq!(codec(Some(*b"CUEI"), stream()), (elsewhere, sections));
    }
}

#[test]
fn what_nothing_names_is_for_its_packets_to_tell() {
    let plain = || stream(0x06, 0x1100, &[]);
    let (on_disc, _) = codec(Some(*b"HDMV"), plain());
    assert_eq!(on_disc, Codec::UNDETERMINED_AUDIO);
    assert!(plain().is_unnamed(on_disc));
    assert_eq!(codec(None, plain()).0, Codec::Other);
    assert!(plain().is_unnamed(Codec::Other));
    // Key-length-value data say so, and teletext is told by its descriptor.
    let named = stream(0x06, 0x1100, b"\x05\x04KLVA");
    assert!(!named.is_unnamed(Codec::Other));
    let (teletext, _) = codec(None, stream(0x06, 0x100, &[0x56, 0]));
    assert_eq!(teletext, Codec::Subtitles);
    assert!(!plain().is_unnamed(teletext));
    // A type that the standard keeps for itself.
    assert!(!stream(0x15, 0x100, &[]).is_unnamed(Codec::Other));
}

#[test]
fn codings_that_are_not_read_have_their_names() {
    for (format, name) in [(b"AV01", "av1"), (b"DTS2", "dts"), (b"AC-4", "ac4")] {
        let mut descriptor = vec![5, 4];
        descriptor.extend_from_slice(format);
        assert_eq!(codec(None, stream(0x06, 0x100, &descriptor)).0.name(), name);
    }
    assert_eq!(codec(None, stream(0x10, 0x100, &[])).0.name(), "mpeg4");
}
