//! A load generator: one publisher, many subscribers, any relay; throughput, delay and CPU.
//!
//! Every chunk carries the time at which it was handed to the publisher, so its delay at each
//! subscriber is measured on one clock: publisher and subscribers run in this process, the relay
//! usually in another.

mod histogram;
pub mod process;
mod stamp;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{interval, timeout},
};
use url::Url;

pub use self::histogram::Histogram;
use self::{
    process::Usage,
    stamp::{StampReader, Stamper},
};
use crate::{
    BadUrl, Client, PublishError, PublishOptions, Publisher, SegmentReader, Seq, Start,
    SubscribeError,
};

/// Segments that the publisher may be ahead of the slowest subscriber when it is not paced. The
/// relay would let it run away, and the slow ones would be cut off.
const AHEAD: u64 = 2;

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
    /// From handing a chunk to the publisher until its last byte was read.
    pub chunk_delay_ms: Percentiles,
    /// Segments that subscribers missed or that broke off.
    pub lost_segments: u64,
    /// The relay's process, if it runs on this machine.
    pub server: Option<ProcessReport>,
    /// CPU seconds of this process.
    pub client_cpu_s: Option<f64>,
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
    /// Publishing failed for good.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A subscriber failed for good.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// A subscriber's task was lost.
    #[error("a subscriber's task ended: {0}")]
    Task(#[from] tokio::task::JoinError),
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
    let options = PublishOptions::new("application/octet-stream").create(true);
    let publisher = client.publish(&config.url, options).await?;
    let epoch = Instant::now();
    let pace = Arc::new(Pace::new(config.subscribers));
    let mut subscribers = JoinSet::new();
    for index in 0..config.subscribers {
        let subscriber = client.subscribe(&config.url, Start::At(Seq::ZERO))?;
        subscribers.spawn(read(
            subscriber,
            epoch,
            config.chunk_bytes,
            pace.clone(),
            index,
        ));
    }

    let server = process::listening_on(&config.url);
    let before = (server.and_then(Usage::of), Usage::of(std::process::id()));
    let started = Instant::now();
    let published = publish(publisher, config, epoch, &pace).await;
    pace.stop();
    let (segments, in_bytes) = published?;
    let mut all = Reading::default();
    while let Some(reading) = subscribers.join_next().await {
        all.add(&reading??);
    }
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
        lost_segments: all.lost,
        server,
        client_cpu_s: cpu(before.1, after.1),
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
    mut publisher: Publisher,
    config: &LoadConfig,
    epoch: Instant,
    pace: &Pace,
) -> Result<(u64, u64), LoadError> {
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
            let chunk = stamper.chunk(epoch.elapsed());
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
    lost: u64,
    delays: Histogram,
}

impl Reading {
    fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.delays.add(&other.delays);
    }
}

async fn read(
    mut subscriber: crate::Subscriber,
    epoch: Instant,
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
        reading.lost += next.gap().map_or(0, |gap| gap.missing());
        let segment = next.seq().next().get();
        if read_segment(next, epoch, chunk_bytes, &mut reading)
            .await
            .is_err()
        {
            reading.lost += 1;
        }
        pace.set_done(index, segment);
    }
    pace.set_done(index, u64::MAX);
    Ok(reading)
}

async fn read_segment(
    mut segment: SegmentReader,
    epoch: Instant,
    chunk_bytes: usize,
    reading: &mut Reading,
) -> Result<(), SubscribeError> {
    let mut stamps = StampReader::new(chunk_bytes);
    while let Some(bytes) = segment.chunk().await? {
        let now = epoch.elapsed();
        reading.bytes += bytes.len() as u64;
        stamps.read(&bytes, |written| {
            reading.delays.record(now.saturating_sub(written));
        });
    }
    Ok(())
}

#[cfg(test)]
#[path = "load_test.rs"]
mod tests;
