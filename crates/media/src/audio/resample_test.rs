//! Resampling: fidelity, exact counts, times, gaps and changes of the stream.

use proptest::prelude::*;

use super::super::tone::{frame, joined, sine, snr};
use super::*;

const OUT: u32 = 48_000;

/// Resamples `total` samples of a 1 kHz sine (right channel: 3 kHz) in frames of `size`.
fn resampled(rate: u32, total: usize, size: usize, start: Timestamp) -> Vec<AudioFrame> {
    let mut resampler = Resampler::new(OUT, Pool::new());
    let base = TimeBase::per_second(rate);
    let mut frames = Vec::new();
    let mut at = 0;
    while at < total {
        let length = size.min(total - at);
        let planes = [
            sine(1000.0, 0.5, rate, at as i64, length),
            sine(3000.0, 0.5, rate, at as i64, length),
        ];
        let pts = start.offset(Timestamp::new(at as i64, base).in_base(start.base));
        resampler.push(&frame(rate, pts, &planes)).unwrap();
        frames.extend(std::iter::from_fn(|| resampler.pull()));
        at += length;
    }
    resampler.flush().unwrap();
    frames.extend(std::iter::from_fn(|| resampler.pull()));
    frames
}

#[test]
fn a_sine_stays_that_sine_in_place_and_level() {
    for rate in [
        8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 88_200, 96_000,
    ] {
        let frames = resampled(rate, rate as usize, 1024, Timestamp::mpeg(0));
        for (channel, hertz) in [(0, 1000.0), (1, 3000.0)] {
            let got = joined(&frames, channel);
            let expected = sine(hertz, 0.5, OUT, 0, got.len());
            // Away from the ends, where the sine is cut off.
            let inside = 4000..got.len() - 4000;
            let snr = snr(&expected[inside.clone()], &got[inside]);
            assert!(snr > 90.0, "{hertz} Hz at {rate} Hz: {snr:.1} dB");
        }
    }
}

#[test]
fn a_tone_above_the_new_band_is_removed() {
    // 30 kHz exists at 96 kHz and would fold to 18 kHz at 48 kHz.
    let mut resampler = Resampler::new(OUT, Pool::new());
    let input = frame(
        96_000,
        Timestamp::mpeg(0),
        &[sine(30_000.0, 0.9, 96_000, 0, 96_000)],
    );
    resampler.push(&input).unwrap();
    let frames: Vec<_> = std::iter::from_fn(|| resampler.pull()).collect();
    let loudest = joined(&frames, 0)[4000..]
        .iter()
        .fold(0.0f32, |max, value| max.max(value.abs()));
    assert!(loudest < 1e-4, "{loudest}");
}

#[test]
fn ten_minutes_have_exactly_their_samples() {
    let mut resampler = Resampler::new(OUT, Pool::new());
    let silence = vec![vec![0.0; 44_100]];
    let mut count = 0;
    for second in 0..600 {
        let pts = Timestamp::new(second * 44_100, TimeBase::per_second(44_100));
        resampler.push(&frame(44_100, pts, &silence)).unwrap();
        while let Some(out) = resampler.pull() {
            assert_eq!(out.pts(), Timestamp::new(count, TimeBase::OPUS));
            count += out.samples() as i64;
        }
    }
    resampler.flush().unwrap();
    count += std::iter::from_fn(|| resampler.pull())
        .map(|out| out.samples() as i64)
        .sum::<i64>();
    assert_eq!(count, 600 * 48_000);
}

#[test]
fn what_is_held_back_stays_bounded() {
    let mut resampler = Resampler::new(OUT, Pool::new());
    let (mut pushed, mut pulled) = (0.0, 0.0);
    for n in 0..200 {
        let pts = Timestamp::new(n * 1024, TimeBase::per_second(44_100));
        resampler
            .push(&frame(44_100, pts, &[vec![0.0; 1024]]))
            .unwrap();
        pushed += 1024.0 / 44_100.0;
        pulled += std::iter::from_fn(|| resampler.pull())
            .map(|out| out.samples() as f64 / 48_000.0)
            .sum::<f64>();
        assert!(pushed - pulled < 0.021, "{} s", pushed - pulled);
    }
}

#[test]
fn rounded_times_are_continuous() {
    // RTMP gives whole milliseconds.
    let mut resampler = Resampler::new(OUT, Pool::new());
    let mut end = None;
    for n in 0..300i64 {
        let millis = n * 1024 * 1000 / 44_100;
        let pts = Timestamp::new(millis, TimeBase::per_second(1000));
        resampler
            .push(&frame(44_100, pts, &[vec![0.0; 1024]]))
            .unwrap();
        while let Some(out) = resampler.pull() {
            assert_eq!(out.pts(), end.unwrap_or(out.pts()), "no gap, no overlap");
            end = Some(out.end());
        }
    }
}

#[test]
fn a_gap_starts_anew_at_the_frames_own_time_and_loses_nothing() {
    let mut resampler = Resampler::new(OUT, Pool::new());
    let base = TimeBase::per_second(44_100);
    let one = vec![vec![0.25; 4410]];
    resampler
        .push(&frame(44_100, Timestamp::new(0, base), &one))
        .unwrap();
    resampler
        .push(&frame(44_100, Timestamp::new(44_100, base), &one))
        .unwrap();
    resampler.flush().unwrap();
    let frames: Vec<_> = std::iter::from_fn(|| resampler.pull()).collect();
    let (before, after): (Vec<_>, Vec<_>) = frames
        .iter()
        .partition(|frame| frame.pts() < Timestamp::new(48_000, TimeBase::OPUS));
    let count = |frames: &[&AudioFrame]| frames.iter().map(|f| f.samples()).sum::<usize>();
    assert_eq!((count(&before), count(&after)), (4800, 4800));
    assert_eq!(after[0].pts(), Timestamp::new(48_000, TimeBase::OPUS));
}

#[test]
fn a_change_of_rate_or_layout_goes_on_in_time() {
    let mut resampler = Resampler::new(OUT, Pool::new());
    let (mut at, mut frames) = (Timestamp::new(0, TimeBase::MICROS), Vec::new());
    for (rate, channels) in [
        (44_100, 2),
        (32_000, 2),
        (48_000, 2),
        (32_000, 1),
        (44_100, 1),
    ] {
        let planes = vec![vec![0.5; rate as usize / 10]; channels];
        resampler.push(&frame(rate, at, &planes)).unwrap();
        frames.extend(std::iter::from_fn(|| resampler.pull()));
        at = at.offset(100_000);
    }
    resampler.flush().unwrap();
    frames.extend(std::iter::from_fn(|| resampler.pull()));
    let mut expected = 0;
    for frame in &frames {
        assert_eq!(frame.pts(), Timestamp::new(expected, TimeBase::OPUS));
        assert_eq!(frame.channels(), if expected < 3 * 4800 { 2 } else { 1 });
        expected += frame.samples() as i64;
    }
    assert_eq!(expected, 5 * 4800);
}

#[test]
fn the_right_rate_passes_untouched() {
    let frames = resampled(OUT, 9600, 1000, Timestamp::mpeg(900));
    assert_eq!(frames[0].pts(), Timestamp::new(480, TimeBase::OPUS));
    assert_eq!(frames[0].pts().base, TimeBase::OPUS);
    assert_eq!(
        joined(&frames, 0),
        sine(1000.0, 0.5, OUT, 0, 9600).as_slice()
    );
}

#[test]
fn a_rate_that_nothing_has_is_refused_and_harms_nothing() {
    let mut resampler = Resampler::new(OUT, Pool::new());
    for rate in [0, 999, 384_001, u32::MAX] {
        let error = resampler
            .push(&frame(rate, Timestamp::mpeg(0), &[vec![0.0; 8]]))
            .unwrap_err();
        assert!(matches!(error, FrameError::SampleRate { rate: told, .. } if told == rate));
    }
    resampler
        .push(&frame(44_100, Timestamp::mpeg(0), &[vec![0.0; 44_100]]))
        .unwrap();
    assert!(resampler.pull().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_rate_in_any_frames_gives_the_exact_count(
        rate in 1_000u32..120_000,
        sizes in prop::collection::vec(0usize..3000, 1..12),
    ) {
        let mut resampler = Resampler::new(OUT, Pool::new());
        let base = TimeBase::per_second(rate);
        let (mut total, mut count) = (0i64, 0);
        for size in sizes {
            let input = frame(rate, Timestamp::new(total, base), &[vec![0.1; size]]);
            resampler.push(&input).unwrap();
            total += size as i64;
        }
        resampler.flush().unwrap();
        while let Some(out) = resampler.pull() {
            prop_assert_eq!(out.pts(), Timestamp::new(count, TimeBase::OPUS));
            count += out.samples() as i64;
        }
        prop_assert_eq!(count, Timestamp::new(total, base).in_base(TimeBase::OPUS));
    }
}
