//! AAC decoding: equal to ffmpeg's, channel order, HE-AAC, refusals, damage.

use proptest::prelude::*;
use serde_json::Value;
use syom::EncodeOptions;

use super::*;
use crate::access_unit::{TrackId, UnitFlags};
use crate::audio::tone::{amplitude, joined, sine};

fn params(channels: u8, config: Vec<u8>) -> AudioParams {
    AudioParams {
        codec: Codec::Aac,
        sample_rate: 48_000,
        channels,
        config: config.into(),
    }
}

fn unit(data: impl Into<Bytes>) -> AccessUnit {
    AccessUnit {
        track: TrackId(1),
        codec: Codec::Aac,
        data: data.into(),
        pts: Timestamp::mpeg(900),
        dts: Timestamp::mpeg(900),
        keyframe: true,
        flags: UnitFlags::default(),
        received: None,
    }
}

fn test_data(folder: &str, name: &str) -> Vec<u8> {
    let path = trickle_testkit::clip("../").join(folder).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The AudioSpecificConfig and the raw frames of an ADTS file.
fn adts(name: &str) -> (Vec<u8>, Vec<Bytes>) {
    let file = Bytes::from(test_data("audio", name));
    let (object, rate) = ((file[2] >> 6) + 1, (file[2] >> 2) & 15);
    let channels = (file[2] & 1) << 2 | file[3] >> 6;
    let config = vec![object << 3 | rate >> 1, (rate & 1) << 7 | channels << 3];
    let (mut frames, mut at) = (Vec::new(), 0);
    while at < file.len() {
        let head = &file[at..at + 7];
        let length =
            usize::from(head[3] & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5] >> 5);
        frames.push(file.slice(at + 7..at + length));
        at += length;
    }
    (config, frames)
}

fn decode(channels: u8, config: Vec<u8>, frames: Vec<Bytes>) -> Vec<AudioFrame> {
    let mut decoder = AacDecoder::new(&params(channels, config), &FramePool::new()).unwrap();
    let mut out = Vec::new();
    for frame in frames {
        decoder.push(&unit(frame)).unwrap();
        out.extend(decoder.pull());
    }
    out
}

fn figures(name: &str) -> Value {
    let text = test_data("figures", "mp4_audio_levels.json");
    let all: Value = serde_json::from_slice(&text).unwrap();
    all[name].clone()
}

#[test]
fn samples_equal_ffmpegs_in_every_channel() {
    for layout in ["3.0", "5.0", "5.1", "7.1"] {
        let name = format!("tones_{layout}.aac");
        let figures = figures(&name);
        let channels = figures["channels"].as_u64().unwrap() as u8;
        let (config, units) = adts(&name);
        let frames = decode(channels, config, units);
        let at = figures["excerpt_at"].as_u64().unwrap() as usize;
        for (index, excerpt) in figures["excerpt"].as_array().unwrap().iter().enumerate() {
            let got = joined(&frames, index);
            assert_eq!(got.len() as u64, figures["samples"].as_u64().unwrap());
            for (got, expected) in got[at..].iter().zip(excerpt.as_array().unwrap()) {
                let expected = expected.as_f64().unwrap() as f32;
                assert!(
                    (got - expected).abs() < 1e-6,
                    "channel {index} of {layout}: {got} instead of {expected}"
                );
            }
        }
    }
}

#[test]
fn each_channel_has_its_own_tone() {
    // L R C LFE Ls Rs
    let tones = [300.0, 700.0, 1100.0, 60.0, 1900.0, 2300.0];
    let (config, units) = adts("tones_5.1.aac");
    let frames = decode(6, config, units);
    assert_eq!(frames[0].channels(), 6);
    assert_eq!(
        (frames[0].samples(), frames[0].sample_rate()),
        (1024, 48_000)
    );
    assert_eq!(frames[0].pts(), Timestamp::mpeg(900));
    for index in 0..6 {
        let signal = joined(&frames, index);
        let inside = &signal[3000..12_600];
        for (other, hertz) in tones.iter().enumerate() {
            let level = amplitude(inside, *hertz, 48_000);
            if other == index {
                assert!((level - 0.2).abs() < 0.05, "{hertz} Hz in {index}: {level}");
            } else {
                assert!(level < 0.01, "{hertz} Hz in {index}: {level}");
            }
        }
    }
}

#[test]
fn a_back_centre_becomes_both_surrounds_of_5_1() {
    let (config, units) = adts("tones_4.0.aac");
    let frames = decode(4, config, units);
    assert_eq!(frames[0].channels(), 6);
    let level =
        |index: usize, hertz: f64| amplitude(&joined(&frames, index)[3000..12_600], hertz, 48_000);
    for (index, hertz) in [(0, 300.0), (1, 700.0), (2, 1100.0)] {
        assert!((level(index, hertz) - 0.2).abs() < 0.05);
    }
    for surround in [4, 5] {
        assert!((level(surround, 1500.0) - 0.1414).abs() < 0.03);
    }
    assert!(joined(&frames, 3).iter().all(|value| *value == 0.0), "LFE");
}

#[test]
fn layouts_are_put_in_order_by_label() {
    use Channel::{
        BackCenter, BackLeft, FrontCenter, FrontLeft, FrontRight, Lfe, Other, SideLeft, SideRight,
    };
    let indices = |labels: &[Channel]| -> Option<Vec<Option<usize>>> {
        let found = sources(labels)?;
        Some(
            found
                .iter()
                .map(|s| s.first().map(|(index, _)| *index))
                .collect(),
        )
    };
    let all = |order: &[usize]| Some(order.iter().copied().map(Some).collect::<Vec<_>>());
    assert_eq!(indices(&[FrontCenter]), all(&[0]));
    assert_eq!(
        indices(&[FrontCenter, FrontLeft, FrontRight]),
        all(&[1, 2, 0])
    );
    // A program config element gives front, side, back, LFE.
    assert_eq!(
        indices(&[
            FrontCenter,
            FrontLeft,
            FrontRight,
            SideLeft,
            SideRight,
            BackCenter,
            Lfe
        ]),
        all(&[1, 2, 0, 6, 5, 3, 4])
    );
    // 2.1 has no place of its own: it becomes 5.1 with silence.
    assert_eq!(
        indices(&[FrontLeft, FrontRight, Lfe]),
        Some(vec![Some(0), Some(1), None, Some(2), None, None])
    );
    // Parametric stereo: the decoder names only the mono channel that it started from.
    assert_eq!(indices(&[FrontCenter, Other]), all(&[0, 1]));
    assert_eq!(indices(&[FrontLeft, Other]), None);
    assert_eq!(indices(&[FrontLeft, FrontRight, BackLeft, SideLeft]), None);
}

/// HE-AAC of a 1 kHz tone in each of `channels` channels, and its configuration.
fn he_aac(channels: usize, v2: bool) -> (Vec<u8>, Vec<Bytes>) {
    let mut options = EncodeOptions::raw().with_bitrate_bps(48_000).with_he(true);
    if v2 {
        options = options.with_he_v2(true);
    }
    let mut encoder = syom::Encoder::new(48_000, channels, &options).unwrap();
    let tone = sine(1000.0, 0.3, 48_000, 0, 48_000);
    let mut units = Vec::new();
    encoder
        .feed(&vec![&tone[..]; channels], |frame| {
            units.push(Bytes::copy_from_slice(frame.payload));
            Ok(())
        })
        .unwrap();
    (encoder.asc().to_vec(), units)
}

#[test]
fn he_aac_comes_at_its_full_rate() {
    for (channels, v2) in [(1, false), (2, false), (2, true)] {
        let (config, units) = he_aac(channels, v2);
        let frames = decode(channels as u8, config, units);
        // Mono with band replication comes as two equal channels: parametric stereo may begin in
        // any of its frames.
        assert_eq!(frames[0].channels(), 2);
        assert_eq!(
            (frames[0].samples(), frames[0].sample_rate()),
            (2048, 48_000)
        );
        for index in 0..2 {
            let signal = joined(&frames, index);
            let level = amplitude(&signal[8192..40_192], 1000.0, 48_000);
            assert!((level - 0.3).abs() < 0.03, "{channels} channels: {level}");
        }
    }
}

#[test]
fn what_cannot_be_decoded_is_named() {
    let reason = |config: Vec<u8>| {
        AacDecoder::new(&params(2, config), &FramePool::new())
            .err()
            .unwrap()
            .reason
    };
    assert!(reason(Vec::new()).contains("without an AudioSpecificConfig"));
    // Object type 36, ALS, and 42, USAC: escaped.
    for object in [36u8, 42] {
        let escaped = object - 32;
        let config = vec![31 << 3 | escaped >> 3, escaped << 5 | 3 << 1, 2 << 4];
        let reason = reason(config);
        assert!(reason.contains(&object.to_string()), "{reason}");
    }
    // Cut short.
    assert!(!reason(vec![0x11]).is_empty());
}

#[test]
fn decoding_goes_on_after_a_bad_frame_and_a_flush() {
    let (config, units) = adts("tones_5.1.aac");
    let mut decoder = AacDecoder::new(&params(6, config), &FramePool::new()).unwrap();
    decoder.push(&unit(units[0].clone())).unwrap();
    assert!(decoder.pull().is_some());
    for bad in [Bytes::new(), units[3].slice(..40)] {
        let error = decoder.push(&unit(bad)).unwrap_err();
        assert!(matches!(error, CodecError::Damaged { .. }), "{error}");
        assert!(decoder.pull().is_none());
    }
    decoder.push(&unit(units[4].clone())).unwrap();
    assert!(decoder.pull().is_some());
    decoder.flush().unwrap();
    decoder.push(&unit(units[5].clone())).unwrap();
    assert_eq!(decoder.pull().unwrap().samples(), 1024);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_frames_never_panic_and_give_bounded_frames(
        first in 0usize..10,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (config, units) = adts("tones_5.1.aac");
        let mut decoder = AacDecoder::new(&params(6, config), &FramePool::new()).unwrap();
        for frame in &units[first..first + 3] {
            let mut data = frame.to_vec();
            for (at, value) in &flips {
                let at = at.index(data.len());
                data[at] ^= value;
            }
            if let Some(cut) = &cut {
                data.truncate(cut.index(data.len()));
            }
            if decoder.push(&unit(data)).is_ok() {
                let out = decoder.pull().unwrap();
                prop_assert!(out.samples() <= 2048 && out.channels() <= 8);
            }
        }
    }

    #[test]
    fn damaged_he_aac_never_panics(
        first in 0usize..10,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        use std::sync::OnceLock;
        static MADE: OnceLock<(Vec<u8>, Vec<Bytes>)> = OnceLock::new();
        let (config, units) = MADE.get_or_init(|| he_aac(2, true));
        let mut decoder = AacDecoder::new(&params(2, config.clone()), &FramePool::new()).unwrap();
        for frame in &units[first..first + 3] {
            let mut data = frame.to_vec();
            for (at, value) in &flips {
                let at = at.index(data.len());
                data[at] ^= value;
            }
            let _ = decoder.push(&unit(data));
        }
    }

    #[test]
    fn any_configuration_and_any_bytes_never_panic(
        config in prop::collection::vec(any::<u8>(), 0..40),
        data in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        if let Ok(mut decoder) = AacDecoder::new(&params(2, config), &FramePool::new()) {
            for _ in 0..3 {
                let _ = decoder.push(&unit(data.clone()));
            }
        }
    }
}
