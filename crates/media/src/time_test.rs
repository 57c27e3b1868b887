//! Timestamps: rescaling, comparison and differences.

use super::*;
use proptest::prelude::*;

#[test]
fn rescale_rounds_halves_away_from_zero() {
    let thirds = TimeBase::new(1, 3).unwrap();
    let halves = TimeBase::new(1, 2).unwrap();
    assert_eq!(Timestamp::new(1, halves).in_base(thirds), 2); // 1.5
    assert_eq!(Timestamp::new(-1, halves).in_base(thirds), -2);
    assert_eq!(Timestamp::new(1, thirds).in_base(halves), 1); // 0.67
}

#[test]
fn equality_and_order_hold_across_bases() {
    let ms = TimeBase::per_second(1000);
    assert_eq!(Timestamp::new(1, ms), Timestamp::mpeg(90));
    assert!(Timestamp::new(1, ms) < Timestamp::mpeg(91));
    assert!(Timestamp::new(i64::MAX, ms) > Timestamp::mpeg(i64::MAX));
}

#[test]
fn since_is_none_for_a_later_moment() {
    let (a, b) = (Timestamp::mpeg(90_000), Timestamp::mpeg(180_000));
    assert_eq!(b.since(a), Some(Duration::from_secs(1)));
    assert_eq!(a.since(b), None);
}

#[test]
fn extremes_saturate_instead_of_overflowing() {
    let slow = TimeBase::new(u32::MAX, 1).unwrap();
    assert_eq!(
        Timestamp::new(i64::MAX, slow).in_base(TimeBase::MICROS),
        i64::MAX
    );
    assert_eq!(
        Timestamp::new(i64::MIN, slow).in_base(TimeBase::MICROS),
        i64::MIN
    );
    assert_eq!(TimeBase::MICROS.ticks(Duration::MAX), i64::MAX);
}

proptest! {
    #[test]
    fn a_finer_base_and_back_is_exact(ticks in -(1i64 << 40)..(1i64 << 40), hz in 1u32..100_000) {
        let coarse = TimeBase::per_second(hz);
        let fine = TimeBase::new(1, hz * 16).unwrap();
        let there = Timestamp::new(ticks, coarse).rescale(fine);
        prop_assert_eq!(there.in_base(coarse), ticks);
    }
}
