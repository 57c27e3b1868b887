//! Audio of the real clips, from transport stream to Opus again.

use serde_json::Value;

use super::*;
use crate::access_unit::{AccessUnit, MediaKind};
use crate::audio::tone::joined;
use crate::codec::{OpusEncoder, OpusEncoderSettings};
use crate::coder::Encoder;
use crate::error::CodecError;
use crate::frame::AudioFrame;
use crate::stream::StreamParams;
use crate::time::TimeBase;
use crate::ts::{DemuxEvent, DemuxOptions, Demuxer};

/// The audio stream of a clip and its units.
fn audio_of(name: &str) -> (AudioParams, Vec<AccessUnit>) {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    let (mut params, mut units) = (None, Vec::new());
    demuxer.push(&trickle_testkit::clip_bytes(name), None);
    demuxer.finish();
    while let Some(event) = demuxer.next_event() {
        match event {
            DemuxEvent::Streams(streams) => {
                let audio = streams.into_iter().find_map(|stream| match stream.params {
                    StreamParams::Audio(audio) => Some(audio),
                    _ => None,
                });
                params = audio.or(params);
            }
            DemuxEvent::Unit(unit) if unit.codec.kind() == MediaKind::Audio => units.push(unit),
            _ => {}
        }
    }
    (params.unwrap(), units)
}

fn decoded(name: &str) -> Vec<AudioFrame> {
    let (params, units) = audio_of(name);
    let mut decoder = open_audio_decoder(&params, &FramePool::new()).unwrap();
    let mut frames = Vec::new();
    for unit in &units {
        decoder.push(unit).unwrap();
        frames.extend(std::iter::from_fn(|| decoder.pull()));
    }
    frames
}

fn levels(name: &str) -> Value {
    let path = trickle_testkit::clip("../figures/mp4_audio_levels.json");
    let all: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    all[name].clone()
}

#[test]
fn every_clip_has_the_levels_that_ffmpeg_decodes() {
    for name in [
        "bframes_360p30_high_aac.ts",
        "portrait_360x640_aac44k_mono.ts",
        "live_720p25_baseline_opus.ts",
        "audioonly_opus.ts",
    ] {
        let (frames, levels) = (decoded(name), levels(name));
        assert_eq!(
            u64::from(frames[0].sample_rate()),
            levels["sample_rate"],
            "{name}"
        );
        assert_eq!(frames[0].channels() as u64, levels["channels"], "{name}");
        for (channel, expected) in levels["rms"].as_array().unwrap().iter().enumerate() {
            let samples = joined(&frames, channel);
            assert_eq!(samples.len() as u64, levels["samples"], "{name}");
            let seconds = samples.chunks(frames[0].sample_rate() as usize);
            for (second, expected) in seconds.zip(expected.as_array().unwrap()) {
                let power: f64 = second.iter().map(|v| f64::from(*v).powi(2)).sum();
                let rms = (power / second.len() as f64).sqrt();
                let expected = expected.as_f64().unwrap();
                assert!(
                    (rms - expected).abs() < 1e-6,
                    "{name}: {rms} instead of {expected}"
                );
            }
        }
    }
}

#[test]
fn every_clip_is_encoded_to_opus_without_a_gap() {
    for name in [
        "bunny_720p25_main_aac51.ts",
        "bframes_360p30_high_aac.ts",
        "portrait_360x640_aac44k_mono.ts",
        "ptswrap_180p30.ts",
        "live_720p25_baseline_opus.ts",
    ] {
        let frames = decoded(name);
        let pool = FramePool::new();
        let mut encoder = OpusEncoder::new(OpusEncoderSettings::new(2), &pool).unwrap();
        let mut units = Vec::new();
        for frame in &frames {
            encoder.push(frame.clone()).unwrap();
            units.extend(std::iter::from_fn(|| encoder.pull()));
        }
        encoder.flush().unwrap();
        units.extend(std::iter::from_fn(|| encoder.pull()));
        for pair in units.windows(2) {
            assert_eq!(pair[1].pts.ticks - pair[0].pts.ticks, 960, "{name}");
        }
        // It covers the input from its start, look-ahead taken out, to its end.
        let (first, last) = (&units[0], &units[units.len() - 1]);
        let start = frames[0].pts().in_base(TimeBase::OPUS);
        assert!((first.pts.ticks + 312 - start).abs() <= 1, "{name}");
        let end = frames[frames.len() - 1].end().in_base(TimeBase::OPUS);
        assert!(
            (0..=2 * 960).contains(&(last.pts.ticks + 960 - end)),
            "{name}"
        );
    }
}

#[test]
fn damaged_clips_are_decoded_but_for_their_damage() {
    for name in [
        "damaged_bitflips.ts",
        "damaged_lost_packets.ts",
        "damaged_garbage_inside.ts",
    ] {
        let (params, units) = audio_of(name);
        let mut decoder = open_audio_decoder(&params, &FramePool::new()).unwrap();
        let mut good = 0;
        for unit in &units {
            match decoder.push(unit) {
                Ok(()) => good += decoder.pull().map_or(0, |_| 1),
                Err(error) => assert!(matches!(error, CodecError::Damaged { .. }), "{error}"),
            }
        }
        assert!(
            good * 10 >= units.len() * 9,
            "{name}: {good} of {}",
            units.len()
        );
    }
}

#[test]
fn other_codecs_are_refused_by_name() {
    let (mut params, _) = audio_of("audioonly_opus.ts");
    params.codec = Codec::Ac3;
    let error = open_audio_decoder(&params, &FramePool::new())
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "ac3 is not supported: no decoder is built in; AAC and Opus can be decoded"
    );
}
