//! Kernels, streams and memory that is shared with other libraries.

use std::sync::Arc;

use trickle_media::ColorDescription;
use trickle_media::convert::reference;
use trickle_media::frame::{DeviceImage, FramePool, HostImage, PixelFormat, PlanarImage, Tensor};

use super::{device, gradient};

fn tensor(image: &dyn DeviceImage) -> Tensor {
    match image.download(&FramePool::new()).unwrap() {
        HostImage::Tensor(tensor) => tensor,
        HostImage::Planar(_) => panic!("planes came down"),
    }
}

fn planar(image: &dyn DeviceImage) -> PlanarImage {
    match image.download(&FramePool::new()).unwrap() {
        HostImage::Planar(planar) => planar,
        HostImage::Tensor(_) => panic!("a tensor came down"),
    }
}

fn differ(one: &[f32], other: &[f32]) -> usize {
    let pairs = one.iter().zip(other);
    pairs.filter(|(a, b)| a.to_bits() != b.to_bits()).count()
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn conversions_equal_the_reference_bit_for_bit() {
    let gpu = device();
    let stream = gpu.gpu().stream().unwrap();
    let pool = FramePool::new();
    for color in [ColorDescription::BT601, ColorDescription::BT709] {
        for (full_range, (width, height)) in
            [(false, (1280, 720)), (true, (854, 482)), (false, (67, 35))]
        {
            let color = ColorDescription {
                full_range,
                ..color
            };
            let host = gradient(width, height, 3);
            let rgb = stream
                .upload(&host)
                .and_then(|image| stream.to_rgb(&image, color));
            let rgb = rgb.unwrap();
            let expected = reference::planar_to_tensor(&host, color, &pool).unwrap();
            assert_eq!(differ(&tensor(&rgb), &expected), 0, "{width}×{height}");
            let back = planar(&stream.to_nv12(&rgb, color).unwrap());
            let format = PixelFormat::Nv12;
            let expected = reference::tensor_to_planar(&expected, format, color, &pool).unwrap();
            assert!(back.as_bytes() == expected.as_bytes(), "{width}×{height}");
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn streams_wait_for_each_other_and_memory_goes_round() {
    let gpu = device();
    let (first, second) = (gpu.gpu().stream().unwrap(), gpu.gpu().stream().unwrap());
    let color = ColorDescription::BT709;
    let pool = FramePool::new();
    // A missing wait would show in some of the rounds: the memory is that of the round before.
    for round in 0..200 {
        let host = gradient(1280, 720, 7 * round);
        let image = first.upload(&host).unwrap();
        let rgb = second.to_rgb(&image, color).unwrap();
        drop(image);
        let next = first.upload(&gradient(1280, 720, 7 * round + 1)).unwrap();
        let back = first.to_nv12(&rgb, color).unwrap();
        drop(next);
        if round % 20 == 0 {
            let expected = reference::planar_to_tensor(&host, color, &pool).unwrap();
            assert_eq!(differ(&tensor(&rgb), &expected), 0, "round {round}");
            let format = PixelFormat::Nv12;
            let expected = reference::tensor_to_planar(&expected, format, color, &pool).unwrap();
            assert!(
                planar(&back).as_bytes() == expected.as_bytes(),
                "round {round}"
            );
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn what_was_uploaded_may_be_changed_at_once() {
    let gpu = device();
    let stream = gpu.gpu().stream().unwrap();
    for round in 0..50 {
        let mut host = gradient(1920, 1080, round);
        let before = host.as_bytes().to_vec();
        let image = stream.upload(&host).unwrap();
        host.planes_mut()
            .into_iter()
            .for_each(|plane| plane.fill(0));
        assert!(planar(&image).as_bytes() == before, "round {round}");
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_tensor_goes_out_and_in_by_dlpack_without_a_copy() {
    let gpu = device();
    let (ours, theirs) = (gpu.gpu().stream().unwrap(), gpu.gpu().stream().unwrap());
    let host = gradient(640, 360, 5);
    let color = ColorDescription::BT601;
    let rgb = ours
        .upload(&host)
        .and_then(|image| ours.to_rgb(&image, color));
    let rgb = Arc::new(rgb.unwrap());
    let address = rgb.address();
    let lent = rgb.to_dlpack(&theirs).unwrap().pop().unwrap();
    drop(rgb);
    let taken = theirs.import_dlpack(lent).unwrap();
    assert_eq!(taken.address(), address);
    let expected = reference::planar_to_tensor(&host, color, &FramePool::new()).unwrap();
    assert_eq!(differ(&tensor(&taken), &expected), 0);
    drop(taken);
    gpu.gpu().settle();
}
