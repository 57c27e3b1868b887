//! Linear maps of colours, beside the built-in processors that they stand for.

use trickle_gpu::kernels::{Call, CallError};
use trickle_gpu_emu::ptx::Arena;
use trickle_media::frame::ColorMap;

use crate::support::{Random, assert_same_floats, get_tensor, put_tensor, run};

/// Numbers that are none included.
fn maps() -> Vec<ColorMap> {
    let gray = ColorMap {
        weights: [[0.2126, 0.7152, 0.0722]; 3],
        offset: [0.0; 3],
    };
    let negative = ColorMap {
        weights: [[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]],
        offset: [1.0; 3],
    };
    let any = ColorMap {
        weights: [[0.1, -0.7, 2.5], [0.33, 0.44, 0.55], [-9.0, 1e-3, 0.9]],
        offset: [0.25, -3.0, 0.015],
    };
    vec![gray, negative, any]
}

/// What a pixel becomes, in the order of the formula.
fn mapped(pixel: &[f32], map: &ColorMap) -> Vec<f32> {
    let color = match pixel {
        [gray] => [*gray; 3],
        [r, g, b, ..] => [*r, *g, *b],
        _ => panic!("no pixel"),
    };
    let channel = |at: usize| {
        let w = map.weights[at];
        ((color[0] * w[0] + color[1] * w[1]) + color[2] * w[2]) + map.offset[at]
    };
    let mut out = pixel.to_vec();
    for (at, value) in out.iter_mut().take(3).enumerate() {
        *value = channel(at);
    }
    out
}

#[test]
fn every_channel_is_the_formulas_bit_for_bit() {
    for map in maps() {
        for channels in [1, 3, 4] {
            for (width, height) in [(1, 1), (33, 9), (64, 20)] {
                let values: Vec<f32> = Random(7)
                    .floats(width * height * channels)
                    .into_iter()
                    // The bits of NaN are the hardware's to choose.
                    .map(|value| if value.is_nan() { 0.5 } else { value })
                    .collect();
                let mut arena = Arena::new();
                let src = put_tensor(&mut arena, width, height, &values);
                let dst = put_tensor(&mut arena, width, height, &vec![9.0; values.len()]);
                run(&mut arena, &Call::map_colors(&src, &dst, &map).unwrap()).unwrap();
                let expected: Vec<f32> = values
                    .chunks_exact(channels)
                    .flat_map(|pixel| mapped(pixel, &map))
                    .collect();
                let finite = |values: &[f32]| -> Vec<f32> {
                    let known = values.iter();
                    known.map(|v| if v.is_nan() { 0.0 } else { *v }).collect()
                };
                let what = format!("{width}×{height}×{channels}");
                assert_same_floats(
                    &finite(&get_tensor(&arena, &dst)),
                    &finite(&expected),
                    &what,
                );
                assert_same_floats(&get_tensor(&arena, &src), &values, "the source");
            }
        }
    }
}

#[test]
fn a_tensor_can_be_mapped_in_place_and_shapes_must_agree() {
    let map = maps()[1];
    let mut arena = Arena::new();
    let tensor = put_tensor(&mut arena, 2, 1, &[0.25, 0.5, 1.0, 0.0, 0.75, 0.125]);
    run(
        &mut arena,
        &Call::map_colors(&tensor, &tensor, &map).unwrap(),
    )
    .unwrap();
    assert_eq!(
        get_tensor(&arena, &tensor),
        [0.75, 0.5, 0.0, 1.0, 0.25, 0.875]
    );
    let gray = put_tensor(&mut arena, 2, 1, &[0.0; 2]);
    assert!(matches!(
        Call::map_colors(&tensor, &gray, &map),
        Err(CallError::Channels { .. })
    ));
}
