//! AAC encoding: fidelity and times, as a decoder finds them.

use super::*;
use crate::audio::tone::{frame, joined, sine, snr};
use crate::codec::AacDecoder;
use crate::coder::Decoder;
use crate::time::{TimeBase, Timestamp};

fn encoded(rate: u32, channels: u8) -> (AudioParams, Vec<AccessUnit>) {
    let mut encoder =
        AacEncoder::new(AacEncoderSettings::new(channels), &FramePool::new()).unwrap();
    let mut units = Vec::new();
    for n in 0..80i64 {
        let planes: Vec<_> = (0..channels)
            .map(|c| sine(440.0 * f64::from(c + 1), 0.4, rate, n * 960, 960))
            .collect();
        let pts = Timestamp::new(n * 960, TimeBase::per_second(rate));
        encoder.push(frame(rate, pts, &planes)).unwrap();
        units.extend(std::iter::from_fn(|| encoder.pull()));
    }
    encoder.flush().unwrap();
    units.extend(std::iter::from_fn(|| encoder.pull()));
    (encoder.params().clone(), units)
}

#[test]
fn sound_comes_back_at_the_same_time_and_level() {
    for (rate, channels) in [(48_000u32, 2u8), (48_000, 1), (44_100, 2)] {
        let (params, units) = encoded(rate, channels);
        let mut decoder = AacDecoder::new(&params, &FramePool::new()).unwrap();
        let mut frames = Vec::new();
        for unit in &units {
            decoder.push(unit).unwrap();
            frames.extend(std::iter::from_fn(|| decoder.pull()));
        }
        assert_eq!(frames.len(), units.len());
        for c in 0..channels {
            let got = joined(&frames, c.into());
            let start = frames[0].pts().in_base(TimeBase::OPUS);
            let expected = sine(440.0 * f64::from(c + 1), 0.4, 48_000, start, got.len());
            let snr = snr(&expected[4800..40_000], &got[4800..40_000]);
            assert!(snr > 30.0, "channel {c} from {rate} Hz: {snr:.1} dB");
        }
    }
}

#[test]
fn frames_are_evenly_spaced() {
    let (params, units) = encoded(48_000, 2);
    assert_eq!((params.sample_rate, params.channels), (48_000, 2));
    assert_eq!(units[0].pts.ticks, -(FRAME as i64));
    for pair in units.windows(2) {
        assert_eq!(pair[1].pts.ticks - pair[0].pts.ticks, FRAME as i64);
    }
    let bytes: usize = units.iter().map(|unit| unit.data.len()).sum();
    let rate = bytes * 8 * 48_000 / (units.len() * FRAME);
    assert!((60_000..160_000).contains(&rate), "{rate} bit/s");
}

#[test]
fn what_cannot_be_encoded_is_refused() {
    let settings = AacEncoderSettings {
        channels: 3,
        bitrate: 128_000,
    };
    let refused = AacEncoder::new(settings, &FramePool::new()).err().unwrap();
    assert!(refused.reason.contains("1 or 2 channels"), "{refused}");
}
