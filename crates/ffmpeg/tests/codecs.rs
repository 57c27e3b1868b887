//! FFmpeg's decoders and encoders as a backend, on the clips that the CPU's are tested with.
#![cfg(feature = "ffmpeg")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests may, like tests.

use std::time::Duration;

use serde_json::Value;
use trickle_ffmpeg::FfmpegBackend;
use trickle_media::codec::CpuBackend;
use trickle_media::coder::{RateControl, VideoDecoder, VideoEncoderSettings};
use trickle_media::convert::CoverScaler;
use trickle_media::error::CodecError;
use trickle_media::frame::{FramePool, Image};
use trickle_media::h264::NalKind;
use trickle_media::h264::annexb::nal_units;
use trickle_media::stream::{Rational, StreamParams};
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};
use trickle_media::{
    AccessUnit, Backend, Codec, ColorDescription, MediaKind, VideoFrame, VideoParams,
};
use trickle_testkit::{clip, clip_bytes};

fn units(name: &str) -> (VideoParams, Vec<AccessUnit>) {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(&clip_bytes(name), None);
    demuxer.finish();
    let (mut params, mut units) = (None, Vec::new());
    while let Some(event) = demuxer.next_event() {
        match event {
            DemuxEvent::Streams(streams) => {
                params = params.or(streams.into_iter().find_map(|stream| match stream.params {
                    StreamParams::Video(params) => Some(params),
                    _ => None,
                }));
            }
            DemuxEvent::Unit(unit) if unit.codec.kind() == MediaKind::Video => units.push(unit),
            _ => {}
        }
    }
    let params = params.unwrap_or_else(|| VideoParams::unknown(units[0].codec));
    (params, units)
}

fn decoder(params: &VideoParams) -> VideoDecoder {
    let backend = FfmpegBackend::new().unwrap();
    backend.open_decoder(params, &FramePool::new()).unwrap()
}

/// Frames, errors, and the most pictures that were ever held back.
fn decode(
    decoder: &mut VideoDecoder,
    units: &[AccessUnit],
) -> (Vec<VideoFrame>, Vec<CodecError>, usize) {
    let (mut frames, mut errors, mut lag) = (Vec::new(), Vec::new(), 0);
    for (index, unit) in units.iter().enumerate() {
        errors.extend(decoder.push(unit).err());
        frames.extend(std::iter::from_fn(|| decoder.pull()));
        lag = lag.max((index + 1).saturating_sub(frames.len() + errors.len()));
    }
    decoder.flush().unwrap();
    frames.extend(std::iter::from_fn(|| decoder.pull()));
    (frames, errors, lag)
}

fn md5(frame: &VideoFrame) -> String {
    let Image::Planar(image) = frame.image() else {
        panic!("{:?}", frame.image())
    };
    format!("{:x}", md5::compute(image.as_bytes()))
}

/// Time and MD5 of each picture that ffmpeg shows.
fn figures(name: &str) -> Vec<(i64, String)> {
    let file = std::fs::read(clip(&format!("../figures/{name}.json"))).unwrap();
    let json: Value = serde_json::from_slice(&file).unwrap();
    let frames = &json["frames"];
    let times = frames["pts"].as_array().unwrap().iter();
    times
        .zip(frames["md5"].as_array().unwrap())
        .map(|(pts, md5)| (pts.as_i64().unwrap(), md5.as_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn pictures_and_times_are_those_of_the_program_ffmpeg() {
    for (name, most_lag) in [
        ("live_720p25_baseline_opus.ts", 0),
        ("bframes_360p30_high_aac.ts", 3),
        ("hevc_240p25.ts", 4),
        ("crop_854x482_videoonly.ts", 0),
        ("h264_monochrome.ts", 3),
    ] {
        let (params, units) = units(name);
        let (frames, errors, lag) = decode(&mut decoder(&params), &units);
        assert!(errors.is_empty(), "{name}: {errors:?}");
        assert!(lag <= most_lag, "{name}: {lag} pictures late");
        let shown: Vec<_> = frames.iter().map(|f| (f.pts().ticks, md5(f))).collect();
        assert_eq!(shown, figures(name), "{name}");
    }
}

#[test]
fn interlaced_ten_bit_and_422_become_what_the_cpu_backend_makes_of_them() {
    for name in [
        "interlaced_576i.ts",
        "h264_high10_240p25.ts",
        "h264_high422_8.ts",
        "h264_high422_10_interlaced.ts",
    ] {
        let (params, units) = units(name);
        let (frames, errors, _) = decode(&mut decoder(&params), &units);
        assert!(errors.is_empty(), "{name}: {errors:?}");
        let mut cpu = CpuBackend::new()
            .open_decoder(&params, &FramePool::new())
            .unwrap();
        let (expected, _, _) = decode(&mut cpu, &units);
        let list = |frames: &[VideoFrame]| -> Vec<_> {
            frames.iter().map(|f| (f.pts().ticks, md5(f))).collect()
        };
        assert_eq!(list(&frames), list(&expected), "{name}");
    }
}

#[test]
fn damage_stops_pictures_until_the_next_keyframe() {
    let (params, mut units) = units("ptswrap_180p30.ts");
    let (intact, _, _) = decode(&mut decoder(&params), &units);
    units[10].flags.damaged = true;
    let next = units.iter().skip(1).position(|unit| unit.keyframe).unwrap() + 1;
    let (frames, errors, _) = decode(&mut decoder(&params), &units);
    assert_eq!(errors.len(), next - 10);
    let list = |frames: &[VideoFrame]| -> Vec<_> { frames.iter().map(md5).collect() };
    let intact = list(&intact);
    assert_eq!(list(&frames), [&intact[..10], &intact[next..]].concat());
}

fn settings(codec: Codec) -> VideoEncoderSettings {
    VideoEncoderSettings {
        codec,
        width: 320,
        height: 180,
        bitrate: 500_000,
        rate_control: RateControl::Constant,
        frame_rate: Rational::new(30, 1).unwrap(),
        gop: Duration::from_secs(1),
        color: ColorDescription::BT709,
        threads: 2,
    }
}

#[test]
fn every_frame_gives_its_unit_at_once_and_decodes_to_what_it_was() {
    let backend = FfmpegBackend::new().unwrap();
    let (params, units) = units("ptswrap_180p30.ts");
    let (frames, _, _) = decode(&mut decoder(&params), &units[..75]);
    for codec in [Codec::H264, Codec::Hevc] {
        let Ok(mut encoder) = backend.open_encoder(&settings(codec)) else {
            // Not every FFmpeg has x265.
            assert_eq!(codec, Codec::Hevc);
            continue;
        };
        let mut coded = Vec::new();
        for (index, frame) in frames.iter().enumerate() {
            if index == 50 {
                encoder.force_keyframe();
            }
            encoder.push(frame.clone()).unwrap();
            let unit = encoder.pull().expect("a unit for each frame");
            assert_eq!(unit.pts, frame.pts());
            coded.push(unit);
            assert!(encoder.pull().is_none());
        }
        let keyframes: Vec<usize> = (0..coded.len()).filter(|&at| coded[at].keyframe).collect();
        assert_eq!(keyframes, [0, 30, 50], "{codec}");
        let mut decoder = decoder(&VideoParams::unknown(codec));
        let (decoded, errors, lag) = decode(&mut decoder, &coded);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!((decoded.len(), lag), (frames.len(), 0));
        let worst = frames
            .iter()
            .zip(&decoded)
            .map(|(before, after)| psnr(before, after))
            .fold(f64::INFINITY, f64::min);
        assert!(worst > 28.0, "{codec}: {worst} dB");
        assert_eq!(decoded[0].color(), ColorDescription::BT709);
    }
}

#[test]
fn keyframes_bring_their_parameter_sets_and_what_follows_a_flush_is_a_new_stream() {
    let backend = FfmpegBackend::new().unwrap();
    let (params, units) = units("ptswrap_180p30.ts");
    let (frames, _, _) = decode(&mut decoder(&params), &units[..3]);
    let mut encoder = backend.open_encoder(&settings(Codec::H264)).unwrap();
    for _ in 0..2 {
        for frame in &frames {
            encoder.push(frame.clone()).unwrap();
        }
        encoder.flush().unwrap();
        let coded: Vec<_> = std::iter::from_fn(|| encoder.pull()).collect();
        assert_eq!(coded.len(), 3);
        let has = |kind: NalKind| nal_units(&coded[0].data).any(|nal| nal.kind() == kind);
        assert!(has(NalKind::SPS) && has(NalKind::PPS) && has(NalKind::IDR));
    }
}

/// Bits per second of what an encoder makes of frames at 30 a second.
fn bits_per_second(units: &[AccessUnit]) -> f64 {
    let bytes: usize = units.iter().map(|unit| unit.data.len()).sum();
    bytes as f64 * 8.0 * 30.0 / units.len() as f64
}

/// An encoder stays as it is; a stream whose bit rate or size changes goes on with another.
#[test]
fn another_bit_rate_or_size_takes_another_encoder_and_one_decoder_reads_them_all() {
    let backend = FfmpegBackend::new().unwrap();
    let (params, units) = units("ptswrap_180p30.ts");
    let (frames, _, _) = decode(&mut decoder(&params), &units);
    let mut scaler = CoverScaler::new(160, 90).unwrap();
    let small = |frame: &VideoFrame| {
        let Image::Planar(image) = frame.image() else {
            panic!("{:?}", frame.image())
        };
        let image = scaler.planar(image, frame.pool()).unwrap();
        frame.clone().replace_image(Image::Planar(image))
    };
    let smaller: Vec<VideoFrame> = frames.iter().map(small).collect();
    for codec in [Codec::H264, Codec::Hevc] {
        let Ok(_) = backend.open_encoder(&settings(codec)) else {
            assert_eq!(codec, Codec::Hevc);
            continue;
        };
        let with = |width, height, bitrate| VideoEncoderSettings {
            width,
            height,
            bitrate,
            ..settings(codec)
        };
        let mut coded: Vec<Vec<AccessUnit>> = Vec::new();
        for (settings, frames) in [
            (with(320, 180, 500_000), &frames),
            (with(320, 180, 120_000), &frames),
            (with(160, 90, 150_000), &smaller),
        ] {
            let mut encoder = backend.open_encoder(&settings).unwrap();
            let mut out = Vec::new();
            for (index, frame) in frames.iter().enumerate() {
                if index == 20 {
                    let other = with(320, 180, 250_000);
                    assert!(encoder.reconfigure(&other).is_err());
                }
                encoder.push(frame.clone()).unwrap();
                out.push(encoder.pull().expect("a unit for each frame"));
            }
            // That it was asked for another rate has changed nothing.
            let keyframes = out.iter().filter(|unit| unit.keyframe).count();
            assert_eq!(keyframes, frames.len().div_ceil(30), "{codec}");
            let rate = bits_per_second(&out) / f64::from(settings.bitrate);
            assert!(
                (0.3..1.3).contains(&rate),
                "{codec}: {rate} of {settings:?}"
            );
            coded.push(out);
        }
        let all: Vec<AccessUnit> = coded.concat();
        let mut decoder = decoder(&VideoParams::unknown(codec));
        let (decoded, errors, lag) = decode(&mut decoder, &all);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!((decoded.len(), lag), (all.len(), 0));
        let widths: Vec<usize> = decoded.iter().map(VideoFrame::width).collect();
        let large = 2 * frames.len();
        assert!(widths[..large].iter().all(|width| *width == 320));
        assert!(widths[large..].iter().all(|width| *width == 160));
    }
}

fn psnr(one: &VideoFrame, other: &VideoFrame) -> f64 {
    let luma = |frame: &VideoFrame| match frame.image() {
        Image::Planar(image) => image.plane(0).to_vec(),
        image => panic!("{image:?}"),
    };
    let (one, other) = (luma(one), luma(other));
    let pairs = one.iter().zip(&other);
    let squares: f64 = pairs
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum();
    10.0 * (255.0 * 255.0 * one.len() as f64 / squares).log10()
}
