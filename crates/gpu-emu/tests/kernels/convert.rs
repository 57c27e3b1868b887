//! The shipped conversion kernels equal media's scalar reference, bit for bit.

use crate::support::*;
use trickle_gpu::kernels::Call;
use trickle_gpu_emu::ptx::{Access, Arena, Fault, LaunchError};
use trickle_media::convert::reference;
use trickle_media::frame::{ColorMap, FramePool, PixelFormat, PlanarImage, Tensor};
use trickle_media::stream::ColorDescription;

/// Every matrix and range, as streams name them.
fn colors() -> Vec<ColorDescription> {
    let ranged = |color, full_range| ColorDescription {
        full_range,
        ..color
    };
    [ColorDescription::BT601, ColorDescription::BT709]
        .into_iter()
        .flat_map(|color| [ranged(color, false), ranged(color, true)])
        .collect()
}

/// What the reference makes of a picture, beside what the kernel makes of it.
fn check_to_rgb(image: &PlanarImage, color: ColorDescription) {
    let (width, height) = (image.width(), image.height());
    let expected = reference::planar_to_tensor(image, color, &FramePool::new()).unwrap();
    let mut arena = Arena::new();
    let src = put_nv12(&mut arena, image);
    let dst = put_tensor(
        &mut arena,
        width,
        height,
        &vec![f32::NAN; width * height * 3],
    );
    let k = reference::Coefficients::of(color, width, height);
    run(&mut arena, &Call::nv12_to_rgb(&src, &dst, &k).unwrap()).unwrap();
    let what = format!("{width}×{height} {color:?}");
    assert_same_floats(&get_tensor(&arena, &dst), &expected, &what);
}

fn check_to_nv12(tensor: &Tensor, color: ColorDescription) {
    let [height, width, channels] = tensor.shape();
    let expected =
        reference::tensor_to_planar(tensor, PixelFormat::Nv12, color, &FramePool::new()).unwrap();
    let mut arena = Arena::new();
    let src = put_tensor(&mut arena, width, height, tensor);
    let dst = empty_nv12(&mut arena, width, height);
    let k = reference::Coefficients::of(color, width, height);
    run(&mut arena, &Call::rgb_to_nv12(&src, &dst, &k).unwrap()).unwrap();
    let (luma, chroma) = get_nv12(&arena, &dst);
    let what = format!("{width}×{height}×{channels} {color:?}");
    assert!(luma == expected.plane(0), "luma of {what}");
    assert!(chroma == expected.plane(1), "chroma of {what}");
}

#[test]
fn every_kernel_is_understood_and_takes_the_parameters_of_its_call() {
    let k = all_coefficients()[0];
    let mut arena = Arena::new();
    let (nv12, other) = (
        empty_nv12(&mut arena, 16, 16),
        empty_nv12(&mut arena, 16, 16),
    );
    let tensor = put_tensor(&mut arena, 16, 16, &[0.5; 768]);
    let window = trickle_gpu::kernels::Window::whole((16, 16), (16, 16));
    let overlay = trickle_gpu::kernels::OverlayView {
        data: arena.put(vec![255; 64]),
        pitch: 16,
        width: 4,
        height: 4,
        x: 0,
        y: 0,
    };
    let map = ColorMap {
        weights: [[0.25; 3]; 3],
        offset: [0.0; 3],
    };
    let calls = [
        Call::nv12_to_rgb(&nv12, &tensor, &k),
        Call::rgb_to_nv12(&tensor, &nv12, &k),
        Call::nv12_to_rgb_resized(&nv12, &window, &tensor, &k),
        Call::resize_nv12(&nv12, &window, &other),
        Call::resize_tensor(&tensor, &window, &tensor),
        Call::overlay_tensor(&tensor, &overlay),
        Call::overlay_nv12(&nv12, &overlay, &k),
        Call::map_colors(&tensor, &tensor, &map),
    ];
    let called: Vec<_> = calls
        .into_iter()
        .map(|call| {
            let call = call.unwrap();
            run(&mut arena, &call).unwrap();
            (call.module(), call.kernel().to_owned())
        })
        .collect();
    assert_eq!(
        kernels().collect::<Vec<_>>(),
        called,
        "a kernel without a call, or the reverse"
    );
}

#[test]
fn to_rgb_of_every_chroma_pair_is_the_references() {
    let mut image = Random(1).nv12(512, 512);
    for (at, pair) in image.planes_mut()[1].chunks_exact_mut(2).enumerate() {
        pair.copy_from_slice(&[(at / 256) as u8, (at % 256) as u8]);
    }
    for color in colors() {
        check_to_rgb(&image, color);
    }
}

#[test]
fn to_rgb_of_every_size_parity_is_the_references() {
    for (width, height) in [(1, 1), (2, 1), (1, 2), (33, 9), (32, 8), (854, 7), (35, 18)] {
        check_to_rgb(&Random(2).nv12(width, height), ColorDescription::BT601);
    }
}

#[test]
fn to_nv12_is_the_references_for_numbers_and_for_what_is_none() {
    let tensor = |width, height, channels| {
        let values = Random(3).floats(width * height * channels);
        Tensor::from_vec(height, width, channels, values).unwrap()
    };
    for color in colors() {
        check_to_nv12(&tensor(160, 90, 3), color);
    }
    for channels in [1, 3, 4] {
        for (width, height) in [(1, 1), (2, 1), (1, 2), (33, 9), (64, 16)] {
            check_to_nv12(&tensor(width, height, channels), ColorDescription::BT709);
        }
    }
}

#[test]
fn a_picture_survives_rgb() {
    // Limited-range samples, so that nothing is clamped on the way.
    let mut image = Random(4).nv12(64, 48);
    for plane in image.planes_mut() {
        // Chroma near gray keeps every colour inside the RGB cube.
        plane
            .iter_mut()
            .for_each(|sample| *sample = 112 + *sample % 32);
    }
    let k = all_coefficients()[2];
    let mut arena = Arena::new();
    let src = put_nv12(&mut arena, &image);
    let rgb = put_tensor(&mut arena, 64, 48, &[0.0; 64 * 48 * 3]);
    let dst = empty_nv12(&mut arena, 64, 48);
    run(&mut arena, &Call::nv12_to_rgb(&src, &rgb, &k).unwrap()).unwrap();
    run(&mut arena, &Call::rgb_to_nv12(&rgb, &dst, &k).unwrap()).unwrap();
    assert!(get_nv12(&arena, &src) == get_nv12(&arena, &dst));
}

#[test]
fn memory_that_is_too_short_is_found_with_line_and_thread() {
    let mut arena = Arena::new();
    let src = put_nv12(&mut arena, &Random(5).nv12(64, 16));
    // One value less than the picture has.
    let dst = put_tensor(&mut arena, 64, 16, &[0.0; 64 * 16 * 3]);
    let short = arena.put(vec![0; 4 * (64 * 16 * 3 - 1)]);
    let dst = trickle_gpu::kernels::TensorView { data: short, ..dst };
    let call = Call::nv12_to_rgb(&src, &dst, &all_coefficients()[0]).unwrap();
    let LaunchError::Memory {
        line,
        thread,
        access,
        fault,
        ..
    } = run(&mut arena, &call).unwrap_err()
    else {
        panic!("not a fault of memory");
    };
    assert_eq!((access, fault), (Access::Store, Fault::OutOfBounds));
    assert_eq!((thread.block, thread.thread), ([1, 1, 0], [31, 7, 0]));
    let text = call.module().ptx().lines().nth(line as usize - 1).unwrap();
    assert!(text.contains("st.global.f32"), "{text}");
}
