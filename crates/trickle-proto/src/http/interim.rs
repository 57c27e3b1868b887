//! `100 Continue` while a POST waits for its first byte, below hyper, which cannot send it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A handler's end: put into the extensions of each request of an [`InterimIo`].
#[derive(Clone, Debug, Default)]
pub(super) struct Interim(Arc<AtomicBool>);

impl Interim {
    /// Sends one interim answer. To be called only by the handler of an HTTP/1.1 request that
    /// was not answered yet, while it is being polled: the connection then flushes next.
    pub(super) fn send(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether one is to be sent.
    fn take(&self) -> bool {
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

/// A connection that writes the interim answers which its handler asks for.
///
/// hyper calls `poll_flush` when it has nothing left to write, so what goes out there stands
/// between two answers and never within one: the handler's own answer has not begun.
#[derive(Debug)]
pub(super) struct InterimIo<S> {
    io: S,
    interim: Interim,
    /// The rest of an interim answer that is being written.
    rest: &'static [u8],
}

impl<S> InterimIo<S> {
    pub(super) fn new(io: S, interim: Interim) -> Self {
        Self {
            io,
            interim,
            rest: &[],
        }
    }
}

impl<S: AsyncWrite + Unpin> InterimIo<S> {
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, self.rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest = self.rest.get(written..).unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for InterimIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for InterimIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_rest(cx))?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_rest(cx))?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.rest.is_empty() && self.interim.take() {
            self.rest = CONTINUE;
        }
        ready!(self.poll_rest(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_rest(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
