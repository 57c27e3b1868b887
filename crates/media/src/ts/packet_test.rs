//! Packets: fields, adaptation fields, what counts as stuffing, damage.

use proptest::prelude::*;

use super::*;

/// A packet with these bytes behind the sync byte, filled up with 0xff.
fn packet(head: &[u8]) -> [u8; PACKET_LEN] {
    let mut bytes = [0xff; PACKET_LEN];
    bytes[0] = SYNC_BYTE;
    bytes[1..=head.len()].copy_from_slice(head);
    bytes
}

#[test]
fn header_fields() {
    let bytes = packet(&[0x41, 0x00, 0x1a]);
    let parsed = Packet::parse(&bytes).unwrap();
    assert_eq!(parsed.pid, Pid(0x100));
    assert!(parsed.unit_start && !parsed.scrambled);
    assert_eq!(parsed.continuity, 10);
    assert_eq!(parsed.payload.unwrap().len(), MAX_PAYLOAD);
    assert_eq!(parsed.adaptation, Adaptation::default());
}

#[test]
fn adaptation_field_with_a_clock_and_no_stuffing() {
    // As FFmpeg writes it: random access, PCR of 0x7b0c7e00 << …, seven bytes.
    let bytes = packet(&[0x41, 0x00, 0x30, 7, 0x50, 0, 0, 0x7b, 0x0c, 0x7e, 0]);
    let parsed = Packet::parse(&bytes).unwrap();
    assert!(parsed.adaptation.random_access && !parsed.adaptation.stuffing);
    assert_eq!(parsed.adaptation.pcr, Some(0x7b0c * 2 * 300));
    assert_eq!(parsed.payload.unwrap().len(), 176);
}

#[test]
fn bytes_beyond_what_the_flags_ask_for_are_stuffing() {
    let stuffing = |field: &[u8]| {
        let mut head = vec![0x01, 0x00, 0x30];
        head.extend(field);
        Packet::parse(&packet(&head)).unwrap().adaptation.stuffing
    };
    // A lone length byte, a lone flags byte, a flags byte and filling.
    assert!(stuffing(&[0]));
    assert!(stuffing(&[1, 0]));
    assert!(stuffing(&[3, 0, 0xff, 0xff]));
    // PCR and one byte more; PCR alone.
    assert!(stuffing(&[8, 0x10, 0, 0, 0, 0, 0, 0, 0xff]));
    assert!(!stuffing(&[7, 0x10, 0, 0, 0, 0, 0, 0]));
    // Two bytes of private data, and an extension of one byte.
    assert!(!stuffing(&[6, 0x03, 2, 1, 2, 1, 0]));
    // A splice countdown.
    assert!(!stuffing(&[2, 0x04, 9]));
}

#[test]
fn a_packet_may_hold_no_payload_at_all() {
    let bytes = packet(&[0x01, 0x00, 0x20, 183, 0]);
    assert_eq!(Packet::parse(&bytes).unwrap().payload, None);
}

#[test]
fn damage_is_named() {
    let parse = |head: &[u8]| Packet::parse(&packet(head)).map(|_| ()).unwrap_err();
    assert_eq!(parse(&[0x81, 0, 0x10]), PacketError::TransportError);
    assert_eq!(parse(&[0x01, 0, 0x00]), PacketError::Control);
    assert_eq!(
        parse(&[0x01, 0, 0x30, 184]),
        PacketError::AdaptationLength(184)
    );
}

proptest! {
    #[test]
    fn a_written_clock_reads_back(base in 0u64..1 << 33) {
        prop_assert_eq!(parse_pcr(&pcr_bytes(base)), Some(base * 300));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::array::uniform32(any::<u8>())) {
        let mut packet = [0x5a; PACKET_LEN];
        packet[..32].copy_from_slice(&bytes);
        let _ = Packet::parse(&packet);
    }
}
