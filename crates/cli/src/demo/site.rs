//! The demo's relay and worker: in this process, on free ports, reached over HTTP alone.

use http::HeaderValue;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trickle_proto::{Relay, RelayConfig};
use trickle_server::{ServeError, StreamServer};
use url::Url;

use crate::channel;
use crate::error::CliError;
use crate::net;

/// Where a free port is had.
const ANY_PORT: &str = "127.0.0.1:0";

/// A relay with an input and an output channel, and a worker.
pub(super) struct Site {
    /// The worker's API, `http://HOST:PORT/api`.
    pub(super) worker_url: Url,
    pub(super) input_url: Url,
    pub(super) output_url: Url,
    stop_worker: CancellationToken,
    stop_relay: CancellationToken,
    worker: JoinHandle<Result<(), ServeError>>,
    relay: JoinHandle<std::io::Result<()>>,
}

impl Site {
    pub(super) async fn open(server: StreamServer) -> Result<Self, CliError> {
        let (worker_listener, worker_url) = listen().await?;
        let worker_url = Url::parse(&format!("{worker_url}/api"))
            .map_err(|error| CliError::caused("the worker's own URL", &error))?;
        let (relay_listener, relay_url) = listen().await?;
        let channel =
            |name: &str| channel::url(&format!("{relay_url}/{name}")).map_err(CliError::new);
        let (input_url, output_url) = (channel("demo-in")?, channel("demo-out")?);
        let relay = Relay::new(RelayConfig::default());
        for url in [&input_url, &output_url] {
            let name = url.path().trim_start_matches('/');
            relay
                .create_channel(name, Some(HeaderValue::from_static(channel::MIME)))
                .map_err(|error| CliError::caused(format!("cannot create {url}"), &error))?;
        }
        let (stop_worker, stop_relay) = (CancellationToken::new(), CancellationToken::new());
        let stopped = stop_worker.clone().cancelled_owned();
        let worker = tokio::spawn(server.serve_with_shutdown(worker_listener, stopped));
        let stopped = stop_relay.clone().cancelled_owned();
        let relay = tokio::spawn(async move { relay.serve(relay_listener, stopped).await });
        Ok(Self {
            worker_url,
            input_url,
            output_url,
            stop_worker,
            stop_relay,
            worker,
            relay,
        })
    }

    /// Ends the worker, whose session may still be there, then the relay.
    pub(super) async fn close(self) -> Result<(), CliError> {
        self.stop_worker.cancel();
        let worker = self.worker.await;
        self.stop_relay.cancel();
        let relay = self.relay.await;
        worker
            .map_err(|error| CliError::caused("the worker", &error))?
            .map_err(|error| CliError::caused("the worker", &error))?;
        relay
            .map_err(|error| CliError::caused("the relay", &error))?
            .map_err(|error| CliError::caused("the relay", &error))
    }
}

async fn listen() -> Result<(TcpListener, String), CliError> {
    let listener = net::listen(ANY_PORT).await?;
    let url = net::url(&listener, false)?;
    Ok((listener, url))
}
