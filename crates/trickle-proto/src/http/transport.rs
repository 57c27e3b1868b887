//! How a client makes its connections.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use tower_service::Service;

#[cfg(test)]
use super::memory::Pipe;
#[cfg(target_os = "linux")]
use super::timed::TimedStream;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
#[cfg(test)]
type Open = dyn Fn() -> std::io::Result<tokio::io::DuplexStream> + Send + Sync;

/// A connection.
pub(crate) trait Io: Read + Write + Connection + Send + Unpin {}
impl<T: Read + Write + Connection + Send + Unpin> Io for T {}
/// Any connection.
pub(crate) type Stream = Box<dyn Io>;

impl Connection for Stream {
    fn connected(&self) -> Connected {
        (**self).connected()
    }
}

/// What makes the connections of a client.
#[derive(Clone)]
pub(crate) enum Transport {
    Tcp(HttpConnector),
    /// Answers carry [`Arrived`] among their extensions.
    #[cfg(target_os = "linux")]
    Timed(HttpConnector),
    /// Pipes, so that time can be virtual.
    #[cfg(test)]
    Memory(Arc<Open>),
}

impl Transport {
    /// Connections that tell when bytes arrived, where the system tells them.
    pub(crate) fn timed(connector: HttpConnector) -> Self {
        #[cfg(target_os = "linux")]
        return Self::Timed(connector);
        #[cfg(not(target_os = "linux"))]
        Self::Tcp(connector)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

impl Service<Uri> for Transport {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Stream, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Tcp(connector) => connector.poll_ready(cx).map_err(Into::into),
            #[cfg(target_os = "linux")]
            Self::Timed(connector) => connector.poll_ready(cx).map_err(Into::into),
            #[cfg(test)]
            Self::Memory(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        match self {
            Self::Tcp(connector) => {
                let connecting = connector.call(uri);
                Box::pin(async move { Ok(Box::new(connecting.await?) as Stream) })
            }
            #[cfg(target_os = "linux")]
            Self::Timed(connector) => {
                let connecting = connector.call(uri);
                Box::pin(async move { Ok(Box::new(TimedStream::new(connecting.await?)) as Stream) })
            }
            #[cfg(test)]
            Self::Memory(open) => {
                let opened = open().map(hyper_util::rt::TokioIo::new);
                Box::pin(async move { Ok(Box::new(Pipe(opened?)) as Stream) })
            }
        }
    }
}

/// When the bytes that a connection read last had come to this machine's network stack. Those of
/// one read that came earlier count as come with the last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrived(Arc<AtomicU64>);

impl Arrived {
    /// Since the Unix epoch; `None` where the system does not tell.
    pub(crate) fn get(&self) -> Option<Duration> {
        let nanos = self.0.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    #[cfg(target_os = "linux")]
    pub(super) fn set(&self, nanos: u64) {
        self.0.store(nanos, Ordering::Relaxed);
    }
}
