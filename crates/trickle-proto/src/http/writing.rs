//! The writing side of a relay: how a POST's body becomes a segment.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::{
    answer::{closed_to_writers, no_room, not_found, reserved, text, too_large, too_many, written},
    interim::Interim,
    relay::{Call, RelayResponse, now},
};
use crate::{
    channel::{BodyEnd, TooLarge, Write, Writer},
    limits::Limits,
    registry::Entry,
    segment::SegmentReader,
    seq::{SegmentRef, Seq},
    wire,
};

impl Call<'_> {
    pub(super) async fn write<B: Body<Data = Bytes>>(
        &self,
        wanted: SegmentRef,
        body: B,
    ) -> RelayResponse {
        if self.is_reserved() {
            return reserved();
        }
        let reset = wire::wants_reset(self.headers);
        let entry = match self.entry_for_write(wanted, reset) {
            Ok(entry) => entry,
            Err(response) => return *response,
        };
        let open = entry.with(|channel| {
            channel.offer_mime(self.headers.get(header::CONTENT_TYPE));
            channel.open_write(wanted, reset, self.relay.limits())
        });
        match open {
            Write::Open(writer) => {
                let posting = Posting {
                    entry: &entry,
                    limits: self.relay.limits(),
                    writer: Some(writer),
                    batch: Batch::default(),
                    waiting: self.interim.map(Waiting::new),
                };
                posting.receive(body).await
            }
            Write::Closed => closed_to_writers(),
            Write::TooManyWaiting => too_many("Too many segments wait for their first byte"),
            Write::BadIndex => text(StatusCode::BAD_REQUEST, "Invalid index: out of range"),
        }
    }

    /// The channel to write to, made or started anew where the request may do so.
    fn entry_for_write(
        &self,
        wanted: SegmentRef,
        reset: bool,
    ) -> Result<Arc<Entry>, Box<RelayResponse>> {
        let mime = || self.headers.get(header::CONTENT_TYPE).cloned();
        let make = || {
            let made = self.registry().create(self.name, mime(), now());
            made.map_err(|error| Box::new(no_room(error)))
        };
        let starts = matches!(wanted, SegmentRef::Next | SegmentRef::At(Seq::ZERO));
        match self.entry() {
            None if self.relay.autocreate() => make(),
            None => Err(Box::new(not_found())),
            Some(entry) => {
                let closed = entry.with(|channel| channel.closed_at().is_some());
                if closed && (reset || (starts && self.relay.autocreate())) {
                    make()
                } else {
                    Ok(entry)
                }
            }
        }
    }
}

/// Bytes of a body that are put together before readers are woken. They are never waited for:
/// only what has arrived already goes in. The fewer and the larger the writes to each reader, the
/// less a byte costs: with 1 MiB a quarter less than with 128 KiB.
const BATCH_BYTES: usize = 1024 * 1024;
/// Frames of a body that are put together likewise.
const BATCH_FRAMES: usize = 1024;

/// Readers that are woken before the publisher's connection is looked at again. Woken all at once
/// they would all stand before it in the scheduler's queue, and what comes meanwhile would be one
/// more write to each of them; so those behind the first get it in the same one.
const WAKE_TOGETHER: usize = 32;

/// Time between two `100 Continue` to a POST that waits for its first byte.
const CONTINUE_EVERY: Duration = Duration::from_secs(10);

/// A POST whose body is being received. Ends its hold on the segment however it goes.
struct Posting<'a> {
    entry: &'a Entry,
    limits: &'a Limits,
    writer: Option<Writer>,
    /// What has arrived and is not in the segment yet.
    batch: Batch,
    /// Until the first byte, where the connection can send interim answers.
    waiting: Option<Waiting<'a>>,
}

impl Posting<'_> {
    async fn receive<B: Body<Data = Bytes>>(mut self, body: B) -> RelayResponse {
        let mut body = pin!(body);
        let Some(mut watch) = self.writer.as_ref().map(|w| w.segment().reader()) else {
            return closed_to_writers();
        };
        loop {
            let received = poll_fn(|cx| {
                if let Some(waiting) = &mut self.waiting {
                    waiting.poll_keep_alive(cx);
                }
                let received = self.batch.poll_receive(cx, body.as_mut(), &mut watch);
                if received.is_ready() {
                    self.waiting = None;
                } else if watch.segment().wake_some(WAKE_TOGETHER) {
                    cx.waker().wake_by_ref();
                }
                received
            })
            .await;
            if let Err(error) = self.commit(&mut watch) {
                self.end(true);
                return too_large(error);
            }
            match received {
                Received::More => {}
                Received::Full => {
                    // A body that always has more must not keep them waiting.
                    watch.segment().wake_some(WAKE_TOGETHER);
                }
                Received::End => return self.end(true),
                Received::Broken => return self.end(false),
                Received::SegmentEnded => {
                    // The segment was ended by somebody else. If the whole channel was, the
                    // publisher must know now; else what still comes is dropped.
                    if self.entry.with(|channel| channel.closed_at().is_some()) {
                        return closed_to_writers();
                    }
                    let complete = drain(body).await;
                    return self.end(complete);
                }
            }
        }
    }

    /// Puts the batch into the segment; its readers are woken by and by.
    fn commit(&mut self, watch: &mut SegmentReader) -> Result<(), TooLarge> {
        let Some(writer) = self.writer.as_mut() else {
            return Ok(());
        };
        if self.batch.is_empty() {
            return Ok(());
        }
        let (entry, limits) = (self.entry, self.limits);
        let len = self.batch.bytes;
        entry.with(|channel| channel.admit(writer, len, limits, now()))?;
        let segment = writer.segment();
        if !Arc::ptr_eq(segment, watch.segment()) {
            *watch = segment.reader();
        }
        segment.add(self.batch.take());
        Ok(())
    }

    fn end(&mut self, complete: bool) -> RelayResponse {
        let Some(writer) = self.writer.take() else {
            return closed_to_writers();
        };
        let segment = writer.segment().clone();
        let end = if complete {
            BodyEnd::Complete
        } else {
            BodyEnd::Broken
        };
        let closed = self.entry.with(|channel| {
            channel.end_write(writer, end, now());
            channel.closed_at().is_some()
        });
        // Only another POST to the same segment leaves it open; else the end has woken everybody.
        segment.wake_some(usize::MAX);
        match (complete, closed) {
            (true, true) => closed_to_writers(),
            (true, false) => written(segment.seq()),
            // Nobody is left to read it.
            (false, _) => text(StatusCode::BAD_REQUEST, "The body broke off"),
        }
    }
}

impl Drop for Posting<'_> {
    fn drop(&mut self) {
        // The publisher's connection is gone: what it brought belongs to the segment.
        if let Some(mut watch) = self.writer.as_ref().map(|w| w.segment().reader()) {
            if let Err(error) = self.commit(&mut watch) {
                tracing::debug!(%error, "the end of a broken body does not fit");
            }
            self.end(false);
        }
    }
}

/// Shows a publisher that preconnected, and whatever stands in between, that its POST is alive.
struct Waiting<'a> {
    interim: &'a Interim,
    every: Interval,
}

impl<'a> Waiting<'a> {
    fn new(interim: &'a Interim) -> Self {
        let mut every = interval_at(Instant::now() + CONTINUE_EVERY, CONTINUE_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { interim, every }
    }

    fn poll_keep_alive(&mut self, cx: &mut Context<'_>) {
        while self.every.poll_tick(cx).is_ready() {
            self.interim.send();
        }
    }
}

/// Frames of a body that have arrived together.
///
/// hyper hands out one frame each time that its connection is polled. If each woke all readers at
/// once, they would stand in the scheduler's queue before the next frame is looked at, and a
/// relay under load would send every small chunk by itself to everybody, falling ever further
/// behind. So the connection is polled again first, and readers are woken when it has no more.
#[derive(Default)]
struct Batch {
    frames: Vec<Bytes>,
    bytes: usize,
    /// A frame came since the connection was last asked for more.
    fresh: bool,
}

enum Received {
    /// Nothing more is there for now.
    More,
    /// The batch is full.
    Full,
    /// The body is complete.
    End,
    /// The body broke off.
    Broken,
    /// The segment takes no more.
    SegmentEnded,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    fn take(&mut self) -> Vec<Bytes> {
        self.bytes = 0;
        self.fresh = false;
        std::mem::take(&mut self.frames)
    }

    fn poll_receive<B: Body<Data = Bytes>>(
        &mut self,
        cx: &mut Context<'_>,
        mut body: Pin<&mut B>,
        watch: &mut SegmentReader,
    ) -> Poll<Received> {
        loop {
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(Received::End),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Received::Broken),
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(bytes) = frame.into_data() else {
                        continue;
                    };
                    if bytes.is_empty() {
                        continue;
                    }
                    self.bytes += bytes.len();
                    self.frames.push(bytes);
                    self.fresh = true;
                    if self.bytes >= BATCH_BYTES || self.frames.len() >= BATCH_FRAMES {
                        return Poll::Ready(Received::Full);
                    }
                }
                Poll::Pending => {
                    if watch.poll_ended(cx).is_ready() {
                        return Poll::Ready(Received::SegmentEnded);
                    }
                    if self.is_empty() {
                        return Poll::Pending;
                    }
                    if !std::mem::take(&mut self.fresh) {
                        return Poll::Ready(Received::More);
                    }
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }
}

/// Reads a body to its end and drops it. Returns whether it came to one.
async fn drain<B: Body<Data = Bytes>>(body: B) -> bool {
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return false;
        }
    }
    true
}

#[cfg(test)]
#[path = "writing_test.rs"]
mod tests;
