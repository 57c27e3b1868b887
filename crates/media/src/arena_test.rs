//! Units keep their bytes, and their memory is used again.

use super::*;

/// A unit of `len` bytes of `value`.
fn unit(arena: &mut Arena, len: usize, value: u8) -> Bytes {
    arena.fill(len, |bytes| bytes.resize(len, value))
}

#[test]
fn blocks_go_round_once_their_units_are_gone() {
    let mut arena = Arena::new(0);
    let per_block = 4;
    let first = unit(&mut arena, LEAST / per_block, 0).as_ptr();
    let later: Vec<_> = (1..=2 * per_block)
        .map(|_| unit(&mut arena, LEAST / per_block, 0).as_ptr())
        .collect();
    // Dropped at once, every unit leaves its block: the third round begins where the first did.
    assert_eq!(later.last(), Some(&first));
}

#[test]
fn units_that_are_held_are_never_written_to() {
    let mut arena = Arena::new(0);
    let held: Vec<Bytes> = (0..64).map(|n| unit(&mut arena, LEAST / 3, n)).collect();
    for (n, bytes) in (0..).zip(&held) {
        assert_eq!(bytes.len(), LEAST / 3);
        assert!(bytes.iter().all(|&byte| byte == n));
    }
}

#[test]
fn a_unit_may_be_longer_than_a_block_and_than_was_expected() {
    let mut arena = Arena::new(0);
    assert_eq!(unit(&mut arena, 3 * LEAST, 7).len(), 3 * LEAST);
    let longer = arena.fill(1, |bytes| bytes.resize(2 * LEAST, 8));
    assert_eq!(longer, vec![8; 2 * LEAST]);
    assert!(arena.fill(10, |_| {}).is_empty());
}
