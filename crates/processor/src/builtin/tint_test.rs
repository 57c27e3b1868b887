//! Tint: the mix, both ways to write a colour, and rejections that change nothing.

use serde_json::json;

use super::*;
use crate::builtin::test_frames::run;

fn params(value: Value) -> Params {
    serde_json::from_value(value).unwrap()
}

fn tint(value: Value) -> Tint {
    let mut tint = Tint::default();
    tint.update_params(&params(value)).unwrap();
    tint
}

#[tokio::test]
async fn strength_goes_from_the_picture_to_the_colour() {
    let values: Vec<f32> = (0..15).map(|at| at as f32 / 16.0).collect();
    let run_at = async |strength: f32| {
        let mut tint = tint(json!({"color": [1, 0.5, 0], "strength": strength}));
        run(&mut tint, 3, &values).await
    };
    assert_eq!(run_at(0.0).await, values);
    assert!(
        run_at(1.0)
            .await
            .chunks(3)
            .all(|pixel| pixel == [1.0, 0.5, 0.0])
    );
    let color = [1.0, 0.5, 0.0];
    for (at, out) in run_at(0.25).await.into_iter().enumerate() {
        let want = values[at] * 0.75 + color[at % 3] * 0.25;
        assert!((out - want).abs() < 1e-6);
    }
}

#[tokio::test]
async fn alpha_stays_and_gray_takes_the_colours_red() {
    let mut full = tint(json!({"color": [0.5, 0, 1], "strength": 1}));
    assert_eq!(
        run(&mut full, 4, &[0.1, 0.2, 0.3, 0.4]).await,
        [0.5, 0.0, 1.0, 0.4]
    );
    assert_eq!(run(&mut full, 1, &[0.1]).await, [0.5]);
}

#[test]
fn a_colour_is_hexadecimal_or_three_numbers() {
    let orange = Tint {
        color: [1.0, 128.0 / 255.0, 0.0],
        ..Tint::default()
    };
    assert_eq!(tint(json!({"color": "#ff8000"})), orange);
    assert_eq!(tint(json!({"color": " #FF8000 "})), orange);
    assert_eq!(tint(json!({"color": [0, 0.5, 1]})).color, [0.0, 0.5, 1.0]);
}

#[test]
fn only_the_keys_that_are_there_change() {
    let mut tint = tint(json!({"color": "#000000", "strength": "0.5"}));
    tint.update_params(&params(json!({"strength": 0.75})))
        .unwrap();
    assert_eq!((tint.color, tint.strength), ([0.0; 3], 0.75));
    tint.update_params(&params(json!({"color": null, "other": 1})))
        .unwrap();
    assert_eq!((tint.color, tint.strength), ([0.0; 3], 0.75));
}

#[test]
fn a_bad_value_names_its_field_and_changes_nothing() {
    let cases = [
        (json!({"strength": 1.5}), "strength"),
        (json!({"strength": -0.1}), "strength"),
        (json!({"strength": "much"}), "strength"),
        (json!({"color": "red"}), "color"),
        (json!({"color": "#ff80"}), "color"),
        (json!({"color": "#ff80é"}), "color"),
        (json!({"color": "#+f8000"}), "color"),
        (json!({"color": 7}), "color"),
        (json!({"color": [1, 1]}), "color"),
        (json!({"color": [0, 2, 0]}), "color[1]"),
        (json!({"color": [0, 0, "x"]}), "color[2]"),
    ];
    for (bad, field) in cases {
        let mut tint = Tint::default();
        let error = tint.update_params(&params(bad.clone())).unwrap_err();
        assert_eq!(error.field, field, "{bad}");
        assert_eq!(tint, Tint::default(), "{bad}");
    }
    // One good value beside a bad one does not get through either.
    let mut tint = Tint::default();
    let mixed = params(json!({"strength": 0.9, "color": "no colour"}));
    assert_eq!(tint.update_params(&mixed).unwrap_err().field, "color");
    assert_eq!(tint, Tint::default());
}
