//! The body of a POST: chunks queued by the writer, taken by the connection.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body, Frame};

use crate::sync::lock;

/// Bytes that may wait for the connection before the writer has to.
const QUEUE_BYTES: usize = 256 * 1024;

/// What the writer of a segment and its POST share.
#[derive(Debug, Default)]
pub(crate) struct Upload(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Bytes>,
    queued: usize,
    /// The connection has taken a byte, so the POST cannot be sent a second time.
    taken: bool,
    end: Option<End>,
    /// The POST is over; nothing will be taken any more.
    over: bool,
    /// The connection's side.
    body: Option<Waker>,
    /// The user's side.
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Finished,
    Aborted,
}

/// The POST is over before the writer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Over;

impl Upload {
    /// Queues bytes, waiting while too many are queued already.
    pub(crate) async fn write(&self, bytes: Bytes) -> Result<(), Over> {
        poll_fn(|cx| {
            let mut state = lock(&self.0);
            if state.over {
                return Poll::Ready(Err(Over));
            }
            if state.queued >= QUEUE_BYTES {
                state.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        if bytes.is_empty() {
            return Ok(());
        }
        let waker = {
            let mut state = lock(&self.0);
            state.queued += bytes.len();
            state.queue.push_back(bytes);
            state.body.take()
        };
        wake(waker);
        Ok(())
    }

    /// Waits until the connection has taken everything that was queued.
    pub(crate) async fn sent(&self) -> Result<(), Over> {
        poll_fn(|cx| {
            let mut state = lock(&self.0);
            if state.queue.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if state.over {
                return Poll::Ready(Err(Over));
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// No more bytes will come.
    pub(crate) fn finish(&self) {
        self.end(End::Finished);
    }

    /// The segment is given up: its body breaks off.
    pub(crate) fn abort(&self) {
        self.end(End::Aborted);
    }

    fn end(&self, end: End) {
        let waker = {
            let mut state = lock(&self.0);
            state.end.get_or_insert(end);
            state.body.take()
        };
        wake(waker);
    }

    /// The POST is over, with whatever answer.
    pub(crate) fn set_over(&self) {
        let waker = {
            let mut state = lock(&self.0);
            state.over = true;
            state.writer.take()
        };
        wake(waker);
    }

    /// Whether the connection took any byte.
    pub(crate) fn is_taken(&self) -> bool {
        lock(&self.0).taken
    }

    /// Whether all bytes, and the end, were handed over.
    pub(crate) fn is_sent(&self) -> bool {
        let state = lock(&self.0);
        state.end == Some(End::Finished) && state.queue.is_empty()
    }

    /// Whether the writer ended it.
    pub(crate) fn is_ended(&self) -> bool {
        lock(&self.0).end.is_some()
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The writer gave the segment up.
#[derive(Debug, thiserror::Error)]
#[error("the segment was given up by its writer")]
pub(crate) struct Aborted;

/// The connection's end of an [`Upload`].
#[derive(Debug)]
pub(crate) struct UploadBody(pub(crate) Arc<Upload>);

impl Body for UploadBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let mut state = lock(&self.0.0);
        if state.end == Some(End::Aborted) {
            return Poll::Ready(Some(Err(Aborted)));
        }
        if let Some(bytes) = state.queue.pop_front() {
            state.taken = true;
            state.queued = state.queued.saturating_sub(bytes.len());
            let waker = state.writer.take();
            drop(state);
            wake(waker);
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if state.end == Some(End::Finished) {
            return Poll::Ready(None);
        }
        state.body = Some(cx.waker().clone());
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_sent()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn bytes_come_out_in_order_and_then_the_end() {
        let upload = Arc::new(Upload::default());
        let mut body = UploadBody(upload.clone());
        assert!(body.frame().now_or_never().is_none());
        for chunk in [&b"a"[..], b"", b"b"] {
            upload
                .write(Bytes::copy_from_slice(chunk))
                .now_or_never()
                .unwrap()
                .unwrap();
        }
        assert!(!upload.is_taken());
        upload.finish();
        let all = body.collect().now_or_never().unwrap().unwrap().to_bytes();
        assert_eq!(&all[..], b"ab");
        assert!(upload.is_taken() && upload.is_sent());
    }

    #[test]
    fn a_writer_waits_for_the_connection() {
        let upload = Arc::new(Upload::default());
        let full = Bytes::from(vec![0; QUEUE_BYTES]);
        upload.write(full).now_or_never().unwrap().unwrap();
        let mut more = Box::pin(upload.write(Bytes::from_static(b"x")));
        assert!(more.as_mut().now_or_never().is_none());
        let mut body = UploadBody(upload.clone());
        body.frame().now_or_never().unwrap().unwrap().unwrap();
        assert_eq!(more.now_or_never(), Some(Ok(())));
    }

    #[test]
    fn a_writer_learns_that_the_post_is_over() {
        let upload = Upload::default();
        upload.set_over();
        assert_eq!(
            upload.write(Bytes::from_static(b"x")).now_or_never(),
            Some(Err(Over))
        );
    }

    #[test]
    fn an_aborted_body_ends_in_an_error() {
        let upload = Arc::new(Upload::default());
        upload.abort();
        let frame = UploadBody(upload).frame().now_or_never().unwrap().unwrap();
        assert!(frame.is_err());
    }
}
