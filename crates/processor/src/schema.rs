//! Parameters checked against the JSON schema that a model publishes, before its processors see
//! them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value};
use thiserror::Error;
use trickle_media::{AudioFrame, VideoFrame};

use crate::context::StreamContext;
use crate::error::{InitError, ParamsError, ProcessorError};
use crate::model::{ErasedModel, SharedModel};
use crate::params::Params;
use crate::runner::{Driver, ProcessorRunner};

/// The schema that a model publishes is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the processor's params_schema is no JSON schema: {0}")]
pub struct SchemaError(String);

/// `model`, whose processors are given parameters only that its
/// [`params_schema`](crate::Model::params_schema) allows; the model itself where it has none.
///
/// What is checked are the parameters that would be in force: those of the start and of all
/// updates taken, overlaid with the new ones. So `required` means that a start must hold it, and
/// updates still name only what changes. `null` counts as absent.
///
/// # Errors
/// [`SchemaError`] when what the model publishes is no schema.
pub fn checked(model: SharedModel) -> Result<SharedModel, SchemaError> {
    let Some(schema) = model.params_schema() else {
        return Ok(model);
    };
    let validator = jsonschema::validator_for(&schema).map_err(|e| SchemaError(e.to_string()))?;
    Ok(Arc::new(Checked {
        model,
        validator: Arc::new(validator),
    }))
}

struct Checked {
    model: SharedModel,
    validator: Arc<Validator>,
}

impl ErasedModel for Checked {
    fn initialize(&self) -> Pin<Box<dyn Future<Output = Result<(), InitError>> + Send + '_>> {
        self.model.initialize()
    }

    fn open(&self, context: StreamContext) -> Result<Box<dyn ProcessorRunner>, ProcessorError> {
        Ok(Box::new(CheckedRunner {
            runner: self.model.open(context)?,
            validator: self.validator.clone(),
            in_force: Map::new(),
        }))
    }

    fn params_schema(&self) -> Option<Value> {
        self.model.params_schema()
    }
}

struct CheckedRunner {
    runner: Box<dyn ProcessorRunner>,
    validator: Arc<Validator>,
    in_force: Map<String, Value>,
}

impl CheckedRunner {
    /// What would be in force after `update`.
    fn overlaid(&self, update: &Params) -> Result<Map<String, Value>, ParamsError> {
        let mut all = self.in_force.clone();
        for (name, value) in &update.0 {
            if !value.is_null() {
                all.insert(name.clone(), value.clone());
            }
        }
        let instance = Value::Object(all);
        if let Err(error) = self.validator.validate(&instance) {
            return Err(explain(&error));
        }
        match instance {
            Value::Object(all) => Ok(all),
            _ => Ok(Map::new()),
        }
    }
}

impl ProcessorRunner for CheckedRunner {
    fn process_video(
        &mut self,
        frame: VideoFrame,
        driver: &Driver,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        self.runner.process_video(frame, driver)
    }

    fn takes_device_frames(&self) -> bool {
        self.runner.takes_device_frames()
    }

    fn takes_audio(&self) -> bool {
        self.runner.takes_audio()
    }

    fn process_audio(
        &mut self,
        frame: AudioFrame,
        driver: &Driver,
    ) -> Result<Option<Vec<AudioFrame>>, ProcessorError> {
        self.runner.process_audio(frame, driver)
    }

    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        let all = self.overlaid(params)?;
        self.runner.update_params(params)?;
        self.in_force = all;
        Ok(())
    }

    fn on_stream_start(&mut self, params: &Params, driver: &Driver) -> Result<(), ProcessorError> {
        // Where a start has no parameters, nobody has checked that none are required.
        self.overlaid(params).map_err(ProcessorError::new)?;
        self.runner.on_stream_start(params, driver)
    }

    fn on_stream_stop(&mut self, driver: &Driver) {
        self.runner.on_stream_stop(driver);
    }
}

/// The parameter that is wrong, and why.
fn explain(error: &ValidationError<'_>) -> ParamsError {
    let path = error.instance_path().to_string();
    let field = match (path.trim_start_matches('/'), error.kind()) {
        ("", ValidationErrorKind::AdditionalProperties { unexpected }) => unexpected.join(", "),
        ("", ValidationErrorKind::Required { property }) => {
            property.as_str().unwrap_or_default().to_owned()
        }
        (path, _) => path.replace('/', "."),
    };
    // A value may be a picture of megabytes: the message does without it.
    ParamsError::new(field, error.masked_with("the value").to_string())
}

#[cfg(test)]
#[path = "schema_test.rs"]
mod tests;
