//! `trickle probe`: what a stream is, and what is wrong with it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use trickle_media::probe::{Finding, Probe, ProbeReport};
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer, TransportReport};
use trickle_proto::Start;
use trickle_session::feed::MediaEvent;
use url::Url;

use crate::backends::{self, Choice};
use crate::channel::ConnectFlags;
use crate::error::CliError;
use crate::input::ReadFlags;
use crate::settings::duration;
use crate::ui::Ui;
use crate::{channel, input, interrupt, output};

mod text;

/// Faults that are told in full; all are counted.
const FAULTS_TOLD: usize = 10;

/// Tell what streams a file or a channel holds: codecs, sizes, rates, GOPs, what is wrong, and what
/// to do about it
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ProbeArgs {
    /// MP4 or MPEG-TS file, - for MPEG-TS from stdin, or a channel's URL
    #[arg(value_name = "FILE|CHANNEL_URL")]
    source: String,
    #[command(flatten)]
    read: ReadFlags,
    #[command(flatten)]
    connect: ConnectFlags,
    /// How long a channel is watched
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    seconds: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  trickle probe clip.mp4
  trickle probe broadcast.ts --program 2
  trickle probe http://127.0.0.1:2939/in --seconds 5s --json";

/// What was found.
#[derive(Serialize)]
struct Found {
    source: String,
    /// Bytes read, the container's included.
    bytes: u64,
    #[serde(flatten)]
    report: ProbeReport,
    /// What is worth knowing, problems first.
    findings: Vec<Finding>,
    /// Of a transport stream, what is known of it as a whole.
    transport: Option<TransportReport>,
    /// Faults of the container.
    faults: u64,
    /// The first of them.
    first_faults: Vec<String>,
}

#[derive(Default)]
struct Gathered {
    probe: Probe,
    bytes: u64,
    faults: u64,
    first_faults: Vec<String>,
    transport: Option<TransportReport>,
}

impl Gathered {
    fn fault(&mut self, fault: &dyn std::fmt::Display) {
        self.faults += 1;
        if self.first_faults.len() < FAULTS_TOLD {
            self.first_faults.push(fault.to_string());
        }
    }

    /// Opens devices to ask what they decode, which blocks.
    fn found(self, source: String) -> Result<Found, CliError> {
        let auto = Choice::Device(trickle_gpu::Choice::Auto);
        let backends = backends::open(auto, auto).map_err(CliError::new)?;
        let findings = self.probe.findings(self.transport.as_ref(), &backends);
        Ok(Found {
            source,
            findings,
            transport: self.transport,
            bytes: self.bytes,
            report: self.probe.report(),
            faults: self.faults,
            first_faults: self.first_faults,
        })
    }
}

pub(crate) async fn run(args: ProbeArgs, ui: &Ui) -> Result<(), CliError> {
    let gathered = match args.source.split_once("://") {
        Some(("http" | "https", _)) => {
            let url = channel::url(&args.source).map_err(CliError::usage)?;
            watch(&url, &args, ui).await?
        }
        _ => {
            let (path, flags) = (PathBuf::from(&args.source), args.read);
            tokio::task::spawn_blocking(move || read(&path, flags))
                .await
                .map_err(|error| CliError::caused("reading", &error))??
        }
    };
    let found = tokio::task::spawn_blocking(move || gathered.found(args.source))
        .await
        .map_err(|error| CliError::caused("looking for devices", &error))??;
    if args.json {
        output::json(&found)
    } else {
        output::line(text::describe(&found).trim_end())
    }
}

/// Reads a file to its end.
fn read(path: &std::path::Path, flags: ReadFlags) -> Result<Gathered, CliError> {
    let failed = |error| CliError::caused(format!("cannot read {}", input::name(path)), &error);
    let mut reader = input::open(path, flags)?;
    let mut gathered = Gathered::default();
    while let Some(event) = reader.next_event().map_err(failed)? {
        match event {
            MediaEvent::Streams(streams) => gathered.probe.streams(&streams),
            MediaEvent::Unit(unit) => gathered.probe.unit(&unit),
            MediaEvent::Fault(fault) => gathered.fault(&fault),
        }
    }
    gathered.bytes = reader.bytes_read();
    gathered.transport = reader.transport();
    Ok(gathered)
}

/// Watches a channel for a while.
async fn watch(url: &Url, args: &ProbeArgs, ui: &Ui) -> Result<Gathered, CliError> {
    let stop = interrupt::token(ui);
    let failed = |error| channel::subscribe_error(url, &error);
    let mut subscriber = args
        .connect
        .client()?
        .subscribe(url, Start::Current)
        .map_err(|error| failed(error.into()))?;
    let mut demuxer = Demuxer::new(DemuxOptions {
        program: args.read.program,
        ..DemuxOptions::default()
    });
    let mut gathered = Gathered::default();
    let progress = ui.spinner();
    progress.set_message(format!("watching {url}"));
    let watching = async {
        while let Some(mut segment) = subscriber.next_segment().await.map_err(failed)? {
            if let Some(gap) = segment.gap() {
                gathered.fault(&channel::describe_gap(gap));
            }
            while let Some(chunk) = segment.chunk().await.map_err(failed)? {
                gathered.bytes += chunk.len() as u64;
                demuxer.push(&chunk, None);
                drain(&mut demuxer, &mut gathered);
            }
        }
        Ok(())
    };
    let watched = stop.run_until_cancelled(tokio::time::timeout(args.seconds, watching));
    let ended = match watched.await {
        Some(Ok(ended)) => ended,
        None | Some(Err(_)) => Ok(()),
    };
    progress.finish_and_clear();
    ended?;
    demuxer.finish();
    drain(&mut demuxer, &mut gathered);
    gathered.transport = Some(demuxer.report());
    Ok(gathered)
}

fn drain(demuxer: &mut Demuxer, gathered: &mut Gathered) {
    while let Some(event) = demuxer.next_event() {
        match event {
            DemuxEvent::Streams(streams) => gathered.probe.streams(&streams),
            DemuxEvent::Unit(unit) => gathered.probe.unit(&unit),
            DemuxEvent::Fault(fault) => gathered.fault(&fault),
        }
    }
}
