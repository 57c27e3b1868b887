//! Segment numbers as they stand on the wire.

use super::*;

fn at(n: u64) -> SegmentRef {
    SegmentRef::At(Seq::new(n).unwrap())
}

#[test]
fn indices_and_places_relative_to_the_edge_are_read() {
    for (text, wanted) in [
        ("0", at(0)),
        ("42", at(42)),
        ("007", at(7)),
        ("9223372036854775807", at(i64::MAX as u64)),
        ("-1", SegmentRef::Next),
        ("-2", SegmentRef::Current),
        ("-3", SegmentRef::FromLast(2)),
        (
            "-9223372036854775807",
            SegmentRef::FromLast(i64::MAX as u64 - 1),
        ),
    ] {
        assert_eq!(text.parse(), Ok(wanted), "{text}");
    }
}

#[test]
fn what_is_no_index_is_refused() {
    for text in [
        "",
        "-",
        "-0",
        "+1",
        "--1",
        "1.5",
        " 1",
        "1 ",
        "0x10",
        "next",
        "１",
        "9223372036854775808",
        "-9223372036854775808",
        "99999999999999999999999",
    ] {
        assert!(text.parse::<SegmentRef>().is_err(), "{text:?}");
    }
}

#[test]
fn the_error_quotes_a_bounded_part_of_the_text() {
    let error = "x".repeat(10_000).parse::<SegmentRef>().unwrap_err();
    assert_eq!(error.text.len(), 40);
}

#[test]
fn a_place_is_written_as_it_is_read() {
    for text in ["0", "17", "-1", "-2", "-3", "-5"] {
        assert_eq!(text.parse::<SegmentRef>().unwrap().to_string(), text);
    }
}

#[test]
fn an_index_alone_must_not_be_relative() {
    assert!("-1".parse::<Seq>().is_err());
    assert_eq!("3".parse::<Seq>(), Ok(Seq::from(3)));
}

#[test]
fn arithmetic_stays_in_range() {
    assert_eq!(Seq::MAX.next(), Seq::MAX);
    assert_eq!(Seq::ZERO.before(1), None);
    assert_eq!(Seq::from(5).distance_to(Seq::from(2)), 0);
    assert_eq!(Seq::new(u64::MAX), None);
}
