//! Spans to an OpenTelemetry collector: OTLP over HTTP, set up by the standard's `OTEL_*` variables.
//!
//! A span that ends is put into a bounded queue, which a thread of its own empties: nobody waits for
//! the collector, and what finds no room is dropped and logged.

use std::env;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;
use trickle_proto::{Client, ClientConfig, ClientTls};

use crate::channel;
use crate::error::CliError;
use crate::input;

/// Name of the service, unless the environment has one.
const SERVICE: &str = "trickle";
/// Path of spans below a collector's address.
const TRACES: &str = "v1/traces";
/// The one protocol that is built in.
const PROTOCOL: &str = "http/protobuf";
/// Time that the last spans have to leave when the process ends.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);
/// What serves the export itself, and must not be exported.
const SILENT: [&str; 5] = ["h2", "hyper", "hyper_util", "opentelemetry", "rustls"];

/// A file of certificates that the collector's may be one of.
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
/// The same, for spans alone.
const TRACES_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE";

/// The export, until its end.
#[derive(Debug)]
pub(crate) struct Spans(SdkTracerProvider);

/// What makes spans of those of `tracing`, and what ends the export. `None` where nobody is to have
/// them: no collector is named, or the environment says so.
pub(crate) fn layer<S>(
    endpoint: Option<&str>,
    runtime: &Handle,
) -> Result<Option<(impl Layer<S> + use<S>, Spans)>, CliError>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let switched_off = variable("OTEL_SDK_DISABLED").is_some_and(|it| it == "true")
        || variable("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter == "none");
    let endpoint = match (variable(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT), endpoint) {
        _ if switched_off => return Ok(None),
        (Some(whole), _) => whole,
        (None, Some(base)) => format!("{}/{TRACES}", base.trim_end_matches('/')),
        (None, None) => return Ok(None),
    };
    protocol()?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .with_timeout(timeout()?)
        .with_http_client(Collector {
            client: client()?,
            runtime: runtime.clone(),
        })
        .build()
        .map_err(|error| CliError::usage(format!("OpenTelemetry: {error}")))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource())
        .build();
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(SERVICE))
        // Sessions are entered for each message: how long they were entered says nothing.
        .with_tracked_inactivity(false)
        .with_threads(false)
        .with_location(false)
        .with_filter(
            Targets::new()
                .with_default(LevelFilter::INFO)
                .with_targets(SILENT.map(|target| (target, LevelFilter::OFF))),
        );
    Ok(Some((spans, Spans(provider))))
}

impl Spans {
    /// Sends what waits. The runtime must still run.
    pub(crate) fn finish(self) {
        if let Err(error) = self.0.shutdown_with_timeout(FLUSH_LIMIT) {
            tracing::warn!(%error, "the last spans did not reach the collector");
        }
    }
}

/// A variable of the environment; empty is as good as none.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn protocol() -> Result<(), CliError> {
    for name in [
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
        OTEL_EXPORTER_OTLP_PROTOCOL,
    ] {
        match variable(name) {
            Some(protocol) if protocol == PROTOCOL => return Ok(()),
            Some(other) => {
                let message = format!("{name}: {other:?} is not spoken here");
                return Err(CliError::usage(message).hint(format!("set it to {PROTOCOL}")));
            }
            None => {}
        }
    }
    Ok(())
}

/// Longest time for one export, in milliseconds in the environment.
fn timeout() -> Result<Duration, CliError> {
    for name in [
        OTEL_EXPORTER_OTLP_TRACES_TIMEOUT,
        OTEL_EXPORTER_OTLP_TIMEOUT,
    ] {
        if let Some(text) = variable(name) {
            return text.parse().map(Duration::from_millis).map_err(|_| {
                CliError::usage(format!("{name}: {text:?} is no number of milliseconds"))
            });
        }
    }
    Ok(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT)
}

/// What the spans are of: the environment's word, else this program.
fn resource() -> Resource {
    // It reads OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
    let builder = Resource::builder();
    let named = variable("OTEL_SERVICE_NAME").is_some()
        || variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|text| text.contains("service.name="));
    let builder = match named {
        true => builder,
        false => builder.with_service_name(SERVICE),
    };
    builder
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

fn client() -> Result<Client, CliError> {
    let mut tls = ClientTls::default();
    let file = variable(TRACES_CERTIFICATE).or_else(|| variable(CERTIFICATE));
    if let Some(path) = file.map(PathBuf::from) {
        tls = tls
            .trust_pem(&input::bytes(&path)?)
            .map_err(|error| CliError::caused(format!("cannot use {}", path.display()), &error))?;
    }
    channel::client(ClientConfig {
        request_timeout: timeout()?,
        tls,
        ..ClientConfig::default()
    })
}

/// The way to the collector: connections live in the runtime, the export in a thread outside it.
#[derive(Debug)]
struct Collector {
    client: Client,
    runtime: Handle,
}

impl HttpClient for Collector {
    // As `async_trait` would write it.
    fn send_bytes<'this, 'call>(
        &'this self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'call>>
    where
        'this: 'call,
        Self: 'call,
    {
        let client = self.client.clone();
        let call = self
            .runtime
            .spawn(async move { client.call(request).await });
        Box::pin(async move { Ok(call.await??) })
    }
}
