//! A load generator: one publisher, many subscribers, any relay; throughput, delay and CPU.
//!
//! Every chunk carries the time at which it was handed to the publisher, so its delay at each
//! subscriber is measured on one clock: publisher and subscribers run in this process, the relay
//! usually in another. A paced load ends a chunk's delay when the chunk reaches the machine's own
//! network stack, as the kernel notes it, where the system tells that: when the reader then gets
//! the CPU is no matter of the relay. All else is measured to the end of the read.

mod histogram;
pub mod process;
mod stamp;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use tokio::{
    runtime,
    sync::Notify,
    task::{JoinHandle, JoinSet, spawn_blocking},
    time::{interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use url::Url;

pub use self::histogram::Histogram;
use self::{
    process::Usage,
    stamp::{StampReader, Stamper},
};
use crate::{
    BadUrl, Client, ConfigError, PublishError, PublishOptions, SegmentReader, Seq, Start,
    SubscribeError,
};

/// Segments that the publisher may be ahead of the slowest subscriber when it is not paced. The
/// relay would let it run away, and the slow ones would be cut off.
const AHEAD: u64 = 2;

const MIME: &str = "application/octet-stream";

/// Longest wait of the publisher for any progress.
const STALL: Duration = Duration::from_secs(1);

/// What load to make.
#[derive(Clone, Debug)]
pub struct LoadConfig {
    /// The channel; it is made, and closed at the end.
    pub url: Url,
    /// Readers.
    pub subscribers: usize,
    /// Bytes of each segment.
    pub segment_bytes: usize,
    /// Bytes that are written at once; at least 16.
    pub chunk_bytes: usize,
    /// Time from one chunk to the next. `None`: as fast as the slowest subscriber reads.
    pub chunk_interval: Option<Duration>,
    /// How long to publish.
    pub duration: Duration,
}

/// What was measured. Field names carry their units.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LoadReport {
    /// Readers.
    pub subscribers: usize,
    /// Bytes of each segment.
    pub segment_bytes: usize,
    /// Bytes of each chunk.
    pub chunk_bytes: usize,
    /// From the first byte written to the last byte read.
    pub seconds: f64,
    /// Segments written.
    pub segments: u64,
    /// Bytes written to the relay.
    pub in_bytes: u64,
    /// Bytes read from it, by all subscribers.
    pub out_bytes: u64,
    /// `out_bytes` in 10⁹ bytes per second.
    pub out_gb_per_s: f64,
    /// From handing a chunk to the publisher until its last byte came, as `chunk_delay_until`
    /// says.
    pub chunk_delay_ms: Percentiles,
    /// Where a chunk's delay ends.
    pub chunk_delay_until: DelayUntil,
    /// Segments that subscribers missed or that broke off.
    pub lost_segments: u64,
    /// The relay's process, if it runs on this machine.
    pub server: Option<ProcessReport>,
    /// CPU seconds of this process.
    pub client_cpu_s: Option<f64>,
}

/// The end of a chunk's delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DelayUntil {
    /// Its last byte reached the reader's socket, by the kernel's clock.
    Arrival,
    /// Its last byte was read.
    #[default]
    Read,
}

/// Quantiles of a distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// Of a hundred the one before the worst.
    pub p99: f64,
    /// Worst.
    pub max: f64,
}

/// What the relay used.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessReport {
    /// Its process id.
    pub pid: u32,
    /// CPU seconds while the load ran.
    pub cpu_s: f64,
    /// CPU seconds per 10⁹ bytes read by subscribers.
    pub cpu_s_per_gb: f64,
    /// Resident memory at the end, in 10⁶ bytes.
    pub rss_mb: f64,
}

/// The load could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A size that makes no sense.
    #[error("{0}")]
    Config(&'static str),
    /// The channel's address cannot be used.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// The client could not be set up for measuring.
    #[error(transparent)]
    Client(#[from] ConfigError),
    /// Publishing failed for good.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A subscriber failed for good.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// A task was lost.
    #[error("a task ended: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// There is no thread for a part of the load.
    #[error("no thread for the load: {0}")]
    Runtime(#[source] std::io::Error),
    /// The load was given up.
    #[error("the load was given up")]
    Stopped,
}

/// Makes the load and measures.
///
/// # Errors
/// [`LoadError`] when the relay cannot be used; lost segments are no error, they are counted.
pub async fn run(client: &Client, config: &LoadConfig) -> Result<LoadReport, LoadError> {
    if config.chunk_bytes < stamp::BYTES {
        return Err(LoadError::Config("chunks must have at least 16 bytes"));
    }
    if config.segment_bytes < config.chunk_bytes {
        return Err(LoadError::Config("a segment must hold at least one chunk"));
    }
    let options = PublishOptions::new(MIME).create(true);
    client.publish(&config.url, options).await?.leave().await?;

    let server = process::listening_on(&config.url);
    let before = (server.and_then(Usage::of), Usage::of(std::process::id()));
    let started = Instant::now();
    let stop = CancellationToken::new();
    let _stopped_when_dropped = stop.clone().drop_guard();
    let pace = Arc::new(Pace::new(config.subscribers));
    let publishing = publish(client.clone(), config.clone(), pace.clone());
    let publishing = apart(&stop, publishing);
    // Noting arrivals costs a copy, which an unpaced load would feel; and that takes all cores.
    let reading = match config.chunk_interval {
        Some(_) => apart(
            &stop,
            read_all(client.timed()?, config.clone(), pace.clone()),
        ),
        None => tokio::spawn(read_all(client.clone(), config.clone(), pace.clone())),
    };
    let reading = AbortOnDropHandle::new(reading);
    let published = publishing.await;
    pace.stop();
    let (segments, in_bytes) = published??;
    let all = reading.await??;
    let seconds = started.elapsed().as_secs_f64();
    let after = (server.and_then(Usage::of), Usage::of(std::process::id()));

    let gigabytes = all.bytes as f64 / 1e9;
    let cpu = |before: Option<Usage>, after: Option<Usage>| Some(after?.cpu_s - before?.cpu_s);
    let server = server.and_then(|pid| {
        let cpu_s = cpu(before.0, after.0)?;
        let cpu_s_per_gb = if gigabytes > 0.0 {
            cpu_s / gigabytes
        } else {
            0.0
        };
        Some(ProcessReport {
            pid,
            cpu_s,
            cpu_s_per_gb,
            rss_mb: after.0?.rss_bytes as f64 / 1e6,
        })
    });
    Ok(LoadReport {
        subscribers: config.subscribers,
        segment_bytes: config.segment_bytes,
        chunk_bytes: config.chunk_bytes,
        seconds,
        segments,
        in_bytes,
        out_bytes: all.bytes,
        out_gb_per_s: gigabytes / seconds,
        chunk_delay_ms: all.delays.percentiles_ms(),
        chunk_delay_until: all.until,
        lost_segments: (segments * config.subscribers as u64).saturating_sub(all.whole),
        server,
        client_cpu_s: cpu(before.1, after.1),
    })
}

/// Does `work` on a thread of its own, until `stop`: nothing else in this process holds it up, as
/// if it were a process of its own.
fn apart<T: Send + 'static>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, LoadError>> + Send + 'static,
) -> JoinHandle<Result<T, LoadError>> {
    let stop = stop.clone();
    spawn_blocking(move || {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(LoadError::Runtime)?;
        let done = runtime.block_on(stop.run_until_cancelled(work));
        done.unwrap_or(Err(LoadError::Stopped))
    })
}

/// How far each subscriber is, so that an unpaced publisher does not run away.
struct Pace {
    /// Segments done, by subscriber.
    done: Vec<AtomicU64>,
    moved: Notify,
    over: AtomicBool,
}

impl Pace {
    fn new(subscribers: usize) -> Self {
        let done = (0..subscribers).map(|_| AtomicU64::new(0)).collect();
        Self {
            done,
            moved: Notify::new(),
            over: AtomicBool::new(false),
        }
    }

    fn slowest(&self) -> u64 {
        self.done
            .iter()
            .map(|done| done.load(Ordering::Relaxed))
            .min()
            .unwrap_or(u64::MAX)
    }

    async fn wait_for(&self, segments: u64) {
        loop {
            let moved = self.moved.notified();
            if self.slowest() >= segments {
                return;
            }
            // One that lost segments may itself wait for the publisher.
            if timeout(STALL, moved).await.is_err() {
                return;
            }
        }
    }

    fn set_done(&self, index: usize, segments: u64) {
        if let Some(done) = self.done.get(index) {
            done.store(segments, Ordering::Relaxed);
        }
        self.moved.notify_one();
    }

    fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Publishes until the time is over, and closes the channel. Returns segments and bytes.
async fn publish(
    client: Client,
    config: LoadConfig,
    pace: Arc<Pace>,
) -> Result<(u64, u64), LoadError> {
    // With connections on this thread.
    let client = Client::new(client.config().clone())?;
    let mut publisher = client
        .publish(&config.url, PublishOptions::new(MIME))
        .await?;
    let mut stamper = Stamper::new(config.chunk_bytes);
    let mut ticks = config.chunk_interval.map(interval);
    let end = Instant::now() + config.duration;
    let (mut segments, mut bytes) = (0u64, 0u64);
    while Instant::now() < end {
        if ticks.is_none() {
            pace.wait_for(segments.saturating_sub(AHEAD)).await;
        }
        let mut segment = publisher.next_segment().await?;
        for _ in 0..config.segment_bytes / config.chunk_bytes {
            if let Some(ticks) = ticks.as_mut() {
                ticks.tick().await;
            }
            let chunk = stamper.chunk(now());
            bytes += chunk.len() as u64;
            if segment.write(chunk).await.is_err() {
                break;
            }
        }
        // Why it failed, the next call tells.
        let _ = segment.finish().await;
        segments += 1;
    }
    pace.wait_for(segments).await;
    publisher.close().await?;
    Ok((segments, bytes))
}

/// What one subscriber, or all, measured.
#[derive(Default)]
struct Reading {
    bytes: u64,
    /// Segments that were read to their end.
    whole: u64,
    delays: Histogram,
    until: DelayUntil,
}

impl Reading {
    fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.whole += other.whole;
        self.delays.add(&other.delays);
        self.until = other.until;
    }
}

/// Reads with all subscribers until the channel ends.
async fn read_all(
    client: Client,
    config: LoadConfig,
    pace: Arc<Pace>,
) -> Result<Reading, LoadError> {
    let mut subscribers = JoinSet::new();
    for index in 0..config.subscribers {
        let subscriber = client.subscribe(&config.url, Start::At(Seq::ZERO))?;
        subscribers.spawn(read(subscriber, config.chunk_bytes, pace.clone(), index));
    }
    let mut all = Reading::default();
    while let Some(reading) = subscribers.join_next().await {
        all.add(&reading??);
    }
    Ok(all)
}

async fn read(
    mut subscriber: crate::Subscriber,
    chunk_bytes: usize,
    pace: Arc<Pace>,
    index: usize,
) -> Result<Reading, LoadError> {
    let mut reading = Reading::default();
    loop {
        let next = match subscriber.next_segment().await {
            Ok(Some(next)) => next,
            Ok(None) => break,
            // The channel may be swept before a subscriber that fell behind asks again.
            Err(_) if pace.over.load(Ordering::Relaxed) => break,
            Err(error) => {
                pace.set_done(index, u64::MAX);
                return Err(error.into());
            }
        };
        let segment = next.seq().next().get();
        let read = read_segment(next, chunk_bytes, &mut reading).await;
        reading.whole += u64::from(read.is_ok());
        pace.set_done(index, segment);
    }
    pace.set_done(index, u64::MAX);
    Ok(reading)
}

async fn read_segment(
    mut segment: SegmentReader,
    chunk_bytes: usize,
    reading: &mut Reading,
) -> Result<(), SubscribeError> {
    let mut stamps = StampReader::new(chunk_bytes);
    while let Some(bytes) = segment.chunk().await? {
        let came = segment.arrived();
        reading.until = came.map_or(DelayUntil::Read, |_| DelayUntil::Arrival);
        let came = came.unwrap_or_else(now);
        reading.bytes += bytes.len() as u64;
        stamps.read(&bytes, |written| {
            reading.delays.record(came.saturating_sub(written));
        });
    }
    Ok(())
}

/// The clock that the kernel notes arrivals by.
fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
#[path = "load_test.rs"]
mod tests;
