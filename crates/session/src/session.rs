//! A live session: its handle, and the start, update, status and stop of what it owns.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tracing::Instrument;
use trickle_media::Backends;
use trickle_processor::{DataSink, Params, SharedModel, StreamContext};
use trickle_proto::{Client, Publisher, Subscriber};
use url::Url;

use crate::config::SessionConfig;
use crate::decode::DecodeStage;
use crate::encode::EncodeStage;
use crate::error::{EndReason, StartError, UpdateError};
use crate::intake::Intake;
use crate::metrics::{LatencyTotals, QueueDepth};
use crate::shared::Shared;
use crate::side::SideChannels;
use crate::status::{SessionState, SessionStatus, SessionSummary};
use crate::thread::{StageThread, now, panic_message};
use crate::{egress, generate, ingest};

/// Longest wait for a stage to end when the session is stopped.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// Longest wait for the processor then: a stop is to be answered within 200 ms, and what a model
/// does cannot be bounded.
const PROCESSOR_LIMIT: Duration = Duration::from_millis(100);

/// A running session. It owns every thread and task that works for it.
///
/// The handle is `Send + Sync`; put it into an `Arc` to share it. Call [`stop`](Self::stop) when
/// done with it, also after it has ended by itself. Dropping it stops it too, and may block the
/// dropping thread for up to 3 s while a processor finishes its frame.
pub struct Session {
    shared: Arc<Shared>,
    subscribe_url: Option<Url>,
    publish_url: Option<Url>,
    started: Instant,
    /// The processor's way to the side channels.
    context: StreamContext,
    parts: Mutex<Parts>,
    /// Closed when the output has ended.
    publishing: watch::Receiver<()>,
    processor_gone: watch::Receiver<()>,
    draining: AtomicBool,
}

/// Everything that runs for a session.
pub(crate) struct Parts {
    shared: Arc<Shared>,
    /// `ingest` or the clock, `egress` and what else is a task.
    tasks: Vec<JoinHandle<()>>,
    /// The decoding and the encoding stage.
    coders: Vec<StageThread>,
    processor: StageThread,
    /// It was shut down: what still runs then is not waited for again.
    shut_down: bool,
}

impl Session {
    /// Opens the processor on its own thread, gives it its parameters, calls `on_stream_start`,
    /// and starts the stages: [`prepare`](Self::prepare) and
    /// [`Prepared::start`](crate::Prepared::start) in one.
    ///
    /// # Errors
    /// [`StartError`] says what cannot be; nothing is left running then.
    pub async fn start(
        config: SessionConfig,
        model: &SharedModel,
        backends: &Backends,
        client: &Client,
    ) -> Result<Self, StartError> {
        let prepared = Self::prepare(config, model, client).await?;
        prepared.start(backends).await
    }

    pub(crate) fn new(
        parts: Parts,
        context: StreamContext,
        subscribe_url: Option<Url>,
        publish_url: Option<Url>,
        publishing: watch::Receiver<()>,
    ) -> Self {
        Self {
            processor_gone: parts.processor.running(),
            shared: Arc::clone(&parts.shared),
            subscribe_url,
            publish_url,
            started: now(),
            context,
            parts: Mutex::new(parts),
            publishing,
            draining: AtomicBool::new(false),
        }
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
    /// to take them; [`UpdateError::Busy`] when the processor does not come to them within 10 s.
    /// In all cases the old ones hold.
    pub async fn update(&self, params: Params) -> Result<(), UpdateError> {
        self.shared.update(params).await
    }

    /// What it does at this moment. Cheap enough to be asked for at every request.
    pub fn status(&self) -> SessionStatus {
        let now = now();
        let mut snapshot = self.shared.stats.snapshot(now);
        snapshot.facts.processor.draining = self.draining();
        snapshot.facts.processor.stalled = self.shared.standin.is_standing_in();
        snapshot.facts.processor.refused = self.context.refused();
        let ended = self.publishing.has_changed().is_err();
        let reason = self.shared.reason();
        let (sent, came) = (snapshot.facts.output.bytes, snapshot.facts.input.bytes);
        let state = if ended {
            SessionState::Ended
        } else if reason.is_some() {
            SessionState::Stopping
        } else if sent > 0 || snapshot.frames.out > 0 {
            SessionState::Running
        } else if came > 0 || snapshot.frames.generated > 0 {
            SessionState::Starting
        } else {
            SessionState::Waiting
        };
        SessionStatus {
            gateway_request_id: self.shared.id.clone(),
            state,
            ended: reason.filter(|_| ended),
            uptime_s: now.saturating_duration_since(self.started).as_secs_f64(),
            subscribe_url: self.subscribe_url.as_ref().map(Url::to_string),
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
            channels: self.shared.side.status(),
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

    /// The output channel is left open when the session ends, for another that goes on with it.
    pub fn leave_output(&self) {
        self.shared.leave_output();
    }

    /// Ends the session now: cancels the processor's method in flight, ends the output channel,
    /// joins every thread and task. A processor that does not come back at once, within 100 ms, is
    /// reported as draining. May be called again, and when the session has ended by itself.
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
    /// With the processing thread alone.
    pub(crate) fn new(shared: &Arc<Shared>, processor: StageThread) -> Self {
        Self {
            shared: Arc::clone(shared),
            tasks: Vec::new(),
            coders: Vec::new(),
            processor,
            shut_down: false,
        }
    }

    pub(crate) fn spawn_coders(
        &mut self,
        backends: &Backends,
        config: &SessionConfig,
    ) -> Result<(), StartError> {
        if config.subscribe_url.is_some() {
            let decode = DecodeStage::new(Arc::clone(&self.shared), backends.clone());
            self.coders
                .push(StageThread::spawn("decode", &self.shared, || decode.run())?);
        }
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
    pub(crate) fn spawn_tasks(
        &mut self,
        subscriber: Option<Subscriber>,
        publisher: Option<Publisher>,
        intake: Intake,
        config: &SessionConfig,
    ) -> watch::Receiver<()> {
        let (gop, idle_timeout) = (config.encode.gop, config.idle_timeout);
        let (done, publishing) = watch::channel(());
        let shared = Arc::clone(&self.shared);
        self.spawn("ingest", async move {
            match subscriber {
                Some(subscriber) => ingest::run(&shared, subscriber, intake).await,
                None => generate::run(&shared).await,
            }
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
        if let Some(timeout) = idle_timeout {
            let shared = Arc::clone(&self.shared);
            self.spawn("lease", async move {
                let running_out = shared.lease.run_out(timeout);
                if let Some(reason) = shared.cancel.run_until_cancelled(running_out).await {
                    shared.fail(reason);
                }
            });
        }
        publishing
    }

    /// Starts the tasks of the side channels.
    pub(crate) fn spawn_side(
        &mut self,
        side: SideChannels,
        emitted: DataSink,
        publishing: &watch::Receiver<()>,
    ) {
        for (name, task) in side.tasks(&self.shared, emitted, publishing.clone()) {
            self.spawn(name, task);
        }
    }

    /// Starts a task. A panic ends the session with its message.
    fn spawn(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        let span = crate::thread::span(&shared);
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
    pub(crate) async fn shut_down(&mut self) -> bool {
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
        self.processor.join_within(PROCESSOR_LIMIT).await
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
