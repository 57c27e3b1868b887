//! Logs: to stderr, as text or JSON, by `-v`, `-q` and `RUST_LOG`.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::args::{Command, Global};
use crate::ui::Ui;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

pub(crate) fn init(global: &Global, command: &Command, ui: &Ui) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(default_filter(global, command)));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(ui.clone())
        .with_ansi(ui.is_live());
    // Fails only where a program that embeds this has set up its own logs: those stay.
    drop(match global.log_format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().try_init(),
    });
}

/// Servers tell what they do; commands with an end tell what is wrong.
fn default_filter(global: &Global, command: &Command) -> &'static str {
    let verbosity = match command {
        _ if global.quiet => return "error",
        Command::Serve(_) | Command::Relay(_) => global.verbose + 1,
        _ => global.verbose,
    };
    match verbosity {
        0 => "warn",
        1 => "info",
        2 => "debug,hyper=info,hyper_util=info,h2=info",
        _ => "trace",
    }
}
