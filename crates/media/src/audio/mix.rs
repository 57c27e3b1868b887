//! Mixing to stereo or mono by the coefficients of ITU-R BS.775-3, annex 4.

use std::f32::consts::FRAC_1_SQRT_2;

use crate::error::FrameError;
use crate::frame::{AudioFrame, Pool};

/// −3 dB, the weight of the centre and of each surround channel.
const M3: f32 = FRAC_1_SQRT_2;
/// −6 dB: twice −3 dB, for a surround channel that goes to both sides.
const M6: f32 = 0.5;

/// Weights of up to 8 input channels in one output channel.
type Row = [f32; 8];

/// Mixes a frame of 1 to 8 channels (in the order of [`AudioFrame`]) to `channels`: 1 or 2.
///
/// Centre and surrounds enter at −3 dB, a back centre at −6 dB in each side; the LFE channel is
/// left out, as BS.775 allows. All weights are then divided by the largest sum of weights of an
/// output channel, so that full scale on every input at once is full scale at the output and
/// nothing can clip; 5.1 gets quieter by 7.7 dB in this. Mono goes to both sides as it is, and
/// a frame that has the right number of channels is shared, not copied.
///
/// # Errors
/// [`FrameError::AudioChannels`] for another number of channels than 1 or 2.
pub fn downmix(
    frame: &AudioFrame,
    channels: usize,
    pool: &Pool<f32>,
) -> Result<AudioFrame, FrameError> {
    if !(1..=2).contains(&channels) {
        return Err(FrameError::AudioChannels(channels));
    }
    if frame.channels() == channels {
        return Ok(frame.clone());
    }
    let rows = matrix(frame.channels(), channels)?;
    let samples = frame.samples();
    let mut mixed = pool.take(channels * samples);
    if samples > 0 {
        for (out, row) in mixed.make_mut().chunks_exact_mut(samples).zip(&rows) {
            out.fill(0.0);
            for (index, gain) in row.iter().enumerate().filter(|(_, gain)| **gain != 0.0) {
                for (sum, sample) in out.iter_mut().zip(frame.channel(index)) {
                    *sum += gain * sample;
                }
            }
        }
    }
    AudioFrame::new(channels, frame.sample_rate(), frame.pts(), mixed)
}

/// The normalised weights from `from` channels to `to`.
fn matrix(from: usize, to: usize) -> Result<[Row; 2], FrameError> {
    // L and R by input channel, in the order of `AudioFrame`.
    let (left, right): (&[f32], &[f32]) = match from {
        1 => (&[1.0], &[1.0]),
        2 => (&[1.0, 0.0], &[0.0, 1.0]),
        3 => (&[1.0, 0.0, M3], &[0.0, 1.0, M3]),
        4 => (&[1.0, 0.0, M3, 0.0], &[0.0, 1.0, 0.0, M3]),
        5 => (&[1.0, 0.0, M3, M3, 0.0], &[0.0, 1.0, M3, 0.0, M3]),
        6 => (&[1.0, 0.0, M3, 0.0, M3, 0.0], &[0.0, 1.0, M3, 0.0, 0.0, M3]),
        7 => (
            &[1.0, 0.0, M3, 0.0, M6, M3, 0.0],
            &[0.0, 1.0, M3, 0.0, M6, 0.0, M3],
        ),
        8 => (
            &[1.0, 0.0, M3, 0.0, M3, 0.0, M3, 0.0],
            &[0.0, 1.0, M3, 0.0, 0.0, M3, 0.0, M3],
        ),
        other => return Err(FrameError::AudioChannels(other)),
    };
    let mut rows = [Row::default(); 2];
    for (index, (l, r)) in left.iter().zip(right).enumerate() {
        let weights = if to == 1 {
            [M3 * (l + r), 0.0]
        } else {
            [*l, *r]
        };
        for (row, weight) in rows.iter_mut().zip(weights) {
            if let Some(slot) = row.get_mut(index) {
                *slot = weight;
            }
        }
    }
    let largest = rows
        .iter()
        .map(|row| row.iter().sum::<f32>())
        .fold(f32::MIN_POSITIVE, f32::max);
    for weight in rows.iter_mut().flatten() {
        *weight /= largest;
    }
    Ok(rows)
}

#[cfg(test)]
#[path = "mix_test.rs"]
mod tests;
