//! `trickle bench pipeline`: what a worker adds to a stream.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use trickle_bench::find_max::{self, Trial};
use trickle_bench::{Clip, MaxReport, PipelineConfig, PipelineError, PipelineReport, pipeline};
use trickle_processor::Params;
use trickle_proto::{Client, ClientConfig, Relay, RelayConfig};
use url::Url;

use crate::backends::Choice;
use crate::error::CliError;
use crate::settings::{duration, params};
use crate::ui::Ui;
use crate::{channel, demo, input, net, output};

/// Latency per frame, CPU and memory of a worker: ours, or any other with the same API
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct PipelineArgs {
    /// Worker to measure: the URL that its /stream/start is under [default: one of its own, in a process of its own]
    #[arg(long, value_name = "URL")]
    worker: Option<Url>,
    /// Its process, for CPU and memory [default: who listens on its port, on this machine]
    #[arg(long, value_name = "PID", requires = "worker")]
    worker_pid: Option<u32>,
    /// Relay, http://HOST:PORT/, that creates channels [default: one of its own]
    #[arg(long, value_name = "URL")]
    relay: Option<Url>,
    /// MP4 or MPEG-TS file, played again and again [default: Big Buck Bunny, 720p25]
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Processor of the worker that is started
    #[arg(
        long,
        value_name = "NAME",
        default_value = "passthrough",
        conflicts_with = "worker"
    )]
    processor: String,
    /// What the worker that is started decodes and encodes with: auto, cpu, cuda, cuda:N or ffmpeg
    #[arg(long, value_name = "BACKEND", conflicts_with = "worker")]
    backend: Option<Choice>,
    /// What it decodes with, where that is not what it encodes with
    #[arg(long, value_name = "BACKEND", conflicts_with = "worker")]
    decode_backend: Option<Choice>,
    /// What it encodes with, where that is not what it decodes with
    #[arg(long, value_name = "BACKEND", conflicts_with = "worker")]
    encode_backend: Option<Choice>,
    /// Parameters of every session, a JSON object
    #[arg(long, value_name = "JSON", value_parser = params)]
    params: Option<Params>,
    /// Streams at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    sessions: usize,
    /// Size that the worker is asked to process: its parameters `width` and `height`
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    size: Option<(u32, u32)>,
    /// Times normal speed
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Raise the speed, from the one given, until the worker no longer keeps up
    #[arg(long)]
    find_max: bool,
    /// Leave audio out
    #[arg(long)]
    no_audio: bool,
    /// Not measured, at the start
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    warm_up: Duration,
    /// Measured, after that
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    seconds: Duration,
    /// Print JSON; keys state their units
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  trickle bench pipeline --processor invert --seconds 10
  trickle bench pipeline --worker http://127.0.0.1:9000 --json
  trickle bench pipeline --sessions 4 --input clip.ts --json
  trickle bench pipeline --processor invert --find-max --seconds 5
  trickle bench pipeline --processor invert --backend cuda --encode-backend cpu

Latency is from a frame's last byte in to its first byte out, over relay and network. A worker keeps
up while at most 1 % of the frames are lost and latency does not grow.";

/// How long a worker may take to say where it listens.
const READY_LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn run(args: PipelineArgs, ui: &Ui) -> Result<(), CliError> {
    let worker_flags = worker_flags(&args);
    let reader = match &args.input {
        Some(path) => input::open(path, input::ReadFlags::default())?,
        None => input::embedded(demo::CLIP)?,
    };
    let with_audio = !args.no_audio;
    let clip = tokio::task::spawn_blocking(move || Clip::read(reader, with_audio))
        .await
        .map_err(|error| CliError::caused("reading the input", &error))?
        .map_err(|error| CliError::caused("cannot use the input", &error))?;
    let own_relay = match args.relay {
        Some(_) => None,
        None => Some(OwnRelay::open().await?),
    };
    let relay = args
        .relay
        .or_else(|| own_relay.as_ref().map(|relay| relay.url.clone()));
    let own_worker = match args.worker {
        Some(_) => None,
        None => Some(OwnWorker::start(&worker_flags).await?),
    };
    let worker = args
        .worker
        .or_else(|| own_worker.as_ref().map(|worker| worker.url.clone()));
    let (Some(worker), Some(relay)) = (worker, relay) else {
        return Err(CliError::new("there is no worker and relay to measure"));
    };
    let mut params = args.params.unwrap_or_default().0;
    if let Some((width, height)) = args.size {
        params.insert("width".into(), width.into());
        params.insert("height".into(), height.into());
    }
    let config = PipelineConfig {
        worker,
        worker_pid: args.worker_pid,
        relay,
        sessions: args.sessions,
        params,
        speed: args.speed,
        warm_up: args.warm_up,
        duration: args.seconds,
    };
    let client = channel::client(ClientConfig::default())?;
    let measured = measure(&client, &clip, &config, args.find_max, ui).await;
    if let Some(worker) = own_worker {
        worker.stop().await;
    }
    if let Some(relay) = own_relay {
        relay.close().await?;
    }
    let measured = measured
        .map_err(|error| CliError::caused(format!("measuring {}", config.worker), &error))?;
    match measured {
        Measured::Max(report) if args.json => output::json(&report),
        Measured::Pace(report) if args.json => output::json(&report),
        Measured::Max(report) => output::line(&format!(
            "most     {:.1} fps\n{}",
            report.fps_max,
            describe(&report.at_max)
        )),
        Measured::Pace(report) => output::line(&describe(&report)),
    }
}

/// What the worker that is started is to be.
fn worker_flags(args: &PipelineArgs) -> Vec<String> {
    let backends = [
        ("--backend", args.backend),
        ("--decode-backend", args.decode_backend),
        ("--encode-backend", args.encode_backend),
    ];
    let given = backends
        .into_iter()
        .filter_map(|(flag, choice)| Some([flag.to_owned(), choice?.to_string()]));
    let sessions = args.sessions.to_string();
    [
        ["--processor".to_owned(), args.processor.clone()],
        ["--capacity".to_owned(), sessions],
    ]
    .into_iter()
    .chain(given)
    .flatten()
    .collect()
}

/// What was asked for.
enum Measured {
    Pace(Box<PipelineReport>),
    Max(Box<MaxReport>),
}

async fn measure(
    client: &Client,
    clip: &Clip,
    config: &PipelineConfig,
    find_max: bool,
    ui: &Ui,
) -> Result<Measured, PipelineError> {
    let progress = ui.spinner();
    let fps = clip.fps();
    progress.set_message(format!(
        "{} × {:.1} fps for {:?}",
        config.sessions,
        fps * config.speed,
        config.warm_up + config.duration
    ));
    let measured = if find_max {
        let told = |trial: &Trial| {
            let kept_up = if trial.sustained {
                "sustained"
            } else {
                "too fast"
            };
            progress.set_message(format!("{:.1} fps: {kept_up}", trial.fps_in));
        };
        let found = find_max::run(client, clip, config, told).await;
        found.map(|report| Measured::Max(Box::new(report)))
    } else {
        let measured = pipeline::run(client, clip, config).await;
        measured.map(|report| Measured::Pace(Box::new(report)))
    };
    progress.finish_and_clear();
    measured
}

/// `640x360` or `640×360`.
fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once(['x', '×']);
    let sides = sides.and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    sides
        .filter(|&(width, height)| width > 0 && height > 0)
        .ok_or_else(|| format!("{text:?} is no size: write one such as 640x360"))
}

fn speed(text: &str) -> Result<f64, String> {
    let valid = |factor: &f64| (0.01..=100.0).contains(factor);
    text.parse()
        .ok()
        .filter(valid)
        .ok_or_else(|| format!("{text:?} is no speed: write a factor from 0.01 to 100"))
}

fn describe(report: &PipelineReport) -> String {
    let latency = report.latency_ms;
    let known = |value: Option<f64>, unit: &str| {
        value.map_or_else(
            || "unknown".to_owned(),
            |value| format!("{value:.1} {unit}"),
        )
    };
    format!(
        "frames   {:.1} fps in, {:.1} fps out, {} lost, first after {}\n\
         latency  p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, max {:.1} ms\n\
         CPU      {} per frame, {}\n\
         memory   {} at most",
        report.fps.sent,
        report.fps.out,
        report.frames_lost,
        known(report.first_frame_ms, "ms"),
        latency.p50,
        latency.p90,
        latency.p99,
        latency.max,
        known(report.cpu_ms_per_frame, "ms"),
        known(report.cpu_cores, "cores"),
        known(report.rss_mb_peak, "MB"),
    )
}

/// A relay in this process.
struct OwnRelay {
    url: Url,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl OwnRelay {
    async fn open() -> Result<Self, CliError> {
        let listener = net::listen("127.0.0.1:0").await?;
        let url = own_url(&net::url(&listener, false)?)?;
        let relay = Relay::new(RelayConfig {
            autocreate: true,
            ..RelayConfig::default()
        });
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move { relay.serve(listener, stopped).await });
        Ok(Self { url, stop, task })
    }

    async fn close(self) -> Result<(), CliError> {
        self.stop.cancel();
        self.task
            .await
            .map_err(|error| CliError::caused("the relay", &error))?
            .map_err(|error| CliError::caused("the relay", &error))
    }
}

/// A worker in a process of its own, so that its CPU and memory are its own. It is killed when
/// this is dropped.
struct OwnWorker {
    url: Url,
    process: Child,
}

impl OwnWorker {
    async fn start(flags: &[String]) -> Result<Self, CliError> {
        let failed = |error: &dyn std::error::Error| CliError::caused("starting a worker", error);
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut process = Command::new(program)
            .args(["serve", "--quiet", "--addr", "127.0.0.1:0"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&error))?;
        let stdout = process
            .stdout
            .take()
            .ok_or_else(|| CliError::new("the worker's output cannot be read"))?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(READY_LIMIT, lines.next_line())
            .await
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&error))?
            .ok_or_else(|| CliError::new("the worker ended before it was ready"))?;
        Ok(Self {
            url: own_url(&line)?,
            process,
        })
    }

    async fn stop(mut self) {
        // It may have ended by itself.
        let _ = self.process.kill().await;
    }
}

fn own_url(text: &str) -> Result<Url, CliError> {
    Url::parse(text).map_err(|error| CliError::caused(format!("{text:?}"), &error))
}
