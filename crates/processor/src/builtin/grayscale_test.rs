//! Grayscale: what luma is, which channels change.

use super::*;
use crate::builtin::test_frames::run;

#[tokio::test]
async fn every_channel_becomes_the_luma_of_bt709() {
    let red_green_blue_white = [1.0, 0., 0., 0., 1.0, 0., 0., 0., 1.0, 1.0, 1.0, 1.0];
    let out = run(&mut Grayscale, 3, &red_green_blue_white).await;
    let pixels: Vec<_> = out.chunks(3).collect();
    assert_eq!(pixels[..3], [[0.2126; 3], [0.7152; 3], [0.0722; 3]]);
    assert!(pixels[3].iter().all(|v| (v - 1.0).abs() < 1e-6));
}

#[tokio::test]
async fn gray_stays_and_so_does_alpha() {
    assert_eq!(run(&mut Grayscale, 1, &[0.3, 0.9]).await, [0.3, 0.9]);
    let out = run(&mut Grayscale, 4, &[0.0, 1.0, 0.0, 0.25]).await;
    assert_eq!(out, [0.7152, 0.7152, 0.7152, 0.25]);
}
