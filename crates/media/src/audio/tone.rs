//! Synthetic tones, and how much of a tone is in a signal: for tests.

use std::f64::consts::TAU;

use crate::frame::{AudioFrame, Buffer};
use crate::time::Timestamp;

/// `samples` samples of a sine of `hertz` and `amplitude` at `rate` Hz, from sample `start` on.
pub(crate) fn sine(hertz: f64, amplitude: f64, rate: u32, start: i64, samples: usize) -> Vec<f32> {
    (0..samples)
        .map(|n| {
            let time = (start + n as i64) as f64 / f64::from(rate);
            (amplitude * (TAU * hertz * time).sin()) as f32
        })
        .collect()
}

/// A frame whose channels are given.
pub(crate) fn frame(rate: u32, pts: Timestamp, channels: &[Vec<f32>]) -> AudioFrame {
    AudioFrame::new(
        channels.len(),
        rate,
        pts,
        Buffer::from_vec(channels.concat()),
    )
    .unwrap()
}

/// Amplitude of the tone of `hertz` in `signal`, by correlation.
pub(crate) fn amplitude(signal: &[f32], hertz: f64, rate: u32) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, value) in signal.iter().enumerate() {
        let phase = TAU * hertz * n as f64 / f64::from(rate);
        re += f64::from(*value) * phase.cos();
        im += f64::from(*value) * phase.sin();
    }
    2.0 * re.hypot(im) / signal.len() as f64
}

/// Signal to noise of `got` against `expected`, in dB.
pub(crate) fn snr(expected: &[f32], got: &[f32]) -> f64 {
    assert_eq!(expected.len(), got.len());
    let (mut signal, mut noise) = (0.0, 0.0);
    for (e, g) in expected.iter().zip(got) {
        signal += f64::from(*e).powi(2);
        noise += (f64::from(*e) - f64::from(*g)).powi(2);
    }
    10.0 * (signal / noise.max(1e-30)).log10()
}

/// All samples of channel `index`, one frame after another.
pub(crate) fn joined(frames: &[AudioFrame], index: usize) -> Vec<f32> {
    frames
        .iter()
        .flat_map(|frame| frame.channel(index).to_vec())
        .collect()
}
