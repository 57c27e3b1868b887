//! One channel: the ring of its last segments and the rules of who may read and write what.
//!
//! A state machine without I/O and without a clock: requests come in as calls with `now`, and
//! segments to read from or write to come out. The rules are those of `docs/protocol.md`.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderValue;

use crate::{
    limits::Limits,
    segment::Segment,
    seq::{SegmentRef, Seq},
};

/// For how long readers go on waiting for a segment after a later one has begun. POSTs come over
/// connections of their own, and one may overtake another.
pub const OVERTAKING: Duration = Duration::from_millis(500);

/// A channel's segments and its life.
#[derive(Debug)]
pub struct Channel {
    mime: Option<HeaderValue>,
    ring: u64,
    /// The index that the next write takes: one above the last segment that was begun.
    next: Seq,
    slots: BTreeMap<Seq, Slot>,
    /// Segments below this one left before the ring's end, to keep within the limits.
    oldest: Seq,
    /// The segment that was begun first since the channel is empty, and when.
    first: Option<(Seq, Instant)>,
    last_byte: Instant,
    closed_at: Option<Instant>,
}

#[derive(Debug)]
struct Slot {
    segment: Arc<Segment>,
    /// POSTs that are being received.
    writers: usize,
    begun: bool,
    /// Since when a later segment has begun while this one has not.
    passed_over: Option<Instant>,
}

impl Slot {
    fn new(seq: Seq) -> Self {
        Self {
            segment: Segment::new(seq),
            writers: 0,
            begun: false,
            passed_over: None,
        }
    }
}

/// Answer to a read.
#[derive(Clone, Debug)]
pub enum Read {
    /// Read this one; it may not have begun yet.
    Segment(Arc<Segment>),
    /// The channel is closed and will never have this segment.
    EndOfStream,
    /// The channel exists, the segment does not (470).
    NoSegment {
        /// What was asked for, where it names an index.
        seq: Option<Seq>,
    },
}

/// Answer to the head of a POST.
#[derive(Debug)]
pub enum Write {
    /// Its body goes here.
    Open(Writer),
    /// The channel is closed.
    Closed,
    /// More segments already wait for their first byte than the limits allow.
    TooManyWaiting,
    /// The largest index cannot be written, as nothing could follow.
    BadIndex,
}

/// One POST's hold on the segment that it writes. Give it back with [`Channel::end_write`].
#[derive(Debug)]
pub struct Writer {
    segment: Arc<Segment>,
    /// Whether the slot in the ring counts this writer. One that may restart the channel, or that
    /// names a segment of before, waits outside: its first byte decides.
    counted: bool,
    wrote: bool,
}

impl Writer {
    /// The segment written to. May change with the first byte.
    #[must_use]
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }
}

/// How a POST's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// Completely.
    Complete,
    /// The connection broke.
    Broken,
}

/// Why bytes are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// [`Limits::segment_bytes`].
    #[error("a segment may hold {0} bytes")]
    Segment(u64),
    /// [`Limits::channel_bytes`].
    #[error("a channel may keep {0} bytes")]
    Channel(u64),
}

impl Channel {
    /// An empty channel that keeps the last `ring` segments.
    #[must_use]
    pub fn new(mime: Option<HeaderValue>, ring: usize, now: Instant) -> Self {
        Self {
            mime,
            ring: ring.max(1) as u64,
            next: Seq::ZERO,
            slots: BTreeMap::new(),
            oldest: Seq::ZERO,
            first: None,
            last_byte: now,
            closed_at: None,
        }
    }

    /// The MIME type, once known.
    #[must_use]
    pub fn mime(&self) -> Option<&HeaderValue> {
        self.mime.as_ref()
    }

    /// Sets the MIME type unless there is one.
    pub fn offer_mime(&mut self, mime: Option<&HeaderValue>) {
        if self.mime.is_none() {
            self.mime = mime.cloned();
        }
    }

    /// The index that the next write takes.
    #[must_use]
    pub fn next(&self) -> Seq {
        self.next
    }

    /// When the channel was closed, if it was.
    #[must_use]
    pub fn closed_at(&self) -> Option<Instant> {
        self.closed_at
    }

    /// When the last byte came, or the channel was made.
    #[must_use]
    pub fn last_byte(&self) -> Instant {
        self.last_byte
    }

    /// Bytes kept.
    #[must_use]
    pub fn kept_bytes(&self) -> u64 {
        self.slots.values().map(|slot| slot.segment.len()).sum()
    }

    /// Segments kept or waited for.
    #[must_use]
    pub fn kept_segments(&self) -> usize {
        self.slots.len()
    }

    /// Finds the segment for a GET, making it if it is the next to be written.
    pub fn read(&mut self, wanted: SegmentRef) -> Read {
        let seq = match wanted {
            SegmentRef::At(seq) => Some(seq),
            SegmentRef::Next => Some(self.next),
            SegmentRef::Current => Some(self.next.before(1).unwrap_or(Seq::ZERO)),
            SegmentRef::FromLast(n) => self.next.before(n),
        };
        let Some(seq) = seq else {
            return Read::NoSegment { seq: None };
        };
        if let Some(slot) = self.slots.get(&seq) {
            return Read::Segment(slot.segment.clone());
        }
        if self.closed_at.is_some() {
            return if seq < self.next {
                Read::NoSegment { seq: Some(seq) }
            } else {
                Read::EndOfStream
            };
        }
        let in_ring = (1..=self.ring).contains(&seq.distance_to(self.next));
        if in_ring && seq >= self.oldest {
            // Not written although a later one was: its POST may be on its way.
            let since = self.last_byte;
            let slot = self.slot(seq);
            slot.passed_over.get_or_insert(since);
            return Read::Segment(slot.segment.clone());
        }
        let waits = seq == self.next || (self.next == Seq::ZERO && seq == Seq::from(1));
        if waits && seq < Seq::MAX {
            return Read::Segment(self.slot(seq).segment.clone());
        }
        Read::NoSegment { seq: Some(seq) }
    }

    /// Starts a closed channel anew, empty. Does nothing to a live one.
    pub fn reopen(&mut self, mime: Option<&HeaderValue>, now: Instant) {
        if self.closed_at.take().is_none() {
            return;
        }
        self.evict_all();
        self.next = Seq::ZERO;
        self.mime = mime.cloned();
        self.last_byte = now;
    }

    /// Opens the segment for a POST. `reset`: the publisher started anew. A `wanted` that is
    /// relative to the edge means the next segment.
    pub fn open_write(&mut self, wanted: SegmentRef, reset: bool, limits: &Limits) -> Write {
        if self.closed_at.is_some() {
            return Write::Closed;
        }
        let seq = match wanted {
            SegmentRef::At(seq) => seq,
            _ => self.next,
        };
        if seq == Seq::MAX {
            return Write::BadIndex;
        }
        if reset {
            self.end_before(seq);
        }
        let ended = |slot: &Slot| slot.segment.is_ended();
        if self.restarts(seq) || self.slots.get(&seq).is_some_and(ended) {
            return Write::Open(Writer {
                segment: Segment::new(seq),
                counted: false,
                wrote: false,
            });
        }
        if !self.slots.contains_key(&seq) {
            let waiting = self.slots.values().filter(|slot| !slot.begun).count();
            if waiting >= limits.waiting_segments {
                return Write::TooManyWaiting;
            }
        }
        let slot = self.slot(seq);
        slot.writers += 1;
        Write::Open(Writer {
            segment: slot.segment.clone(),
            counted: true,
            wrote: false,
        })
    }

    /// Makes room for `len` bytes, and, with the first of a segment, moves the channel on. The
    /// caller then appends them to the writer's segment.
    ///
    /// # Errors
    /// [`TooLarge`] when a limit forbids them.
    pub fn admit(
        &mut self,
        writer: &mut Writer,
        len: usize,
        limits: &Limits,
        now: Instant,
    ) -> Result<(), TooLarge> {
        let len = len as u64;
        self.last_byte = now;
        self.begin(writer, now);
        self.give_up_passed_over(now);
        let segment = writer.segment.len().saturating_add(len);
        if segment > limits.segment_bytes {
            return Err(TooLarge::Segment(limits.segment_bytes));
        }
        if segment > limits.channel_bytes {
            return Err(TooLarge::Channel(limits.channel_bytes));
        }
        let mut kept = self.kept_bytes().saturating_add(len);
        while kept > limits.channel_bytes {
            let oldest = self.slots.iter().find(|(_, slot)| !slot.segment.is_empty());
            let Some((&seq, slot)) = oldest else { break };
            if Arc::ptr_eq(&slot.segment, &writer.segment) {
                return Err(TooLarge::Channel(limits.channel_bytes));
            }
            kept = kept.saturating_sub(slot.segment.len());
            slot.segment.evict();
            self.slots.remove(&seq);
            self.oldest = seq.next();
        }
        Ok(())
    }

    /// A POST is over. A complete one ends its segment, an empty one too; a broken one does so
    /// if it had brought any byte, so that no reader hangs. Where another POST writes to the
    /// same segment, one that brought nothing leaves it alone.
    pub fn end_write(&mut self, mut writer: Writer, end: BodyEnd, now: Instant) {
        let alone = match self.slots.get(&writer.segment.seq()) {
            Some(slot) if writer.counted && Arc::ptr_eq(&slot.segment, &writer.segment) => {
                slot.writers <= 1
            }
            _ => true,
        };
        let ends = writer.wrote || (end == BodyEnd::Complete && alone);
        if ends && self.closed_at.is_none() {
            self.begin(&mut writer, now);
        }
        if writer.counted
            && let Some(slot) = self.slots.get_mut(&writer.segment.seq())
            && Arc::ptr_eq(&slot.segment, &writer.segment)
        {
            slot.writers = slot.writers.saturating_sub(1);
        }
        if ends {
            writer.segment.finish();
        }
    }

    /// Ends one segment (DELETE), waking its readers. One that was never written counts as
    /// written and empty. Returns whether there was such a segment.
    pub fn end_segment(&mut self, wanted: SegmentRef, now: Instant) -> bool {
        let seq = match wanted {
            SegmentRef::At(seq) => Some(seq),
            SegmentRef::Next => Some(self.next),
            SegmentRef::Current => self.next.before(1),
            SegmentRef::FromLast(n) => self.next.before(n),
        };
        let Some(slot) = seq.and_then(|seq| self.slots.get(&seq)) else {
            return false;
        };
        let segment = slot.segment.clone();
        segment.finish();
        self.advance_past(segment.seq(), now);
        true
    }

    /// Ends the channel: begun segments end, waiting readers get the end of the stream.
    /// Returns false if it was closed before.
    pub fn close(&mut self, now: Instant) -> bool {
        if self.closed_at.is_some() {
            return false;
        }
        self.closed_at = Some(now);
        for slot in self.slots.values() {
            slot.segment.close_with_channel();
        }
        // What was only waited for is no part of the stream.
        self.slots.retain(|_, slot| slot.begun);
        true
    }

    /// Gives all segments up, cutting off whoever still reads them.
    pub fn evict_all(&mut self) {
        self.oldest = Seq::ZERO;
        self.first = None;
        for slot in std::mem::take(&mut self.slots).into_values() {
            slot.segment.evict();
        }
    }

    /// A publisher that restarts does not say so: it writes to 0, or to an index that left the
    /// ring.
    fn restarts(&self, seq: Seq) -> bool {
        (seq == Seq::ZERO && self.next >= Seq::from(2)) || seq.distance_to(self.next) > self.ring
    }

    /// POSTs of a channel's first segments may arrive in any order, tiny ones above all: an index
    /// below the first that arrived is late for a moment, and a restart only after that.
    fn is_overtaken(&self, seq: Seq, now: Instant) -> bool {
        self.first.is_some_and(|(first, at)| {
            seq < first && now.saturating_duration_since(at) < OVERTAKING
        })
    }

    fn slot(&mut self, seq: Seq) -> &mut Slot {
        self.slots.entry(seq).or_insert_with(|| Slot::new(seq))
    }

    /// The first byte of a POST, or the end of an empty one: its segment is now part of the
    /// channel.
    fn begin(&mut self, writer: &mut Writer, now: Instant) {
        if writer.wrote {
            return;
        }
        writer.wrote = true;
        let seq = writer.segment.seq();
        if !writer.counted {
            let overtaken = self.is_overtaken(seq, now);
            let below_ring = seq.distance_to(self.next) > self.ring;
            if overtaken && (below_ring || seq < self.oldest) {
                // Too late for any reader: its bytes go nowhere.
                writer.segment.finish();
                return;
            }
            if !overtaken && self.restarts(seq) {
                self.evict_all();
                self.next = seq;
            }
            if self
                .slots
                .get(&seq)
                .is_some_and(|slot| slot.segment.is_ended())
            {
                // It was written before, and the channel has not started anew meanwhile.
                writer.segment.finish();
                return;
            }
            let slot = self.slot(seq);
            slot.writers += 1;
            writer.segment = slot.segment.clone();
            writer.counted = true;
        }
        // A slot that was given up, or replaced after a restart, is not brought back.
        if self
            .slots
            .get(&seq)
            .is_some_and(|slot| Arc::ptr_eq(&slot.segment, &writer.segment))
        {
            self.advance_past(seq, now);
        }
    }

    /// Marks `seq` as begun and moves the edge and the ring on.
    fn advance_past(&mut self, seq: Seq, now: Instant) {
        if let Some(slot) = self.slots.get_mut(&seq) {
            slot.begun = true;
        }
        self.first.get_or_insert((seq, now));
        if seq < self.next {
            return;
        }
        self.next = seq.next();
        let (next, ring) = (self.next, self.ring);
        self.slots.retain(|&other, slot| {
            let in_ring = other.distance_to(next) <= ring;
            if !in_ring {
                slot.segment.evict();
            } else if other < seq && !slot.begun {
                slot.passed_over.get_or_insert(now);
            }
            in_ring
        });
    }

    /// Readers may wait for an index that a jump passed over. Unless somebody is about to write
    /// it, they must learn that it will not come.
    pub fn give_up_passed_over(&mut self, now: Instant) {
        let is_late = |slot: &Slot| {
            let since = slot
                .passed_over
                .filter(|_| !slot.begun && slot.writers == 0);
            since.is_some_and(|since| now.saturating_duration_since(since) >= OVERTAKING)
        };
        if self.slots.values().any(is_late) {
            self.slots.retain(|_, slot| {
                let late = is_late(slot);
                if late {
                    slot.segment.evict();
                }
                !late
            });
        }
    }

    /// The publisher restarted at `seq`: its earlier segments will not be finished by anybody.
    fn end_before(&mut self, seq: Seq) {
        self.slots.retain(|&other, slot| {
            if other >= seq {
                return true;
            }
            if slot.begun {
                slot.segment.finish();
            } else {
                slot.segment.evict();
            }
            slot.begun
        });
    }
}

#[cfg(test)]
#[path = "channel_test.rs"]
mod tests;
