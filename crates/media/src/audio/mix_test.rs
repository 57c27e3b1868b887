//! Mixing: which channel goes where, how loud, and never beyond full scale.

use std::f64::consts::FRAC_1_SQRT_2;

use super::super::tone::{amplitude, frame, sine};
use super::*;
use crate::time::Timestamp;

const RATE: u32 = 48_000;

/// One frame with a tone of its own in each channel.
fn tones(channels: usize) -> AudioFrame {
    let planes: Vec<_> = (0..channels)
        .map(|c| sine(hertz(c), 0.5, RATE, 0, 4800))
        .collect();
    frame(RATE, Timestamp::mpeg(7), &planes)
}

fn hertz(channel: usize) -> f64 {
    500.0 + 500.0 * channel as f64
}

/// Gain from each input channel to output channel `out`.
fn gains(from: usize, to: usize, out: usize) -> Vec<f64> {
    let mixed = downmix(&tones(from), to, &Pool::new()).unwrap();
    (0..from)
        .map(|c| amplitude(mixed.channel(out), hertz(c), RATE) / 0.5)
        .collect()
}

fn assert_gains(got: &[f64], expected: &[f64]) {
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-3, "{got} instead of {expected}");
    }
}

#[test]
fn five_one_to_stereo_is_bs775_scaled_by_its_sum() {
    let sum = 1.0 + 2.0 * FRAC_1_SQRT_2;
    let (front, rest) = (1.0 / sum, FRAC_1_SQRT_2 / sum);
    // L R C LFE Ls Rs
    assert_gains(&gains(6, 2, 0), &[front, 0.0, rest, 0.0, rest, 0.0]);
    assert_gains(&gains(6, 2, 1), &[0.0, front, rest, 0.0, 0.0, rest]);
}

#[test]
fn five_one_to_mono_weighs_the_centre_double_the_fronts() {
    let sum = 1.0 + 2.0 * FRAC_1_SQRT_2 + 2.0 * 0.5;
    let front = FRAC_1_SQRT_2 / sum;
    assert_gains(
        &gains(6, 1, 0),
        &[front, front, 1.0 / sum, 0.0, 0.5 / sum, 0.5 / sum],
    );
}

#[test]
fn every_layout_keeps_left_left_and_right_right() {
    // By channel: on the left only, the right only, both, or silent.
    for layout in [
        "lr", "lrb", "lrlr", "lrblr", "lrb-lr", "lrb-blr", "lrb-lrlr",
    ] {
        let (left, right) = (gains(layout.len(), 2, 0), gains(layout.len(), 2, 1));
        let found: String = left
            .iter()
            .zip(&right)
            .map(|(left, right)| match (*left > 0.05, *right > 0.05) {
                (true, true) => 'b',
                (true, false) => 'l',
                (false, true) => 'r',
                (false, false) => '-',
            })
            .collect();
        assert_eq!(found, layout);
    }
}

#[test]
fn full_scale_everywhere_does_not_clip() {
    for channels in 1..=8 {
        let planes = vec![vec![1.0; 16]; channels];
        for to in 1..=2 {
            let mixed = downmix(&frame(RATE, Timestamp::mpeg(0), &planes), to, &Pool::new());
            for value in mixed.unwrap().data() {
                assert!(
                    (0.999..=1.000_001).contains(value),
                    "{channels} to {to}: {value}"
                );
            }
        }
    }
}

#[test]
fn mono_goes_to_both_sides_as_it_is() {
    let mono = tones(1);
    let stereo = downmix(&mono, 2, &Pool::new()).unwrap();
    assert_eq!(stereo.channel(0), mono.channel(0));
    assert_eq!(stereo.channel(1), mono.channel(0));
}

#[test]
fn the_right_layout_is_shared_and_keeps_its_time() {
    let stereo = tones(2);
    let same = downmix(&stereo, 2, &Pool::new()).unwrap();
    assert_eq!(same.data().as_ptr(), stereo.data().as_ptr());
    assert_eq!(same.pts(), Timestamp::mpeg(7));
}

#[test]
fn other_targets_are_refused() {
    for to in [0, 3, 6] {
        assert_eq!(
            downmix(&tones(2), to, &Pool::new()).unwrap_err(),
            FrameError::AudioChannels(to)
        );
    }
}
