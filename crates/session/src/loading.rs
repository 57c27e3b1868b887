//! A session whose model is still on its way: pictures go out under the overlay meanwhile.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use trickle_media::AudioFrame;
use trickle_media::VideoFrame;
use trickle_processor::{
    Driver, Params, ParamsError, ProcessorError, ProcessorRunner, SharedModel, StreamContext,
};

use crate::config::OnError;
use crate::error::EndReason;
use crate::item::{Item, Update};
use crate::params::WorkerParams;
use crate::process::{Over, Policy, ProcessStage, hand_on, open_runner};
use crate::shared::Shared;
use crate::standin::{Call, Cause};

/// Waits for the model and opens its processor; `None` when the session is over before.
///
/// A model that fails, or that rejects what it was given, is a processor that fails on every
/// frame: the policy for errors says what becomes of them.
pub(crate) fn wait_for_model(
    model: impl Future<Output = Result<SharedModel, String>>,
    context: StreamContext,
    params: &Params,
    policy: Policy,
    driver: Driver,
    shared: &Arc<Shared>,
) -> Option<ProcessStage> {
    // Checked before; what is the processor's is checked once there is one.
    let (worker, own) = WorkerParams::default().updated(params).ok()?;
    worker.apply(shared);
    shared.merge_params(params);
    let mut waiting = Waiting {
        worker,
        own,
        shared,
    };
    let model = driver.wait(waiting.run(model)).flatten()?;
    shared.standin.enter(Call::Opening, shared.now());
    let opened = model.and_then(|model| {
        open_runner(&model, context, &waiting.own, &driver).map_err(|error| error.to_string())
    });
    shared.standin.leave(shared.now());
    let runner = match opened {
        Ok(runner) => runner,
        Err(reason) => {
            shared.note_failure(&ProcessorError::new(reason.clone()));
            if policy.on_error == OnError::Stop {
                shared.fail(EndReason::ProcessorFailed(reason));
                return None;
            }
            Box::new(Absent(reason))
        }
    };
    Some(ProcessStage::new(
        runner,
        waiting.worker,
        policy,
        driver,
        Arc::clone(shared),
    ))
}

/// Stands in for the processing stage.
struct Waiting<'a> {
    worker: WorkerParams,
    /// The processor's parameters so far.
    own: Params,
    shared: &'a Shared,
}

impl Waiting<'_> {
    /// Until the model is there; `None` when nobody is left to wait for it.
    async fn run<T>(&mut self, model: impl Future<Output = T>) -> Option<T> {
        let mut model = pin!(model);
        loop {
            let item = tokio::select! {
                biased;
                model = &mut model => return Some(model),
                item = self.shared.queues.process.next() => item?,
            };
            self.take(item).ok()?;
        }
    }

    fn take(&mut self, item: Item) -> Result<(), Over> {
        let shared = self.shared;
        match item {
            Item::Frame(frame) => {
                shared.stats.stood_in.add(1);
                let frame = shared.standin.dress(frame, Cause::Loading, shared.now());
                hand_on(shared, Item::Frame(frame))
            }
            Item::Update(Update { params, answer }) => {
                // Nobody may wait for the answer.
                let _ = answer.send(self.update(&params));
                Ok(())
            }
            other => hand_on(shared, other),
        }
    }

    fn update(&mut self, params: &Params) -> Result<(), ParamsError> {
        let (worker, own) = self.worker.updated(params)?;
        if worker != self.worker {
            worker.apply(self.shared);
            self.worker = worker;
        }
        self.own.0.extend(own.0);
        self.shared.merge_params(params);
        Ok(())
    }
}

/// The processor of a model that never came.
struct Absent(String);

impl ProcessorRunner for Absent {
    fn process_video(
        &mut self,
        _: VideoFrame,
        _: &Driver,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        Err(ProcessorError::new(self.0.clone()))
    }

    fn takes_device_frames(&self) -> bool {
        // It does not look at them.
        true
    }

    fn takes_audio(&self) -> bool {
        false
    }

    fn process_audio(
        &mut self,
        sound: AudioFrame,
        _: &Driver,
    ) -> Result<Option<Vec<AudioFrame>>, ProcessorError> {
        Ok(Some(vec![sound]))
    }

    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        let field = params.0.keys().next().cloned().unwrap_or_default();
        Err(ParamsError::new(
            field,
            format!("there is no processor: {}", self.0),
        ))
    }

    fn on_stream_start(&mut self, _: &Params, _: &Driver) -> Result<(), ProcessorError> {
        Ok(())
    }

    fn on_stream_stop(&mut self, _: &Driver) {}
}

#[cfg(test)]
#[path = "loading_test.rs"]
mod tests;
