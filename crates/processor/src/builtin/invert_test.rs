//! Invert: the negative, twice the picture again, alpha left alone.

use super::*;
use crate::builtin::test_frames::run;

#[tokio::test]
async fn every_value_becomes_its_complement() {
    // Nine pixels: two whole groups of four and a rest.
    let values: Vec<f32> = (0..27).map(|at| at as f32 / 32.0).collect();
    let out = run(&mut Invert, 3, &values).await;
    assert!(
        out.iter()
            .zip(&values)
            .all(|(out, value)| *out == 1.0 - value)
    );
    assert_eq!(run(&mut Invert, 3, &out).await, values);
    assert_eq!(run(&mut Invert, 1, &[0.25]).await, [0.75]);
}

#[tokio::test]
async fn alpha_stays() {
    let out = run(&mut Invert, 4, &[0.0, 0.25, 1.0, 0.5]).await;
    assert_eq!(out, [1.0, 0.75, 0.0, 0.5]);
}
