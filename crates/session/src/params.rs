//! The parameters that the worker itself reads, apart from the processor's.

use serde::Serialize;
use serde_json::{Map, Value, json};
use trickle_media::frame::MAX_SIDE;
use trickle_processor::{Params, ParamsError};

use crate::shared::Shared;

/// Frame rates that `max_framerate` may ask for.
const FRAME_RATES: std::ops::RangeInclusive<f64> = 1.0..=60.0;
/// Most pixels of a frame: those of H.264 level 6.2 (ITU-T H.264, table A-1: `MaxFS`).
const MAX_PIXELS: usize = 139_264 * 256;

/// The worker's own parameters, as they stand after the start and all updates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkerParams {
    /// `width` and `height`: frames are scaled to cover this size and cropped around the centre
    /// before they are processed. `None` leaves them as they came; frames of a generative session
    /// are made at this size, else at 512×512.
    pub size: Option<(usize, usize)>,
    /// `max_framerate`, in frames per second: frames above it are dropped before they are
    /// converted or processed. `None` lets all through. It is the pace of a generative session,
    /// which is 24 else.
    pub max_framerate: Option<f64>,
    /// `detect_out_resolution`: the output has the size of what the processor returns, else that
    /// of what it was given.
    pub detect_out_resolution: bool,
    /// `show_loading`: whether the loading overlay was asked for.
    pub show_loading: bool,
    /// `input_program`: `program_number` of the input to read, where it holds several. `None`
    /// reads the one that [`SessionConfig::program`](crate::SessionConfig::program) names.
    pub input_program: Option<u16>,
}

impl Default for WorkerParams {
    fn default() -> Self {
        Self {
            size: None,
            max_framerate: None,
            detect_out_resolution: true,
            show_loading: false,
            input_program: None,
        }
    }
}

impl WorkerParams {
    /// Tells the stages that act on them.
    pub(crate) fn apply(&self, shared: &Shared) {
        shared.set_size(self.size);
        shared.set_max_framerate(self.max_framerate);
        shared.standin.set_size(self.size);
        shared.choose_program(self.input_program);
    }

    const NAMES: [&str; 6] = [
        "width",
        "height",
        "max_framerate",
        "detect_out_resolution",
        "show_loading",
        "input_program",
    ];

    /// The JSON schema of each, by name.
    pub fn schema() -> Map<String, Value> {
        let side = json!({"type": ["integer", "string"], "minimum": 1, "maximum": MAX_SIDE});
        let described = |mut schema: Value, text: &str| {
            schema["description"] = json!(text);
            schema
        };
        let program = json!({"type": ["integer", "string"], "minimum": 1, "maximum": u16::MAX});
        let flag = json!({"type": ["boolean", "string"]});
        let rate = json!({
            "type": ["number", "string"],
            "minimum": FRAME_RATES.start(),
            "maximum": FRAME_RATES.end(),
        });
        let schemas = [
            described(
                side.clone(),
                "Columns that frames are scaled and cropped to before they are processed; with \
                 height",
            ),
            described(
                side,
                "Rows that frames are scaled and cropped to; with width",
            ),
            described(
                rate,
                "Frames per second that the processor is given at most; others are dropped",
            ),
            described(
                flag.clone(),
                "Whether the output has the size of what the processor returns, else of its input",
            ),
            described(flag, "Whether viewers see the loading overlay"),
            described(
                program,
                "Program of the input to read, where it holds several, by its number",
            ),
        ];
        let names = Self::NAMES.map(str::to_owned);
        names.into_iter().zip(schemas).collect()
    }

    /// These parameters after `update`, and what of `update` is the processor's. Numbers and flags
    /// may be strings; an absent or null name changes nothing.
    ///
    /// # Errors
    /// [`ParamsError`] names the parameter that cannot be; nothing has changed then.
    pub fn updated(&self, update: &Params) -> Result<(Self, Params), ParamsError> {
        let mut new = self.clone();
        match (side(update, "width")?, side(update, "height")?) {
            (Some(width), Some(height)) => {
                if width * height > MAX_PIXELS {
                    return Err(ParamsError::new(
                        "width",
                        format!("{width}×{height} has more than {MAX_PIXELS} pixels"),
                    ));
                }
                new.size = Some((width, height));
            }
            (None, None) => {}
            (Some(_), None) => return Err(ParamsError::new("height", "must be given with width")),
            (None, Some(_)) => return Err(ParamsError::new("width", "must be given with height")),
        }
        if let Some(rate) = update.number("max_framerate")? {
            if !FRAME_RATES.contains(&rate) {
                return Err(ParamsError::new(
                    "max_framerate",
                    format!(
                        "must be from {} to {}, got {rate}",
                        FRAME_RATES.start(),
                        FRAME_RATES.end()
                    ),
                ));
            }
            new.max_framerate = Some(rate);
        }
        if let Some(flag) = update.boolean("detect_out_resolution")? {
            new.detect_out_resolution = flag;
        }
        if let Some(flag) = update.boolean("show_loading")? {
            new.show_loading = flag;
        }
        if let Some(number) = update.integer("input_program")? {
            // Number 0 is the network's, and no program (ISO/IEC 13818-1, 2.4.4.5).
            let program = u16::try_from(number).ok().filter(|number| *number > 0);
            new.input_program = Some(program.ok_or_else(|| {
                let wanted = format!("must be from 1 to {}, got {number}", u16::MAX);
                ParamsError::new("input_program", wanted)
            })?);
        }
        let rest = update
            .0
            .iter()
            .filter(|(name, _)| !Self::NAMES.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Ok((new, rest))
    }
}

fn side(params: &Params, name: &str) -> Result<Option<usize>, ParamsError> {
    let Some(value) = params.integer(name)? else {
        return Ok(None);
    };
    usize::try_from(value)
        .ok()
        .filter(|side| (1..=MAX_SIDE).contains(side))
        .map(Some)
        .ok_or_else(|| ParamsError::new(name, format!("must be from 1 to {MAX_SIDE}, got {value}")))
}

#[cfg(test)]
#[path = "params_test.rs"]
mod tests;
