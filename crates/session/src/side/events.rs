//! The events channel: what happens to a session, a heartbeat, and its condition.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::event::{Event, Urls};
use super::lane::{Closed, Outlet};
use super::watch::Watch;
use crate::error::EndReason;
use crate::shared::Shared;
use crate::stats::Counter;
use crate::thread;

/// MIME type of the channel.
pub(crate) const MIME: &str = "application/json";
/// Events that wait to be sent; later ones are dropped.
const QUEUE: usize = 256;
/// Time between two looks at what the stages count.
const LOOK: Duration = Duration::from_secs(1);
/// Time between two heartbeats. Gateways end a stream that is silent for 30 s.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The way of events to the channel. Never waits.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Empty where there is no events channel.
    queue: OnceLock<mpsc::Sender<Happened>>,
    received: AtomicBool,
    sent: AtomicBool,
    dropped: Counter,
}

/// An event and its time.
#[derive(Debug)]
pub(crate) struct Happened {
    event: Event,
    at: Instant,
}

#[cfg(test)]
impl Happened {
    pub(crate) fn into_event(self) -> Event {
        self.event
    }
}

impl Events {
    /// From here on, events are queued.
    pub(crate) fn open(&self) -> mpsc::Receiver<Happened> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        // Opened once: a session starts once.
        let _ = self.queue.set(sender);
        receiver
    }

    /// Queues an event; one that finds no room is dropped and counted.
    pub(crate) fn emit(&self, event: Event) {
        let at = Instant::now();
        if let Some(queue) = self.queue.get()
            && queue.try_send(Happened { event, at }).is_err()
        {
            self.dropped.add(1);
        }
    }

    /// Bytes of the input came; tells of the first.
    pub(crate) fn received(&self) {
        if !self.received.load(Ordering::Relaxed) && !self.received.swap(true, Ordering::Relaxed) {
            self.emit(Event::ReceiveFirstIngestSegment);
        }
    }

    /// Bytes of the output went; tells of the first.
    pub(crate) fn sent(&self) {
        if !self.sent.load(Ordering::Relaxed) && !self.sent.swap(true, Ordering::Relaxed) {
            self.emit(Event::SendFirstProcessedSegment);
        }
    }

    /// Events that found no room.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.get()
    }
}

/// Milliseconds since 1970, from a clock that only moves forward.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock {
    origin: Duration,
    started: Instant,
}

impl WallClock {
    fn now() -> Self {
        let origin = SystemTime::now().duration_since(UNIX_EPOCH);
        Self::at(origin.unwrap_or_default())
    }

    fn at(origin: Duration) -> Self {
        Self {
            origin,
            started: Instant::now(),
        }
    }

    pub(crate) fn ms(&self, at: Instant) -> u64 {
        let time = self.origin + at.saturating_duration_since(self.started);
        time.as_millis() as u64
    }
}

/// Publishes until `ended` resolves, then tells that the stream has stopped and ends the channel.
pub(crate) async fn run(
    shared: &Shared,
    lane: impl Outlet,
    queue: mpsc::Receiver<Happened>,
    urls: &Urls,
    ended: impl Future<Output = ()>,
) {
    run_at(WallClock::now(), shared, lane, queue, urls, ended).await;
}

async fn run_at(
    clock: WallClock,
    shared: &Shared,
    mut lane: impl Outlet,
    mut queue: mpsc::Receiver<Happened>,
    urls: &Urls,
    ended: impl Future<Output = ()>,
) {
    let published = publish(clock, shared, &mut lane, &mut queue, urls, ended).await;
    if published.is_ok() {
        lane.close().await;
    }
}

async fn publish(
    clock: WallClock,
    shared: &Shared,
    lane: &mut impl Outlet,
    queue: &mut mpsc::Receiver<Happened>,
    urls: &Urls,
    ended: impl Future<Output = ()>,
) -> Result<(), Closed> {
    let now = || clock.ms(Instant::now());
    let params = shared.params();
    let mut watch = Watch::new(now());
    let started = Event::StreamStarted { params };
    lane.send(started.message(now())).await?;
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heartbeat = Instant::now();
    let mut ended = std::pin::pin!(ended);
    loop {
        tokio::select! {
            // Events come last, as there may always be another.
            biased;
            () = &mut ended => break,
            _ = looks.tick() => {
                let snapshot = shared.stats.snapshot(thread::now());
                for error in watch.look(&snapshot, now()) {
                    lane.send(error.message(now())).await?;
                }
                let looked = Instant::now();
                if looked >= heartbeat {
                    lane.send(watch.pulse(&snapshot).message(now(), urls)).await?;
                    let condition = watch.condition(&snapshot, now(), || shared.params());
                    lane.send(condition.message(now())).await?;
                    heartbeat = (heartbeat + HEARTBEAT).max(looked + LOOK);
                }
            }
            Some(happened) = queue.recv() => {
                if matches!(happened.event, Event::ParamsUpdated { .. }) {
                    watch.params_updated(clock.ms(happened.at));
                }
                lane.send(happened.event.message(clock.ms(happened.at))).await?;
            }
        }
    }
    while let Ok(happened) = queue.try_recv() {
        lane.send(happened.event.message(clock.ms(happened.at)))
            .await?;
    }
    let snapshot = shared.stats.snapshot(thread::now());
    for error in watch.look(&snapshot, now()) {
        lane.send(error.message(now())).await?;
    }
    let reason = shared.reason().unwrap_or(EndReason::Stopped);
    if !reason.is_clean() {
        let error = Event::Error {
            source: "session",
            message: reason.to_string(),
            count: 1,
        };
        lane.send(error.message(now())).await?;
    }
    let stopped = Event::StreamStopped {
        reason: reason.to_string(),
    };
    lane.send(stopped.message(now())).await
}

#[cfg(test)]
#[path = "events_test.rs"]
mod tests;
