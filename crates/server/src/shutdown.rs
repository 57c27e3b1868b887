//! The accept loop and its orderly end: sessions drain, then connections.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trickle_proto::ServerTls;

/// Time that a client has to send a request's head; idle connections are closed after it too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Time that running requests have to end once the server no longer accepts.
const CONNECTION_GRACE: Duration = Duration::from_secs(2);
/// Pause after the system could not accept (out of file descriptors), to not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Most connections at once; later ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 1024;

/// Resolves at the first Ctrl-C or SIGTERM. From its first poll on, these signals no longer end
/// the process by themselves.
pub async fn signal() {
    Signals::new().next().await;
}

/// Ctrl-C and SIGTERM, one after the other; none that comes after [`new`](Self::new) is missed,
/// except that several at once count as one.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    streams: [Option<tokio::signal::unix::Signal>; 2],
}

impl Signals {
    /// Listens from now on: these signals no longer end the process by themselves. Must be called
    /// in a tokio runtime.
    #[cfg(unix)]
    #[allow(
        clippy::new_without_default,
        reason = "it has an effect on the process"
    )]
    pub fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| {
            signal(kind)
                .inspect_err(|error| tracing::warn!(%error, "cannot listen for a signal"))
                .ok()
        };
        Self {
            streams: [SignalKind::interrupt(), SignalKind::terminate()].map(listen),
        }
    }

    /// Where there is only Ctrl-C.
    #[cfg(not(unix))]
    #[allow(
        clippy::new_without_default,
        reason = "it has an effect on the process"
    )]
    pub fn new() -> Self {
        Self {}
    }

    /// The next one.
    #[cfg(unix)]
    pub async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.streams;
        tokio::select! {
            () = came(interrupt) => {}
            () = came(terminate) => {}
        }
    }

    /// The next one.
    #[cfg(not(unix))]
    pub async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Resolves when the signal comes; never where it cannot be listened for.
#[cfg(unix)]
async fn came(stream: &mut Option<tokio::signal::unix::Signal>) {
    match stream {
        Some(stream) => {
            if stream.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

/// Connections of one server.
pub(crate) struct Connections {
    tls: Option<ServerTls>,
    room: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Connections {
    /// With a certificate, they speak TLS.
    pub(crate) fn new(tls: Option<ServerTls>) -> Self {
        Self {
            tls: tls.map(ServerTls::http1),
            room: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Serves until `until` resolves, and gives its result. Afterwards the listener is as it was:
    /// more can be accepted by another call.
    pub(crate) async fn accept<T>(
        &self,
        listener: &TcpListener,
        router: &Router,
        until: impl Future<Output = T>,
    ) -> T {
        let mut until = std::pin::pin!(until);
        loop {
            let accept = async {
                // The semaphore is never closed, so that a permit always comes.
                let permit = self.room.clone().acquire_owned().await;
                (listener.accept().await, permit)
            };
            let (accepted, permit) = tokio::select! {
                biased;
                result = &mut until => return result,
                accepted = accept => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.serve(stream, router.clone(), permit.ok()),
                Err(error) if of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, router: Router, permit: Option<OwnedSemaphorePermit>) {
        let (tls, stop) = (self.tls.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            let _permit = permit;
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY");
            }
            let Some(tls) = tls else {
                return connection(stream, router, stop).await;
            };
            match stop.run_until_cancelled(tls.accept(stream)).await {
                Some(Ok(stream)) => connection(stream, router, stop).await,
                Some(Err(error)) => tracing::debug!(%error, "TLS handshake"),
                None => {}
            }
        });
    }

    /// Ends idle connections now and the others after the request that they are in.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(CONNECTION_GRACE, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(left = self.tasks.len(), "connections left open");
        }
    }
}

/// Serves one connection to its end; from `stop` on, to the end of the request that it is in.
async fn connection<S>(stream: S, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection");
    }
}

/// Errors of `accept` that concern the connection that was to be accepted alone.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
