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
        // Every byte is accounted for.
        let bytes: u64 = whole.iter().map(|found| match found {
            Found::Packet(..) => PACKET_LEN as u64,
            Found::Skipped(_, count) => *count,
        }).sum();
        prop_assert_eq!(bytes, stream.len() as u64);
    }
}
