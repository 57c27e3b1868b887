//! The command line's grammar: subcommands, global flags and their help.

use std::ffi::OsString;

use clap::builder::PossibleValue;
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use trickle_processor::Registry;

use crate::commands::{
    bench::BenchArgs, conformance::ConformanceArgs, demo::DemoArgs, devices::DevicesArgs,
    probe::ProbeArgs, process::ProcessArgs, publish::PublishArgs, relay::RelayArgs,
    serve::ServeArgs, subscribe::SubscribeArgs,
};
use crate::logging::LogFormat;

/// Real-time AI video worker for Livepeer: reads a live stream from a trickle channel, runs every
/// frame through a processor, and publishes the result as another.
#[derive(Parser, Debug)]
#[command(name = "trickle", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  trickle demo                                     everything at once, on this machine
  trickle relay --addr 127.0.0.1:2939 --autocreate
  trickle serve --addr 127.0.0.1:8000 --processor grayscale
  trickle publish clip.mp4 http://127.0.0.1:2939/in --loop
  trickle subscribe http://127.0.0.1:2939/out -o - | ffplay -
  trickle process in.ts out.ts --processor invert

Exit status: 0 done, 1 failed, 2 wrong arguments, 130 cut short by a second Ctrl-C.";

/// Flags that every command takes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Messages")]
pub(crate) struct Global {
    /// Log more; twice for everything. RUST_LOG overrides it
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// Log errors only, and show no progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// How log lines look, on stderr
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        env = "TRICKLE_LOG_FORMAT",
        default_value = "text",
        global = true
    )]
    pub(crate) log_format: LogFormat,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Demo(DemoArgs),
    Serve(ServeArgs),
    Relay(RelayArgs),
    Publish(PublishArgs),
    Subscribe(SubscribeArgs),
    Process(ProcessArgs),
    Probe(ProbeArgs),
    Devices(DevicesArgs),
    Conformance(ConformanceArgs),
    Bench(BenchArgs),
}

/// Parses arguments; processors are those of `registry`, listed in the help.
pub(crate) fn parse(
    registry: &Registry,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&command(registry).try_get_matches_from(arguments)?)
}

fn command(registry: &Registry) -> clap::Command {
    let names: Vec<PossibleValue> = registry
        .list()
        .map(|(name, summary)| PossibleValue::new(name.to_owned()).help(summary.to_owned()))
        .collect();
    Cli::command().mut_subcommands(|subcommand| {
        let takes_processor = subcommand
            .get_arguments()
            .any(|argument| argument.get_id() == "processor");
        if !takes_processor {
            return subcommand;
        }
        let names = names.clone();
        subcommand.mut_arg("processor", |argument| argument.value_parser(names))
    })
}

#[cfg(test)]
#[path = "args_test.rs"]
mod tests;
