//! Calls: what is refused before it reaches the device.

use trickle_media::stream::YuvMatrix;

use super::*;

fn nv12(width: u32, height: u32) -> Nv12View {
    Nv12View {
        luma: 0x1_0000,
        chroma: 0x8_0000,
        luma_pitch: width.next_multiple_of(256),
        chroma_pitch: width.next_multiple_of(256),
        width,
        height,
    }
}

fn tensor(width: u32, height: u32, channels: u32) -> TensorView {
    TensorView {
        data: 0x10_0000,
        width,
        height,
        channels,
    }
}

fn k() -> Coefficients {
    Coefficients::new(YuvMatrix::Bt709, false)
}

#[test]
fn a_grid_covers_every_pixel_once() {
    let call = Call::nv12_to_rgb(&nv12(1280, 720), &tensor(1280, 720, 3), &k()).unwrap();
    assert_eq!((call.grid(), BLOCK), ([40, 90, 1], [32, 8, 1]));
    let call = Call::nv12_to_rgb(&nv12(33, 9), &tensor(33, 9, 3), &k()).unwrap();
    assert_eq!(call.grid(), [2, 2, 1]);
}

#[test]
fn conversion_does_not_resize() {
    let call = Call::nv12_to_rgb(&nv12(64, 64), &tensor(64, 65, 3), &k());
    assert_eq!(
        call,
        Err(CallError::SizesDiffer {
            source_size: (64, 64),
            destination: (64, 65)
        })
    );
}

#[test]
fn a_pitch_shorter_than_a_row_is_refused() {
    let mut src = nv12(63, 16);
    src.chroma_pitch = 63;
    assert_eq!(
        Call::nv12_to_rgb(&src, &tensor(63, 16, 3), &k()),
        Err(CallError::Pitch {
            what: "source",
            pitch: 63,
            row: 64
        })
    );
}

#[test]
fn null_and_misaligned_addresses_are_refused() {
    for data in [0, 0x1002] {
        let dst = TensorView {
            data,
            ..tensor(16, 16, 3)
        };
        assert_eq!(
            Call::nv12_to_rgb(&nv12(16, 16), &dst, &k()),
            Err(CallError::Address {
                what: "destination",
                address: data
            })
        );
    }
}

#[test]
fn channels_must_have_a_meaning_to_the_kernel() {
    let channels = |channels| Call::rgb_to_nv12(&tensor(16, 16, channels), &nv12(16, 16), &k());
    assert!(channels(1).is_ok() && channels(3).is_ok() && channels(4).is_ok());
    assert_eq!(
        channels(2),
        Err(CallError::Channels {
            what: "source",
            channels: 2
        })
    );
}

#[test]
fn sizes_that_no_frame_has_are_refused() {
    for (width, height) in [(0, 16), (16, 0), (16_385, 16)] {
        let call = Call::nv12_to_rgb(&nv12(width, height), &tensor(width, height, 3), &k());
        assert_eq!(
            call,
            Err(CallError::Size {
                what: "source",
                width,
                height
            })
        );
    }
}

#[test]
fn a_window_covers_with_the_centre_of_the_source() {
    let window = Window::cover((1280, 720), (512, 512));
    assert_eq!(window.step_x, 1.40625);
    assert_eq!(window.step_y, 1.40625);
    assert_eq!((window.left, window.top), (280.0, 0.0));
    let window = Window::whole((1280, 720), (640, 180));
    assert_eq!((window.step_x, window.step_y, window.left), (2.0, 4.0, 0.0));
}

#[test]
fn factors_beyond_the_bound_are_refused() {
    let resize = |width, height| {
        let window = Window::whole((1280, 720), (width, height));
        Call::resize_nv12(&nv12(1280, 720), &window, &nv12(width, height))
    };
    assert!(resize(40, 23).is_ok());
    assert_eq!(
        resize(32, 720),
        Err(CallError::Window {
            field: "step_x",
            value: 40.0
        })
    );
    let window = Window {
        left: f32::NAN,
        ..Window::whole((16, 16), (16, 16))
    };
    assert!(matches!(
        Call::resize_nv12(&nv12(16, 16), &window, &nv12(16, 16)),
        Err(CallError::Window { field: "left", .. })
    ));
}
