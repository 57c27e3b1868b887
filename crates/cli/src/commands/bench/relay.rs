//! `trickle bench relay`: throughput and delay of a relay.

use std::time::Duration;

use clap::Args;
use trickle_proto::load::{self, DelayUntil, LoadConfig, LoadReport};
use url::Url;

use crate::channel::ConnectFlags;
use crate::error::CliError;
use crate::settings::duration;
use crate::{channel, output};

/// Publish to a channel, read it many times, and measure throughput, delay and CPU
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct RelayArgs {
    /// A channel that nobody uses; the relay must let publishers create it
    #[arg(long, value_name = "CHANNEL_URL", value_parser = channel::url)]
    url: Url,
    /// Readers
    #[arg(long, value_name = "N", default_value_t = 1)]
    subscribers: usize,
    /// Size of each segment
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    segment_bytes: usize,
    /// Bytes written at once, 16 or more
    #[arg(long, value_name = "BYTES", default_value_t = 65_536)]
    chunk_bytes: usize,
    /// Time from one chunk to the next; without it, as fast as the slowest reader reads
    #[arg(long, value_name = "TIME", value_parser = duration)]
    chunk_interval: Option<Duration>,
    /// How long to publish
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    seconds: Duration,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectFlags,
}

const EXAMPLES: &str = "\
Examples:
  trickle bench relay --url http://127.0.0.1:2939/bench --subscribers 100
  trickle bench relay --url http://127.0.0.1:2939/bench --chunk-bytes 1316 --chunk-interval 4ms \\
      --segment-bytes 131600 --json

A chunk's delay ends when it was read or, with --chunk-interval on Linux, when the kernel had it for
the reader, so that it is the relay's and not the reader's. CPU and memory of the relay are measured
where it runs on this machine.";

pub(super) async fn run(args: RelayArgs) -> Result<(), CliError> {
    let client = args.connect.client()?;
    let config = LoadConfig {
        url: args.url.clone(),
        subscribers: args.subscribers,
        segment_bytes: args.segment_bytes,
        chunk_bytes: args.chunk_bytes,
        chunk_interval: args.chunk_interval,
        duration: args.seconds,
    };
    let report = load::run(&client, &config)
        .await
        .map_err(|error| CliError::caused(format!("cannot measure {}", args.url), &error))?;
    if args.json {
        output::json(&report)
    } else {
        output::line(&describe(&report))
    }
}

fn describe(report: &LoadReport) -> String {
    let delay = report.chunk_delay_ms;
    let until = match report.chunk_delay_until {
        DelayUntil::Arrival => "until it arrived",
        DelayUntil::Read => "until it was read",
    };
    let mut text = format!(
        "out    {:.3} GB/s to {} readers, {} segments in {:.1} s, {} lost\n\
         delay  p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms, {until}",
        report.out_gb_per_s,
        report.subscribers,
        report.segments,
        report.seconds,
        report.lost_segments,
        delay.p50,
        delay.p99,
        delay.max,
    );
    if let Some(server) = &report.server {
        text.push_str(&format!(
            "\nrelay  {:.2} CPU-s ({:.2} per GB), {:.1} MB resident",
            server.cpu_s, server.cpu_s_per_gb, server.rss_mb
        ));
    }
    text
}
