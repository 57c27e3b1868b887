//! What a schema allows reaches the processor, and nothing else does.

use std::sync::Mutex;

use serde_json::json;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::model::{Model, erase};
use crate::processor::FrameProcessor;

/// Publishes `schema` and notes what reaches its processor.
struct Noting {
    schema: Value,
    seen: Arc<Mutex<Vec<Params>>>,
}

struct Note(Arc<Mutex<Vec<Params>>>);

impl Model for Noting {
    type Processor = Note;

    fn open(&self, _: StreamContext) -> Result<Note, ProcessorError> {
        Ok(Note(self.seen.clone()))
    }

    fn params_schema(&self) -> Option<Value> {
        Some(self.schema.clone())
    }
}

impl FrameProcessor for Note {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        Ok(Some(frame))
    }

    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        if params.get("fail").is_some() {
            return Err(ParamsError::new("fail", "as asked for"));
        }
        self.0.lock().unwrap().push(params.clone());
        Ok(())
    }
}

fn params(value: Value) -> Params {
    serde_json::from_value(value).unwrap()
}

fn opened(schema: Value) -> (Box<dyn ProcessorRunner>, Arc<Mutex<Vec<Params>>>) {
    let seen = Arc::default();
    let model = erase(Noting {
        schema,
        seen: Arc::clone(&seen),
    });
    let model = checked(model).unwrap();
    (model.open(StreamContext::detached()).unwrap(), seen)
}

#[test]
fn what_the_schema_forbids_is_refused_by_name_and_never_seen() {
    let (mut runner, seen) = opened(json!({
        "type": "object",
        "properties": {
            "strength": {"type": "number", "maximum": 1},
            "points": {"type": "array", "items": {"type": "number"}},
        },
        "additionalProperties": false,
    }));
    for (update, field) in [
        (json!({"strength": 2}), "strength"),
        (json!({"strength": "a"}), "strength"),
        (json!({"points": [1, "a"]}), "points.1"),
        (json!({"colour": "red"}), "colour"),
    ] {
        let error = runner.update_params(&params(update)).unwrap_err();
        assert_eq!(error.field, field);
    }
    assert!(seen.lock().unwrap().is_empty());
    let good = params(json!({"strength": 1, "points": null}));
    runner.update_params(&good).unwrap();
    assert_eq!(*seen.lock().unwrap(), [good]);
}

#[test]
fn large_values_are_not_repeated_in_messages() {
    let (mut runner, _) = opened(json!({"properties": {"image": {"maxLength": 10}}}));
    let update = params(json!({"image": "x".repeat(100_000)}));
    let error = runner.update_params(&update).unwrap_err();
    assert!(error.reason.len() < 200, "{}", error.reason);
}

#[test]
fn what_is_required_must_be_there_from_the_start_and_updates_need_not_repeat_it() {
    let schema = json!({"required": ["prompt"]});
    let (mut runner, _) = opened(schema.clone());
    let error = runner.update_params(&params(json!({"x": 1}))).unwrap_err();
    assert_eq!(error.field, "prompt");
    let start = params(json!({"prompt": "a cat"}));
    runner.update_params(&start).unwrap();
    runner.update_params(&params(json!({"x": 1}))).unwrap();

    // A start without any parameters is refused too.
    let runtime = Runtime::new().unwrap();
    let driver = Driver::new(runtime.handle().clone(), CancellationToken::new());
    let (mut runner, _) = opened(schema);
    let error = runner.on_stream_start(&Params::new(), &driver).unwrap_err();
    assert!(error.to_string().contains("prompt"), "{error}");
}

#[test]
fn an_update_that_the_processor_refuses_is_not_in_force() {
    let (mut runner, _) = opened(json!({"maxProperties": 1}));
    runner
        .update_params(&params(json!({"fail": 1})))
        .unwrap_err();
    runner.update_params(&params(json!({"other": 1}))).unwrap();
}

#[test]
fn what_is_no_schema_is_refused() {
    let model = erase(Noting {
        schema: json!({"type": "nonsense"}),
        seen: Arc::default(),
    });
    let error = checked(model).err().unwrap();
    assert!(error.to_string().contains("params_schema"), "{error}");
}
