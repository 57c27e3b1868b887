//! A processor's call, without conversion: the frame holds its tensor already.

// What cannot be set up cannot be measured: it stops here.
#![allow(clippy::unwrap_used)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tokio_util::sync::CancellationToken;
use trickle_benches::picture;
use trickle_media::convert::planar_to_tensor;
use trickle_media::frame::{FramePool, Image, PixelFormat};
use trickle_media::{ColorDescription, TimeBase, Timestamp, VideoFrame};
use trickle_processor::{Driver, Registry, StreamContext};

fn processors(c: &mut Criterion) {
    let mut group = c.benchmark_group("processor_720p");
    group.throughput(Throughput::Elements(1));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let driver = Driver::new(runtime.handle().clone(), CancellationToken::new());
    let (pool, color) = (FramePool::new(), ColorDescription::BT709);
    let image = picture(PixelFormat::I420, 1280, 720);
    let pts = Timestamp::new(0, TimeBase::MPEG);
    for name in ["passthrough", "grayscale", "invert", "tint"] {
        let model = Registry::default().get(name).unwrap();
        let mut processor = model.open(StreamContext::detached()).unwrap();
        group.bench_function(name, |b| {
            b.iter_batched(
                || {
                    let tensor = planar_to_tensor(&image, color, &pool).unwrap();
                    VideoFrame::new(Image::Tensor(tensor), pts, color, pool.clone())
                },
                |frame| processor.process_video(frame, &driver),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, processors);
criterion_main!(benches);
