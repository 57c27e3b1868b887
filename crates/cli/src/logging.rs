//! Logs: to stderr, as text or JSON, by `-v`, `-q` and `RUST_LOG`. Spans, to a collector, in builds
//! that can.

use clap::ValueEnum;
use tokio::runtime::Handle;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::args::{Command, Global};
use crate::error::CliError;
#[cfg(feature = "otel")]
use crate::telemetry::{self, Spans};
use crate::ui::Ui;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// What others are told, until the process ends.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Exports {
    #[cfg(feature = "otel")]
    spans: Option<Spans>,
}

impl Exports {
    /// Tells them the last of it. The runtime must still run.
    pub(crate) fn finish(self) {
        #[cfg(feature = "otel")]
        if let Some(spans) = self.spans {
            spans.finish();
        }
    }
}

/// Sets up logs and what is exported through `runtime`.
#[cfg_attr(
    not(feature = "otel"),
    allow(unused_variables, clippy::unnecessary_wraps)
)]
pub(crate) fn init(
    global: &Global,
    command: &Command,
    ui: &Ui,
    runtime: &Handle,
) -> Result<Exports, CliError> {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(default_filter(global, command)));
    let logs = tracing_subscriber::fmt::layer()
        .with_writer(ui.clone())
        .with_ansi(ui.is_live());
    let logs = match global.log_format {
        LogFormat::Text => logs.boxed(),
        LogFormat::Json => logs.json().boxed(),
    };
    let exports = Exports::default();
    let subscriber = Registry::default().with(logs.with_filter(filter));
    #[cfg(feature = "otel")]
    let (subscriber, exports) = match telemetry::layer(global.otlp_endpoint.as_deref(), runtime)? {
        Some((layer, spans)) => (subscriber.with(Some(layer)), Exports { spans: Some(spans) }),
        None => (subscriber.with(None), exports),
    };
    // Fails only where a program that embeds this has set up its own logs: those stay.
    drop(subscriber.try_init());
    Ok(exports)
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
