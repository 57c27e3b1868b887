//! Values with units.

use super::*;

#[test]
fn bit_rates_take_units() {
    assert_eq!(bitrate("2500000"), Ok(2_500_000));
    assert_eq!(bitrate("2500k"), Ok(2_500_000));
    assert_eq!(bitrate("2.5M"), Ok(2_500_000));
    for wrong in ["", "M", "-1k", "1G", "nan", "inf", "1e99"] {
        assert!(bitrate(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn times_take_units() {
    assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
    assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
    for wrong in ["", "s", "-1s", "2h", "nan", "1e99"] {
        assert!(duration(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn parameters_are_an_object() {
    assert_eq!(params(r#"{"a":1}"#).unwrap().integer("a"), Ok(Some(1)));
    assert!(params("[1]").is_err());
    assert!(params("{").is_err());
}
