//! Small and large memory behaves alike.

use super::*;

/// Of a tensor of 720p: whole huge pages.
const TENSOR: usize = 720 * 1280 * 3;
/// Of planes of 720p: as many pages as it takes.
const PLANES: usize = 720 * 1280 * 3 / 2;

#[test]
fn every_size_is_zero_at_first_and_keeps_what_is_written() {
    for len in [0, 1, LARGE / 4 - 1, LARGE / 4, LARGE / 4 + 1, TENSOR] {
        let mut memory = Memory::<f32>::zeroed(len);
        assert_eq!(memory.len(), len);
        assert!(memory.values().iter().all(|value| *value == 0.0), "{len}");
        let numbers = (0..=u16::MAX).map(f32::from).cycle();
        for (value, number) in memory.values_mut().iter_mut().zip(numbers.clone()) {
            *value = number;
        }
        assert_eq!(memory.values().len(), len);
        assert!(
            memory
                .values()
                .iter()
                .zip(numbers)
                .all(|(value, number)| *value == number)
        );
    }
}

#[test]
fn large_memory_is_mapped_and_small_memory_is_not() {
    let mapped = |len| matches!(Memory::<u8>::zeroed(len), Memory::Mapped { .. });
    assert!(mapped(PLANES));
    assert!(mapped(LARGE));
    assert!(!mapped(LARGE - 1));
}

#[test]
fn huge_pages_are_whole_where_that_adds_little() {
    assert_eq!(map(4 * TENSOR).unwrap().len(), 6 * HUGE_PAGE);
    assert_eq!(map(PLANES).unwrap().len(), PLANES);
}

#[test]
fn more_than_there_can_be_is_not_mapped() {
    assert!(map(usize::MAX / 2).is_err());
}
