//! LATM: a stream of FFmpeg's, what is refused, what any bytes can do.

use proptest::prelude::*;

use super::*;

/// The elements of the clip, straight from its PES packets.
fn elements() -> Vec<Vec<u8>> {
    let stream = trickle_testkit::clip_bytes("aac_latm.ts");
    let mut bytes = Vec::new();
    for packet in stream.chunks(188) {
        let packet = crate::ts::packet::Packet::parse(packet.first_chunk().unwrap()).unwrap();
        let Some(payload) = packet.payload.filter(|_| packet.pid.0 == 0x100) else {
            continue;
        };
        let begin = match packet.unit_start {
            true => {
                crate::ts::pes::PesHeader::parse(payload)
                    .unwrap()
                    .unwrap()
                    .header_len
            }
            false => 0,
        };
        bytes.extend(&payload[begin..]);
    }
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let rest = bytes.split_off(element_len(&bytes).unwrap());
        elements.push(std::mem::replace(&mut bytes, rest));
    }
    elements
}

#[test]
fn frames_come_with_their_configuration() {
    let elements = elements();
    assert_eq!(elements.len(), 48);
    let mut reader = LatmReader::default();
    for element in &elements {
        assert_eq!(reader.frames(element).unwrap().len(), 1);
    }
    let config = reader.config().unwrap();
    assert_eq!((config.frame_samples, config.core_rate), (1_024, 48_000));
    assert_eq!(
        (config.params.sample_rate, config.params.channels),
        (48_000, 2)
    );
    // AAC-LC, index 3, two channels.
    assert_eq!(config.params.config[..], [0x11, 0x90]);
}

#[test]
fn without_a_configuration_nothing_can_be_read() {
    let mut reader = LatmReader::default();
    // useSameStreamMux
    let error = reader.frames(&[0x56, 0xe0, 1, 0x80]).unwrap_err();
    assert_eq!(error, LatmError::NoConfig);
}

#[test]
fn what_is_not_read_is_named() {
    let refused = |body: &[u8]| {
        let element = [&[0x56, 0xe0, body.len() as u8], body].concat();
        LatmReader::default()
            .frames(&element)
            .unwrap_err()
            .to_string()
    };
    // useSameStreamMux 0, audioMuxVersion 1, audioMuxVersionA 1
    assert!(refused(&[0b0110_0000]).contains("audioMuxVersionA"));
    // allStreamsSameTimeFraming 0
    assert!(refused(&[0b0000_0000]).contains("timed apart"));
    // numSubFrames 0, numProgram 1
    assert!(refused(&[0b0010_0000, 0b0000_1000, 0]).contains("more than one program"));
    assert_eq!(element_len(&[0x56, 0xe0]), Err(LatmError::Short));
    assert_eq!(
        element_len(&[0x57, 0xe0, 0]),
        Err(LatmError::Sync(0x57, 0xe0))
    );
}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        first in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        noise in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let elements = elements();
        let mut element = elements[first.index(elements.len())].clone();
        for (at, byte) in damage {
            let at = at.index(element.len());
            element[at] = byte;
        }
        let mut reader = LatmReader::default();
        let _ = reader.frames(&element);
        let _ = reader.frames(&noise);
        let _ = element_len(&noise);
    }
}
