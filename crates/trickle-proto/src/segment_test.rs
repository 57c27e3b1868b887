//! One writer, many readers: order, waking, the end, and being cut off.

use futures_util::{FutureExt, task::noop_waker};
use proptest::prelude::*;

use super::*;
use crate::sync::counting_waker;

fn segment() -> Arc<Segment> {
    Segment::new(Seq::from(3))
}

fn read_available(reader: &mut SegmentReader) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(Ok(Some(chunk))) = reader.chunk().now_or_never() {
        all.extend_from_slice(&chunk);
    }
    all
}

#[test]
fn every_reader_gets_every_byte_from_the_first() {
    let segment = segment();
    segment.append(Bytes::from_static(b"ab"));
    let (mut early, mut late) = (segment.reader(), segment.reader());
    assert_eq!(read_available(&mut early), b"ab");
    segment.append(Bytes::from_static(b"cd"));
    segment.finish();
    assert_eq!(read_available(&mut early), b"cd");
    assert_eq!(read_available(&mut late), b"abcd");
    assert_eq!(late.chunk().now_or_never(), Some(Ok(None)));
    assert!(early.is_at_end());
}

#[test]
fn large_chunks_are_shared_and_small_ones_are_moved_together() {
    let segment = segment();
    let large = Bytes::from(vec![7; COPY_BELOW]);
    segment.append(large.clone());
    let mut reader = segment.reader();
    let got = reader.chunk().now_or_never().unwrap().unwrap().unwrap();
    assert_eq!(got.as_ptr(), large.as_ptr());

    segment.append(Bytes::from(vec![1; 100]));
    segment.append(Bytes::from(vec![2; 100]));
    let first = reader.chunk().now_or_never().unwrap().unwrap().unwrap();
    let second = reader.chunk().now_or_never().unwrap().unwrap().unwrap();
    assert_eq!(first.as_ptr().wrapping_add(100), second.as_ptr());
}

#[test]
fn a_waiting_reader_is_woken_once_by_a_burst() {
    let segment = segment();
    let mut reader = segment.reader();
    let (waker, count) = counting_waker();
    let mut cx = Context::from_waker(&waker);
    assert!(reader.poll_chunk(&mut cx).is_pending());
    assert!(
        reader.poll_chunk(&mut cx).is_pending(),
        "a second poll takes no second slot"
    );
    for _ in 0..10 {
        segment.append(Bytes::from_static(b"x"));
    }
    assert_eq!(count(), 1);
}

#[test]
fn a_reader_that_left_is_not_woken() {
    let segment = segment();
    let (waker, count) = counting_waker();
    let mut reader = segment.reader();
    assert!(
        reader
            .poll_chunk(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(reader);
    segment.append(Bytes::from_static(b"x"));
    assert_eq!(count(), 0);
}

#[test]
fn the_beginning_tells_what_kind_of_segment_it_is() {
    let begin = |prepare: fn(&Segment)| {
        let segment = segment();
        prepare(&segment);
        segment.reader().begin().now_or_never()
    };
    assert_eq!(begin(|_| {}), None);
    assert_eq!(
        begin(|s| assert!(s.append(Bytes::from_static(b"x")))),
        Some(Begin::Data)
    );
    assert_eq!(begin(Segment::finish), Some(Begin::Empty));
    assert_eq!(
        begin(Segment::close_with_channel),
        Some(Begin::ChannelClosed)
    );
    assert_eq!(begin(Segment::evict), Some(Begin::Gone));
}

#[test]
fn a_channel_that_closes_ends_a_begun_segment_normally() {
    let segment = segment();
    segment.append(Bytes::from_static(b"x"));
    segment.close_with_channel();
    let mut reader = segment.reader();
    assert_eq!(read_available(&mut reader), b"x");
    assert_eq!(reader.chunk().now_or_never(), Some(Ok(None)));
}

#[test]
fn an_ended_segment_takes_no_more() {
    let segment = segment();
    segment.finish();
    assert!(!segment.append(Bytes::from_static(b"x")));
    assert_eq!(segment.len(), 0);
}

#[test]
fn a_slow_reader_is_cut_off_with_an_error_and_a_reader_that_has_all_is_not() {
    let segment = segment();
    let (mut slow, mut fast) = (segment.reader(), segment.reader());
    segment.append(Bytes::from_static(b"x"));
    assert_eq!(read_available(&mut fast), b"x");
    segment.evict();
    assert_eq!(
        slow.chunk().now_or_never(),
        Some(Err(CutOff { seq: Seq::from(3) }))
    );
    assert_eq!(fast.chunk().now_or_never(), Some(Ok(None)));
    assert_eq!(slow.begin().now_or_never(), Some(Begin::Gone));
}

#[test]
fn eviction_frees_the_bytes() {
    let segment = segment();
    let large = Bytes::from(vec![0; COPY_BELOW]);
    segment.append(large.clone());
    assert!(!large.is_unique());
    segment.evict();
    assert!(large.is_unique());
}

#[test]
fn a_waiter_for_the_end_is_told() {
    let segment = segment();
    let mut watcher = segment.reader();
    assert_eq!(watcher.ended().now_or_never(), None);
    segment.finish();
    assert_eq!(watcher.ended().now_or_never(), Some(()));
}

proptest! {
    #[test]
    fn any_interleaving_gives_the_same_bytes(
        lengths in proptest::collection::vec(0usize..40_000, 0..12),
        polls in proptest::collection::vec(0usize..4, 0..12),
    ) {
        let mut bytes = (0..=250u8).cycle();
        let chunks: Vec<Vec<u8>> =
            lengths.iter().map(|&length| bytes.by_ref().take(length).collect()).collect();
        let segment = segment();
        let mut reader = segment.reader();
        let mut got = Vec::new();
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        for (i, chunk) in chunks.iter().enumerate() {
            segment.append(Bytes::from(chunk.clone()));
            for _ in 0..polls.get(i).copied().unwrap_or(0) {
                if let Poll::Ready(Some(Ok(bytes))) = reader.poll_chunk(&mut cx) {
                    got.extend_from_slice(&bytes);
                }
            }
        }
        segment.finish();
        got.extend(read_available(&mut reader));
        prop_assert_eq!(got, chunks.concat());
        prop_assert!(reader.is_at_end());
    }
}

#[test]
fn what_arrives_together_wakes_once_and_small_chunks_are_joined() {
    let segment = Segment::new(Seq::ZERO);
    let large = Bytes::from(vec![b'L'; COPY_BELOW]);
    let small = |text: &'static str| Bytes::from_static(text.as_bytes());
    let mut reader = segment.reader();
    let (waker, wakes) = counting_waker();
    assert!(
        reader
            .poll_chunk(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert!(segment.append_all([small("a"), small("b"), large.clone(), small("c"), small("")]));
    assert_eq!(wakes(), 1);
    assert_eq!(segment.len(), 3 + COPY_BELOW as u64);
    for expected in [small("ab"), large, small("c")] {
        assert_eq!(reader.chunk().now_or_never(), Some(Ok(Some(expected))));
    }
    assert!(reader.chunk().now_or_never().is_none());
}

#[test]
fn readers_are_woken_a_few_at_a_time_and_each_once() {
    let segment = segment();
    let (waker, wakes) = counting_waker();
    let mut cx = Context::from_waker(&waker);
    let mut readers: Vec<SegmentReader> = (0..5).map(|_| segment.reader()).collect();
    for reader in &mut readers {
        assert!(reader.poll_begin(&mut cx).is_pending());
    }
    assert!(segment.add([Bytes::from_static(b"a")]));
    assert_eq!(wakes(), 0, "adding alone wakes nobody");
    assert!(segment.wake_some(2));
    assert_eq!(wakes(), 2);
    // More bytes in between: who was not woken yet finds both at once.
    assert!(segment.add([Bytes::from_static(b"b")]));
    assert!(!segment.wake_some(usize::MAX));
    assert_eq!(wakes(), 5);
    for mut reader in readers {
        assert_eq!(read_available(&mut reader), b"ab");
    }
}

#[test]
fn the_end_wakes_those_too_who_were_still_to_be_woken() {
    for end in [Segment::finish, Segment::close_with_channel, Segment::evict] {
        let segment = segment();
        let (waker, wakes) = counting_waker();
        let mut reader = segment.reader();
        assert!(
            reader
                .poll_chunk(&mut Context::from_waker(&waker))
                .is_pending()
        );
        assert!(segment.add([Bytes::from_static(b"a")]));
        end(&segment);
        assert_eq!(wakes(), 1);
        assert!(!segment.wake_some(1), "nobody is left");
    }
}

#[test]
fn bytes_do_not_wake_those_who_wait_for_the_end() {
    let segment = segment();
    let (waker, wakes) = counting_waker();
    let mut watcher = segment.reader();
    assert!(
        watcher
            .poll_ended(&mut Context::from_waker(&waker))
            .is_pending()
    );
    segment.append(Bytes::from_static(b"a"));
    assert_eq!(wakes(), 0);
    segment.finish();
    assert_eq!(wakes(), 1);
}

#[test]
fn the_rest_of_a_segment_is_known_once_it_has_ended() {
    let segment = Segment::new(Seq::ZERO);
    let (mut reader, late) = (segment.reader(), segment.reader());
    segment.append(Bytes::from(vec![1; COPY_BELOW]));
    segment.append(Bytes::from_static(b"abc"));
    assert_eq!(reader.remaining(), None);
    segment.finish();
    assert_eq!(reader.remaining(), Some(3 + COPY_BELOW as u64));
    reader.chunk().now_or_never().unwrap().unwrap();
    assert_eq!(reader.remaining(), Some(3));
    reader.chunk().now_or_never().unwrap().unwrap();
    segment.evict();
    assert_eq!(reader.remaining(), Some(0));
    assert_eq!(late.remaining(), None, "it will be cut off");
}
