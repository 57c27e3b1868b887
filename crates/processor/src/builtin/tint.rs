//! A colour laid over the picture, with parameters that change while the stream runs.

use serde_json::{Value, json};
use trickle_media::VideoFrame;
use trickle_media::frame::ColorMap;

use super::{map_colors, map_frame};
use crate::error::{ParamsError, ProcessorError};
use crate::params::Params;
use crate::processor::FrameProcessor;

/// Mixes every pixel with one colour: `v + (color − v) × strength`. On a tensor of one channel
/// the colour's red is laid over it; a fourth channel stays.
///
/// Parameters: `color`, as `"#rrggbb"` or `[r, g, b]` with numbers in [0, 1]; `strength`, in
/// [0, 1]. It starts with a warm orange at 0.3.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tint {
    color: [f32; 3],
    strength: f32,
}

impl Default for Tint {
    fn default() -> Self {
        Self {
            color: [1.0, 0.5, 0.125],
            strength: 0.3,
        }
    }
}

impl FrameProcessor for Tint {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        let Self { color, strength } = *self;
        let kept = 1.0 - strength;
        let added = color.map(|channel| channel * strength);
        let map = ColorMap {
            weights: [[kept, 0.0, 0.0], [0.0, kept, 0.0], [0.0, 0.0, kept]],
            offset: added,
        };
        let frame = map_frame(frame, &map, |values, [_, _, channels]| {
            map_colors(values, channels, |value, channel| {
                value * kept + added[channel]
            });
        })?;
        Ok(Some(frame))
    }

    fn takes_device_frames(&self) -> bool {
        true
    }

    fn params_schema(&self) -> Option<Value> {
        let [r, g, b] = self.color;
        Some(json!({
            "type": "object",
            "properties": {
                "color": {
                    "description": "\"#rrggbb\", or red, green and blue from 0 to 1",
                    "type": ["string", "array"],
                    "default": [r, g, b],
                },
                "strength": {
                    "description": "How much of the colour: 0 for none, 1 for nothing else; may be a string",
                    "type": ["number", "string"],
                    "minimum": 0,
                    "maximum": 1,
                    "default": self.strength,
                },
            },
        }))
    }

    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        let strength = params.number_in("strength", 0.0..=1.0)?;
        let color = match params.get("color") {
            None | Some(Value::Null) => None,
            Some(value) => Some(parse_color(value)?),
        };
        // All are good: only now does anything change.
        if let Some(strength) = strength {
            self.strength = strength as f32;
        }
        if let Some(color) = color {
            self.color = color;
        }
        Ok(())
    }
}

fn parse_color(value: &Value) -> Result<[f32; 3], ParamsError> {
    let color = match value {
        Value::String(text) => parse_hex(text.trim()),
        Value::Array(channels) => parse_channels(channels)?,
        _ => None,
    };
    color.ok_or_else(|| {
        ParamsError::new(
            "color",
            "must be \"#rrggbb\" or three numbers [r, g, b] from 0 to 1",
        )
    })
}

/// `#rrggbb`, in either case.
fn parse_hex(text: &str) -> Option<[f32; 3]> {
    let digits = text.strip_prefix('#')?;
    if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let [_, r, g, b] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some([r, g, b].map(|channel| f32::from(channel) / 255.0))
}

fn parse_channels(channels: &[Value]) -> Result<Option<[f32; 3]>, ParamsError> {
    let Ok(channels) = <&[Value; 3]>::try_from(channels) else {
        return Ok(None);
    };
    let mut color = [0.0; 3];
    for (at, (channel, value)) in color.iter_mut().zip(channels).enumerate() {
        let number = value.as_f64().filter(|number| (0.0..=1.0).contains(number));
        *channel = number.ok_or_else(|| {
            ParamsError::new(
                format!("color[{at}]"),
                format!(
                    "must be a number from 0 to 1, got {}",
                    crate::params::excerpt(value)
                ),
            )
        })? as f32;
    }
    Ok(Some(color))
}

#[cfg(test)]
#[path = "tint_test.rs"]
mod tests;
