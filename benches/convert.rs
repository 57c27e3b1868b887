//! Colour conversion and scaling: each way, beside copying the result and beside the `yuv` crate.

// What cannot be set up cannot be measured: it stops here.
#![allow(clippy::unwrap_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use trickle_benches::picture;
use trickle_media::ColorDescription;
use trickle_media::convert::{CoverScaler, planar_to_tensor, tensor_to_planar};
use trickle_media::frame::{FramePool, PixelFormat};
use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix, yuv420_to_rgb};

const WIDTH: usize = 1280;
const HEIGHT: usize = 720;

fn to_tensor(c: &mut Criterion) {
    let mut group = c.benchmark_group("to_tensor_720p");
    group.throughput(Throughput::Elements(1));
    let (pool, color) = (FramePool::new(), ColorDescription::BT709);
    for (name, format) in [("i420", PixelFormat::I420), ("nv12", PixelFormat::Nv12)] {
        let image = picture(format, WIDTH, HEIGHT);
        group.bench_function(name, |b| {
            b.iter(|| planar_to_tensor(black_box(&image), color, &pool));
        });
    }

    let image = picture(PixelFormat::I420, WIDTH, HEIGHT);
    let tensor = planar_to_tensor(&image, color, &pool).unwrap();
    let mut copy = tensor.to_vec();
    group.bench_function("memcpy_of_the_tensor", |b| {
        b.iter(|| copy.copy_from_slice(black_box(&tensor)));
    });
    group.bench_function("fill_of_the_tensor", |b| {
        b.iter(|| copy.fill(black_box(0.5)));
    });

    let mut rgb = vec![0u8; 3 * WIDTH * HEIGHT];
    let planes = YuvPlanarImage {
        y_plane: image.plane(0),
        y_stride: WIDTH as u32,
        u_plane: image.plane(1),
        u_stride: WIDTH as u32 / 2,
        v_plane: image.plane(2),
        v_stride: WIDTH as u32 / 2,
        width: WIDTH as u32,
        height: HEIGHT as u32,
    };
    group.bench_function("yuv_crate_to_rgb8", |b| {
        b.iter(|| {
            yuv420_to_rgb(
                black_box(&planes),
                &mut rgb,
                3 * WIDTH as u32,
                YuvRange::Limited,
                YuvStandardMatrix::Bt709,
            )
        });
    });
    group.finish();
}

fn from_tensor(c: &mut Criterion) {
    let mut group = c.benchmark_group("from_tensor_720p");
    group.throughput(Throughput::Elements(1));
    let (pool, color) = (FramePool::new(), ColorDescription::BT709);
    let image = picture(PixelFormat::I420, WIDTH, HEIGHT);
    let tensor = planar_to_tensor(&image, color, &pool).unwrap();
    for (name, format) in [("i420", PixelFormat::I420), ("nv12", PixelFormat::Nv12)] {
        group.bench_function(name, |b| {
            b.iter(|| tensor_to_planar(black_box(&tensor), format, color, &pool));
        });
    }
    group.bench_function("sum_of_the_tensor", |b| {
        b.iter(|| {
            let (lanes, _) = tensor.as_chunks::<16>();
            let mut sums = [0.0f32; 16];
            for lane in black_box(lanes) {
                for (sum, value) in sums.iter_mut().zip(lane) {
                    *sum += value;
                }
            }
            sums
        });
    });
    group.finish();
}

fn scale(c: &mut Criterion) {
    let mut group = c.benchmark_group("scale_720p_to_512x512");
    group.throughput(Throughput::Elements(1));
    let (pool, color) = (FramePool::new(), ColorDescription::BT709);
    let mut scaler = CoverScaler::new(512, 512).unwrap();
    for (name, format) in [("i420", PixelFormat::I420), ("nv12", PixelFormat::Nv12)] {
        let image = picture(format, WIDTH, HEIGHT);
        group.bench_function(name, |b| b.iter(|| scaler.planar(black_box(&image), &pool)));
    }
    let image = picture(PixelFormat::I420, WIDTH, HEIGHT);
    let tensor = planar_to_tensor(&image, color, &pool).unwrap();
    group.bench_function("rgb_f32", |b| {
        b.iter(|| scaler.tensor(black_box(&tensor), &pool));
    });
    group.finish();
}

criterion_group!(benches, to_tensor, from_tensor, scale);
criterion_main!(benches);
