//! The command line's grammar: subcommands, global flags and their help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use trickle_processor::Registry;

use crate::commands::{
    bench::BenchArgs, config::ConfigArgs, conformance::ConformanceArgs, demo::DemoArgs,
    devices::DevicesArgs, health::HealthArgs, init::InitArgs, probe::ProbeArgs,
    process::ProcessArgs, publish::PublishArgs, relay::RelayArgs, serve::ServeArgs,
    subscribe::SubscribeArgs,
};
use crate::config::file::ConfigFile;
use crate::config::{self, CONFIGURABLE};
use crate::error::CliError;
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
    /// Settings of serve and relay, a TOML file; `trickle config --help` tells more
    /// [default: trickle.toml, where there is one]
    #[arg(
        long,
        value_name = "FILE",
        env = "TRICKLE_CONFIG",
        global = true,
        help_heading = "Settings"
    )]
    pub(crate) config: Option<PathBuf>,
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
    /// OpenTelemetry collector that spans are sent to, by OTLP over HTTP: http://HOST:4318. The
    /// other OTEL_* variables count too
    #[cfg(feature = "otel")]
    #[arg(
        long,
        value_name = "URL",
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        global = true
    )]
    pub(crate) otlp_endpoint: Option<String>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Demo(DemoArgs),
    Serve(Box<ServeArgs>),
    Relay(RelayArgs),
    Health(HealthArgs),
    Init(InitArgs),
    Publish(PublishArgs),
    Subscribe(SubscribeArgs),
    Process(ProcessArgs),
    Probe(ProbeArgs),
    Devices(DevicesArgs),
    Config(ConfigArgs),
    Conformance(ConformanceArgs),
    Bench(BenchArgs),
}

/// The command line, understood, and the configuration file that counted.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) cli: Cli,
    pub(crate) file: Option<ConfigFile>,
}

/// A command line that cannot be used, or asks for help.
#[derive(Debug)]
pub(crate) enum ArgsError {
    /// Flags, or help.
    Clap(clap::Error),
    /// The configuration file.
    File(CliError),
}

impl From<clap::Error> for ArgsError {
    fn from(error: clap::Error) -> Self {
        Self::Clap(error)
    }
}

impl From<CliError> for ArgsError {
    fn from(error: CliError) -> Self {
        Self::File(error)
    }
}

/// Parses arguments, with the configuration file where the command takes one; processors are
/// those of `registry`, listed in the help.
pub(crate) fn parse(
    registry: &Registry,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Parsed, ArgsError> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    // Once to learn which file counts, and once with it.
    let mut matches = command(registry, None)?.try_get_matches_from(&arguments)?;
    let takes_file = matches
        .subcommand_name()
        .is_some_and(|name| CONFIGURABLE.contains(&name) || name == "config");
    let mut file = None;
    if takes_file {
        let named = matches.get_one::<PathBuf>("config");
        file = ConfigFile::find(named.map(PathBuf::as_path))?;
        matches = command(registry, file.as_ref())?.try_get_matches_from(&arguments)?;
    }
    let cli = Cli::from_arg_matches(&matches)?;
    Ok(Parsed { cli, file })
}

/// The grammar, with the file's settings as defaults.
pub(crate) fn command(
    registry: &Registry,
    file: Option<&ConfigFile>,
) -> Result<clap::Command, CliError> {
    let command = config::with_switches(plain(registry));
    match file {
        Some(file) => config::with_file(command, file),
        None => Ok(command),
    }
}

fn plain(registry: &Registry) -> clap::Command {
    let names: Vec<PossibleValue> = registry
        .list()
        .map(|(name, summary)| PossibleValue::new(name.to_owned()).help(summary.to_owned()))
        .collect();
    Cli::command().mut_subcommands(|subcommand| {
        subcommand.mut_args(|flag| match flag.get_id() == "processor" {
            true => flag.value_parser(names.clone()),
            false => flag,
        })
    })
}

#[cfg(test)]
#[path = "args_test.rs"]
mod tests;
