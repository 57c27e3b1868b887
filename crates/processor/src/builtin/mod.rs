//! Processors that come with trickle.

use trickle_media::frame::ColorMap;
use trickle_media::{FrameError, VideoFrame};

use crate::registry::Registry;

mod delay;
mod grayscale;
mod invert;
mod passthrough;
mod tint;

#[cfg(test)]
mod test_frames;

pub use delay::Delay;
pub use grayscale::Grayscale;
pub use invert::Invert;
pub use passthrough::Passthrough;
pub use tint::Tint;

/// Adds all of them to `registry`.
pub fn register(registry: Registry) -> Registry {
    registry
        .with(
            "passthrough",
            "decodes and encodes, changes nothing",
            Passthrough,
        )
        .with("grayscale", "takes the colour away", Grayscale)
        .with("invert", "shows the negative", Invert)
        .with(
            "tint",
            "lays a colour over the picture (color \"#rrggbb\" or [r, g, b], strength 0 to 1)",
            Tint::default(),
        )
        .with(
            "delay",
            "holds every frame for a time, as a slow model would (ms)",
            Delay::default(),
        )
}

/// Takes the colours of `frame` through `map` where the pixels are on a device; on the host `change`
/// does the same.
fn map_frame(
    frame: VideoFrame,
    map: &ColorMap,
    change: impl FnOnce(&mut [f32], [usize; 3]),
) -> Result<VideoFrame, FrameError> {
    if frame.device().is_none() {
        return frame.map_tensor(change);
    }
    let tensor = frame.device_tensor()?.map_colors(map)?;
    Ok(frame.replace_device_tensor(tensor))
}

/// Replaces every colour value by what `change` makes of it and of its channel's number; leaves
/// a fourth channel alone.
fn map_colors(values: &mut [f32], channels: usize, change: impl Fn(f32, usize) -> f32) {
    match channels {
        1 => {
            for value in values {
                *value = change(*value, 0);
            }
        }
        3 => {
            // Twelve values are four pixels and whole vectors: the factors that go with each
            // channel then stand at fixed places.
            let (fours, rest) = values.as_chunks_mut::<12>();
            for values in fours {
                for (at, value) in values.iter_mut().enumerate() {
                    *value = change(*value, at % 3);
                }
            }
            for (at, value) in rest.iter_mut().enumerate() {
                *value = change(*value, at % 3);
            }
        }
        _ => {
            let (pixels, _) = values.as_chunks_mut::<4>();
            for [r, g, b, _] in pixels {
                (*r, *g, *b) = (change(*r, 0), change(*g, 1), change(*b, 2));
            }
        }
    }
}
