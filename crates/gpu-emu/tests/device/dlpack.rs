//! Device memory handed to other libraries and taken from them: who owns it when, and in which
//! order it is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use trickle_gpu::{CudaImage, Gpu, GpuError, Stream};
use trickle_media::ColorDescription;
use trickle_media::convert::reference;
use trickle_media::frame::dlpack::{DataType, Device, ManagedTensor};
use trickle_media::frame::{DeviceImage, FramePool, HostImage, PixelFormat, PlanarImage, Tensor};

use crate::emulated::{MACHINE, alive};

fn picture(seed: usize) -> PlanarImage {
    let pool = FramePool::new();
    let mut image = PlanarImage::new(PixelFormat::Nv12, 32, 18, &pool.bytes).unwrap();
    for (plane, samples) in image.planes_mut().into_iter().enumerate() {
        for (at, sample) in samples.iter_mut().enumerate() {
            *sample = (at * 7 + plane * 31 + seed * 53) as u8;
        }
    }
    image
}

fn tensor(image: &dyn DeviceImage) -> Tensor {
    match image.download(&FramePool::new()).unwrap() {
        HostImage::Tensor(tensor) => tensor,
        HostImage::Planar(_) => panic!("planes came down"),
    }
}

/// RGB of a picture that `stream` has been told to make, and what it must be.
fn rgb(stream: &Stream, seed: usize) -> (Arc<CudaImage>, Tensor) {
    let (host, color) = (picture(seed), ColorDescription::BT709);
    let image = stream.upload(&host).unwrap();
    let rgb = stream.to_rgb(&image, color).unwrap();
    let expected = reference::planar_to_tensor(&host, color, &FramePool::new()).unwrap();
    (Arc::new(rgb), expected)
}

/// Counts how often it was dropped.
struct Owner {
    dropped: Arc<AtomicUsize>,
    _image: CudaImage,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// A tensor of some other library, whose memory happens to be an image of ours.
fn foreign(image: CudaImage, strides: &[usize]) -> (ManagedTensor, Arc<AtomicUsize>) {
    let dropped = Arc::new(AtomicUsize::new(0));
    let data = std::ptr::without_provenance_mut(image.address() as usize);
    let shape = [image.height(), image.width(), image.channels().unwrap()];
    let owner = Box::new(Owner {
        dropped: Arc::clone(&dropped),
        _image: image,
    });
    // SAFETY: the memory is the owner's.
    let tensor = unsafe {
        ManagedTensor::export(data, Device::cuda(0), DataType::F32, &shape, strides, owner)
    };
    (tensor, dropped)
}

#[test]
fn a_tensor_is_lent_without_a_copy_and_ready_in_the_consumers_stream() {
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let (ours, consumer) = (gpu.stream().unwrap(), gpu.stream().unwrap());
        let (image, expected) = rgb(&ours, 1);
        let address = image.address() as usize;
        let lent = image.to_dlpack(&consumer).unwrap();
        drop(image);
        let [lent] = <[ManagedTensor; 1]>::try_from(lent).unwrap();
        assert_eq!(
            (lent.address(), lent.raw().device),
            (address, Device::cuda(0))
        );
        assert_eq!(
            (lent.shape(), lent.strides()),
            (vec![18, 32, 3], vec![96, 3, 1])
        );
        // Taken in again it is the consumer's to read, in the consumer's stream alone: nobody
        // waited for the producer on the host.
        let taken = consumer.import_dlpack(lent).unwrap();
        assert_eq!(taken.address() as usize, address);
        assert_eq!(*tensor(&taken), *expected);
        drop((taken, ours, consumer));
        gpu.settle();
    });
}

#[test]
fn a_picture_is_lent_as_two_tensors_of_bytes() {
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let stream = gpu.stream().unwrap();
        let image = Arc::new(stream.upload(&picture(2)).unwrap());
        let view = image.nv12().unwrap();
        let lent = image.to_dlpack(&stream).unwrap();
        let [luma, chroma] = <[ManagedTensor; 2]>::try_from(lent).unwrap();
        assert_eq!(
            (luma.address() as u64, chroma.address() as u64),
            (view.luma, view.chroma)
        );
        assert_eq!(
            (luma.raw().dtype, chroma.raw().dtype),
            (DataType::U8, DataType::U8)
        );
        assert_eq!((luma.shape(), luma.strides()), (vec![18, 32], vec![256, 1]));
        assert_eq!(
            (chroma.shape(), chroma.strides()),
            (vec![9, 16, 2], vec![256, 2, 1])
        );
        drop((luma, chroma, image, stream));
        gpu.settle();
    });
}

#[test]
fn memory_that_was_lent_is_used_again_only_when_the_consumers_work_is_done() {
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let (ours, consumer) = (gpu.stream().unwrap(), gpu.stream().unwrap());
        let (image, expected) = rgb(&ours, 3);
        let address = image.address();
        let lent = image.to_dlpack(&consumer).unwrap();
        drop(image);
        // The consumer reads it later, knows nothing of our events, and lets go at once, on a
        // thread that never saw CUDA.
        let mut seen = vec![0f32; expected.len()];
        let another = consumer.upload(&picture(9)).unwrap();
        consumer
            .read(&another, || {
                let (to, bytes) = (seen.as_mut_ptr().cast(), 4 * seen.len());
                let given = crate::emulated::download(to, address, bytes, consumer.handle());
                assert_eq!(given, 0);
                Ok(())
            })
            .unwrap();
        std::thread::spawn(move || drop(lent)).join().unwrap();
        gpu.settle();
        // The same memory, for something else.
        let next = ours
            .upload_tensor(&Tensor::from_vec(18, 32, 3, vec![9.0; 18 * 32 * 3]).unwrap())
            .unwrap();
        assert_eq!(next.address(), address, "it goes round");
        ours.synchronize().unwrap();
        consumer.synchronize().unwrap();
        assert_eq!(seen, *expected);
    });
}

#[test]
fn letting_go_calls_nothing_of_cudas() {
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let stream = gpu.stream().unwrap();
        let (image, _) = rgb(&stream, 4);
        let lent = image.to_dlpack(&stream).unwrap();
        drop((image, stream));
        // No context is current on this thread, nor is one made so.
        drop(lent);
        assert_eq!(crate::emulated::current_context(), 0);
        gpu.settle();
    });
}

#[test]
fn a_tensor_of_another_library_is_given_back_when_all_work_on_it_is_done() {
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let stream = gpu.stream().unwrap();
        let host = Tensor::from_vec(4, 8, 3, (0..96).map(|v| v as f32).collect()).unwrap();
        let theirs = stream.upload_tensor(&host).unwrap();
        let (tensor_, dropped) = foreign(theirs, &[24, 3, 1]);
        let image = stream.import_dlpack(tensor_).unwrap();
        // Work that waits in the stream reads it.
        let small = stream.scale_cover_crop(&image, 4, 2).unwrap();
        drop(image);
        gpu.settle();
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        assert_eq!(tensor(&small).shape(), [2, 4, 3]);
        drop((small, stream));
        gpu.settle();
    });
}

#[test]
fn an_overlay_leaves_another_librarys_memory_alone() {
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let stream = gpu.stream().unwrap();
        let host = Tensor::from_vec(4, 8, 3, vec![0.25; 96]).unwrap();
        let theirs = Arc::new(stream.upload_tensor(&host).unwrap());
        let lent = theirs.to_dlpack(&stream).unwrap().pop().unwrap();
        let image = stream.import_dlpack(lent).unwrap();
        let white = trickle_gpu::Rgba {
            pixels: &[255; 4 * 4],
            width: 2,
            height: 2,
        };
        let blended = stream
            .overlay(image, white, (0, 0), ColorDescription::BT709)
            .unwrap();
        assert_eq!(tensor(&blended)[0], 1.0);
        assert_eq!(*tensor(&*theirs), *host);
        drop((blended, theirs, stream));
        gpu.settle();
    });
}

#[test]
fn what_is_no_picture_or_elsewhere_is_refused_and_given_back() {
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let stream = gpu.stream().unwrap();
        let image = || {
            let host = Tensor::from_vec(4, 8, 3, vec![0.0; 96]).unwrap();
            stream.upload_tensor(&host).unwrap()
        };
        let (planes, dropped) = foreign(image(), &[8, 1, 32]);
        let error = stream.import_dlpack(planes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the tensor's memory cannot be used: its values are not packed"
        );
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        let host = Tensor::from_vec(1, 1, 3, vec![0.0; 3]).unwrap();
        let error = stream.import_dlpack(host.to_dlpack()).unwrap_err();
        assert!(matches!(error, GpuError::Dlpack(_)), "{error}");
        assert_eq!(
            error.to_string(),
            "the tensor is on device 1:0, not on cuda:0"
        );
    });
}

#[test]
fn a_stream_of_another_library_is_used_and_left_to_it() {
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let theirs = gpu.stream().unwrap();
        // SAFETY: `theirs` outlives it.
        let adopted = unsafe { gpu.adopt_stream(theirs.handle()) };
        let (image, expected) = rgb(&adopted, 5);
        theirs.synchronize().unwrap();
        assert_eq!(*tensor(&*image), *expected);
        drop((image, adopted));
        // Not destroyed with our handle on it.
        theirs.synchronize().unwrap();
        assert!(alive().contains("stream"));
    });
}
