//! The rules of a channel, as calls without any I/O.

use bytes::Bytes;
use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::segment::Begin;

fn at(n: u32) -> SegmentRef {
    SegmentRef::At(Seq::from(n))
}

/// A channel with a ring of five, driven as a relay would.
struct Rig {
    channel: Channel,
    limits: Limits,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            channel: Channel::new(None, 5, now),
            limits: Limits::default(),
            now,
        }
    }

    fn with_written(segments: u32) -> Self {
        let mut rig = Self::new();
        for n in 0..segments {
            rig.write(at(n), b"x");
        }
        rig
    }

    fn open(&mut self, wanted: SegmentRef) -> Writer {
        match self.channel.open_write(wanted, false, &self.limits) {
            Write::Open(writer) => writer,
            other => panic!("{other:?}"),
        }
    }

    fn put(&mut self, writer: &mut Writer, bytes: &'static [u8]) -> Result<(), TooLarge> {
        self.channel
            .admit(writer, bytes.len(), &self.limits, self.now)?;
        writer.segment().append(Bytes::from_static(bytes));
        Ok(())
    }

    fn write(&mut self, wanted: SegmentRef, bytes: &'static [u8]) -> Seq {
        let mut writer = self.open(wanted);
        if !bytes.is_empty() {
            self.put(&mut writer, bytes).unwrap();
        }
        let seq = writer.segment().seq();
        self.channel.end_write(writer, BodyEnd::Complete, self.now);
        seq
    }

    fn segment(&mut self, wanted: SegmentRef) -> Arc<Segment> {
        match self.channel.read(wanted) {
            Read::Segment(segment) => segment,
            other => panic!("{other:?}"),
        }
    }

    fn begin(&mut self, wanted: SegmentRef) -> Option<Begin> {
        self.segment(wanted).reader().begin().now_or_never()
    }

    fn next(&self) -> u64 {
        self.channel.next().get()
    }
}

fn text(segment: &Arc<Segment>) -> String {
    let mut reader = segment.reader();
    let mut all = Vec::new();
    while let Some(Ok(Some(chunk))) = reader.chunk().now_or_never() {
        all.extend_from_slice(&chunk);
    }
    String::from_utf8(all).unwrap()
}

#[test]
fn the_edge_moves_with_the_first_byte_not_with_the_request() {
    let mut rig = Rig::new();
    let mut writer = rig.open(at(0));
    assert_eq!(rig.next(), 0);
    rig.put(&mut writer, b"x").unwrap();
    assert_eq!(rig.next(), 1);
}

#[test]
fn an_empty_post_advances_too() {
    let mut rig = Rig::new();
    rig.write(at(0), b"");
    assert_eq!(rig.next(), 1);
    assert_eq!(rig.begin(at(0)), Some(Begin::Empty));
}

#[test]
fn minus_one_writes_the_next_segment() {
    let mut rig = Rig::with_written(3);
    assert_eq!(rig.write(SegmentRef::Next, b"x"), Seq::from(3));
}

#[test]
fn places_relative_to_the_edge_are_resolved() {
    let mut rig = Rig::with_written(4);
    assert_eq!(rig.segment(SegmentRef::Current).seq(), Seq::from(3));
    assert_eq!(rig.segment(SegmentRef::FromLast(2)).seq(), Seq::from(2));
    assert_eq!(rig.segment(SegmentRef::Next).seq(), Seq::from(4));
    assert!(matches!(
        rig.channel.read(SegmentRef::FromLast(5)),
        Read::NoSegment { seq: None }
    ));
}

#[test]
fn an_empty_channel_lets_readers_wait_for_zero_and_one() {
    let mut rig = Rig::new();
    assert_eq!(rig.begin(SegmentRef::Current), None);
    assert_eq!(rig.segment(SegmentRef::Current).seq(), Seq::ZERO);
    assert_eq!(rig.begin(at(0)), None);
    assert_eq!(rig.begin(at(1)), None);
    assert!(matches!(rig.channel.read(at(2)), Read::NoSegment { .. }));
}

#[test]
fn a_reader_waits_only_for_the_next_segment() {
    let mut rig = Rig::with_written(3);
    assert_eq!(rig.begin(at(3)), None);
    assert!(matches!(rig.channel.read(at(4)), Read::NoSegment { .. }));
}

#[test]
fn a_preconnected_reader_gets_what_is_written_later() {
    let mut rig = Rig::with_written(1);
    let waited = rig.segment(at(1));
    rig.write(at(1), b"live");
    assert_eq!(text(&waited), "live");
}

#[test]
fn the_ring_keeps_the_last_five() {
    let mut rig = Rig::with_written(7);
    assert!(matches!(rig.channel.read(at(1)), Read::NoSegment { .. }));
    for n in 2..7 {
        assert_eq!(rig.begin(at(n)), Some(Begin::Data), "{n}");
    }
    assert_eq!(rig.channel.kept_segments(), 5);
}

#[test]
fn a_preconnected_post_takes_nothing_from_the_ring_before_its_first_byte() {
    let mut rig = Rig::with_written(5);
    let mut writer = rig.open(at(5));
    assert_eq!(rig.begin(at(0)), Some(Begin::Data));
    rig.put(&mut writer, b"x").unwrap();
    assert!(matches!(rig.channel.read(at(0)), Read::NoSegment { .. }));
}

#[test]
fn a_repeated_post_appends_while_open_and_is_dropped_afterwards() {
    let mut rig = Rig::new();
    let mut first = rig.open(at(0));
    rig.put(&mut first, b"a").unwrap();
    let mut second = rig.open(at(0));
    rig.put(&mut second, b"b").unwrap();
    rig.channel.end_write(second, BodyEnd::Complete, rig.now);
    assert_eq!(text(&rig.segment(at(0))), "ab");
    let mut again = rig.open(at(0));
    rig.put(&mut again, b"c").unwrap();
    rig.channel.end_write(again, BodyEnd::Complete, rig.now);
    assert_eq!(text(&rig.segment(at(0))), "ab");
    assert_eq!(rig.next(), 1);
}

/// A publisher that restarts posts its second segment before it has written the first, where the
/// one before it has left a segment of that index.
#[test]
fn what_was_preconnected_before_a_restart_belongs_to_what_comes_after_it() {
    let mut rig = Rig::with_written(3);
    let (mut first, mut second) = (rig.open(at(0)), rig.open(at(1)));
    rig.put(&mut first, b"new 0").unwrap();
    rig.put(&mut second, b"new 1").unwrap();
    assert_eq!(text(&rig.segment(at(0))), "new 0");
    assert_eq!(text(&rig.segment(at(1))), "new 1");
    assert_eq!(rig.next(), 2);
}

#[test]
fn a_broken_post_ends_its_segment_only_if_it_brought_bytes() {
    let mut rig = Rig::new();
    let mut writer = rig.open(at(0));
    rig.put(&mut writer, b"half").unwrap();
    rig.channel.end_write(writer, BodyEnd::Broken, rig.now);
    assert!(rig.segment(at(0)).is_ended());

    let preconnected = rig.open(at(1));
    rig.channel
        .end_write(preconnected, BodyEnd::Broken, rig.now);
    assert_eq!(
        rig.begin(at(1)),
        None,
        "readers go on waiting for the publisher's next try"
    );
    assert_eq!(rig.write(at(1), b"x"), Seq::from(1));
}

#[test]
fn a_stale_empty_post_does_not_end_what_another_writes() {
    let mut rig = Rig::new();
    let stale = rig.open(at(0));
    let mut live = rig.open(at(0));
    rig.put(&mut live, b"a").unwrap();
    rig.channel.end_write(stale, BodyEnd::Complete, rig.now);
    rig.put(&mut live, b"b").unwrap();
    assert_eq!(text(&rig.segment(at(0))), "ab");
}

#[test]
fn a_jump_ahead_is_taken_and_waiting_readers_learn_of_it() {
    let mut rig = Rig::with_written(3);
    let waiting = rig.segment(at(3));
    rig.write(at(1000), b"x");
    assert_eq!(rig.next(), 1001);
    assert_eq!(waiting.reader().begin().now_or_never(), Some(Begin::Gone));
    assert!(matches!(rig.channel.read(at(2)), Read::NoSegment { .. }));
}

#[test]
fn a_segment_that_overtakes_its_predecessor_does_not_end_it() {
    let mut rig = Rig::with_written(1);
    let mut first = rig.open(at(1));
    rig.write(at(2), b"later");
    rig.put(&mut first, b"earlier").unwrap();
    assert_eq!(rig.next(), 3, "and the edge does not move backwards");
    assert_eq!(text(&rig.segment(at(1))), "earlier");
}

#[test]
fn a_reader_waits_a_moment_for_a_segment_that_was_overtaken() {
    let mut rig = Rig::with_written(1);
    let waited = rig.segment(at(1));
    let mut second = rig.open(at(2));
    rig.put(&mut second, b"later").unwrap();
    let begin = || waited.reader().begin().now_or_never();
    assert_eq!(begin(), None);

    rig.now += OVERTAKING / 2;
    rig.put(&mut second, b"x").unwrap();
    assert_eq!(begin(), None);

    rig.now += OVERTAKING / 2;
    rig.put(&mut second, b"x").unwrap();
    assert_eq!(begin(), Some(Begin::Gone));
}

#[test]
fn a_reader_may_come_after_a_segment_was_overtaken() {
    let mut rig = Rig::with_written(1);
    rig.write(at(2), b"later");
    let waited = rig.segment(at(1));
    rig.write(at(1), b"earlier");
    assert_eq!(text(&waited), "earlier");
}

#[test]
fn the_first_segments_may_arrive_in_any_order() {
    let mut rig = Rig::new();
    let waited = rig.segment(at(0));
    for n in [2, 1, 0] {
        rig.write(at(n), b"tiny");
    }
    assert_eq!(rig.next(), 3);
    for n in 0..3 {
        assert_eq!(text(&rig.segment(at(n))), "tiny");
    }
    assert_eq!(text(&waited), "tiny");
}

#[test]
fn a_first_segment_that_left_the_ring_before_it_arrived_is_dropped() {
    let mut rig = Rig::new();
    for n in 1..8 {
        rig.write(at(n), b"x");
    }
    assert_eq!(rig.write(at(0), b"late"), Seq::ZERO);
    assert_eq!(rig.next(), 8);
    assert!(matches!(rig.channel.read(at(0)), Read::NoSegment { .. }));
    assert_eq!(text(&rig.segment(at(7))), "x");
}

#[test]
fn an_index_below_the_first_restarts_the_channel_once_the_moment_is_over() {
    let mut rig = Rig::new();
    rig.write(at(2), b"old");
    rig.now += OVERTAKING;
    rig.write(at(0), b"new");
    assert_eq!(rig.next(), 1);
    assert_eq!(text(&rig.segment(at(0))), "new");
    // A restart is a beginning like any other.
    rig.write(at(9), b"jump");
    rig.write(at(0), b"again");
    assert_eq!(rig.next(), 1);
}

#[test]
fn writing_zero_again_restarts_the_channel_at_the_first_byte() {
    let mut rig = Rig::with_written(3);
    let mut writer = rig.open(at(0));
    assert_eq!(rig.next(), 3);
    let waiting = rig.segment(at(3));
    rig.put(&mut writer, b"new").unwrap();
    assert_eq!(rig.next(), 1);
    assert_eq!(text(&rig.segment(at(0))), "new");
    assert_eq!(waiting.reader().begin().now_or_never(), Some(Begin::Gone));
    assert!(matches!(rig.channel.read(at(2)), Read::NoSegment { .. }));
}

#[test]
fn a_restarted_publisher_may_preconnect_before_its_first_byte() {
    let mut rig = Rig::with_written(60);
    let (mut zero, mut one) = (rig.open(at(0)), rig.open(at(1)));
    rig.put(&mut zero, b"0").unwrap();
    rig.put(&mut one, b"1").unwrap();
    assert_eq!(rig.next(), 2);
    assert_eq!(text(&rig.segment(at(0))), "0");
    assert_eq!(text(&rig.segment(at(1))), "1");
}

#[test]
fn an_abandoned_restart_changes_nothing() {
    let mut rig = Rig::with_written(9);
    let writer = rig.open(at(0));
    rig.channel.end_write(writer, BodyEnd::Broken, rig.now);
    assert_eq!(rig.next(), 9);
    assert_eq!(rig.begin(at(8)), Some(Begin::Data));
}

#[test]
fn an_index_inside_the_ring_never_moves_the_edge_back() {
    let mut rig = Rig::new();
    rig.write(at(4), b"x");
    rig.write(at(2), b"y");
    assert_eq!(rig.next(), 5);
    assert_eq!(text(&rig.segment(at(2))), "y");
}

#[test]
fn a_reset_ends_earlier_open_segments_and_leaves_later_ones() {
    let mut rig = Rig::new();
    let mut old = rig.open(at(0));
    rig.put(&mut old, b"half").unwrap();
    let later = rig.open(at(2));
    let reset = rig.channel.open_write(at(1), true, &rig.limits);
    assert!(matches!(reset, Write::Open(_)));
    assert!(rig.segment(at(0)).is_ended());
    assert!(!later.segment().is_ended());
    rig.put(&mut old, b"more").unwrap();
    assert_eq!(text(&rig.segment(at(0))), "half");
}

#[test]
fn deleting_a_segment_wakes_its_readers_and_moves_on() {
    let mut rig = Rig::with_written(1);
    let waiting = rig.segment(at(1));
    assert!(rig.channel.end_segment(at(1), rig.now));
    assert_eq!(waiting.reader().begin().now_or_never(), Some(Begin::Empty));
    assert_eq!(
        rig.begin(at(2)),
        None,
        "the reader can wait for the one after"
    );
}

#[test]
fn deleting_what_is_not_there_is_told_and_harms_nothing() {
    let mut rig = Rig::with_written(1);
    for wanted in [
        SegmentRef::Next,
        SegmentRef::FromLast(3),
        at(9),
        SegmentRef::At(Seq::MAX),
    ] {
        assert!(!rig.channel.end_segment(wanted, rig.now), "{wanted}");
    }
    assert_eq!(rig.write(at(1), b"x"), Seq::from(1));
}

#[test]
fn closing_ends_the_stream_and_keeps_what_is_there() {
    let mut rig = Rig::with_written(2);
    let waiting = rig.segment(at(2));
    assert!(rig.channel.close(rig.now));
    assert!(!rig.channel.close(rig.now));
    assert_eq!(
        waiting.reader().begin().now_or_never(),
        Some(Begin::ChannelClosed)
    );
    assert_eq!(text(&rig.segment(at(1))), "x");
    assert_eq!(rig.segment(SegmentRef::Current).seq(), Seq::from(1));
    for wanted in [at(2), at(7), SegmentRef::Next] {
        assert!(
            matches!(rig.channel.read(wanted), Read::EndOfStream),
            "{wanted}"
        );
    }
    let post = rig.channel.open_write(at(2), false, &rig.limits);
    assert!(matches!(post, Write::Closed));
}

#[test]
fn a_closed_empty_channel_is_at_its_end() {
    let mut rig = Rig::new();
    rig.channel.close(rig.now);
    for wanted in [at(0), SegmentRef::Current, SegmentRef::Next] {
        assert!(
            matches!(rig.channel.read(wanted), Read::EndOfStream),
            "{wanted}"
        );
    }
}

#[test]
fn a_closed_channel_can_start_anew() {
    let mut rig = Rig::with_written(2);
    rig.channel.close(rig.now);
    let mime = HeaderValue::from_static("a/b");
    rig.channel.reopen(Some(&mime), rig.now);
    assert_eq!(rig.next(), 0);
    assert_eq!(rig.channel.mime(), Some(&mime));
    assert_eq!(rig.write(SegmentRef::Next, b"x"), Seq::ZERO);
}

#[test]
fn the_largest_index_is_refused_and_the_one_before_is_not() {
    let mut rig = Rig::new();
    let refused = rig
        .channel
        .open_write(SegmentRef::At(Seq::MAX), false, &rig.limits);
    assert!(matches!(refused, Write::BadIndex));
    rig.write(SegmentRef::At(Seq::MAX.before(1).unwrap()), b"x");
    assert_eq!(rig.channel.next(), Seq::MAX);
    assert!(matches!(
        rig.channel.read(SegmentRef::Next),
        Read::NoSegment { .. }
    ));
    let refused = rig.channel.open_write(SegmentRef::Next, false, &rig.limits);
    assert!(matches!(refused, Write::BadIndex));
}

#[test]
fn a_segment_may_not_outgrow_its_limit() {
    let mut rig = Rig::new();
    rig.limits.segment_bytes = 4;
    let mut writer = rig.open(at(0));
    rig.put(&mut writer, b"1234").unwrap();
    assert_eq!(rig.put(&mut writer, b"5"), Err(TooLarge::Segment(4)));
}

#[test]
fn a_channel_drops_old_segments_to_stay_within_its_limit() {
    let mut rig = Rig::new();
    rig.limits.channel_bytes = 6;
    rig.write(at(0), b"aaa");
    rig.write(at(1), b"bbb");
    rig.write(at(2), b"c");
    assert!(matches!(rig.channel.read(at(0)), Read::NoSegment { .. }));
    assert_eq!(rig.channel.kept_bytes(), 4);
    let mut writer = rig.open(at(3));
    assert_eq!(rig.put(&mut writer, b"1234567"), Err(TooLarge::Channel(6)));
}

#[test]
fn only_so_many_segments_may_wait() {
    let mut rig = Rig::new();
    rig.limits.waiting_segments = 2;
    let (_a, _b) = (rig.open(at(0)), rig.open(at(1)));
    let third = rig.channel.open_write(at(2), false, &rig.limits);
    assert!(matches!(third, Write::TooManyWaiting));
}

#[test]
fn the_mime_type_is_the_first_one_named() {
    let mut rig = Rig::new();
    let (first, second) = (
        HeaderValue::from_static("a/a"),
        HeaderValue::from_static("b/b"),
    );
    rig.channel.offer_mime(None);
    rig.channel.offer_mime(Some(&first));
    rig.channel.offer_mime(Some(&second));
    assert_eq!(rig.channel.mime(), Some(&first));
}

proptest! {
    /// Whatever requests come in whatever order: no panic, the ring stays bounded, and the edge
    /// is always one above a segment that exists.
    #[test]
    fn any_sequence_of_requests_keeps_the_invariants(
        ops in proptest::collection::vec((0u8..8, 0u32..12, any::<bool>()), 0..120)
    ) {
        let mut rig = Rig::new();
        let mut writers: Vec<Writer> = Vec::new();
        for (op, n, flag) in ops {
            match op {
                0 | 1 => {
                    if let Write::Open(w) = rig.channel.open_write(at(n), flag && op == 1, &rig.limits) {
                        writers.push(w);
                    }
                }
                2 | 3 => if let Some(w) = writers.last_mut() { rig.put(w, b"x").unwrap(); },
                4 => if let Some(w) = writers.pop() {
                    let end = if flag { BodyEnd::Complete } else { BodyEnd::Broken };
                    rig.channel.end_write(w, end, rig.now);
                },
                5 => {
                    let _ = rig.channel.read(at(n));
                    rig.now += OVERTAKING.mul_f64(f64::from(n) / 12.0);
                }
                6 => { let _ = rig.channel.end_segment(at(n), rig.now); }
                _ => if flag { rig.channel.close(rig.now); } else { rig.channel.reopen(None, rig.now); },
            }
            // Five in the ring, and what waits to be written or read ahead of it.
            prop_assert!(rig.channel.kept_segments() <= 5 + rig.limits.waiting_segments);
            if let Some(current) = rig.channel.next().before(1) {
                prop_assert!(matches!(rig.channel.read(SegmentRef::At(current)), Read::Segment(_)));
            }
        }
    }
}
