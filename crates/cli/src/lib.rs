//! The `trickle` command line as a library: a program with processors of its own gets every
//! subcommand by handing its [`Registry`] to [`run`].
//!
//! ```no_run
//! use std::process::ExitCode;
//! use trickle_processor::{ProcessorError, Registry, VideoFrame};
//!
//! fn main() -> ExitCode {
//!     let darken = |frame: VideoFrame| -> Result<Option<VideoFrame>, ProcessorError> {
//!         let frame = frame.map_tensor(|rgb, _shape| {
//!             rgb.iter_mut().for_each(|value| *value *= 0.5);
//!         })?;
//!         Ok(Some(frame))
//!     };
//!     trickle_cli::run(Registry::default().with("darken", "halves every value", darken))
//! }
//! ```

#![forbid(unsafe_code)]

mod args;
mod backends;
mod channel;
mod commands;
mod config;
mod demo;
mod error;
mod init;
mod input;
mod interrupt;
mod logging;
mod net;
mod output;
mod registration;
mod settings;
mod sink;
#[cfg(feature = "otel")]
mod telemetry;
mod tls;
mod ui;

use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime;
use trickle_processor::Registry;

use crate::args::{ArgsError, Cli, Parsed};
use crate::config::file::ConfigFile;
use crate::error::CliError;
use crate::ui::Ui;

/// Time that threads which block in a read have to end, once a command is done.
const LEAVE: Duration = Duration::from_millis(100);

/// Runs the command line of this process with these processors, and gives its exit status: 0 when
/// the command did what it was asked for, 1 when it failed, 2 for wrong arguments, 130 when a
/// second signal cut it short.
pub fn run(registry: Registry) -> ExitCode {
    let Parsed { cli, file } = match args::parse(&registry, std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(ArgsError::Clap(error)) => {
            // Help and version come this way too, and go to stdout.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(error::USAGE));
        }
        Err(ArgsError::File(error)) => {
            Ui::new(false).report(&error);
            return error.exit_code();
        }
    };
    let ui = Ui::new(cli.global.quiet);
    match execute(cli, registry, file, &ui) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui.report(&error);
            error.exit_code()
        }
    }
}

fn execute(
    cli: Cli,
    registry: Registry,
    file: Option<ConfigFile>,
    ui: &Ui,
) -> Result<(), CliError> {
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("cannot start the async runtime: {error}")))?;
    let exports = logging::init(&cli.global, &cli.command, ui, runtime.handle())?;
    let result = runtime.block_on(commands::run(cli.command, &registry, file.as_ref(), ui));
    exports.finish();
    runtime.shutdown_timeout(LEAVE);
    result
}

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
