//! A session before its model is there, and after.

use super::*;
use crate::config::SessionConfig;
use crate::standin::LOADING;
use crate::testing::frame_item;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use trickle_processor::builtin::Tint;
use trickle_processor::{OverlaySlot, erase};

/// Feeds three pictures: one while the model loads, then an update, one after it has come.
/// What the pictures say, the update's answer and whether the session goes on.
fn run(
    end: Result<SharedModel, String>,
    params: serde_json::Value,
    on_error: OnError,
) -> (Arc<Shared>, Vec<Option<String>>) {
    let runtime = Runtime::new().unwrap();
    let config = SessionConfig {
        subscribe_url: Some("http://127.0.0.1/in".parse().unwrap()),
        ..SessionConfig::new("test")
    };
    let shared = Arc::new(Shared::live(&config, OverlaySlot::default()));
    let (come, comes) = oneshot::channel();
    let feeder = {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut messages = Vec::new();
            let mut next = || match shared.queues.encode.pop() {
                Some(Item::Frame(frame)) => {
                    messages.push(frame.overlay.map(|overlay| overlay.message().to_owned()));
                    true
                }
                _ => false,
            };
            shared.queues.process.push(frame_item(0, (16, 12)));
            next();
            let (answer, answered) = oneshot::channel();
            let params = serde_json::from_value(json!({"max_framerate": 10})).unwrap();
            let update = Update { params, answer };
            shared.queues.process.push(Item::Update(update));
            assert_eq!(answered.blocking_recv().unwrap(), Ok(()));
            come.send(end).ok().unwrap();
            shared.queues.process.push(frame_item(40, (16, 12)));
            shared.queues.process.close();
            while next() {}
            messages
        })
    };
    let driver = Driver::new(runtime.handle().clone(), shared.cancel.clone());
    let policy = Policy {
        on_error,
        frame_deadline: None,
    };
    let model = async { comes.await.unwrap() };
    let params = serde_json::from_value(params).unwrap();
    let context = StreamContext::detached();
    match wait_for_model(model, context, &params, policy, driver, &shared) {
        Some(stage) => stage.run(),
        None => shared.queues.encode.close(),
    }
    (shared, feeder.join().unwrap())
}

fn tint() -> SharedModel {
    erase(Tint::default())
}

#[test]
fn pictures_go_out_under_the_overlay_until_the_model_is_there() {
    let params = json!({"strength": 0.5});
    let (shared, messages) = run(Ok(tint()), params, OnError::Passthrough);
    assert_eq!(messages, [Some(LOADING.into()), None]);
    assert_eq!(shared.stats.processed.get(), 1);
    assert_eq!(shared.max_framerate(), Some(10.0));
    assert_eq!(
        serde_json::to_value(shared.params()).unwrap(),
        json!({"strength": 0.5, "max_framerate": 10})
    );
}

#[test]
fn a_model_that_fails_is_a_processor_that_fails_on_every_frame() {
    let failed = || Err("no weights".to_owned());
    let (shared, messages) = run(failed(), json!({}), OnError::Passthrough);
    assert_eq!(messages, [Some(LOADING.into()), None]);
    assert_eq!(shared.stats.processor_errors.get(), 2);

    let (shared, messages) = run(failed(), json!({}), OnError::Drop);
    assert_eq!(messages, [Some(LOADING.into())]);
    assert_eq!(shared.stats.dropped.processor_error.get(), 1);

    let (shared, _) = run(failed(), json!({}), OnError::Stop);
    let reason = shared.reason();
    assert_eq!(
        reason,
        Some(EndReason::ProcessorFailed("no weights".into()))
    );
}

#[test]
fn parameters_that_its_processor_rejects_count_as_its_failure() {
    let (shared, _) = run(Ok(tint()), json!({"strength": 7}), OnError::Passthrough);
    let error = shared.stats.facts().processor.last_error.clone().unwrap();
    assert!(error.contains("strength"), "{error}");
}
