//! Framing: any cutting, garbage before, between and after packets.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Packet(u64, u8),
    Skipped(u64, u64),
}

fn frame<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Found> {
    let mut framer = Framer::default();
    let mut all = Vec::new();
    let mut note = |framed: Framed<'_>| {
        all.push(match framed {
            // Told by its last byte.
            Framed::Packet { bytes, offset } => Found::Packet(offset, bytes[PACKET_LEN - 1]),
            Framed::Skipped { offset, count } => Found::Skipped(offset, count),
        });
    };
    for piece in pieces {
        framer.push(piece, &mut note);
        assert!(framer.held.len() <= 3 * PACKET_LEN);
    }
    framer.finish(&mut note);
    all
}

fn packets(marks: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let mut stream = Vec::new();
    for mark in marks {
        stream.push(SYNC_BYTE);
        stream.extend([0; PACKET_LEN - 2]);
        stream.push(mark);
    }
    stream
}

#[test]
fn a_clean_stream_is_cut_into_its_packets() {
    let stream = packets([1, 2, 3]);
    assert_eq!(
        frame([&stream[..]]),
        [
            Found::Packet(0, 1),
            Found::Packet(188, 2),
            Found::Packet(376, 3)
        ]
    );
}

#[test]
fn garbage_is_passed_over_and_its_place_named() {
    let mut stream = vec![9; 50];
    stream.extend(packets([1, 2, 3]));
    // A sync byte that nothing confirms.
    stream.extend([SYNC_BYTE; 7]);
    stream[50 + 564..].fill(8);
    stream.extend(packets([4, 5, 6]));
    assert_eq!(
        frame([&stream[..]]),
        [
            Found::Skipped(0, 50),
            Found::Packet(50, 1),
            Found::Packet(238, 2),
            Found::Packet(426, 3),
            Found::Skipped(614, 7),
            Found::Packet(621, 4),
            Found::Packet(809, 5),
            Found::Packet(997, 6),
        ]
    );
}

#[test]
fn a_packet_cut_short_at_the_end_is_reported() {
    let stream = packets([1, 2]);
    assert_eq!(
        frame([&stream[..300]]),
        [Found::Packet(0, 1), Found::Skipped(188, 112)]
    );
}

#[test]
fn what_is_no_transport_stream_is_skipped_whole() {
    assert_eq!(frame([&[1; 1_000][..]]), [Found::Skipped(0, 1_000)]);
    assert_eq!(frame([&[][..]]), []);
}

/// Packets with `before` bytes in front of each and `behind` bytes behind it.
fn spaced(before: usize, behind: usize) -> Vec<u8> {
    let packets = packets(1..=6);
    packets
        .chunks(PACKET_LEN)
        .flat_map(|packet| [&vec![3; before][..], packet, &vec![5; behind]].concat())
        .collect()
}

fn marks(found: &[Found]) -> Vec<u8> {
    let mark = |found: &Found| match found {
        Found::Packet(_, mark) => Some(*mark),
        Found::Skipped(..) => None,
    };
    found.iter().filter_map(mark).collect()
}

#[test]
fn what_stands_between_packets_of_192_and_204_bytes_is_no_fault() {
    for (before, behind) in [(4, 0), (0, 16)] {
        let stream = spaced(before, behind);
        let found = frame([&stream[..]]);
        assert_eq!(marks(&found), [1, 2, 3, 4, 5, 6]);
        assert_eq!(found.len(), 6, "{found:?}");
        let mut framer = Framer::default();
        framer.push(&stream, |_| {});
        assert_eq!(framer.stride(), 188 + before + behind);
        // Cut in the middle of one.
        let found = frame([&stream[100..]]);
        assert_eq!(marks(&found), [2, 3, 4, 5, 6]);
        assert_eq!(found.len(), 6, "{found:?}");
        assert!(looks_like_packets(&stream) && looks_like_packets(&stream[77..]));
    }
    assert!(!looks_like_packets(&[9; 4_000]) && !looks_like_packets(&[]));
}

#[test]
fn a_stream_may_change_to_another_stride() {
    let stream = [spaced(0, 16), spaced(0, 0), spaced(4, 0)].concat();
    let found = marks(&frame([&stream[..]]));
    // The second plain packet is lost: bytes behind the first one are passed over as before.
    assert_eq!(found, [1, 2, 3, 4, 5, 6, 1, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6]);
}

proptest! {
    #[test]
    fn how_a_stream_is_cut_does_not_matter(
        parts in prop::collection::vec(
            prop_oneof![
                (1u8..9).prop_map(|count| packets(0..count)),
                prop::collection::vec(prop_oneof![Just(SYNC_BYTE), any::<u8>()], 0..400),
            ],
            0..6,
        ),
        cuts in prop::collection::vec(1usize..500, 1..20),
    ) {
        let stream = parts.concat();
        let whole = frame([&stream[..]]);
        let mut pieces = Vec::new();
        let (mut rest, mut sizes) = (&stream[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        prop_assert_eq!(frame(pieces), whole.clone());
        // Every byte is accounted for, but what stands between packets of a longer stride.
        let mut end = 0;
        for found in whole {
            let (at, count) = match found {
                Found::Packet(at, _) => (at, PACKET_LEN as u64),
                Found::Skipped(at, count) => (at, count),
            };
            prop_assert!(matches!(at - end, 0 | 4 | 16), "{} bytes at {end}", at - end);
            end = at + count;
        }
        prop_assert!(matches!(stream.len() as u64 - end, 0..=16));
    }
}
