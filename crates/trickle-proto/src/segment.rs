//! The buffer of one segment: written once, read by any number of readers at their own pace.
//!
//! Readers share the writer's [`Bytes`]; nothing is copied per reader. The lock is held only to
//! push or clone a handle, never while a socket is written to. A reader that still lacks bytes
//! when the segment leaves the ring is cut off with an error, so that what it got can never be
//! taken for the whole.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};

use crate::{
    seq::Seq,
    sync::{Watchers, lock, wake_all},
};

/// Chunks below this many bytes are copied together into blocks of the segment's own. A small
/// chunk is a slice of the larger buffer that its socket was read into; kept as it is, it would
/// hold all of that memory for as long as the segment stays in the ring.
const COPY_BELOW: usize = 8 * 1024;
/// Bytes of the first such block; later ones double up to [`LARGEST_BLOCK`].
const SMALLEST_BLOCK: usize = 2 * 1024;
/// Bytes of the largest such block.
const LARGEST_BLOCK: usize = 64 * 1024;

/// One segment: its bytes so far, and whether more may come.
pub struct Segment {
    seq: Seq,
    /// Bytes written so far; changed under the lock, read without it.
    len: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    chunks: Vec<Bytes>,
    /// How many chunks were ever pushed; stays when the chunks are dropped.
    pushed: usize,
    block: BytesMut,
    end: Option<End>,
    /// The bytes were given up since the segment left the ring.
    dropped: bool,
    /// Those who wait for bytes or the end.
    readers: Watchers,
    /// Those who wait for nothing but the end.
    enders: Watchers,
    /// Readers that there is something for and that were not woken yet.
    due: VecDeque<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Finished,
    ChannelClosed,
    Gone,
}

/// What a reader that waits for a segment to begin is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// There are bytes.
    Data,
    /// The segment was closed and holds nothing.
    Empty,
    /// The channel was closed before anything was written: end of stream.
    ChannelClosed,
    /// The segment left the ring, or was passed over, before this reader got anything.
    Gone,
}

/// A reader was too slow: the segment left the ring with bytes that it had not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("segment {seq} left the ring while it was being read")]
pub struct CutOff {
    /// The segment.
    pub seq: Seq,
}

impl Segment {
    /// An empty open segment.
    #[must_use]
    pub fn new(seq: Seq) -> Arc<Self> {
        Arc::new(Self {
            seq,
            len: AtomicU64::new(0),
            state: Mutex::default(),
        })
    }

    /// The segment's index.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Bytes written so far, given-up ones included.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Whether nothing was written so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no more bytes are taken.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        lock(&self.state).end.is_some()
    }

    /// Adds bytes and wakes the readers that wait. Returns whether the bytes were taken: an
    /// ended segment takes none.
    pub fn append(&self, bytes: Bytes) -> bool {
        self.append_all([bytes])
    }

    /// [`Segment::append`] for what arrived together: readers are woken once, and find small
    /// chunks joined.
    pub fn append_all(&self, chunks: impl IntoIterator<Item = Bytes>) -> bool {
        let taken = self.add(chunks);
        self.wake_some(usize::MAX);
        taken
    }

    /// [`Segment::append_all`] without waking anybody: that is left to [`Segment::wake_some`].
    pub(crate) fn add(&self, chunks: impl IntoIterator<Item = Bytes>) -> bool {
        let mut state = lock(&self.state);
        if state.end.is_some() {
            return false;
        }
        let mut len = self.len.load(Ordering::Relaxed);
        for chunk in chunks {
            let added = chunk.len() as u64;
            state.push(chunk, len);
            len = len.saturating_add(added);
        }
        state.seal();
        self.len.store(len, Ordering::Release);
        let State { readers, due, .. } = &mut *state;
        readers.call(due);
        true
    }

    /// Wakes at most `most` of the readers that [`Segment::add`] brought something for. Returns
    /// whether there are more.
    pub(crate) fn wake_some(&self, most: usize) -> bool {
        let (wakers, more) = {
            let mut state = lock(&self.state);
            let now = most.min(state.due.len());
            let wakers: Vec<Waker> = state.due.drain(..now).collect();
            (wakers, !state.due.is_empty())
        };
        wake_all(wakers);
        more
    }

    /// Ends the segment: readers get the rest and then the end.
    pub fn finish(&self) {
        self.end_with(End::Finished);
    }

    /// The channel was closed: like [`Segment::finish`], but readers of a segment in which
    /// nothing was written get the end of the stream.
    pub fn close_with_channel(&self) {
        self.end_with(if self.is_empty() {
            End::ChannelClosed
        } else {
            End::Finished
        });
    }

    /// The segment left the ring: its bytes are given up, and readers that lack some are cut
    /// off.
    pub fn evict(&self) {
        let wakers = {
            let mut state = lock(&self.state);
            let end = if state.pushed == 0 {
                End::Gone
            } else {
                End::Finished
            };
            state.end.get_or_insert(end);
            state.dropped = true;
            state.chunks = Vec::new();
            state.block = BytesMut::new();
            state.call_all()
        };
        wake_all(wakers);
    }

    fn end_with(&self, end: End) {
        let wakers = {
            let mut state = lock(&self.state);
            if state.end.is_some() {
                return;
            }
            state.end = Some(end);
            state.block = BytesMut::new();
            state.call_all()
        };
        wake_all(wakers);
    }

    /// A reader that starts at the first byte.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> SegmentReader {
        SegmentReader {
            segment: self.clone(),
            read: 0,
            read_bytes: 0,
            watch: None,
            end_watch: None,
        }
    }
}

impl State {
    /// Keeps a large chunk as it is and copies a small one; see [`COPY_BELOW`]. What was copied
    /// becomes readable with [`State::seal`].
    fn push(&mut self, bytes: Bytes, len_before: u64) {
        if bytes.len() >= COPY_BELOW {
            self.seal();
            self.chunks.push(bytes);
            self.pushed += 1;
            return;
        }
        if self.block.capacity() - self.block.len() < bytes.len() {
            self.seal();
            let wanted = usize::try_from(len_before).unwrap_or(LARGEST_BLOCK);
            let block = wanted.clamp(SMALLEST_BLOCK, LARGEST_BLOCK).max(bytes.len());
            self.block = BytesMut::with_capacity(block);
        }
        self.block.extend_from_slice(&bytes);
    }

    /// Everybody who waits for anything, those included who were to be woken anyhow.
    fn call_all(&mut self) -> VecDeque<Waker> {
        let mut due = std::mem::take(&mut self.due);
        self.readers.call(&mut due);
        self.enders.call(&mut due);
        due
    }

    /// Makes one chunk of all that was copied since the last time.
    fn seal(&mut self) {
        if !self.block.is_empty() {
            self.chunks.push(self.block.split().freeze());
            self.pushed += 1;
        }
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("seq", &self.seq)
            .field("len", &self.len())
            .finish()
    }
}

/// Reads one segment from its first byte, following the writer.
#[derive(Debug)]
pub struct SegmentReader {
    segment: Arc<Segment>,
    /// Chunks read so far.
    read: usize,
    read_bytes: u64,
    /// Its place among those who wait for bytes.
    watch: Option<usize>,
    /// Its place among those who wait for the end.
    end_watch: Option<usize>,
}

impl SegmentReader {
    /// The segment that is read.
    #[must_use]
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Waits for the segment's first byte or its end.
    pub fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<Begin> {
        let mut state = lock(&self.segment.state);
        match state.end {
            _ if state.dropped => Poll::Ready(Begin::Gone),
            _ if state.pushed > 0 => Poll::Ready(Begin::Data),
            Some(End::Finished) => Poll::Ready(Begin::Empty),
            Some(End::ChannelClosed) => Poll::Ready(Begin::ChannelClosed),
            Some(End::Gone) => Poll::Ready(Begin::Gone),
            None => {
                state.readers.wait(&mut self.watch, cx.waker());
                Poll::Pending
            }
        }
    }

    /// The next chunk; `None` at the end of the segment.
    ///
    /// # Errors
    /// [`CutOff`] when the segment left the ring with bytes that this reader had not read.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, CutOff>>> {
        let mut state = lock(&self.segment.state);
        if let Some(chunk) = state.chunks.get(self.read) {
            self.read += 1;
            self.read_bytes += chunk.len() as u64;
            return Poll::Ready(Some(Ok(chunk.clone())));
        }
        if self.read < state.pushed {
            // Said once; afterwards the reader is at its end.
            self.read = state.pushed;
            return Poll::Ready(Some(Err(CutOff {
                seq: self.segment.seq,
            })));
        }
        if state.end.is_some() {
            return Poll::Ready(None);
        }
        state.readers.wait(&mut self.watch, cx.waker());
        Poll::Pending
    }

    /// Waits until the segment has ended, whatever was read.
    pub fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.segment.state);
        if state.end.is_some() {
            return Poll::Ready(());
        }
        state.enders.wait(&mut self.end_watch, cx.waker());
        Poll::Pending
    }

    /// [`SegmentReader::poll_begin`] as a future.
    pub async fn begin(&mut self) -> Begin {
        poll_fn(|cx| self.poll_begin(cx)).await
    }

    /// [`SegmentReader::poll_chunk`] as a future.
    ///
    /// # Errors
    /// As there.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, CutOff> {
        poll_fn(|cx| Poll::Ready(ready!(self.poll_chunk(cx)).transpose())).await
    }

    /// [`SegmentReader::poll_ended`] as a future.
    pub async fn ended(&mut self) {
        poll_fn(|cx| self.poll_ended(cx)).await;
    }

    /// How many bytes are still to be read, once that is known: when the segment has ended. `None`
    /// too for a reader that is about to be cut off.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        let state = lock(&self.segment.state);
        let whole = state.end.is_some() && (!state.dropped || self.read >= state.pushed);
        whole.then(|| self.segment.len().saturating_sub(self.read_bytes))
    }

    /// Whether all that will ever come was read.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        let state = lock(&self.segment.state);
        state.end.is_some() && self.read >= state.pushed
    }
}

impl Drop for SegmentReader {
    fn drop(&mut self) {
        if self.watch.is_none() && self.end_watch.is_none() {
            return;
        }
        let mut state = lock(&self.segment.state);
        if let Some(key) = self.watch {
            state.readers.leave(key);
        }
        if let Some(key) = self.end_watch {
            state.enders.leave(key);
        }
    }
}

#[cfg(test)]
#[path = "segment_test.rs"]
mod tests;
