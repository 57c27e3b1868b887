//! The worker's slots: which sessions run, who may start one, and when a slot is free again.
//!
//! A session is owned by one task from its start to its end, so that a caller who hangs up
//! neither leaks nor half stops it. The table changes under one short lock: taking a slot and
//! replacing a session of the same id are one step each.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use tracing::field::Empty;
use trickle_media::Backends;
use trickle_processor::Params;
use trickle_proto::Client;
use trickle_session::{
    QueueDepth, Session, SessionConfig, SessionStatus, SessionSummary, StartError, UpdateError,
    WorkerParams,
};

use crate::api::StartRequest;
use crate::config::Config;
use crate::error::ApiError;
use crate::metrics::totals::Totals;
use crate::model_gate::ForSession;
use crate::registration::{MadeChannel, Reserved, Sessions, Unreleased};

mod place;

use place::Place;

/// How long a start waits for a processor that was told to stop and has not come back: such a
/// one is usually in the middle of a frame.
const DRAINING_WAIT: Duration = Duration::from_secs(3);

/// The slots of one worker. Clones share them.
#[derive(Clone)]
pub(crate) struct Slots(Arc<Inner>);

struct Inner {
    capacity: NonZeroUsize,
    client: Client,
    backends: Backends,
    table: Mutex<Table>,
    tasks: TaskTracker,
    /// For sessions whose caller named none.
    next_name: AtomicU64,
    unreleased: Unreleased,
}

struct Table {
    /// New sessions are taken.
    open: bool,
    /// In order of their starts.
    slots: Vec<Arc<Slot>>,
    last: Option<SessionSummary>,
    /// What sessions that have ended counted.
    ended: Totals,
}

/// What the slots hold, and what their sessions counted, at one moment.
#[derive(Debug)]
pub(crate) struct Census {
    /// Counts of the sessions that live and of those that have ended.
    pub(crate) totals: Totals,
    /// The phase of each slot that is taken, one of [`PHASES`].
    pub(crate) phases: Vec<&'static str>,
    /// Sessions that live, and what waits in their queues.
    pub(crate) sessions: Vec<(SessionStatus, [QueueDepth; 4])>,
}

/// One session's place.
pub(crate) struct Slot {
    pub(crate) id: String,
    pub(crate) stream_id: Option<String>,
    /// The id that an orchestrator reserved it under, and when it was taken.
    reserved: Option<(String, Instant)>,
    phase: watch::Sender<Phase>,
    /// A session of the same id waits to take this place.
    replaced: AtomicBool,
    /// The session whose place this is to take, until it has it.
    predecessor: Mutex<Option<Arc<Slot>>>,
    /// Asks the session to end.
    stop: CancellationToken,
    /// The session has ended and the slot is free.
    gone: CancellationToken,
}

/// How far a slot's session is.
#[derive(Clone)]
pub(crate) enum Phase {
    Starting,
    Running(Arc<Session>),
    Stopping(Arc<Session>),
    /// It has ended, but its processor has not come back: the slot cannot be used again yet.
    Draining(Arc<Session>),
}

/// The words for phases.
pub(crate) const PHASES: [&str; 4] = ["starting", "running", "stopping", "draining"];

impl Phase {
    /// One of [`PHASES`].
    pub(crate) fn word(&self) -> &'static str {
        let [starting, running, stopping, draining] = PHASES;
        match self {
            Self::Starting => starting,
            Self::Running(_) => running,
            Self::Stopping(_) => stopping,
            Self::Draining(_) => draining,
        }
    }

    /// The session, once there is one.
    pub(crate) fn session(&self) -> Option<&Arc<Session>> {
        match self {
            Self::Starting => None,
            Self::Running(session) | Self::Stopping(session) | Self::Draining(session) => {
                Some(session)
            }
        }
    }
}

impl Slot {
    fn predecessor(&self) -> Option<Arc<Slot>> {
        let predecessor = self.predecessor.lock();
        predecessor.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_named(&self, id: &str) -> bool {
        self.id == id || self.stream_id.as_deref() == Some(id)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// Callers can reach its session: it has not ended, and no other takes its place.
    fn is_active(&self) -> bool {
        !self.replaced.load(Ordering::Acquire)
            && !matches!(*self.phase.borrow(), Phase::Draining(_))
    }

    /// The session once it has started; `None` when it never does.
    async fn session(&self) -> Option<Arc<Session>> {
        let mut phase = self.phase.subscribe();
        let started = phase.wait_for(|phase| !matches!(phase, Phase::Starting));
        let started = self.gone.run_until_cancelled(started).await?.ok()?;
        match &*started {
            Phase::Running(session) | Phase::Stopping(session) => Some(session.clone()),
            Phase::Starting | Phase::Draining(_) => None,
        }
    }

    /// Waits until the session has ended; whether its slot is free too.
    async fn ended(&self) -> bool {
        let mut phase = self.phase.subscribe();
        let draining = phase.wait_for(|phase| matches!(phase, Phase::Draining(_)));
        self.gone.run_until_cancelled(draining).await.is_none()
    }
}

impl Slots {
    pub(crate) fn new(capacity: NonZeroUsize, client: Client, backends: Backends) -> Self {
        Self(Arc::new(Inner {
            capacity,
            client,
            backends,
            table: Mutex::new(Table {
                open: true,
                slots: Vec::new(),
                last: None,
                ended: Totals::default(),
            }),
            tasks: TaskTracker::new(),
            next_name: AtomicU64::new(1),
            unreleased: Unreleased::default(),
        }))
    }

    /// The table that sessions take their codecs from.
    pub(crate) fn backends(&self) -> &Backends {
        &self.0.backends
    }

    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity.get()
    }

    /// The client through which sessions reach their channels.
    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    /// Sessions that have ended and that an orchestrator may still count.
    pub(crate) fn unreleased(&self) -> &Unreleased {
        &self.0.unreleased
    }

    /// Slots that are not free.
    pub(crate) fn taken(&self) -> usize {
        self.0.table().taken()
    }

    /// All slots that are taken, in order of their starts, and the session that ended last.
    pub(crate) fn snapshot(&self) -> (Vec<Arc<Slot>>, Option<SessionSummary>) {
        let table = self.0.table();
        (table.slots.clone(), table.last.clone())
    }

    /// Waits until all slots are free.
    pub(crate) async fn idle(&self) {
        loop {
            let first = self.0.table().slots.first().cloned();
            match first {
                Some(slot) => slot.gone.cancelled().await,
                None => return,
            }
        }
    }

    /// Counts of all sessions so far. They never fall from one call to the next: a session is
    /// counted in the table or among those that have ended, never in both or neither.
    pub(crate) fn census(&self) -> Census {
        let table = self.0.table();
        let mut census = Census {
            totals: table.ended.clone(),
            phases: Vec::new(),
            sessions: Vec::new(),
        };
        for slot in &table.slots {
            let phase = slot.phase();
            census.phases.push(phase.word());
            if let Some(session) = phase.session() {
                census.totals.add(session);
                census
                    .sessions
                    .push((session.status(), session.queue_depths()));
            }
        }
        census
    }

    /// Starts a session and waits until it runs. One with the same id gives its slot to this one,
    /// once it is certain that this one can run. Gives the channels that the
    /// orchestrator made for it, where one reserved it.
    pub(crate) async fn start(
        &self,
        request: StartRequest,
        reserved: Option<Reserved>,
        config: &Config,
        model: ForSession,
    ) -> Result<Vec<MadeChannel>, ApiError> {
        let id = match (request.request_id, &request.stream_id) {
            (id, _) if !id.is_empty() => id,
            (_, Some(id)) => id.clone(),
            _ => format!(
                "stream-{}",
                self.0.next_name.fetch_add(1, Ordering::Relaxed)
            ),
        };
        // Before a running session of the same id is touched.
        WorkerParams::default().updated(&request.params)?;
        let reserved_id = reserved.as_ref().map(|reserved| reserved.id.clone());
        let place = self
            .take(&id, &request.stream_id, reserved_id.as_deref())
            .await?;
        let mut session = SessionConfig {
            subscribe_url: request.subscribe_url,
            publish_url: request.publish_url,
            params: request.params,
            program: config.program,
            encode: config.encode.clone(),
            audio: config.audio,
            on_error: config.on_error,
            on_stall: config.on_stall,
            stall_timeout: config.stall_timeout,
            frame_deadline: config.frame_deadline,
            idle_timeout: config.session_idle_timeout,
            control_url: request.control_url,
            events_url: request.events_url,
            data_url: request.data_url,
            data_format: config.data_format,
            ..SessionConfig::new(id.clone())
        };
        let (answer, answered) = oneshot::channel();
        let span = tracing::info_span!(
            "session",
            %id,
            reason = Empty,
            frames_in = Empty,
            frames_out = Empty,
            frames_dropped = Empty,
        );
        let inner = Arc::clone(&self.0);
        let made = Arc::new(OnceLock::new());
        let told = Arc::clone(&made);
        let run = async move {
            let Some(reserved) = reserved else {
                place.occupy(session, model, answer).await;
                return;
            };
            let channels = match place.make_channels(&reserved, &mut session).await {
                Ok(channels) => channels,
                Err(error) => {
                    drop(place);
                    drop(answer.send(Err(error)));
                    return;
                }
            };
            // Set once.
            let _ = told.set(channels.clone());
            let by_itself = place.occupy(session, model, answer).await;
            reserved.remove_channels(&inner.client, &channels).await;
            if by_itself {
                reserved.release(&inner.client, &inner.unreleased).await;
            }
        };
        self.0.tasks.spawn(run.instrument(span));
        // The task gives no answer when the processor panics as it is opened.
        answered.await.unwrap_or_else(|_| {
            Err(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the session could not be started: its processor panicked",
            ))
        })?;
        Ok(made.get().cloned().unwrap_or_default())
    }

    /// Ends a session and waits until it has ended. Its slot is free then, unless the processor
    /// does not come back; status shows that.
    pub(crate) async fn stop(&self, wanted: Option<&str>) -> Result<(), ApiError> {
        let slot = self.0.table().find(wanted, "stop")?;
        slot.stop.cancel();
        if let Some(predecessor) = slot.predecessor() {
            // The start of another with this id has not come to its end.
            predecessor.stop.cancel();
            predecessor.ended().await;
        }
        slot.ended().await;
        Ok(())
    }

    /// Takes a slot. One whose processor is about to come back is waited for.
    async fn take(
        &self,
        id: &str,
        stream_id: &Option<String>,
        reserved: Option<&str>,
    ) -> Result<Place, ApiError> {
        let taken = Inner::take(&self.0, id, stream_id, reserved);
        let (Err(_), Some(draining)) = (&taken, self.0.draining()) else {
            return taken;
        };
        if tokio::time::timeout(DRAINING_WAIT, draining.gone.cancelled())
            .await
            .is_err()
        {
            return taken;
        }
        Inner::take(&self.0, id, stream_id, reserved)
    }

    /// Gives a session's processor new parameters.
    pub(crate) async fn update(
        &self,
        wanted: Option<&str>,
        params: Params,
    ) -> Result<(), ApiError> {
        let slot = self.0.table().find(wanted, "update")?;
        let session = slot.session().await.ok_or_else(|| none_active("update"))?;
        match session.update(params).await {
            Ok(()) => Ok(()),
            Err(UpdateError::Rejected(error)) => Err(ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                error.to_string(),
            )),
            Err(UpdateError::Ended) => Err(none_active("update")),
            Err(error @ UpdateError::Busy) => Err(ApiError::unavailable(error.to_string())),
            Err(error) => Err(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                error.to_string(),
            )),
        }
    }

    /// Takes no more sessions, ends those that run and waits at most `within` for that; then
    /// gives the ids of those left.
    pub(crate) async fn drain(&self, within: Duration) -> Result<(), Vec<String>> {
        {
            let mut table = self.0.table();
            table.open = false;
            table.slots.iter().for_each(|slot| slot.stop.cancel());
        }
        self.0.tasks.close();
        match tokio::time::timeout(within, self.0.tasks.wait()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self
                .snapshot()
                .0
                .iter()
                .map(|slot| slot.id.clone())
                .collect()),
        }
    }
}

impl Sessions for Slots {
    fn busy(&self) -> bool {
        self.taken() > 0
    }

    fn reserved(&self) -> Vec<(String, Instant)> {
        let table = self.0.table();
        let active = table.slots.iter().filter(|slot| slot.is_active());
        active.filter_map(|slot| slot.reserved.clone()).collect()
    }

    fn release(&self, id: &str) {
        for slot in &self.0.table().slots {
            if slot.reserved.as_ref().is_some_and(|(name, _)| name == id) {
                slot.stop.cancel();
            }
        }
    }
}

impl Inner {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Every change is complete in itself, so that a panic elsewhere leaves nothing halfway.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot whose session has ended and whose processor has not come back.
    fn draining(&self) -> Option<Arc<Slot>> {
        let table = self.table();
        let mut slots = table.slots.iter();
        slots
            .find(|slot| matches!(*slot.phase.borrow(), Phase::Draining(_)))
            .cloned()
    }

    /// Takes a slot: that of a session with the same id, which is to be ended first, or a free
    /// one.
    fn take(
        inner: &Arc<Self>,
        id: &str,
        stream_id: &Option<String>,
        reserved: Option<&str>,
    ) -> Result<Place, ApiError> {
        let mut table = inner.table();
        if !table.open {
            return Err(ApiError::unavailable("The worker is shutting down"));
        }
        let same = table
            .slots
            .iter()
            .find(|slot| slot.is_active() && slot.id == id);
        let predecessor = same.cloned();
        if let Some(predecessor) = &predecessor {
            predecessor.replaced.store(true, Ordering::Release);
        } else if table.taken() >= inner.capacity.get() {
            return Err(in_use());
        }
        let slot = Arc::new(Slot {
            id: id.to_owned(),
            stream_id: stream_id.clone(),
            reserved: reserved.map(|id| (id.to_owned(), Instant::now())),
            phase: watch::Sender::new(Phase::Starting),
            replaced: AtomicBool::new(false),
            predecessor: Mutex::new(predecessor.clone()),
            stop: CancellationToken::new(),
            gone: CancellationToken::new(),
        });
        table.slots.push(slot.clone());
        Ok(Place {
            inner: inner.clone(),
            slot,
        })
    }
}

impl Table {
    /// Slots that are not free, each counted once.
    fn taken(&self) -> usize {
        let counted = |slot: &&Arc<Slot>| !slot.replaced.load(Ordering::Acquire);
        self.slots.iter().filter(counted).count()
    }

    fn find(&self, wanted: Option<&str>, action: &str) -> Result<Arc<Slot>, ApiError> {
        let active: Vec<_> = self.slots.iter().filter(|slot| slot.is_active()).collect();
        match (active.as_slice(), wanted) {
            ([], _) => Err(none_active(action)),
            (slots, Some(id)) => {
                let found = slots.iter().find(|slot| slot.is_named(id));
                found.map(|slot| Arc::clone(slot)).ok_or_else(|| {
                    ApiError::new(
                        StatusCode::NOT_FOUND,
                        format!("there is no stream {id:?} to {action}"),
                    )
                })
            }
            ([one], None) => Ok(Arc::clone(one)),
            (many, None) => Err(ApiError::field(
                "gateway_request_id",
                format!("is required, as {} streams are active", many.len()),
            )),
        }
    }
}

fn none_active(action: &str) -> ApiError {
    ApiError::bad_request(format!("No active stream to {action}"))
}

fn in_use() -> ApiError {
    ApiError::unavailable("Pipeline is still in use")
}

fn stopped() -> ApiError {
    ApiError::unavailable("The stream was stopped as it started")
}

fn start_error(error: StartError) -> ApiError {
    match error {
        StartError::Params(error) => error.into(),
        StartError::Channel { field, reason } => ApiError::field(field, reason),
        // All else in it is the worker's own, and was checked as the worker was built.
        StartError::Config(error) if error.field.ends_with("_url") => {
            ApiError::field(error.field, error.reason)
        }
        other => ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, other.to_string()),
    }
}
