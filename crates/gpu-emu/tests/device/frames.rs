//! Frames in device memory: what goes up comes down, and streams never see each other's work
//! before it is done. Streams are lazy here, so that a missing order shows as stale data.

use std::sync::Arc;

use trickle_gpu::{CudaImage, Gpu, GpuError, Layout, Rgba, Stream};
use trickle_media::convert::reference;
use trickle_media::frame::{
    DeviceImage, FramePool, HostImage, Image, PixelFormat, PlanarImage, Pool, Tensor,
};
use trickle_media::{ColorDescription, FrameError, Timestamp, VideoFrame};

use crate::emulated::{MACHINE, Machine, current_context, download, fill};

/// A machine whose device has 16 MiB.
const LITTLE: Machine = Machine {
    settings: "little-memory",
    ..MACHINE
};

/// A picture with other samples everywhere, by `seed`.
fn picture(format: PixelFormat, width: usize, height: usize, seed: usize) -> PlanarImage {
    let mut image = PlanarImage::new(format, width, height, &Pool::new()).unwrap();
    for (plane, samples) in image.planes_mut().into_iter().enumerate() {
        for (at, sample) in samples.iter_mut().enumerate() {
            *sample = (at * 7 + plane * 31 + seed * 53) as u8;
        }
    }
    image
}

fn planar(image: &CudaImage) -> PlanarImage {
    match image.download(&FramePool::new()).unwrap() {
        HostImage::Planar(planar) => planar,
        HostImage::Tensor(_) => panic!("a tensor came down"),
    }
}

fn tensor(image: &CudaImage) -> Tensor {
    match image.download(&FramePool::new()).unwrap() {
        HostImage::Tensor(tensor) => tensor,
        HostImage::Planar(_) => panic!("planes came down"),
    }
}

#[test]
fn what_goes_up_comes_down() {
    MACHINE.run(|| {
        let stream = Gpu::open(0).unwrap().stream().unwrap();
        for (width, height) in [(64, 36), (33, 17), (1, 1)] {
            let host = picture(PixelFormat::Nv12, width, height, 1);
            let image = stream.upload(&host).unwrap();
            assert_eq!(
                (image.width(), image.height(), image.device()),
                (width, height, "cuda:0")
            );
            assert_eq!(planar(&image).as_bytes(), host.as_bytes());

            let values: Vec<f32> = (0..width * height * 4).map(|value| value as f32).collect();
            let host = Tensor::from_vec(height, width, 4, values).unwrap();
            let image = stream.upload_tensor(&host).unwrap();
            assert_eq!(tensor(&image).shape(), [height, width, 4]);
            assert_eq!(*tensor(&image), *host);
        }
    });
}

#[test]
fn what_was_uploaded_may_be_changed_at_once() {
    MACHINE.run(|| {
        let stream = Gpu::open(0).unwrap().stream().unwrap();
        let mut host = picture(PixelFormat::Nv12, 64, 36, 1);
        let before = host.as_bytes().to_vec();
        let image = stream.upload(&host).unwrap();
        // The emulator reads the host's memory as late as it may.
        host.planes_mut()
            .into_iter()
            .for_each(|plane| plane.fill(0));
        assert_eq!(planar(&image).as_bytes(), before);

        let mut host = Tensor::from_vec(8, 8, 1, vec![0.5; 64]).unwrap();
        let image = stream.upload_tensor(&host).unwrap();
        host.make_mut().fill(0.0);
        assert_eq!(*tensor(&image), [0.5; 64]);
    });
}

#[test]
fn three_planes_become_two() {
    MACHINE.run(|| {
        let stream = Gpu::open(0).unwrap().stream().unwrap();
        let host = picture(PixelFormat::I420, 34, 18, 2);
        let down = planar(&stream.upload(&host).unwrap());
        assert_eq!(down.format(), PixelFormat::Nv12);
        assert_eq!(down.plane(0), host.plane(0));
        let pairs: Vec<[u8; 2]> = down
            .plane(1)
            .chunks(2)
            .map(|pair| [pair[0], pair[1]])
            .collect();
        let expected: Vec<[u8; 2]> = host
            .plane(1)
            .iter()
            .zip(host.plane(2))
            .map(|(&u, &v)| [u, v])
            .collect();
        assert_eq!(pairs, expected);
    });
}

#[test]
fn rows_are_apart_by_the_pitch_and_not_by_the_width() {
    MACHINE.run(|| {
        let stream = Gpu::open(0).unwrap().stream().unwrap();
        let image = stream
            .upload(&picture(PixelFormat::Nv12, 300, 17, 3))
            .unwrap();
        assert_eq!(image.layout(), Layout::Nv12 { pitch: 512 });
        let view = image.nv12().unwrap();
        // An odd height: chroma starts after a row that is not shown.
        assert_eq!(view.chroma - view.luma, 18 * 512);
        assert_eq!((view.luma_pitch, view.chroma_pitch), (512, 512));
    });
}

#[test]
fn conversion_on_the_device_is_the_references() {
    MACHINE.run(|| {
        let stream = Gpu::open(0).unwrap().stream().unwrap();
        let pool = FramePool::new();
        let host = picture(PixelFormat::Nv12, 67, 35, 4);
        let color = ColorDescription::BT709;
        let rgb = stream
            .to_rgb(&stream.upload(&host).unwrap(), color)
            .unwrap();
        let expected = reference::planar_to_tensor(&host, color, &pool).unwrap();
        assert_eq!(*tensor(&rgb), *expected);
        let back = planar(&stream.to_nv12(&rgb, color).unwrap());
        let expected =
            reference::tensor_to_planar(&expected, PixelFormat::Nv12, color, &pool).unwrap();
        assert_eq!(back.as_bytes(), expected.as_bytes());
    });
}

#[test]
fn resizing_in_one_step_is_resizing_and_converting() {
    MACHINE.run(|| {
        let stream = Gpu::open(0).unwrap().stream().unwrap();
        let mut host = picture(PixelFormat::Nv12, 64, 36, 5);
        // One colour: whatever is weighed how, it stays that colour.
        for (plane, value) in host.planes_mut().into_iter().zip([90, 140, 0]) {
            plane.fill(value);
        }
        let image = stream.upload(&host).unwrap();
        let color = ColorDescription::BT601;
        let at_once = stream.to_rgb_cover_crop(&image, 24, 24, color).unwrap();
        let small = stream.scale_cover_crop(&image, 24, 24).unwrap();
        let in_steps = stream.to_rgb(&small, color).unwrap();
        assert_eq!(tensor(&at_once).shape(), [24, 24, 3]);
        let (at_once, in_steps) = (tensor(&at_once), tensor(&in_steps));
        let far = at_once
            .iter()
            .zip(in_steps.iter())
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(far < 1e-5, "{far}");
        let rgb = stream.to_rgb(&image, color).unwrap();
        let resized = stream.scale_cover_crop(&rgb, 100, 20).unwrap();
        assert_eq!(tensor(&resized).shape(), [20, 100, 3]);
    });
}

#[test]
fn operations_say_which_kind_of_picture_they_take() {
    MACHINE.run(|| {
        let stream = Gpu::open(0).unwrap().stream().unwrap();
        let image = stream
            .upload(&picture(PixelFormat::Nv12, 16, 16, 6))
            .unwrap();
        let error = stream.to_nv12(&image, ColorDescription::BT709).unwrap_err();
        assert_eq!(
            error.to_string(),
            "conversion to NV12 takes a tensor, not an NV12 picture"
        );
        let rgb = stream.to_rgb(&image, ColorDescription::BT709).unwrap();
        let error = stream.to_rgb(&rgb, ColorDescription::BT709).unwrap_err();
        assert_eq!(
            error.to_string(),
            "conversion to RGB takes an NV12 picture, not a tensor of 3 channels"
        );
        assert!(matches!(
            stream.scale_cover_crop(&image, 0, 16),
            Err(GpuError::Frame(FrameError::Size {
                width: 0,
                height: 16
            }))
        ));
        assert!(matches!(
            stream.scale_cover_crop(&image, 1000, 16),
            Err(GpuError::Call(_))
        ));
    });
}

#[test]
fn an_overlay_is_blended_after_all_who_still_read_the_picture() {
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let (ours, other) = (gpu.stream().unwrap(), gpu.stream().unwrap());
        let color = ColorDescription::BT709;
        let host = picture(PixelFormat::Nv12, 32, 16, 7);
        let image = ours.upload(&host).unwrap();
        // Not done yet, and not waited for.
        let before = other.to_rgb(&image, color).unwrap();
        let white = vec![255; 4 * 8 * 4];
        let overlay = Rgba {
            pixels: &white,
            width: 8,
            height: 4,
        };
        let image = ours.overlay(image, overlay, (4, 2), color).unwrap();
        let blended = planar(&image);
        assert_eq!(blended.plane(0)[2 * 32 + 4], 235, "white in limited range");
        assert_eq!(blended.plane(0)[0], host.plane(0)[0]);
        let expected = reference::planar_to_tensor(&host, color, &FramePool::new()).unwrap();
        assert_eq!(
            *tensor(&before),
            *expected,
            "the other stream saw the overlay"
        );

        let short = Rgba {
            pixels: &white[1..],
            width: 8,
            height: 4,
        };
        assert!(matches!(
            ours.overlay(image, short, (0, 0), color),
            Err(GpuError::Call(_))
        ));
    });
}

#[test]
fn another_stream_waits_for_the_picture_without_the_host() {
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let (first, second) = (gpu.stream().unwrap(), gpu.stream().unwrap());
        let host = picture(PixelFormat::Nv12, 48, 32, 8);
        let color = ColorDescription::BT601;
        let image = first.upload(&host).unwrap();
        let rgb = second.to_rgb(&image, color).unwrap();
        // Only the second stream is run; the first must come along as far as it is needed.
        second.synchronize().unwrap();
        let expected = reference::planar_to_tensor(&host, color, &FramePool::new()).unwrap();
        assert_eq!(*tensor(&rgb), *expected);
    });
}

#[test]
fn memory_is_written_again_only_when_its_last_reader_is_done() {
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let (writer, reader) = (gpu.stream().unwrap(), gpu.stream().unwrap());
        let color = ColorDescription::BT601;
        let host = picture(PixelFormat::Nv12, 48, 32, 9);
        let image = writer.upload(&host).unwrap();
        let address = image.address();
        let rgb = reader.to_rgb(&image, color).unwrap();
        drop(image);
        // The same memory, for the next frame, while the reader has not run.
        let next = writer
            .upload(&picture(PixelFormat::Nv12, 48, 32, 10))
            .unwrap();
        assert_eq!(next.address(), address);
        writer.synchronize().unwrap();
        let expected = reference::planar_to_tensor(&host, color, &FramePool::new()).unwrap();
        assert_eq!(*tensor(&rgb), *expected, "the reader saw the next frame");
    });
}

#[test]
fn idle_memory_is_bounded() {
    LITTLE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let (stream, reader) = (gpu.stream().unwrap(), gpu.stream().unwrap());
        // 16 MiB of memory: 100 sizes of 256 KiB and more would not fit if they stayed.
        for extra in 0..100 {
            let values = vec![0.0; 256 * (256 + extra)];
            let host = Tensor::from_vec(256 + extra, 256, 1, values).unwrap();
            let image = stream.upload_tensor(&host).unwrap();
            // It is freed while this may not be done yet, which would be read from nowhere.
            reader.scale_cover_crop(&image, 8, 8).unwrap();
        }
        reader.synchronize().unwrap();
    });
}

/// Gives `stream` the work of writing bytes all over the picture.
fn scribble(stream: &Stream, image: &CudaImage) {
    let bytes = 4 * image.width() * image.height();
    assert_eq!(fill(image.address(), 0xaa, bytes, stream.handle()), 0);
}

#[test]
fn memory_of_work_that_failed_is_used_again_only_when_what_was_begun_is_done() {
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let (first, second) = (gpu.stream().unwrap(), gpu.stream().unwrap());
        let mut address = 0;
        let failed = first.produce(Layout::Tensor { channels: 1 }, 16, 16, |image| {
            address = image.address();
            scribble(&first, image);
            Err(GpuError::Thread("in the middle".into()))
        });
        assert!(failed.is_err());
        let host = Tensor::from_vec(16, 16, 1, vec![0.25; 256]).unwrap();
        let next = second.upload_tensor(&host).unwrap();
        assert_eq!(next.address(), address, "memory goes round");
        first.synchronize().unwrap();
        assert_eq!(*tensor(&next), *host);
    });
}

#[test]
fn a_picture_is_written_again_only_when_readers_that_failed_are_done() {
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let (ours, other) = (gpu.stream().unwrap(), gpu.stream().unwrap());
        let host = Tensor::from_vec(16, 16, 1, vec![0.25; 256]).unwrap();
        let image = ours.upload_tensor(&host).unwrap();
        let (address, mut seen) = (image.address(), vec![0f32; 256]);
        let failed = other.read(&image, || -> Result<(), GpuError> {
            let (to, bytes) = (seen.as_mut_ptr().cast(), 4 * 256);
            assert_eq!(download(to, address, bytes, other.handle()), 0);
            Err(GpuError::Thread("in the middle".into()))
        });
        assert!(failed.is_err());
        drop(image);
        let next = Tensor::from_vec(16, 16, 1, vec![0.75; 256]).unwrap();
        let next = ours.upload_tensor(&next).unwrap();
        assert_eq!(next.address(), address, "memory goes round");
        other.synchronize().unwrap();
        assert_eq!(seen, *host);
    });
}

#[test]
fn memory_that_runs_out_is_an_error_and_no_end() {
    LITTLE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let stream = gpu.stream().unwrap();
        let host = Tensor::from_vec(128, 128, 1, vec![0.5; 128 * 128]).unwrap();
        let image = stream.upload_tensor(&host).unwrap();
        let error = stream.scale_cover_crop(&image, 2048, 2049).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2)"
        );
        assert_eq!(gpu.poison(), None);
        assert_eq!(*tensor(&image), *host);
    });
}

#[test]
fn a_frame_says_where_it_is_and_comes_down_when_asked() {
    MACHINE.run(|| {
        let stream = Gpu::open(0).unwrap().stream().unwrap();
        let host = picture(PixelFormat::Nv12, 32, 16, 11);
        let image = Arc::new(stream.upload(&host).unwrap());
        let frame = VideoFrame::new(
            Image::Device(image),
            Timestamp::mpeg(3600),
            ColorDescription::BT709,
            FramePool::new(),
        );
        assert_eq!((frame.width(), frame.height()), (32, 16));
        let on_device = CudaImage::of_frame(&frame).unwrap();
        assert_eq!(on_device.nv12().unwrap().width, 32);
        assert!(!on_device.ready().is_null());
        assert_eq!(
            frame.tensor().unwrap_err(),
            FrameError::OnDevice {
                device: "cuda:0".into()
            }
        );
        let frame = frame.to_host().unwrap();
        assert_eq!(frame.pts(), Timestamp::mpeg(3600));
        let Image::Planar(planar) = frame.image() else {
            panic!("not planes");
        };
        assert_eq!(planar.as_bytes(), host.as_bytes());
    });
}

#[test]
fn images_outlive_stream_and_device() {
    MACHINE.run(|| {
        let host = picture(PixelFormat::Nv12, 32, 16, 12);
        let image = {
            let gpu = Gpu::open(0).unwrap();
            gpu.stream().unwrap().upload(&host).unwrap()
        };
        let image = std::thread::spawn(move || {
            assert_eq!(planar(&image).as_bytes(), host.as_bytes());
            image
        });
        drop(image.join().unwrap());
    });
}

#[test]
fn no_context_stays_current_after_a_panic() {
    MACHINE.run(|| {
        let stream = Gpu::open(0).unwrap().stream().unwrap();
        let image = stream
            .upload(&picture(PixelFormat::Nv12, 16, 16, 13))
            .unwrap();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            stream.read(&image, || -> Result<(), GpuError> {
                assert_ne!(current_context(), 0);
                panic!("in the middle");
            })
        }));
        assert!(caught.is_err());
        assert_eq!(current_context(), 0);
    });
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    MACHINE.run(|| {
        let error = Gpu::open(1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cuDeviceGet: CUDA_ERROR_INVALID_DEVICE (101)"
        );
    });
}
