//! What each stage takes on a CUDA device, on the clip that the CPU's stages are benched on: 720p25.
//! Where there is no device it says so and measures nothing; with `TRICKLE_REQUIRE_GPU=1` that is
//! an error.
//!
//! The driver's work is waited for in every measurement, so that it is the device's time and the
//! call's together.

// What cannot be set up cannot be measured: it stops here.
#![allow(clippy::unwrap_used)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

#[cfg(target_os = "linux")]
mod device {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use trickle_benches::{CLIP, clip_units};
    use trickle_gpu::{CudaBackend, CudaImage};
    use trickle_media::backend::Backend;
    use trickle_media::coder::{RateControl, VideoEncoderSettings};
    use trickle_media::frame::{ColorMap, DeviceImage, FramePool, Image};
    use trickle_media::stream::{Rational, StreamParams};
    use trickle_media::{AccessUnit, Codec, MediaKind, VideoFrame, VideoParams};

    fn video() -> (VideoParams, Vec<AccessUnit>) {
        let (streams, units) = clip_units(CLIP);
        let video = streams.iter().find_map(|stream| match &stream.params {
            StreamParams::Video(params) => Some((stream.track, params.clone())),
            _ => None,
        });
        let (track, params) = video.unwrap();
        let units = units.into_iter().filter(|unit| unit.track == track);
        let units: Vec<AccessUnit> = units.collect();
        assert!(
            units
                .iter()
                .all(|unit| unit.codec.kind() == MediaKind::Video)
        );
        (params, units)
    }

    fn decode(
        backend: &CudaBackend,
        params: &VideoParams,
        units: &[AccessUnit],
    ) -> Vec<VideoFrame> {
        let mut decoder = backend.open_decoder(params, &FramePool::new()).unwrap();
        let mut frames = Vec::new();
        for unit in units {
            decoder.push(unit).unwrap();
            frames.extend(std::iter::from_fn(|| decoder.pull()));
        }
        frames
    }

    pub(super) fn bench(c: &mut Criterion, backend: &CudaBackend) {
        let (params, units) = video();
        let mut group = c.benchmark_group("cuda_720p");
        group.sample_size(10);
        group.throughput(Throughput::Elements(units.len() as u64));
        // Frames go as they come: memory for all of them is not what is measured.
        group.bench_function("decode", |b| {
            b.iter_batched(
                || backend.open_decoder(&params, &FramePool::new()).unwrap(),
                |mut decoder| {
                    for unit in &units {
                        decoder.push(unit).unwrap();
                        while decoder.pull().is_some() {}
                    }
                    // Its closing is not, either.
                    decoder
                },
                BatchSize::PerIteration,
            );
        });

        let frames = decode(backend, &params, &units);
        let settings = VideoEncoderSettings {
            codec: Codec::H264,
            width: params.width,
            height: params.height,
            bitrate: 2_500_000,
            rate_control: RateControl::Constant,
            frame_rate: Rational::new(25, 1).unwrap(),
            gop: Duration::from_secs(2),
            color: params.color,
            threads: 1,
        };
        match backend.open_encoder(&settings) {
            Ok(_) => {
                group.bench_function("encode", |b| {
                    b.iter_batched(
                        || (backend.open_encoder(&settings).unwrap(), frames.clone()),
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
            }
            Err(reason) => println!("NOT measured: encoding ({reason})"),
        }

        group.throughput(Throughput::Elements(1));
        let frame = frames.last().unwrap().clone();
        let nv12 = CudaImage::of_frame(&frame).unwrap();
        let stream = backend.gpu().stream().unwrap();
        let rgb = stream.to_rgb(nv12, params.color).unwrap();
        let gray = ColorMap {
            weights: [[0.2126, 0.7152, 0.0722]; 3],
            offset: [0.0; 3],
        };
        let mut measure = |name: &str, work: &dyn Fn() -> CudaImage| {
            group.bench_function(name, |b| {
                b.iter(|| {
                    let made = work();
                    stream.synchronize().unwrap();
                    made
                });
            });
        };
        measure("to_rgb", &|| stream.to_rgb(nv12, params.color).unwrap());
        measure("to_nv12", &|| stream.to_nv12(&rgb, params.color).unwrap());
        measure("map_colors", &|| stream.map_colors(&rgb, &gray).unwrap());
        measure("cover_crop_512", &|| {
            stream.scale_cover_crop(nv12, 512, 512).unwrap()
        });
        measure("to_rgb_cover_crop_512", &|| {
            stream
                .to_rgb_cover_crop(nv12, 512, 512, params.color)
                .unwrap()
        });
        let pool = FramePool::new();
        group.bench_function("download_nv12", |b| {
            b.iter(|| nv12.download(&pool).unwrap());
        });
        let shared: Arc<dyn DeviceImage> = Arc::new(rgb);
        let tensor = frame.replace_image(Image::Device(shared));
        group.bench_function("download_rgb", |b| {
            b.iter(|| tensor.clone().to_host().unwrap());
        });
        group.bench_function("rgb_to_planes_on_host", |b| {
            b.iter(|| tensor.clone().to_host_planes(params.color).unwrap());
        });
        group.finish();
    }
}

fn cuda(c: &mut Criterion) {
    #[cfg(target_os = "linux")]
    match trickle_gpu::CudaBackend::open(0) {
        Ok(backend) => return device::bench(c, &backend),
        Err(error) => println!("NOT measured: there is no CUDA device ({error})"),
    }
    // Nothing was measured.
    let _ = c;
    let required = std::env::var_os("TRICKLE_REQUIRE_GPU").is_some_and(|value| value == "1");
    assert!(!required, "TRICKLE_REQUIRE_GPU is set");
}

criterion_group!(benches, cuda);
criterion_main!(benches);
