//! Running a relay on a listener: connections, sweeping, and the drain at the end.

use std::{
    future::Future,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    interim::{Interim, InterimIo},
    relay::Relay,
    tcp,
    tls::ServerTls,
};

/// Time between two sweeps of idle and closed channels.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Wait after a failed accept, as when all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Time in which a client must send the head of a request, the first one and each further one.
/// Also ends idle connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of body that a connection may take from a segment ahead of its socket. What is in
/// there outlives the ring, so this bounds what a slow reader can hold.
const WRITE_AHEAD: usize = 1024 * 1024;

/// Why a connection is not served on.
enum Stop {
    /// No request came in time.
    Silent,
    /// The relay is to end.
    Drain,
}

impl Relay {
    /// Serves connections until `shutdown` completes; then ends all channels, lets what is
    /// under way come to its end within [`RelayConfig::drain_timeout`], and returns.
    ///
    /// Speaks HTTP/1.1 and HTTP/2 with prior knowledge.
    ///
    /// # Errors
    /// When the listener cannot be used at all; a connection's failure ends only itself.
    ///
    /// [`RelayConfig::drain_timeout`]: crate::RelayConfig::drain_timeout
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        self.run(listener, None, shutdown).await
    }

    /// [`Relay::serve`] over TLS; HTTP/2 and HTTP/1.1 are chosen by ALPN.
    ///
    /// # Errors
    /// As there.
    pub async fn serve_tls(
        &self,
        listener: TcpListener,
        tls: ServerTls,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        self.run(listener, Some(tls), shutdown).await
    }

    async fn run(
        &self,
        listener: TcpListener,
        tls: Option<ServerTls>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        listener.local_addr()?;
        let mut connections = JoinSet::new();
        let room = Arc::new(Semaphore::new(self.registry().rules().limits.connections));
        let drain = CancellationToken::new();
        let mut sweep = interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shutdown = pin!(shutdown);
        loop {
            let accept = async {
                // The semaphore is never closed, so a permit always comes.
                let permit = room.clone().acquire_owned().await;
                (listener.accept().await, permit)
            };
            tokio::select! {
                () = &mut shutdown => break,
                _ = sweep.tick() => self.sweep(),
                Some(_) = connections.join_next() => {}
                (accepted, permit) = accept => match accepted {
                    Ok((stream, _)) => {
                        let connection = self.clone().accept(stream, tls.clone(), drain.clone());
                        connections.spawn(async move {
                            let _permit = permit;
                            connection.await;
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "accept");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        drain.cancel();
        self.registry()
            .close_all(tokio::time::Instant::now().into_std());
        let ended = timeout(self.drain_timeout(), async {
            while connections.join_next().await.is_some() {}
        });
        if ended.await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "cut off at the end of the drain"
            );
        }
        connections.shutdown().await;
        Ok(())
    }

    async fn accept(self, stream: TcpStream, tls: Option<ServerTls>, drain: CancellationToken) {
        tcp::set_up(&stream, self.silence());
        let Some(tls) = tls else {
            return self.connection(stream, drain).await;
        };
        match tls.accept(stream).await {
            Ok(stream) => self.connection(stream, drain).await,
            Err(error) => tracing::debug!(%error, "TLS handshake"),
        }
    }

    pub(super) async fn connection<S>(self, stream: S, drain: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .title_case_headers(true)
            .max_buf_size(WRITE_AHEAD);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.silence().ping_every)
            .keep_alive_timeout(self.silence().ping_timeout)
            .max_concurrent_streams(1000);
        let interim = Interim::default();
        let io = TokioIo::new(InterimIo::new(stream, interim.clone()));
        let first_request = CancellationToken::new();
        let (began, has_begun) = (first_request.clone(), AtomicBool::new(false));
        let service = service_fn(move |mut request: Request<Incoming>| {
            if !has_begun.swap(true, Ordering::Relaxed) {
                began.cancel();
            }
            request.extensions_mut().insert(interim.clone());
            self.clone().call(request)
        });
        let mut connection = pin!(builder.serve_connection(io, service));
        // hyper watches over the time for a head only once it knows the version of HTTP.
        let silent = async {
            let in_time = timeout(HEAD_TIMEOUT, first_request.cancelled()).await;
            if in_time.is_ok() {
                std::future::pending::<()>().await;
            }
            Stop::Silent
        };
        let drained = async {
            drain.cancelled().await;
            Stop::Drain
        };
        // In there they are polled when they have news. Polled with each piece of a body, the
        // drain would have all connections take turns at its lock.
        let mut stops: FuturesUnordered<BoxFuture<'_, Stop>> =
            [silent.boxed(), drained.boxed()].into_iter().collect();
        let ended = tokio::select! {
            biased;
            ended = &mut connection => ended,
            Some(stop) = stops.next() => match stop {
                Stop::Silent => return tracing::debug!("no request came"),
                Stop::Drain => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            },
        };
        if let Err(error) = ended {
            tracing::debug!(error = &*error, "connection ended");
        }
    }
}

#[cfg(test)]
#[path = "serve_test.rs"]
mod tests;
