//! Opus encoding: fidelity, packet times, repairs of the input, the end of the stream.

use super::*;
use crate::audio::tone::{frame, joined, sine, snr};
use crate::codec::OpusDecoder;
use crate::coder::Decoder;
use crate::stream::AudioParams;
use crate::time::{TimeBase, Timestamp};

const LOOKAHEAD: i64 = 312;

fn encoder(channels: u8) -> OpusEncoder {
    OpusEncoder::new(OpusEncoderSettings::new(channels), &FramePool::new()).unwrap()
}

fn pulled(encoder: &mut OpusEncoder) -> Vec<AccessUnit> {
    std::iter::from_fn(|| encoder.pull()).collect()
}

fn opus(ticks: i64) -> Timestamp {
    Timestamp::new(ticks, TimeBase::OPUS)
}

fn decoded(units: &[AccessUnit], channels: u8) -> Vec<AudioFrame> {
    let params = AudioParams {
        codec: Codec::Opus,
        sample_rate: 48_000,
        channels,
        config: Bytes::new(),
    };
    let mut decoder = OpusDecoder::new(&params, &FramePool::new()).unwrap();
    units
        .iter()
        .map(|unit| {
            decoder.push(unit).unwrap();
            decoder.pull().unwrap()
        })
        .collect()
}

#[test]
fn sound_comes_back_at_the_same_time_and_level() {
    for (rate, channels) in [(48_000u32, 2u8), (48_000, 1), (44_100, 2)] {
        let mut encoder = encoder(channels);
        let mut units = Vec::new();
        for n in 0..60i64 {
            let planes: Vec<_> = (0..channels)
                .map(|c| sine(440.0 * f64::from(c + 1), 0.4, rate, n * 1024, 1024))
                .collect();
            let pts = Timestamp::new(n * 1024, TimeBase::per_second(rate));
            encoder.push(frame(rate, pts, &planes)).unwrap();
            units.extend(pulled(&mut encoder));
        }
        encoder.flush().unwrap();
        units.extend(pulled(&mut encoder));
        let frames = decoded(&units, channels);
        for c in 0..channels {
            let got = joined(&frames, c.into());
            // A frame's samples belong to the frame's time: no other alignment is applied.
            let start = frames[0].pts().in_base(TimeBase::OPUS);
            let expected = sine(440.0 * f64::from(c + 1), 0.4, 48_000, start, got.len());
            let snr = snr(&expected[4800..40_000], &got[4800..40_000]);
            assert!(snr > 25.0, "channel {c} from {rate} Hz: {snr:.1} dB");
        }
    }
}

#[test]
fn packets_are_20_ms_whatever_the_frames_length() {
    let mut encoder = encoder(2);
    let (mut at, mut units) = (0, Vec::new());
    for size in [1, 7, 960, 1024, 333, 5000, 2, 0, 959] {
        let planes = vec![vec![0.1; size]; 2];
        encoder.push(frame(48_000, opus(at), &planes)).unwrap();
        units.extend(pulled(&mut encoder));
        at += size as i64;
    }
    assert_eq!(units.len() as i64, at / 960);
    for (n, unit) in units.iter().enumerate() {
        assert_eq!(unit.pts, opus(960 * n as i64 - LOOKAHEAD));
        assert_eq!(unit.pts.base, TimeBase::OPUS);
        assert_eq!(unit.dts, unit.pts);
        assert_eq!(opus_pure::packet::samples_48k(&unit.data).unwrap(), 960);
    }
}

#[test]
fn the_end_holds_every_sample_in_whole_packets() {
    let mut encoder = encoder(1);
    // 959 samples and 312 of look-ahead need two packets.
    encoder
        .push(frame(48_000, opus(0), &[sine(1000.0, 0.5, 48_000, 0, 959)]))
        .unwrap();
    assert!(encoder.pull().is_none());
    encoder.flush().unwrap();
    let units = pulled(&mut encoder);
    assert_eq!(units.len(), 2);
    let got = joined(&decoded(&units, 1), 0);
    let tail: f32 = got[1100..1260].iter().map(|value| value.abs()).sum();
    assert!(tail > 10.0, "the last samples came out: {tail}");
    // Nothing is left for a second flush.
    encoder.flush().unwrap();
    assert!(encoder.pull().is_none());
}

/// Times of the packets of two frames of 100 ms, the second of which starts at `second`.
fn packet_times(second: i64) -> (Vec<i64>, Vec<bool>) {
    let mut encoder = encoder(1);
    for start in [0, second] {
        encoder
            .push(frame(48_000, opus(start), &[vec![0.1; 4800]]))
            .unwrap();
    }
    encoder.flush().unwrap();
    let units = pulled(&mut encoder);
    (
        units.iter().map(|unit| unit.pts.ticks).collect(),
        units.iter().map(|unit| unit.flags.discontinuity).collect(),
    )
}

fn evenly(start: i64, packets: i64) -> Vec<i64> {
    (0..packets).map(|n| start - LOOKAHEAD + 960 * n).collect()
}

#[test]
fn sound_whose_clock_drifts_stays_within_10_ms_of_its_times() {
    // A second of samples takes 1.005 s, then 0.995 s, by the times that they state.
    for step in [965i64, 955] {
        let mut encoder = encoder(1);
        let mut units = Vec::new();
        for n in 0..500 {
            let planes = [sine(440.0, 0.4, 48_000, n * 960, 960)];
            encoder
                .push(frame(48_000, opus(n * step), &planes))
                .unwrap();
            units.extend(pulled(&mut encoder));
        }
        let last = units.last().unwrap().pts.ticks + LOOKAHEAD;
        let wanted = 499 * step;
        assert!((last - wanted).abs() <= 480 + 960, "{last}, {wanted}");
        let steps = units
            .windows(2)
            .map(|pair| pair[1].pts.ticks - pair[0].pts.ticks);
        assert!(steps.into_iter().all(|step| step == 960));
    }
}

#[test]
fn jitter_does_not_show() {
    for jitter in [-480, -90, 48, 480] {
        // 9,600 samples and the look-ahead: 11 packets.
        assert_eq!(packet_times(4800 + jitter).0, evenly(0, 11));
    }
}

#[test]
fn a_short_gap_is_filled_and_a_short_overlap_cut() {
    let (times, flags) = packet_times(4800 + 9600);
    assert_eq!(times, evenly(0, 21));
    assert!(!flags.contains(&true));
    // 50 ms of the second frame are there already.
    assert_eq!(packet_times(2400).0, evenly(0, 8));
}

#[test]
fn a_long_gap_or_a_jump_back_starts_anew() {
    for second in [4800 + 24_001, -96_000] {
        let (times, flags) = packet_times(second);
        assert_eq!(times, [evenly(0, 6), evenly(second, 6)].concat());
        let marks: Vec<_> = flags.iter().map(|flag| u8::from(*flag)).collect();
        assert_eq!(marks, [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    }
}

#[test]
fn any_layout_is_mixed_and_a_change_goes_on() {
    let mut encoder = encoder(2);
    for (n, channels) in [6usize, 1, 2, 8, 3].into_iter().enumerate() {
        let planes = vec![vec![0.1; 960]; channels];
        encoder
            .push(frame(48_000, opus(960 * n as i64), &planes))
            .unwrap();
    }
    let times: Vec<_> = pulled(&mut encoder).iter().map(|u| u.pts.ticks).collect();
    assert_eq!(times, evenly(0, 5));
}

#[test]
fn values_that_are_no_sound_do_not_spoil_what_follows() {
    let mut encoder = encoder(1);
    let poison = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30];
    let bad: Vec<f32> = poison.iter().copied().cycle().take(960).collect();
    encoder.push(frame(48_000, opus(0), &[bad])).unwrap();
    for n in 1..20 {
        let tone = sine(440.0, 0.4, 48_000, n * 960, 960);
        encoder.push(frame(48_000, opus(n * 960), &[tone])).unwrap();
    }
    let frames = decoded(&pulled(&mut encoder), 1);
    let got = joined(&frames[10..], 0);
    let start = frames[10].pts().ticks;
    let snr = snr(&sine(440.0, 0.4, 48_000, start, got.len()), &got);
    assert!(snr > 20.0, "{snr:.1} dB");
}

#[test]
fn the_bit_rate_is_kept() {
    for bitrate in [24_000, 96_000, 192_000] {
        let settings = OpusEncoderSettings {
            channels: 2,
            bitrate,
        };
        let mut encoder = OpusEncoder::new(settings, &FramePool::new()).unwrap();
        // Noise is what no encoder can save on.
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (f64::from(state) / f64::from(u32::MAX) - 0.5) as f32
        };
        let planes: Vec<Vec<f32>> = (0..2)
            .map(|_| (0..96_000).map(|_| noise()).collect())
            .collect();
        encoder.push(frame(48_000, opus(0), &planes)).unwrap();
        let bytes: usize = pulled(&mut encoder).iter().map(|u| u.data.len()).sum();
        let got = bytes as f64 * 8.0 / 2.0 / f64::from(bitrate);
        assert!((0.8..1.2).contains(&got), "{got:.2} of {bitrate}");
    }
}

#[test]
fn settings_that_opus_does_not_have_are_refused_by_name() {
    let open = |channels, bitrate| {
        OpusEncoder::new(OpusEncoderSettings { channels, bitrate }, &FramePool::new())
            .err()
            .unwrap()
            .to_string()
    };
    assert!(open(6, 96_000).contains("1 or 2 channels, not 6"));
    assert!(open(2, 5_999).contains("5999 bit/s is outside 6000 to 510000"));
}

#[test]
fn a_frame_of_an_impossible_rate_is_refused_and_the_next_goes_on() {
    let mut encoder = encoder(1);
    let error = encoder
        .push(frame(0, opus(0), &[vec![0.0; 960]]))
        .unwrap_err();
    assert!(matches!(error, CodecError::Frame(_)), "{error}");
    encoder
        .push(frame(48_000, opus(0), &[vec![0.0; 960]]))
        .unwrap();
    assert!(encoder.pull().is_some());
}
