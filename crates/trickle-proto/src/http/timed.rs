//! Connections that note when bytes arrived, by the kernel's clock: for measuring.

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::AsRawFd,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use nix::{
    cmsg_space,
    sys::{
        socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt::ReceiveTimestampns},
        time::TimeSpec,
    },
};
use tokio::{io::Interest, net::TcpStream};

use super::transport::Arrived;

/// Most bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// A connection whose answers carry [`Arrived`] among their extensions.
#[derive(Debug)]
pub(crate) struct TimedStream {
    io: TokioIo<TcpStream>,
    buffer: Box<[u8]>,
    control: Vec<u8>,
    arrived: Arrived,
}

impl TimedStream {
    pub(super) fn new(io: TokioIo<TcpStream>) -> Self {
        if let Err(error) = setsockopt(io.inner(), ReceiveTimestampns, &true) {
            tracing::debug!(%error, "no times of arrival");
        }
        Self {
            io,
            buffer: vec![0; READ_BYTES].into(),
            control: cmsg_space!(TimeSpec),
            arrived: Arrived::default(),
        }
    }
}

impl Connection for TimedStream {
    fn connected(&self) -> Connected {
        self.io.connected().extra(self.arrived.clone())
    }
}

impl Read for TimedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let tcp = this.io.inner();
        let room = buf.remaining().min(this.buffer.len());
        let Some(into) = this.buffer.get_mut(..room) else {
            return Poll::Ready(Ok(()));
        };
        loop {
            ready!(tcp.poll_read_ready(cx))?;
            let mut received = None;
            let read = tcp.try_io(Interest::READABLE, || {
                let (bytes, at) = receive(tcp, into, &mut this.control)?;
                received = Some((bytes, at));
                // After less than there was room for, the socket is empty: the next call is to
                // wait at once.
                let empty = bytes > 0 && bytes < room;
                if empty {
                    Err(io::ErrorKind::WouldBlock.into())
                } else {
                    Ok(())
                }
            });
            if let Some((bytes, at)) = received {
                // The kernel begins to note times only a while after it was first asked to.
                this.arrived.set(at.unwrap_or(0));
                buf.put_slice(into.get(..bytes).unwrap_or_default());
                return Poll::Ready(Ok(()));
            }
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }
}

/// Reads what is there. Returns the number of bytes and when the last of them had arrived.
fn receive(
    tcp: &TcpStream,
    into: &mut [u8],
    control: &mut [u8],
) -> io::Result<(usize, Option<u64>)> {
    let mut parts = [IoSliceMut::new(into)];
    let message = recvmsg::<()>(
        tcp.as_raw_fd(),
        &mut parts,
        Some(control),
        MsgFlags::empty(),
    )?;
    let at = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(at) => {
            u64::try_from(Duration::from(at).as_nanos()).ok()
        }
        _ => None,
    });
    Ok((message.bytes, at))
}

impl Write for TimedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        time::{SystemTime, UNIX_EPOCH},
    };

    use hyper::rt::ReadBuf;
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    fn now() -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
    }

    /// Reads once into `room` bytes; returns how many came.
    async fn read(stream: &mut TimedStream, room: usize) -> usize {
        let mut bytes = vec![0; room];
        let mut buf = ReadBuf::new(&mut bytes);
        poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, buf.unfilled()))
            .await
            .unwrap();
        buf.filled().len()
    }

    #[tokio::test]
    async fn bytes_that_are_read_late_arrived_early() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut stream = TimedStream::new(TokioIo::new(tcp));
        assert_eq!(stream.arrived.get(), None);
        // Until the kernel has begun to note times.
        while stream.arrived.get().is_none() {
            peer.write_all(b"x").await.unwrap();
            assert_eq!(read(&mut stream, 2).await, 1);
        }
        let before = now();
        peer.write_all(b"abc").await.unwrap();
        stream.io.inner().readable().await.unwrap();
        let after = now();
        // In two reads, as the first has no room for all.
        assert_eq!(read(&mut stream, 2).await, 2);
        assert_eq!(read(&mut stream, 2).await, 1);
        let arrived = stream.arrived.get().unwrap();
        assert!((before..=after).contains(&arrived), "{arrived:?}");

        peer.write_all(b"d").await.unwrap();
        assert_eq!(read(&mut stream, 2).await, 1);
        assert!(stream.arrived.get().unwrap() >= after);
        drop(peer);
        assert_eq!(read(&mut stream, 2).await, 0, "the end");
    }
}
