//! What the fuzz targets do with their bytes: no panic, and what must always hold does.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub
)]

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use trickle_proto::{
    Limits, SegmentRef, Seq,
    channel::{BodyEnd, Channel, Read, Write, Writer},
    subscribe::{GetAnswer, Start, Step, SubscribeState},
    wire::{self, Head},
};

/// Any sequence of requests to a channel: the ring stays bounded, every byte that is admitted
/// can be read, and the edge lies one above a segment that exists.
pub fn channel(data: &[u8]) {
    let limits = Limits {
        segment_bytes: 64,
        channel_bytes: 200,
        ..Limits::default()
    };
    let mut now = Instant::now();
    let mut channel = Channel::new(None, 5, now);
    let mut writers: Vec<Writer> = Vec::new();
    for step in data.chunks_exact(3) {
        let (op, arg, amount) = (step[0], step[1], step[2]);
        let wanted = match arg {
            0 => SegmentRef::Next,
            1 => SegmentRef::Current,
            2..=5 => SegmentRef::FromLast(u64::from(arg)),
            255 => SegmentRef::At(Seq::MAX),
            254 => SegmentRef::At(Seq::MAX.before(1).unwrap()),
            n => SegmentRef::At(Seq::from(u32::from(n) - 6)),
        };
        match op % 8 {
            0 | 1 => {
                if let Write::Open(writer) = channel.open_write(wanted, op % 2 == 1, &limits) {
                    writers.push(writer);
                }
            }
            2 | 3 => {
                let at = usize::from(arg) % writers.len().max(1);
                if let Some(writer) = writers.get_mut(at) {
                    let bytes = Bytes::from(vec![amount; usize::from(amount % 80)]);
                    if channel.admit(writer, bytes.len(), &limits, now).is_ok() {
                        writer.segment().append(bytes);
                    }
                }
            }
            4 => {
                if let Some(writer) = writers.pop() {
                    let end = if amount % 2 == 0 {
                        BodyEnd::Complete
                    } else {
                        BodyEnd::Broken
                    };
                    channel.end_write(writer, end, now);
                }
            }
            5 => drop(channel.read(wanted)),
            6 => {
                channel.end_segment(wanted, now);
            }
            _ if amount % 2 == 0 => {
                channel.close(now);
            }
            _ => channel.reopen(None, now),
        }
        now += Duration::from_millis(u64::from(amount));
        assert!(channel.kept_bytes() <= limits.channel_bytes);
        assert!(channel.kept_segments() <= 5 + limits.waiting_segments + 1);
        if let Some(current) = channel.next().before(1)
            && let Read::Segment(segment) = channel.read(SegmentRef::At(current))
        {
            let mut reader = segment.reader();
            let mut cx = Context::from_waker(Waker::noop());
            let mut len = 0;
            while let Poll::Ready(Some(chunk)) = reader.poll_chunk(&mut cx) {
                len += chunk.expect("a kept segment is never cut off").len() as u64;
            }
            assert_eq!(len, segment.len());
        }
    }
}

/// Anything that is read from text: indices and headers; and a subscriber's answers to it.
pub fn text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut state = SubscribeState::new(Start::Current, trickle_proto::RetryPolicy::default(), 1);
    let mut now = Instant::now();
    for line in text.lines() {
        if let Ok(wanted) = line.parse::<SegmentRef>() {
            assert_eq!(wanted.to_string().parse(), Ok(wanted));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in line.split(';').filter_map(|pair| pair.split_once('=')) {
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_str(value),
            ) {
                headers.append(name, value);
            }
        }
        let head = Head::read(&headers);
        let _ = wire::wants_reset(&headers);
        let answer = match line.len() % 6 {
            0 => GetAnswer::NoSegment {
                latest: head.latest,
            },
            1 => GetAnswer::NotFound,
            2 => GetAnswer::NoAnswer,
            3 => GetAnswer::Unavailable(503),
            _ => GetAnswer::Segment { seq: head.seq },
        };
        match state.on_answer(answer, now) {
            Step::Ask(wait) => now += wait,
            Step::Deliver { seq, .. } => assert_eq!(state.wanted(), SegmentRef::At(seq.next())),
            Step::End | Step::Fail(_) => return,
        }
    }
}

/// Any request line and headers to a relay: an answer with a sensible status, or a wait.
pub fn http(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let relay = trickle_proto::Relay::new(trickle_proto::RelayConfig {
        autocreate: true,
        changefeed: true,
        ..trickle_proto::RelayConfig::default()
    });
    for line in text.lines().take(64) {
        let mut words = line.split(' ');
        let mut request = http::Request::builder()
            .method(words.next().unwrap_or_default())
            .uri(words.next().unwrap_or_default());
        for (name, value) in words.filter_map(|word| word.split_once(':')) {
            request = request.header(name, value);
        }
        let Ok(request) = request.body(line.to_owned()) else {
            continue;
        };
        let mut answering = pin!(relay.handle(request.map(http_body_util::Full::<Bytes>::from)));
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(response) = answering.as_mut().poll(&mut cx) {
            let status = response.status().as_u16();
            assert!(
                matches!(status, 200 | 400..=431 | 470 | 503),
                "{line}: {status}"
            );
        }
    }
}
