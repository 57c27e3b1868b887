//! What only a card can show. Run with `cargo test -p trickle-gpu -- --ignored`; without a card
//! every test here fails. `TRICKLE_REQUIRE_GPU=1` has a plain test run fail, too, where there is no
//! card.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // Helpers of tests may, like tests.

use std::time::Duration;

use trickle_gpu::{CudaBackend, CudaImage, probe};
use trickle_media::backend::Backend;
use trickle_media::codec::CpuBackend;
use trickle_media::coder::{RateControl, VideoDecoder, VideoEncoderSettings};
use trickle_media::convert::reference;
use trickle_media::frame::{DeviceImage, FramePool, HostImage, Image, PixelFormat, PlanarImage};
use trickle_media::stream::{Rational, StreamParams, VideoParams};
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};
use trickle_media::{AccessUnit, Codec, ColorDescription, Timestamp, VideoFrame};
use trickle_testkit::clip_bytes;

/// The first device.
fn device() -> CudaBackend {
    CudaBackend::open(0)
        .unwrap_or_else(|error| panic!("no GPU to test on: {error}\n{:#?}", probe()))
}

/// On a machine that is meant to have a GPU, its absence must not pass for a skipped test.
#[test]
fn the_gpu_that_this_run_requires_is_there() {
    if std::env::var_os("TRICKLE_REQUIRE_GPU").is_some_and(|value| value == "1") {
        device();
    }
}

/// A gradient both ways.
fn gradient(width: usize, height: usize) -> PlanarImage {
    let pool = FramePool::new();
    let mut image = PlanarImage::new(PixelFormat::Nv12, width, height, &pool.bytes).unwrap();
    let [luma, chroma, _] = image.planes_mut();
    for (at, sample) in luma.iter_mut().enumerate() {
        *sample = (16 + (at % width) * 219 / width) as u8;
    }
    for (at, sample) in chroma.iter_mut().enumerate() {
        *sample = (64 + at / width * 128 / height.div_ceil(2)) as u8;
    }
    image
}

fn video(clip: &str) -> (VideoParams, Vec<AccessUnit>) {
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
            DemuxEvent::Unit(unit) if unit.codec == Codec::H264 => units.push(unit),
            _ => {}
        }
    }
    (params.unwrap(), units)
}

/// All frames, as NV12 or I420 on the host.
fn decode(mut decoder: VideoDecoder, units: &[AccessUnit]) -> Vec<VideoFrame> {
    let mut frames = Vec::new();
    for unit in units {
        decoder.push(unit).unwrap();
        frames.extend(std::iter::from_fn(|| decoder.pull()));
    }
    decoder.flush().unwrap();
    frames.extend(std::iter::from_fn(|| decoder.pull()));
    frames
        .into_iter()
        .map(|frame| frame.to_host().unwrap())
        .collect()
}

fn luma(frame: &VideoFrame) -> Vec<u8> {
    match frame.image() {
        Image::Planar(image) => image.plane(0).to_vec(),
        _ => panic!("not planes"),
    }
}

fn mean_distance(one: &[u8], other: &[u8]) -> f64 {
    assert_eq!(one.len(), other.len());
    let sum: u64 = one
        .iter()
        .zip(other)
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    sum as f64 / one.len() as f64
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn kernels_equal_the_reference_bit_for_bit() {
    let gpu = device();
    let stream = gpu.gpu().stream().unwrap();
    let host = gradient(1280, 720);
    for color in [ColorDescription::BT601, ColorDescription::BT709] {
        let rgb = stream
            .to_rgb(&stream.upload(&host).unwrap(), color)
            .unwrap();
        let expected = reference::planar_to_tensor(&host, color, &FramePool::new()).unwrap();
        let HostImage::Tensor(got) = rgb.download(&FramePool::new()).unwrap() else {
            panic!("not a tensor");
        };
        let differ = got
            .iter()
            .zip(expected.iter())
            .filter(|(a, b)| a.to_bits() != b.to_bits());
        assert_eq!(differ.count(), 0);
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn clips_decode_to_the_cpus_pictures_and_times() {
    let gpu = device();
    for clip in [
        "ptswrap_180p30.ts",
        "bframes_360p30_high_aac.ts",
        "crop_854x482_videoonly.ts",
        "reschange_360p_to_240p.ts",
        "live_720p25_baseline_opus.ts",
    ] {
        let (params, units) = video(clip);
        let pool = FramePool::new();
        let got = decode(gpu.open_decoder(&params, &pool).unwrap(), &units);
        let expected = decode(
            CpuBackend::new().open_decoder(&params, &pool).unwrap(),
            &units,
        );
        assert_eq!(got.len(), expected.len(), "{clip}");
        for (at, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert_eq!(got.pts(), expected.pts(), "{clip}, frame {at}");
            assert!(luma(got) == luma(expected), "{clip}, frame {at}");
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU with an encoder"]
fn a_gradient_survives_encoding_on_the_device() {
    let gpu = device();
    let stream = gpu.gpu().stream().unwrap();
    let host = gradient(1280, 720);
    let settings = VideoEncoderSettings {
        codec: Codec::H264,
        width: 1280,
        height: 720,
        bitrate: 6_000_000,
        rate_control: RateControl::Constant,
        frame_rate: Rational::new(30, 1).unwrap(),
        gop: Duration::from_secs(2),
        color: ColorDescription::BT709,
        threads: 1,
    };
    let mut encoder = gpu.open_encoder(&settings).unwrap();
    let mut units = Vec::new();
    for number in 0..90 {
        let image: CudaImage = stream.upload(&host).unwrap();
        let frame = VideoFrame::new(
            Image::Device(std::sync::Arc::new(image)),
            Timestamp::mpeg(3000 * number),
            ColorDescription::BT709,
            FramePool::new(),
        );
        encoder.push(frame).unwrap();
        units.push(encoder.pull().unwrap());
    }
    let keyframes: Vec<usize> = (0..90).filter(|&at| units[at].keyframe).collect();
    assert_eq!(keyframes, [0, 60]);
    let params = VideoParams {
        codec: Codec::H264,
        width: 1280,
        height: 720,
        frame_rate: None,
        color: ColorDescription::BT709,
        profile: 77,
        level: 31,
        bit_depth: 8,
        chroma_format: 1,
        interlaced: false,
        reorder: Some(0),
    };
    let decoder = CpuBackend::new()
        .open_decoder(&params, &FramePool::new())
        .unwrap();
    let frames = decode(decoder, &units);
    assert_eq!(frames.len(), 90);
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(frame.pts(), Timestamp::mpeg(3000 * number as i64));
        assert_eq!(frame.color(), ColorDescription::BT709);
        let far = mean_distance(&luma(frame), host.plane(0));
        assert!(far < 2.0, "picture {number}: {far}");
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU with an encoder"]
fn hevc_goes_through_the_devices_codecs_and_changes_its_size() {
    let gpu = device();
    let pool = FramePool::new();
    let mut settings = VideoEncoderSettings {
        codec: Codec::Hevc,
        width: 1280,
        height: 720,
        bitrate: 6_000_000,
        rate_control: RateControl::Variable,
        frame_rate: Rational::new(30, 1).unwrap(),
        gop: Duration::from_secs(2),
        color: ColorDescription::BT709,
        threads: 1,
    };
    let mut encoder = gpu.open_encoder(&settings).unwrap();
    let mut units = Vec::new();
    for number in 0..30i64 {
        if number == 15 {
            (settings.width, settings.height) = (640, 360);
            encoder.reconfigure(&settings).unwrap();
        }
        let host = gradient(settings.width as usize, settings.height as usize);
        let frame = VideoFrame::new(
            Image::Planar(host),
            Timestamp::mpeg(3000 * number),
            ColorDescription::BT709,
            pool.clone(),
        );
        encoder.push(frame).unwrap();
        units.push(encoder.pull().unwrap());
    }
    assert!(units[0].keyframe && units[15].keyframe);
    let params = VideoParams {
        codec: Codec::Hevc,
        width: 1280,
        height: 720,
        frame_rate: None,
        color: ColorDescription::BT709,
        profile: 1,
        level: 93,
        bit_depth: 8,
        chroma_format: 1,
        interlaced: false,
        reorder: Some(0),
    };
    let frames = decode(gpu.open_decoder(&params, &pool).unwrap(), &units);
    assert_eq!(frames.len(), 30);
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(frame.pts(), Timestamp::mpeg(3000 * number as i64));
        let expected = gradient(frame.width(), frame.height());
        assert_eq!(frame.height(), if number < 15 { 720 } else { 360 });
        let far = mean_distance(&luma(frame), expected.plane(0));
        assert!(far < 2.0, "picture {number}: {far}");
    }
}
