//! The accept loop and its orderly end: sessions drain, then connections.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time that a client has to send a request's head; idle connections are closed after it too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Time that running requests have to end once the server no longer accepts.
const CONNECTION_GRACE: Duration = Duration::from_secs(2);
/// Pause after the system could not accept (out of file descriptors), to not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Resolves at the first Ctrl-C or SIGTERM. While the future lives, these signals no longer end
/// the process by themselves.
pub async fn signal() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut stream) => drop(stream.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}

/// Connections of one server.
pub(crate) struct Connections {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Connections {
    pub(crate) fn new() -> Self {
        Self {
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
            let accepted = tokio::select! {
                biased;
                result = &mut until => return result,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.serve(stream, router.clone()),
                Err(error) if of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, router: Router) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY");
            }
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
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

/// Errors of `accept` that concern the connection that was to be accepted alone.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
