//! `trickle serve`: the worker.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::{Args, ValueEnum};
use trickle_gpu::NvidiaHardware;
use trickle_processor::Registry;
use trickle_server::{CorsOrigins, HealthStyle, StreamServer};
use trickle_session::DataFormat;

use crate::channel::ConnectFlags;
use crate::error::CliError;
use crate::registration::RegistrationFlags;
use crate::settings::{BackendFlags, EncodeFlags, LiveFlags, ProcessorFlags, duration};
use crate::tls::TlsFlags;
use crate::ui::Ui;
use crate::{interrupt, net, output};

/// Run the worker: serve the HTTP API that starts, updates and stops streams
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "TRICKLE_ADDR",
        default_value = "0.0.0.0:8000"
    )]
    addr: String,
    /// Streams that may run at once
    #[arg(long, value_name = "N", env = "TRICKLE_CAPACITY", default_value = "1")]
    capacity: NonZeroUsize,
    #[command(flatten)]
    processor: ProcessorFlags,
    #[command(flatten)]
    encode: EncodeFlags,
    #[command(flatten)]
    backends: BackendFlags,
    #[command(flatten)]
    live: LiveFlags,
    #[command(flatten)]
    identity: IdentityFlags,
    #[command(flatten)]
    registration: RegistrationFlags,
    #[command(flatten)]
    connect: ConnectFlags,
    /// Stream routes want `Authorization: Bearer TOKEN`
    #[arg(
        long,
        value_name = "TOKEN",
        env = "TRICKLE_AUTH_TOKEN",
        hide_env_values = true
    )]
    auth_token: Option<String>,
    /// Pages of this origin may call the worker from a browser; * for all, may be given more
    /// than once
    #[arg(
        long,
        value_name = "ORIGIN",
        env = "TRICKLE_CORS_ORIGIN",
        value_delimiter = ','
    )]
    cors_origin: Vec<String>,
    #[command(flatten)]
    tls: TlsFlags,
    /// How the data channel's lines are written: array (a JSON array of items each, as PyTrickle
    /// does) or lines (one item each)
    #[arg(
        long,
        value_name = "FORMAT",
        env = "TRICKLE_DATA_FORMAT",
        default_value = "array"
    )]
    data_format: DataFormat,
    /// How /health answers: standard (200 or 503) or pytrickle (its word in `status`, always 200)
    #[arg(
        long,
        value_enum,
        value_name = "STYLE",
        env = "TRICKLE_HEALTH_STYLE",
        default_value = "standard"
    )]
    health_style: HealthStyleFlag,
    /// How long a start waits for a model that is still loading
    #[arg(long, value_name = "TIME", env = "TRICKLE_LOAD_WAIT", default_value = "30s", value_parser = duration)]
    load_wait: Duration,
    /// How long running streams may take to end on Ctrl-C or SIGTERM
    #[arg(long, value_name = "TIME", env = "TRICKLE_DRAIN_TIMEOUT", default_value = "10s", value_parser = duration)]
    drain_timeout: Duration,
}

/// Who the worker says it is.
#[derive(Args, Debug)]
#[command(next_help_heading = "Identity")]
struct IdentityFlags {
    /// Name under which orchestrators know the worker
    #[arg(
        long,
        value_name = "NAME",
        env = "CAPABILITY_NAME",
        default_value = "custom-processor"
    )]
    capability_name: String,
    /// Pipeline that /version states
    #[arg(
        long,
        value_name = "NAME",
        env = "TRICKLE_PIPELINE",
        default_value = "byoc"
    )]
    pipeline: String,
    /// Model that /version states [default: the capability's name]
    #[arg(long, value_name = "NAME", env = "TRICKLE_MODEL_ID")]
    model_id: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum HealthStyleFlag {
    Standard,
    Pytrickle,
}

const EXAMPLES: &str = "\
Examples:
  trickle serve --processor grayscale
  trickle serve --addr 127.0.0.1:0 --bitrate 2M --gop 1s
  trickle serve --orch-url https://orch:8935 --orch-secret SECRET \\
    --capability-name depth --capability-url http://worker:8000
  trickle serve --backend cuda:1 --encode-backend cpu
  trickle serve --capacity 4 --auth-token secret --tls-certificate cert.pem --tls-key key.pem

  curl -X POST http://127.0.0.1:8000/api/stream/start -d '{
    \"gateway_request_id\": \"demo\",
    \"subscribe_url\": \"http://127.0.0.1:2939/in\",
    \"publish_url\": \"http://127.0.0.1:2939/out\"}'
  curl http://127.0.0.1:8000/api/stream/status
  curl -X POST http://127.0.0.1:8000/api/stream/stop

The worker's URL is printed on stdout once it accepts connections.";

pub(crate) async fn run(args: ServeArgs, registry: &Registry, ui: &Ui) -> Result<(), CliError> {
    // A worker outlives many streams.
    trickle_media::codec::give_memory_back();
    let mut builder = StreamServer::builder_for(args.processor.model(registry)?)
        .capability_name(args.identity.capability_name)
        .pipeline(args.identity.pipeline)
        .backends(args.backends.open().await?)
        .hardware(NvidiaHardware)
        .client(args.connect.client()?)
        .capacity(args.capacity)
        .encode(args.encode.resolve()?)
        .audio(args.encode.audio)
        .on_error(args.encode.on_error)
        .data_format(args.data_format)
        .load_wait(args.load_wait)
        .drain_timeout(args.drain_timeout)
        .health_style(match args.health_style {
            HealthStyleFlag::Standard => HealthStyle::Standard,
            HealthStyleFlag::Pytrickle => HealthStyle::PyTrickle,
        });
    builder = args.live.apply(builder);
    if let Some(model_id) = args.identity.model_id {
        builder = builder.model_id(model_id);
    }
    if let Some(token) = args.auth_token {
        builder = builder.auth_token(token);
    }
    if !args.cors_origin.is_empty() {
        let origins = args.cors_origin.iter().map(String::as_str);
        let origins = CorsOrigins::parse(origins)
            .map_err(|error| CliError::usage(format!("--cors-origin: {error}")))?;
        builder = builder.cors(origins);
    }
    let tls = args.tls.read()?;
    let https = tls.is_some();
    if let Some(tls) = tls {
        builder = builder.tls(tls);
    }
    let server = args
        .registration
        .add(builder)?
        .build()
        .map_err(|error| CliError::usage(error.to_string()))?;
    let stop = interrupt::token(ui);
    let listener = net::listen(&args.addr).await?;
    output::line(&net::url(&listener, https)?)?;
    server
        .serve_with_shutdown(listener, stop.cancelled_owned())
        .await
        .map_err(|error| CliError::caused("the worker ended", &error))
}
