//! A shared library that decodes a clip on the GPU and shares its pictures with PyTorch, for
//! `torch_check.py`, which shows that both mean the same by DLPack, streams and contexts.

#![cfg(target_os = "linux")]
#![allow(missing_docs, reason = "called from a script only")]
#![allow(clippy::unwrap_used, reason = "what fails ends the check")]

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Arc, OnceLock};

use trickle_gpu::{CudaBackend, CudaImage, Stream};
use trickle_media::backend::Backend;
use trickle_media::coder::VideoDecoder;
use trickle_media::frame::dlpack::{ManagedTensor, RawManaged};
use trickle_media::frame::{DeviceImage, FramePool, HostImage};
use trickle_media::stream::StreamParams;
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};
use trickle_media::{MediaKind, VideoParams};

struct Clip {
    gpu: CudaBackend,
    /// What takes tensors back from PyTorch.
    stream: Stream,
    /// RGB, and the same on the host.
    pictures: Vec<(Arc<CudaImage>, Vec<f32>)>,
}

static CLIP: OnceLock<Clip> = OnceLock::new();

fn clip() -> &'static Clip {
    // `open` comes first.
    CLIP.get().unwrap()
}

fn values(image: &CudaImage) -> Vec<f32> {
    match image.download(&FramePool::new()).unwrap() {
        HostImage::Tensor(tensor) => tensor.to_vec(),
        HostImage::Planar(_) => panic!("planes came down"),
    }
}

/// Decodes the clip's video, and returns how many pictures there are.
///
/// # Safety
/// `path` is a string that ends in a zero.
#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char) -> usize {
    // SAFETY: by the contract above.
    let path = unsafe { CStr::from_ptr(path) }.to_str().unwrap();
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(&std::fs::read(path).unwrap(), None);
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
    let params: VideoParams = params.unwrap();
    let gpu = CudaBackend::open(0).unwrap();
    let stream = gpu.gpu().stream().unwrap();
    let mut decoder: VideoDecoder = gpu.open_decoder(&params, &FramePool::new()).unwrap();
    let mut pictures = Vec::new();
    for unit in &units {
        decoder.push(unit).unwrap();
        while let Some(frame) = decoder.pull() {
            let image = CudaImage::of_frame(&frame).unwrap();
            let rgb = stream.to_rgb(image, frame.color()).unwrap();
            let expected = values(&rgb);
            pictures.push((Arc::new(rgb), expected));
        }
    }
    let clip = CLIP.get_or_init(|| Clip {
        gpu,
        stream,
        pictures,
    });
    clip.pictures.len()
}

/// The stream that `take` reads on.
#[unsafe(no_mangle)]
extern "C" fn stream() -> *mut c_void {
    clip().stream.handle()
}

#[unsafe(no_mangle)]
extern "C" fn address(picture: usize) -> u64 {
    clip().pictures[picture].0.address()
}

/// A picture for the consumer's stream, without a copy.
///
/// # Safety
/// `consumer` is a stream of the device's primary context.
#[unsafe(no_mangle)]
unsafe extern "C" fn lend(picture: usize, consumer: *mut c_void) -> *mut RawManaged {
    // SAFETY: by the contract above.
    let consumer = unsafe { clip().gpu.gpu().adopt_stream(consumer) };
    let mut tensors = clip().pictures[picture].0.to_dlpack(&consumer).unwrap();
    tensors.pop().unwrap().into_raw()
}

/// Takes the inverse of a picture, and counts the values that are not 1 less the picture's.
///
/// # Safety
/// `raw` is a tensor that the caller owns.
#[unsafe(no_mangle)]
unsafe extern "C" fn take_inverse(picture: usize, raw: *mut RawManaged) -> usize {
    // SAFETY: by the contract above.
    let tensor = unsafe { ManagedTensor::from_raw(raw) }.unwrap();
    let image = clip().stream.import_dlpack(tensor).unwrap();
    let expected = &clip().pictures[picture].1;
    let got = values(&image);
    assert_eq!(got.len(), expected.len());
    let pairs = got.iter().zip(expected);
    pairs
        .filter(|(got, expected)| got.to_bits() != (1.0 - **expected).to_bits())
        .count()
}

/// Waits until everything that was let go of is back; how many handles on the picture there are.
#[unsafe(no_mangle)]
extern "C" fn holders(picture: usize) -> usize {
    clip().gpu.gpu().settle();
    Arc::strong_count(&clip().pictures[picture].0)
}
