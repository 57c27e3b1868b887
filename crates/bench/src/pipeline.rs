//! The measurement: streams through a worker, timed frame by frame.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use trickle_proto::load::process::{self, Usage};
use trickle_proto::{Client, PublishError, PublishOptions, Start, SubscribeError};
use trickle_server::client::{WorkerClient, WorkerError};
use url::Url;

use crate::first_bytes::FirstBytes;
use crate::latency::{LatencyMeter, Spread};
use crate::source::{Clip, ClipError};

/// MIME type of media channels.
const MIME: &str = "video/mp2t";
/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(200);
/// Time that the last frames have to come out.
const TAIL: Duration = Duration::from_secs(3);
/// How long a worker that refuses a stream is asked again: it may still be busy with ending the
/// one before.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Time from one request to the next.
const START_PAUSE: Duration = Duration::from_millis(100);

/// What is measured.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// The worker: the URL that its `/stream/start` is under.
    pub worker: Url,
    /// Process of the worker, for CPU and memory; `None` looks for who listens on its port.
    pub worker_pid: Option<u32>,
    /// Where channels are made, `http://HOST:PORT/BASE/`. The relay must create channels when
    /// they are published to.
    pub relay: Url,
    /// Streams at once.
    pub sessions: usize,
    /// Parameters of every session.
    pub params: Map<String, Value>,
    /// Times normal speed.
    pub speed: f64,
    /// Not measured, at the start.
    pub warm_up: Duration,
    /// Measured, after that.
    pub duration: Duration,
}

/// What was measured. Keys state their units.
#[derive(Clone, Debug, Serialize)]
pub struct PipelineReport {
    /// Streams at once.
    pub sessions: usize,
    /// Seconds measured, after the warm-up.
    pub seconds: f64,
    /// Frames per second, of all streams together.
    pub fps: FpsReport,
    /// From handing a frame's last byte to the publisher until its first byte came out.
    pub latency_ms: Spread,
    /// By how much the latency of the stream that fell behind most grew: the median of the last
    /// quarter of its frames less that of the first.
    pub latency_growth_ms: f64,
    /// Frames sent while measuring.
    pub frames_sent: u64,
    /// Those of them that did not come out.
    pub frames_lost: u64,
    /// From the first frame's last byte until the first output byte.
    pub first_frame_ms: Option<f64>,
    /// CPU time of the worker per frame that came out; `null` where its process is not known.
    pub cpu_ms_per_frame: Option<f64>,
    /// Cores that the worker kept busy.
    pub cpu_cores: Option<f64>,
    /// Most memory of the worker that was resident, in MB (10⁶ bytes), looked at five times a
    /// second.
    pub rss_mb_peak: Option<f64>,
}

/// Frame rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct FpsReport {
    /// Sent.
    #[serde(rename = "in")]
    pub sent: f64,
    /// Received.
    pub out: f64,
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The input.
    #[error(transparent)]
    Clip(#[from] ClipError),
    /// A channel's URL.
    #[error("{0} cannot be the base of channels: {1}")]
    Relay(Url, url::ParseError),
    /// The worker refused a stream.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The input could not be published.
    #[error("publishing the input: {0}")]
    Publish(#[from] PublishError),
    /// The output could not be read.
    #[error("reading the output: {0}")]
    Subscribe(#[from] SubscribeError),
    /// Nothing came out.
    #[error("no frame came out of the worker within {0:?}")]
    NoOutput(Duration),
    /// No pace was sustained.
    #[error("the worker did not keep up even at {0} times normal speed")]
    TooSlow(f64),
}

/// Runs the measurement.
///
/// # Errors
/// [`PipelineError`].
pub async fn run(
    client: &Client,
    clip: &Clip,
    config: &PipelineConfig,
) -> Result<PipelineReport, PipelineError> {
    let worker = WorkerClient::new(&config.worker, &client.config().tls)?;
    let pid = config
        .worker_pid
        .or_else(|| process::listening_on(&config.worker));
    let mut streams = Vec::with_capacity(config.sessions);
    for index in 0..config.sessions {
        streams.push(Stream::new(config, index)?);
    }
    for stream in &streams {
        // The channels must be there before a worker asks for them.
        for url in [&stream.input, &stream.output] {
            client
                .publish(url, PublishOptions::new(MIME).create(true))
                .await?
                .leave()
                .await?;
        }
        start(&worker, &stream.start_body(&config.params)).await?;
    }
    let began = Instant::now();
    let from = began + config.warm_up;
    let until = from + config.duration;
    let watching = watch(pid, from, until);
    // Streams of different origin are not in step: here their frames come evenly spaced, so that
    // none waits for the others' only because all were sent at the same time.
    let step = Duration::from_secs_f64(1.0 / (clip.fps() * config.speed * config.sessions as f64));
    let work = futures_util::future::try_join_all(
        (0u32..)
            .zip(&streams)
            .map(|(index, stream)| stream.run(client, clip, config.speed, step * index, until)),
    );
    let (done, used) = tokio::join!(work, watching);
    let stopped = stop_all(&worker, &streams).await;
    let measured = done?;
    stopped?;
    report(config, &measured, from, used)
}

/// Starts a stream, patiently.
async fn start(worker: &WorkerClient, body: &Value) -> Result<(), WorkerError> {
    let asked = Instant::now();
    loop {
        match worker.start(body).await {
            Err(WorkerError::Status { .. }) if asked.elapsed() < START_LIMIT => {
                tokio::time::sleep(START_PAUSE).await;
            }
            answer => return answer.map(|_| ()),
        }
    }
}

async fn stop_all(worker: &WorkerClient, streams: &[Stream]) -> Result<(), WorkerError> {
    for stream in streams {
        // A stream whose input has ended may be over already.
        match worker.stop(&stream.id).await {
            Ok(_) | Err(WorkerError::Status { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One stream through the worker.
struct Stream {
    id: String,
    input: Url,
    output: Url,
}

/// What one stream gave.
#[derive(Default)]
struct Measured {
    meter: LatencyMeter,
    sent: Vec<Instant>,
    received: Vec<Instant>,
}

impl Stream {
    fn new(config: &PipelineConfig, index: usize) -> Result<Self, PipelineError> {
        // Names are new for every run, so that no channel's past is in the way.
        let run = std::process::id();
        let at = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        let id = format!("bench-{run}-{at}-{index}");
        let channel = |end: &str| {
            let name = format!("{id}-{end}");
            let failed = |error| PipelineError::Relay(config.relay.clone(), error);
            config.relay.join(&name).map_err(failed)
        };
        Ok(Self {
            input: channel("in")?,
            output: channel("out")?,
            id,
        })
    }

    fn start_body(&self, params: &Map<String, Value>) -> Value {
        json!({
            "gateway_request_id": self.id,
            "subscribe_url": self.input.as_str(),
            "publish_url": self.output.as_str(),
            "params": params,
        })
    }

    async fn run(
        &self,
        client: &Client,
        clip: &Clip,
        speed: f64,
        after: Duration,
        until: Instant,
    ) -> Result<Measured, PipelineError> {
        let measured = Mutex::new(Measured::default());
        let sent = CancellationToken::new();
        let publishing = async {
            tokio::time::sleep(after).await;
            let done = self.publish(client, clip, speed, until, &measured).await;
            sent.cancel();
            done
        };
        let receiving = async {
            let reading = self.receive(client, &measured);
            let ended = async {
                sent.cancelled().await;
                tokio::time::sleep(TAIL).await;
            };
            tokio::select! {
                read = reading => read,
                () = ended => Ok(()),
            }
        };
        let (published, received) = tokio::join!(publishing, receiving);
        published?;
        received?;
        let mut measured = measured
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        measured.meter.finish();
        Ok(measured)
    }

    async fn publish(
        &self,
        client: &Client,
        clip: &Clip,
        speed: f64,
        until: Instant,
        measured: &Mutex<Measured>,
    ) -> Result<(), PipelineError> {
        let mut player = clip.play()?;
        let mut publisher = client
            .publish(&self.input, PublishOptions::new(MIME))
            .await?;
        let mut segment = None;
        let began = Instant::now();
        loop {
            let piece = player.next_piece()?;
            let due = began + piece.due.div_f64(speed);
            if due >= until {
                break;
            }
            tokio::time::sleep_until(due.into()).await;
            if piece.new_segment
                && let Some(done) = segment.replace(publisher.next_segment().await?)
            {
                let done: trickle_proto::SegmentWriter = done;
                // A segment that was cut short shows as frames lost.
                let _ = done.finish().await;
            }
            if let Some(segment) = &mut segment {
                // As above.
                let _ = segment.write(piece.bytes).await;
            }
            if let Some(pts) = piece.frame {
                let now = Instant::now();
                let mut measured = lock(measured);
                measured.meter.sent(wrapped(pts), now);
                measured.sent.push(now);
            }
        }
        if let Some(segment) = segment {
            let _ = segment.finish().await;
        }
        publisher.close().await?;
        Ok(())
    }

    async fn receive(
        &self,
        client: &Client,
        measured: &Mutex<Measured>,
    ) -> Result<(), PipelineError> {
        let mut subscriber = client
            .subscribe(&self.output, Start::At(0.into()))
            .map_err(SubscribeError::from)?;
        let mut scan = FirstBytes::default();
        while let Some(mut segment) = subscriber.next_segment().await? {
            scan.segment();
            while let Some(chunk) = segment.chunk().await? {
                let now = Instant::now();
                let mut measured = lock(measured);
                scan.push(&chunk, |pts| {
                    measured.meter.received(pts, now);
                    measured.received.push(now);
                });
            }
        }
        Ok(())
    }
}

fn lock(measured: &Mutex<Measured>) -> MutexGuard<'_, Measured> {
    measured.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As a PES header states it.
fn wrapped(pts: i64) -> i64 {
    pts.rem_euclid(1 << trickle_media::ts::pes::TIMESTAMP_BITS)
}

/// CPU seconds used while measuring, and the most memory seen.
async fn watch(pid: Option<u32>, from: Instant, until: Instant) -> Option<(f64, u64)> {
    let pid = pid?;
    tokio::time::sleep_until(from.into()).await;
    let before = Usage::of(pid)?;
    let mut peak = before.rss_bytes;
    while Instant::now() + SAMPLE < until {
        tokio::time::sleep(SAMPLE).await;
        peak = peak.max(Usage::of(pid)?.rss_bytes);
    }
    tokio::time::sleep_until(until.into()).await;
    let after = Usage::of(pid)?;
    Some((after.cpu_s - before.cpu_s, peak.max(after.rss_bytes)))
}

fn report(
    config: &PipelineConfig,
    measured: &[Measured],
    from: Instant,
    used: Option<(f64, u64)>,
) -> Result<PipelineReport, PipelineError> {
    let seconds = config.duration.as_secs_f64();
    let until = from + config.duration;
    let count = |times: &dyn Fn(&Measured) -> &Vec<Instant>| -> usize {
        let within = |at: &&Instant| (from..until).contains(*at);
        measured
            .iter()
            .map(|stream| times(stream).iter().filter(within).count())
            .sum()
    };
    let sent = count(&|stream| &stream.sent);
    let received = count(&|stream| &stream.received);
    let latencies: Vec<Duration> = measured
        .iter()
        .flat_map(|stream| stream.meter.latencies(from))
        .collect();
    if measured.iter().any(|stream| stream.received.is_empty()) {
        return Err(PipelineError::NoOutput(config.warm_up + config.duration));
    }
    let first_frame = |stream: &Measured| {
        Some(
            stream
                .received
                .first()?
                .saturating_duration_since(*stream.sent.first()?),
        )
    };
    let first = measured.iter().filter_map(first_frame).max();
    let growth = measured.iter().map(|stream| stream.meter.growth_ms(from));
    Ok(PipelineReport {
        sessions: config.sessions,
        seconds,
        fps: FpsReport {
            sent: sent as f64 / seconds,
            out: received as f64 / seconds,
        },
        latency_growth_ms: growth.fold(f64::NEG_INFINITY, f64::max),
        frames_sent: sent as u64,
        frames_lost: sent.saturating_sub(latencies.len()) as u64,
        latency_ms: Spread::of(&latencies),
        first_frame_ms: first.map(|took| took.as_secs_f64() * 1e3),
        cpu_ms_per_frame: used
            .filter(|_| received > 0)
            .map(|(cpu_s, _)| cpu_s * 1e3 / received as f64),
        cpu_cores: used.map(|(cpu_s, _)| cpu_s / seconds),
        rss_mb_peak: used.map(|(_, rss)| rss as f64 / 1e6),
    })
}
