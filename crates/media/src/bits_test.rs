//! Bit reading: order, Exp-Golomb codes, emulation prevention, ends.

use super::*;

#[test]
fn bits_come_most_significant_first_and_across_bytes() {
    let mut reader = BitReader::plain(&[0b1010_0101, 0xff, 0x00, 0x12, 0x34]);
    assert!(reader.flag().unwrap());
    assert_eq!(reader.bits(3).unwrap(), 0b010);
    assert_eq!(reader.bits(12).unwrap(), 0b0101_1111_1111);
    reader.skip(8).unwrap();
    assert_eq!(reader.byte().unwrap(), 0x12);
    assert_eq!(reader.bits(8).unwrap(), 0x34);
    assert_eq!(reader.flag(), Err(BitError::End));
}

#[test]
fn exp_golomb_codes_follow_the_table() {
    // Codes 1, 010, 011, 00100, 00101 (ITU-T H.264, table 9-2), then padding.
    let mut reader = BitReader::plain(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
    let values: Vec<u32> = (0..5).map(|_| reader.ue().unwrap()).collect();
    assert_eq!(values, [0, 1, 2, 3, 4]);

    let mut reader = BitReader::plain(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
    let values: Vec<i32> = (0..5).map(|_| reader.se().unwrap()).collect();
    assert_eq!(values, [0, 1, -1, 2, -2]);
}

#[test]
fn the_longest_code_fits_and_longer_ones_are_refused() {
    let mut longest = vec![0, 0, 0, 1];
    longest.extend([0xff; 4]);
    assert_eq!(BitReader::plain(&longest).ue(), Ok(u32::MAX - 1));
    assert_eq!(BitReader::plain(&[0; 8]).ue(), Err(BitError::TooLong));
}

#[test]
fn emulation_prevention_bytes_are_left_out_only_of_nal_payloads() {
    let bytes = [0, 0, 3, 1, 0, 0, 3, 0, 0, 3];
    let mut rbsp = BitReader::rbsp(&bytes);
    let read: Vec<u8> = std::iter::from_fn(|| rbsp.byte().ok()).collect();
    assert_eq!(read, [0, 0, 1, 0, 0, 0, 0]);
    let mut plain = BitReader::plain(&bytes);
    assert_eq!(std::iter::from_fn(|| plain.byte().ok()).count(), 10);
}
