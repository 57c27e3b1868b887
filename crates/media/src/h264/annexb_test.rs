//! Start codes of both lengths, zeros between units, empty and cut streams.

use proptest::prelude::*;

use super::*;

fn units(stream: &[u8]) -> Vec<(usize, Vec<u8>)> {
    nal_units(stream)
        .map(|unit| (unit.offset, unit.bytes.to_vec()))
        .collect()
}

#[test]
fn both_start_codes_and_zeros_between_units() {
    let stream = [
        0, 0, 0, 0, 1, 7, 1, 0, 0, 0, 0, 1, 8, 2, 0, 0, 1, 5, 3, 0, 0, 0,
    ];
    assert_eq!(
        units(&stream),
        [(1, vec![7, 1]), (8, vec![8, 2]), (14, vec![5, 3])]
    );
}

#[test]
fn no_start_code_means_no_unit() {
    assert!(units(&[]).is_empty());
    assert!(units(&[0, 0]).is_empty());
    assert!(units(&[1, 2, 3, 4]).is_empty());
}

#[test]
fn empty_units_are_passed_over() {
    assert_eq!(units(&[0, 0, 1, 0, 0, 1, 9]), [(3, vec![9])]);
    assert!(units(&[0, 0, 1]).is_empty());
}

proptest! {
    #[test]
    fn units_written_behind_start_codes_come_back(
        // The last byte is never zero and 0, 0, 1 never stands inside: as encoders write them.
        payloads in prop::collection::vec(prop::collection::vec(2u8..=255, 1..40), 0..12),
        long in any::<bool>(),
    ) {
        let mut stream = Vec::new();
        let mut offsets = Vec::new();
        for payload in &payloads {
            offsets.push(stream.len());
            stream.extend_from_slice(if long { &START_CODE } else { &START_CODE[1..] });
            stream.extend_from_slice(payload);
        }
        let expected: Vec<_> = offsets.into_iter().zip(payloads).collect();
        prop_assert_eq!(units(&stream), expected);
    }
}
