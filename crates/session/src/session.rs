//! A live session: its handle, and the start, update, status and stop of what it owns.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::Instrument;
use trickle_media::Backends;
use trickle_processor::{DataSink, Driver, Emitted, Params, SharedModel, StreamContext};
use trickle_proto::{Client, PublishOptions, Publisher, Start, Subscriber};
use url::Url;

use crate::config::SessionConfig;
use crate::decode::DecodeStage;
use crate::encode::EncodeStage;
use crate::error::{ConfigError, EndReason, StartError, UpdateError};
use crate::intake::Intake;
use crate::item::{Item, Update};
use crate::metrics::{LatencyTotals, QueueDepth};
use crate::process::ProcessStage;
use crate::queue::Push;
use crate::shared::Shared;
use crate::status::{SessionState, SessionStatus, SessionSummary};
use crate::thread::{StageThread, panic_message};
use crate::{egress, ingest};

/// MIME type of the output channel.
const MIME: &str = "video/mp2t";
/// Longest wait for a stage to end when the session is stopped.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// A running session. It owns every thread and task that works for it.
///
/// The handle is `Send + Sync`; put it into an `Arc` to share it. Call [`stop`](Self::stop) when
/// done with it, also after it has ended by itself. Dropping it stops it too, and may block the
/// dropping thread for up to 3 s while a processor finishes its frame.
pub struct Session {
    shared: Arc<Shared>,
    subscribe_url: Url,
    publish_url: Option<Url>,
    started: Instant,
    /// One update at a time.
    updates: Mutex<()>,
    parts: Mutex<Parts>,
    /// Closed when the output has ended.
    publishing: watch::Receiver<()>,
    processor_gone: watch::Receiver<()>,
    draining: AtomicBool,
}

/// Everything that runs for a session.
struct Parts {
    shared: Arc<Shared>,
    /// `ingest`, `egress` and what else is a task.
    tasks: Vec<JoinHandle<()>>,
    /// The decoding and the encoding stage.
    coders: Vec<StageThread>,
    processor: StageThread,
    /// It was shut down: what still runs then is not waited for again.
    shut_down: bool,
}

impl Session {
    /// Opens the processor on its own thread, gives it its parameters, calls `on_stream_start`,
    /// and starts the stages. Waits for the processor only; the channels are connected to in the
    /// background, and trouble with them ends the session with its reason. Dropping the future
    /// cancels the start.
    ///
    /// # Errors
    /// [`StartError`] says what cannot be; nothing is left running then.
    pub async fn start(
        config: SessionConfig,
        model: &SharedModel,
        backends: &Backends,
        client: &Client,
    ) -> Result<Self, StartError> {
        config.encode.validate()?;
        let subscribe_url = config.subscribe_url.clone().ok_or_else(|| {
            ConfigError::new(
                "subscribe_url",
                "is missing: generative sessions, which have no input, are not supported",
            )
        })?;
        let subscriber = client
            .subscribe(&subscribe_url, Start::Current)
            .map_err(|error| StartError::Channel {
                field: "subscribe_url",
                reason: error.to_string(),
            })?;
        let shared = Arc::new(Shared::new(config.id.clone(), true));
        let (context, emitted) = StreamContext::new(config.id.clone());
        let (ready, opened) = oneshot::channel();
        let processor = spawn_processor(&shared, model, context, &config, ready)?;
        // From here on, an early return or a drop of this future joins what was started.
        let mut parts = Parts {
            shared: Arc::clone(&shared),
            tasks: Vec::new(),
            coders: Vec::new(),
            processor,
            shut_down: false,
        };
        let takes_audio = match opened.await {
            Ok(Ok(takes_audio)) => takes_audio,
            Ok(Err(error)) => {
                parts.shut_down().await;
                return Err(error);
            }
            Err(_) => {
                let message = shared.reason().map_or_else(String::new, |r| r.to_string());
                parts.shut_down().await;
                return Err(StartError::Internal(message));
            }
        };
        let publisher = match &config.publish_url {
            None => None,
            Some(url) => match connect(client, url).await {
                Ok(publisher) => Some(publisher),
                Err(error) => {
                    parts.shut_down().await;
                    return Err(error);
                }
            },
        };
        parts.spawn_coders(backends, &config)?;
        let intake = Intake::new(Arc::clone(&shared), config.audio, takes_audio);
        let publishing =
            parts.spawn_tasks(subscriber, publisher, intake, emitted, config.encode.gop);
        shared.stats.facts().audio.mode = config.audio;
        Ok(Self {
            processor_gone: parts.processor.running(),
            shared,
            subscribe_url,
            publish_url: config.publish_url,
            started: Instant::now(),
            updates: Mutex::new(()),
            parts: Mutex::new(parts),
            publishing,
            draining: AtomicBool::new(false),
        })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// Gives new parameters to the worker and the processor: all of them or, if one is rejected,
    /// none. Answered between two frames, once they are in force.
    ///
    /// # Errors
    /// [`UpdateError::Rejected`] names the parameter; [`UpdateError::Ended`] when nobody is left
    /// to take them.
    pub async fn update(&self, params: Params) -> Result<(), UpdateError> {
        let _turn = self.updates.lock().await;
        let (answer, answered) = oneshot::channel();
        let update = Item::Update(Update { params, answer });
        match self.shared.queues.process.push(update) {
            Push::Done { .. } => {}
            Push::Closed(_) => return Err(UpdateError::Ended),
        }
        match answered.await {
            Ok(result) => result.map_err(UpdateError::Rejected),
            Err(_) => Err(UpdateError::Ended),
        }
    }

    /// What it does at this moment. Cheap enough to be asked for at every request.
    pub fn status(&self) -> SessionStatus {
        let now = Instant::now();
        let mut snapshot = self.shared.stats.snapshot(now);
        snapshot.facts.processor.draining = self.draining();
        let ended = self.publishing.has_changed().is_err();
        let reason = self.shared.reason();
        let (sent, came) = (snapshot.facts.output.bytes, snapshot.facts.input.bytes);
        let state = if ended {
            SessionState::Ended
        } else if reason.is_some() {
            SessionState::Stopping
        } else if sent > 0 || snapshot.frames.out > 0 {
            SessionState::Running
        } else if came > 0 {
            SessionState::Starting
        } else {
            SessionState::Waiting
        };
        SessionStatus {
            gateway_request_id: self.shared.id.clone(),
            state,
            ended: reason.filter(|_| ended),
            uptime_s: now.saturating_duration_since(self.started).as_secs_f64(),
            subscribe_url: Some(self.subscribe_url.to_string()),
            publish_url: self.publish_url.as_ref().map(Url::to_string),
            current_params: self.shared.params(),
            fps: snapshot.fps,
            frames: snapshot.frames,
            latency_ms: snapshot.latency_ms,
            input: snapshot.facts.input,
            output: snapshot.facts.output,
            decoder: snapshot.facts.decoder,
            encoder: snapshot.facts.encoder,
            audio: snapshot.facts.audio,
            processor: snapshot.facts.processor,
            faults: snapshot.faults,
        }
    }

    /// Latencies since the start, in a form that adds up over sessions.
    pub fn latency_totals(&self) -> LatencyTotals {
        self.shared.stats.latency_totals()
    }

    /// What waits between the stages at this moment.
    pub fn queue_depths(&self) -> [QueueDepth; 4] {
        self.shared.queues.depths()
    }

    /// Resolves when the session has ended, by itself or by [`stop`](Self::stop), with the
    /// reason. The output channel has been ended then.
    pub fn ended(&self) -> impl Future<Output = EndReason> + Send + 'static {
        let mut publishing = self.publishing.clone();
        let shared = Arc::clone(&self.shared);
        async move {
            while publishing.changed().await.is_ok() {}
            shared.reason().unwrap_or(EndReason::Stopped)
        }
    }

    /// Ends the session now: cancels the processor's method in flight, ends the output channel,
    /// joins every thread and task. Bounded in time: a processor that does not come back within
    /// 3 s is reported as draining. May be called again, and when the session has ended by itself.
    pub async fn stop(&self) -> SessionSummary {
        self.shared.fail(EndReason::Stopped);
        let came_back = self.parts.lock().await.shut_down().await;
        self.draining.store(!came_back, Ordering::Relaxed);
        SessionSummary {
            reason: self.shared.reason().unwrap_or(EndReason::Stopped),
            draining: self.draining(),
            status: self.status(),
        }
    }

    /// Ends the session in good order: no more input is read, what has come in passes all stages,
    /// and the output channel is ended. What is not done `within` that time is cut short, as by
    /// [`stop`](Self::stop).
    pub async fn finish(&self, within: Duration) -> SessionSummary {
        self.shared.end(EndReason::Stopped);
        self.shared.input_over.cancel();
        // In time or not, there are parts to be joined.
        drop(tokio::time::timeout(within, self.ended()).await);
        self.stop().await
    }

    /// Resolves when a processor that [`stop`](Self::stop) left draining has come back; at once
    /// after a stop that left none.
    pub fn drained(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut gone = self.processor_gone.clone();
        async move { while gone.changed().await.is_ok() {} }
    }

    fn draining(&self) -> bool {
        // The sender goes with the thread.
        self.draining.load(Ordering::Relaxed) && self.processor_gone.has_changed().is_ok()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.fail(EndReason::Stopped);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.shared.id)
            .field("reason", &self.shared.reason())
            .finish_non_exhaustive()
    }
}

impl Parts {
    fn spawn_coders(
        &mut self,
        backends: &Backends,
        config: &SessionConfig,
    ) -> Result<(), StartError> {
        let decode = DecodeStage::new(Arc::clone(&self.shared), backends.clone());
        self.coders
            .push(StageThread::spawn("decode", &self.shared, || decode.run())?);
        let encode = EncodeStage::new(
            Arc::clone(&self.shared),
            backends.clone(),
            config.encode.clone(),
            config.publish_url.is_none(),
        );
        self.coders
            .push(StageThread::spawn("encode", &self.shared, || encode.run())?);
        Ok(())
    }

    /// Starts the tasks; the receiver is closed when the output has ended.
    fn spawn_tasks(
        &mut self,
        subscriber: Subscriber,
        publisher: Option<Publisher>,
        intake: Intake,
        emitted: DataSink,
        gop: Duration,
    ) -> watch::Receiver<()> {
        let (done, publishing) = watch::channel(());
        let shared = Arc::clone(&self.shared);
        self.spawn("ingest", async move {
            ingest::run(&shared, subscriber, intake).await;
        });
        let shared = Arc::clone(&self.shared);
        self.spawn("egress", async move {
            match publisher {
                Some(publisher) => egress::run(&shared, publisher, gop).await,
                None => egress::sink(&shared).await,
            }
            // All stages have ended. With no other reason known, it was the input's end.
            shared.fail(EndReason::InputEnded);
            drop(done);
        });
        let shared = Arc::clone(&self.shared);
        self.spawn("emitted", async move {
            let counting = count_emitted(&shared, emitted);
            shared.cancel.run_until_cancelled(counting).await;
        });
        publishing
    }

    /// Starts a task. A panic ends the session with its message.
    fn spawn(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        let span = tracing::info_span!("session", id = %shared.id);
        let task = async move {
            if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
                let message = panic_message(panic.as_ref());
                shared.fail(EndReason::Internal(format!(
                    "the {name} task panicked: {message}"
                )));
            }
        };
        self.tasks.push(tokio::spawn(task.instrument(span)));
    }

    /// Joins everything; `false` when the processor has not come back.
    async fn shut_down(&mut self) -> bool {
        self.shared.fail(EndReason::Stopped);
        for mut task in self.tasks.drain(..) {
            // Egress bounds its own end, so this is a last resort.
            if tokio::time::timeout(2 * STOP_LIMIT, &mut task)
                .await
                .is_err()
            {
                tracing::error!("a task does not end and is aborted");
                task.abort();
                let _ = task.await;
            }
        }
        for thread in &mut self.coders {
            thread.join_within(STOP_LIMIT).await;
        }
        self.shut_down = true;
        self.processor.join_within(STOP_LIMIT).await
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.shared.fail(EndReason::Stopped);
        for task in &self.tasks {
            task.abort();
        }
        let mut deadline = Instant::now();
        if !self.shut_down {
            deadline += STOP_LIMIT;
        }
        for thread in self.coders.iter_mut().chain([&mut self.processor]) {
            thread.join_until(deadline);
        }
    }
}

/// Starts the processing thread, which answers once the processor is open.
fn spawn_processor(
    shared: &Arc<Shared>,
    model: &SharedModel,
    context: StreamContext,
    config: &SessionConfig,
    ready: oneshot::Sender<Result<bool, StartError>>,
) -> Result<StageThread, StartError> {
    let (model, params, on_error) = (model.clone(), config.params.clone(), config.on_error);
    let driver = Driver::new(Handle::current(), shared.cancel.clone());
    let for_stage = Arc::clone(shared);
    StageThread::spawn("process", shared, move || {
        match ProcessStage::open(&model, context, &params, on_error, driver, for_stage) {
            Ok(stage) => {
                // Nobody waits when the start was given up; the queues are closed then.
                let _ = ready.send(Ok(stage.takes_audio()));
                stage.run();
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    })
}

async fn connect(client: &Client, url: &Url) -> Result<Publisher, StartError> {
    client
        .publish(url, PublishOptions::new(MIME))
        .await
        .map_err(|error| StartError::Channel {
            field: "publish_url",
            reason: error.to_string(),
        })
}

/// Counts what the processor emits beside its frames.
async fn count_emitted(shared: &Shared, mut emitted: DataSink) {
    while let Some(item) = emitted.next().await {
        match item {
            Emitted::Data(_) => shared.stats.data_items.add(1),
            Emitted::Event(..) => shared.stats.events.add(1),
        }
    }
}
