//! Bits: what is written is read back, and no start code appears.

use proptest::prelude::*;

use super::*;

#[test]
fn exp_golomb_codes_are_those_of_table_9_2() {
    for (value, code) in [
        (0, "1"),
        (1, "010"),
        (2, "011"),
        (3, "00100"),
        (7, "0001000"),
    ] {
        let mut writer = BitWriter::default();
        writer.ue(value);
        let bytes = writer.finish();
        let mut reader = BitReader::plain(&bytes);
        for bit in code.chars() {
            assert_eq!(reader.flag(), Ok(bit == '1'), "ue({value})");
        }
    }
}

proptest! {
    #[test]
    fn values_survive(values in prop::collection::vec(0..u32::MAX, 0..20)) {
        let mut writer = BitWriter::default();
        for &value in &values {
            writer.ue(value);
            writer.bits(value, 32);
        }
        let bytes = writer.finish();
        let mut reader = BitReader::plain(&bytes);
        for &value in &values {
            prop_assert_eq!(reader.ue(), Ok(value));
            prop_assert_eq!(reader.bits(32), Ok(value));
        }
    }

    #[test]
    fn escaping_hides_start_codes_and_is_undone(
        rbsp in prop::collection::vec(prop_oneof![3 => 0u8..4, 1 => any::<u8>()], 0..60),
    ) {
        let mut nal = Vec::new();
        escape(&rbsp, &mut nal);
        for window in nal.windows(3) {
            prop_assert!(window[..2] != [0, 0] || window[2] >= 3, "{nal:02x?}");
        }
        prop_assert_eq!(unescape(&nal), rbsp);
    }
}
