//! What only a card can show. `just gpu-check` runs all of it; alone it is
//! `cargo test -p trickle-gpu --test hardware -- --include-ignored`. Without a card every ignored
//! test fails when it is asked for; `TRICKLE_REQUIRE_GPU=1` has a plain test run fail, too.
//!
//! Cards that only decode (A100, H100) pass: what needs an encoder says that it was not tested,
//! and fails with `TRICKLE_REQUIRE_NVENC=1`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // Helpers of tests may, like tests.

mod decode;
mod encode;
mod frames;

use trickle_gpu::{CudaBackend, probe};
use trickle_media::backend::Backend;
use trickle_media::codec::CpuBackend;
use trickle_media::coder::{Encoder, RateControl};
use trickle_media::coder::{VideoDecoder, VideoEncoderSettings};
use trickle_media::frame::{FramePool, Image, PixelFormat, PlanarImage};
use trickle_media::stream::{Rational, StreamParams, VideoParams};
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};
use trickle_media::{AccessUnit, Codec, ColorDescription, Orientation, Timestamp, VideoFrame};
use trickle_testkit::clip_bytes;

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| value == "1")
}

/// The first device, or that of the number in `TRICKLE_GPU`.
fn device() -> CudaBackend {
    let index = std::env::var("TRICKLE_GPU").map_or(0, |index| index.parse().unwrap());
    CudaBackend::open(index)
        .unwrap_or_else(|error| panic!("no GPU to test on: {error}\n{:#?}", probe()))
}

/// The first device where it encodes the codec; else `None`, and the reason is told.
fn encoding_device(codec: Codec) -> Option<CudaBackend> {
    let gpu = device();
    let encode = &gpu.report().encode;
    if encode.codecs.iter().any(|caps| caps.codec == codec) {
        return Some(gpu);
    }
    let reason = encode.reason.as_deref().unwrap_or("the codec is missing");
    assert!(
        !is_set("TRICKLE_REQUIRE_NVENC"),
        "no {codec} encoder: {reason}"
    );
    println!("NOT tested: encoding {codec} ({reason})");
    None
}

/// On a machine that is meant to have a GPU, its absence must not pass for a skipped test.
#[test]
fn the_gpu_that_this_run_requires_is_there() {
    if is_set("TRICKLE_REQUIRE_GPU") {
        device();
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn the_probe_knows_the_card() {
    let report = probe();
    println!("{}", serde_json::to_string_pretty(&report).unwrap());
    assert!(report.driver.is_some(), "NVML is part of every driver");
    let gpu = device();
    let decode = &gpu.report().decode;
    let codecs: Vec<Codec> = decode.codecs.iter().map(|caps| caps.codec).collect();
    assert_eq!(codecs, [Codec::H264, Codec::Hevc], "{decode:?}");
    println!("{:#?}", gpu.describe());
}

/// A gradient both ways, that moves to the right by `shift` columns.
fn gradient(width: usize, height: usize, shift: usize) -> PlanarImage {
    let pool = FramePool::new();
    let mut image = PlanarImage::new(PixelFormat::Nv12, width, height, &pool.bytes).unwrap();
    let [luma, chroma, _] = image.planes_mut();
    for (at, sample) in luma.iter_mut().enumerate() {
        *sample = (16 + (at + shift) % width * 219 / width) as u8;
    }
    for (at, sample) in chroma.iter_mut().enumerate() {
        *sample = (64 + at / width * 128 / height.div_ceil(2)) as u8;
    }
    image
}

/// Number `number` of a gradient clip of 30 frames a second.
fn gradient_frame(width: usize, height: usize, number: usize) -> VideoFrame {
    VideoFrame::new(
        Image::Planar(gradient(width, height, 4 * number)),
        Timestamp::mpeg(3000 * number as i64),
        ColorDescription::BT709,
        FramePool::new(),
    )
}

/// The frames are those of the gradient clip, from `first` on, at their times.
fn check_gradient(frames: &[VideoFrame], first: usize) {
    for (at, frame) in frames.iter().enumerate() {
        let number = first + at;
        assert_eq!(frame.pts(), Timestamp::mpeg(3000 * number as i64));
        let expected = gradient(frame.width(), frame.height(), 4 * number);
        let far = mean_distance(&samples(frame), &planar_samples(&expected));
        assert!(far < 2.0, "picture {number} is off by {far} in the mean");
    }
}

fn settings(codec: Codec, width: u32, height: u32) -> VideoEncoderSettings {
    VideoEncoderSettings {
        codec,
        width,
        height,
        bitrate: 6_000_000,
        rate_control: RateControl::Constant,
        frame_rate: Rational::new(30, 1).unwrap(),
        gop: std::time::Duration::from_secs(2),
        color: ColorDescription::BT709,
        threads: 1,
    }
}

/// What the settings' stream is to a decoder.
fn params_of(settings: &VideoEncoderSettings) -> VideoParams {
    VideoParams {
        codec: settings.codec,
        width: settings.width,
        height: settings.height,
        frame_rate: None,
        color: settings.color,
        profile: if settings.codec == Codec::Hevc { 1 } else { 77 },
        level: 93,
        bit_depth: 8,
        chroma_format: 1,
        interlaced: false,
        reorder: Some(0),
        orientation: Orientation::UPRIGHT,
    }
}

/// A clip's video.
fn video(clip: &str, codec: Codec) -> (VideoParams, Vec<AccessUnit>) {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(&clip_bytes(clip), None);
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
            DemuxEvent::Unit(unit) if unit.codec == codec => units.push(unit),
            _ => {}
        }
    }
    (params.unwrap_or_else(|| VideoParams::unknown(codec)), units)
}

/// All frames, on the host.
fn decode(mut decoder: VideoDecoder, units: &[AccessUnit]) -> Vec<VideoFrame> {
    let mut frames = Vec::new();
    let mut take = |decoder: &mut VideoDecoder| {
        while let Some(frame) = decoder.pull() {
            frames.push(frame.to_host().unwrap());
        }
    };
    for unit in units {
        decoder.push(unit).unwrap();
        take(&mut decoder);
    }
    decoder.flush().unwrap();
    take(&mut decoder);
    frames
}

fn on_cpu(params: &VideoParams, units: &[AccessUnit]) -> Vec<VideoFrame> {
    let decoder = CpuBackend::new().open_decoder(params, &FramePool::new());
    decode(decoder.unwrap(), units)
}

/// The first `count` frames of the gradient clip, coded.
fn coded(
    encoder: &mut dyn Encoder<Frame = VideoFrame>,
    (width, height): (usize, usize),
    count: usize,
) -> Vec<AccessUnit> {
    let mut units = Vec::new();
    for number in 0..count {
        encoder.push(gradient_frame(width, height, number)).unwrap();
        units.extend(std::iter::from_fn(|| encoder.pull()));
    }
    encoder.flush().unwrap();
    units.extend(std::iter::from_fn(|| encoder.pull()));
    units
}

/// Luma, then chroma interleaved.
fn planar_samples(image: &PlanarImage) -> Vec<u8> {
    let mut samples = image.plane(0).to_vec();
    match image.format() {
        PixelFormat::Nv12 => samples.extend(image.plane(1)),
        PixelFormat::I420 => {
            let pairs = image.plane(1).iter().zip(image.plane(2));
            samples.extend(pairs.flat_map(|(&u, &v)| [u, v]));
        }
    }
    samples
}

fn samples(frame: &VideoFrame) -> Vec<u8> {
    match frame.image() {
        Image::Planar(image) => planar_samples(image),
        _ => panic!("not planes"),
    }
}

fn mean_distance(one: &[u8], other: &[u8]) -> f64 {
    assert_eq!(one.len(), other.len());
    let pairs = one.iter().zip(other);
    let sum: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / one.len() as f64
}
