//! The kernels on a card, beside the interpreter, bit for bit. Conversions beside media's
//! reference are among `trickle-gpu`'s own hardware tests.

use trickle_gpu::kernels::{Call, OverlayView, Window};
use trickle_gpu::{CudaBackend, CudaImage, Rgba};
use trickle_gpu_emu::ptx::Arena;
use trickle_media::ColorDescription;
use trickle_media::convert::reference::Coefficients;
use trickle_media::frame::{ColorMap, DeviceImage, FramePool, HostImage, Tensor};

use crate::support::*;

const COLOR: ColorDescription = ColorDescription::BT709;

fn tensor(image: &CudaImage) -> Vec<f32> {
    match image.download(&FramePool::new()).unwrap() {
        HostImage::Tensor(tensor) => tensor.to_vec(),
        HostImage::Planar(_) => panic!("planes came down"),
    }
}

fn planes(image: &CudaImage) -> (Vec<u8>, Vec<u8>) {
    match image.download(&FramePool::new()).unwrap() {
        HostImage::Planar(planar) => (planar.plane(0).to_vec(), planar.plane(1).to_vec()),
        HostImage::Tensor(_) => panic!("a tensor came down"),
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn resizing_is_the_interpreters() {
    let gpu = CudaBackend::open(0).unwrap();
    let stream = gpu.gpu().stream().unwrap();
    for (from, to) in [
        ((320, 180), (128, 128)),
        ((90, 50), (161, 77)),
        ((33, 17), (16, 40)),
    ] {
        let host = Random(31).nv12(from.0, from.1);
        let image = stream.upload(&host).unwrap();
        let side = |(width, height): (usize, usize)| (width as u32, height as u32);
        let window = Window::cover(side(from), side(to));
        let mut arena = Arena::new();
        let src = put_nv12(&mut arena, &host);

        let dst = empty_nv12(&mut arena, to.0, to.1);
        run(&mut arena, &Call::resize_nv12(&src, &window, &dst).unwrap()).unwrap();
        let got = planes(&stream.scale_cover_crop(&image, to.0, to.1).unwrap());
        assert!(got == get_nv12(&arena, &dst), "{from:?} {to:?}");

        let dst = put_tensor(&mut arena, to.0, to.1, &vec![9.0; 3 * to.0 * to.1]);
        let k = Coefficients::of(COLOR, from.0, from.1);
        let call = Call::nv12_to_rgb_resized(&src, &window, &dst, &k).unwrap();
        run(&mut arena, &call).unwrap();
        let got = tensor(&stream.to_rgb_cover_crop(&image, to.0, to.1, COLOR).unwrap());
        assert_same_floats(&got, &get_tensor(&arena, &dst), "in one step");

        let values: Vec<f32> = Random(32)
            .bytes(4 * from.0 * from.1)
            .into_iter()
            .map(|byte| f32::from(byte) / 255.0)
            .collect();
        let src = put_tensor(&mut arena, from.0, from.1, &values);
        let dst = put_tensor(&mut arena, to.0, to.1, &vec![9.0; 4 * to.0 * to.1]);
        run(
            &mut arena,
            &Call::resize_tensor(&src, &window, &dst).unwrap(),
        )
        .unwrap();
        let host = Tensor::from_vec(from.1, from.0, 4, values).unwrap();
        let image = stream.upload_tensor(&host).unwrap();
        let got = tensor(&stream.scale_cover_crop(&image, to.0, to.1).unwrap());
        assert_same_floats(&got, &get_tensor(&arena, &dst), "a tensor");
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn overlays_and_maps_of_colours_are_the_interpreters() {
    let gpu = CudaBackend::open(0).unwrap();
    let stream = gpu.gpu().stream().unwrap();
    let host = Random(33).nv12(160, 90);
    let pixels = Random(34).bytes(4 * 41 * 23);
    let mut arena = Arena::new();
    let overlay = OverlayView {
        data: arena.put(pixels.clone()),
        pitch: 4 * 41,
        width: 41,
        height: 23,
        x: 17,
        y: 9,
    };
    let rgba = Rgba {
        pixels: &pixels,
        width: 41,
        height: 23,
    };
    let k = Coefficients::of(COLOR, 160, 90);

    let frame = put_nv12(&mut arena, &host);
    run(
        &mut arena,
        &Call::overlay_nv12(&frame, &overlay, &k).unwrap(),
    )
    .unwrap();
    let image = stream.upload(&host).unwrap();
    let got = planes(&stream.overlay(image, rgba, (17, 9), COLOR).unwrap());
    assert!(got == get_nv12(&arena, &frame));

    let values: Vec<f32> = Random(35)
        .bytes(3 * 160 * 90)
        .into_iter()
        .map(|byte| f32::from(byte) / 255.0)
        .collect();
    let host = Tensor::from_vec(90, 160, 3, values.clone()).unwrap();
    let frame = put_tensor(&mut arena, 160, 90, &values);
    run(&mut arena, &Call::overlay_tensor(&frame, &overlay).unwrap()).unwrap();
    let image = stream.upload_tensor(&host).unwrap();
    let got = tensor(&stream.overlay(image, rgba, (17, 9), COLOR).unwrap());
    assert_same_floats(&got, &get_tensor(&arena, &frame), "an overlay");

    let map = ColorMap {
        weights: [[0.1, -0.7, 2.5], [0.33, 0.44, 0.55], [-9.0, 1e-3, 0.9]],
        offset: [0.25, -3.0, 0.015],
    };
    let src = put_tensor(&mut arena, 160, 90, &values);
    let dst = put_tensor(&mut arena, 160, 90, &vec![9.0; values.len()]);
    run(&mut arena, &Call::map_colors(&src, &dst, &map).unwrap()).unwrap();
    let image = stream.upload_tensor(&host).unwrap();
    let got = tensor(&stream.map_colors(&image, &map).unwrap());
    assert_same_floats(&got, &get_tensor(&arena, &dst), "a map of colours");
}
