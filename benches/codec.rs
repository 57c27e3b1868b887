//! The CPU's video codec on a real clip: 125 frames of 720p25.

// What cannot be set up cannot be measured: it stops here.
#![allow(clippy::unwrap_used)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;
use trickle_benches::{CLIP, clip_units};
use trickle_media::backend::Backends;
use trickle_media::coder::{RateControl, VideoDecoder, VideoEncoderSettings};
use trickle_media::frame::FramePool;
use trickle_media::stream::{Rational, StreamParams};
use trickle_media::{AccessUnit, Codec, MediaKind, VideoFrame, VideoParams};

/// The clip's video: its parameters and access units.
fn video() -> (VideoParams, Vec<AccessUnit>) {
    let (streams, units) = clip_units(CLIP);
    let (track, params) = streams
        .iter()
        .find_map(|stream| match &stream.params {
            StreamParams::Video(params) if stream.codec.kind() == MediaKind::Video => {
                Some((stream.track, params.clone()))
            }
            _ => None,
        })
        .unwrap();
    let units = units.into_iter().filter(|unit| unit.track == track);
    (params, units.collect())
}

fn decode_all(decoder: &mut VideoDecoder, units: &[AccessUnit], mut take: impl FnMut(VideoFrame)) {
    for unit in units {
        decoder.push(unit).unwrap();
        while let Some(frame) = decoder.pull() {
            take(frame);
        }
    }
    decoder.flush().unwrap();
    while let Some(frame) = decoder.pull() {
        take(frame);
    }
}

fn codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec_720p");
    group.sample_size(10);
    let (params, units) = video();
    let backends = Backends::default();
    let pool = FramePool::new();
    let open = || backends.open_decoder(&params, &pool).unwrap().codec;
    group.throughput(Throughput::Elements(units.len() as u64));
    group.bench_function("decode", |b| {
        b.iter_batched(
            open,
            |mut decoder| {
                let mut frames = 0;
                decode_all(&mut decoder, &units, |_| frames += 1);
                frames
            },
            BatchSize::PerIteration,
        );
    });

    let mut frames = Vec::new();
    decode_all(&mut open(), &units, |frame| frames.push(frame));
    let rate = Rational::new(25, 1).unwrap();
    let settings = VideoEncoderSettings {
        codec: Codec::H264,
        width: params.width,
        height: params.height,
        bitrate: VideoEncoderSettings::default_bitrate(params.width, params.height, rate),
        rate_control: RateControl::Constant,
        frame_rate: rate,
        gop: Duration::from_secs(2),
        color: params.color,
        threads: 1,
    };
    group.throughput(Throughput::Elements(frames.len() as u64));
    group.bench_function("encode", |b| {
        b.iter_batched(
            || {
                (
                    backends.open_encoder(&settings).unwrap().codec,
                    frames.clone(),
                )
            },
            |(mut encoder, frames)| {
                let mut bytes = 0;
                for frame in frames {
                    encoder.push(frame).unwrap();
                    while let Some(unit) = encoder.pull() {
                        bytes += unit.data.len();
                    }
                }
                bytes
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
