//! Parameters: types, strings for numbers, messages.

use super::*;
use serde_json::json;

fn params(value: Value) -> Params {
    serde_json::from_value(value).unwrap()
}

#[test]
fn numbers_may_arrive_as_strings() {
    let p = params(json!({"a": "12", "b": 12.0, "c": " 0.5 ", "d": "nan", "e": 1.5}));
    assert_eq!(p.integer("a"), Ok(Some(12)));
    assert_eq!(p.integer("b"), Ok(Some(12)));
    assert_eq!(p.number("c"), Ok(Some(0.5)));
    assert!(p.number("d").is_err());
    assert!(p.integer("e").is_err());
}

#[test]
fn absent_and_null_are_none() {
    let p = params(json!({"gone": null}));
    assert_eq!(p.number("gone"), Ok(None));
    assert_eq!(p.text("never"), Ok(None));
}

#[test]
fn an_error_names_the_field_and_shows_the_value() {
    let error = params(json!({"strength": [1]}))
        .number("strength")
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"parameter "strength": must be a number, got [1]"#
    );
    let long = params(json!({"x": "é".repeat(500)}))
        .boolean("x")
        .unwrap_err();
    assert!(long.to_string().len() < 200);
}

#[test]
fn booleans_may_arrive_as_strings() {
    let p = params(json!({"a": "True", "b": false, "c": 1}));
    assert_eq!(p.boolean("a"), Ok(Some(true)));
    assert_eq!(p.boolean("b"), Ok(Some(false)));
    assert!(p.boolean("c").is_err());
}

#[test]
fn a_number_outside_its_range_is_rejected_with_the_range() {
    let p = params(json!({"ms": "250", "strength": 1.5}));
    assert_eq!(p.number_in("ms", 0.0..=1000.0), Ok(Some(250.0)));
    assert_eq!(p.number_in("gone", 0.0..=1.0), Ok(None));
    let error = p.number_in("strength", 0.0..=1.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"parameter "strength": must be from 0 to 1, got 1.5"#
    );
}
