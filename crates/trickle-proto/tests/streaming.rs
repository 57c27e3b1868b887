//! Publisher, relay and subscriber together, over loopback.

#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests may, like tests.

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use trickle_proto::{
    Gap, PublishError, PublishOptions, PublishStop, RelayConfig, Seq, Start, SubscribeError,
    SubscribeStop,
};

mod support;
use support::{Server, client, next, publisher, text, until, write};

#[tokio::test]
async fn bytes_arrive_while_the_segment_is_being_written() {
    let server = Server::open().await;
    let url = server.channel("live");
    let mut publisher = publisher(&url).await;
    let mut subscriber = client().subscribe(&url, Start::At(Seq::ZERO)).unwrap();
    let mut segment = publisher.next_segment().await.unwrap();
    segment.write(Bytes::from_static(b"first")).await.unwrap();
    let mut reader = next(&mut subscriber).await;
    assert_eq!(reader.chunk().await.unwrap().unwrap(), "first");
    for n in 0..100 {
        let bytes = Bytes::from(format!("chunk {n}"));
        segment.write(bytes.clone()).await.unwrap();
        assert_eq!(reader.chunk().await.unwrap(), Some(bytes));
    }
    segment.finish().await.unwrap();
    assert_eq!(reader.chunk().await.unwrap(), None);
    assert_eq!(reader.content_type(), Some("video/mp2t"));
    assert_eq!(reader.seq(), Seq::ZERO);
}

#[tokio::test]
async fn a_stream_is_read_in_order_to_its_end() {
    let server = Server::open().await;
    let url = server.channel("a");
    let mut publisher = publisher(&url).await;
    let mut subscriber = client().subscribe(&url, Start::At(Seq::ZERO)).unwrap();
    for n in 0..30u32 {
        let bytes = Bytes::from(format!("segment {n}"));
        let mut segment = publisher.next_segment().await.unwrap();
        assert_eq!(segment.seq(), Seq::from(n));
        segment.write(bytes.clone()).await.unwrap();
        segment.finish().await.unwrap();
        let reader = next(&mut subscriber).await;
        assert_eq!((reader.seq(), reader.gap()), (Seq::from(n), None));
        assert_eq!(text(reader).await.as_bytes(), bytes);
    }
    publisher.close().await.unwrap();
    assert!(subscriber.next_segment().await.unwrap().is_none());
}

#[tokio::test]
async fn many_subscribers_get_the_same_bytes() {
    let server = Server::open().await;
    let url = server.channel("a");
    let mut publisher = publisher(&url).await;
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let mut subscriber = client().subscribe(&url, Start::At(Seq::ZERO)).unwrap();
            tokio::spawn(async move { text(next(&mut subscriber).await).await })
        })
        .collect();
    write(&mut publisher, "to all").await;
    for reader in readers {
        assert_eq!(reader.await.unwrap(), "to all");
    }
}

#[tokio::test]
async fn empty_segments_keep_their_place() {
    let server = Server::open().await;
    let url = server.channel("a");
    let mut publisher = publisher(&url).await;
    let mut subscriber = client().subscribe(&url, Start::At(Seq::ZERO)).unwrap();
    for wanted in ["", "full", ""] {
        write(&mut publisher, wanted).await;
        assert_eq!(text(next(&mut subscriber).await).await, wanted);
    }
}

#[tokio::test]
async fn a_subscriber_that_starts_late_joins_at_the_edge() {
    let server = Server::open().await;
    let url = server.channel("a");
    let mut publisher = publisher(&url).await;
    for _ in 0..8 {
        write(&mut publisher, "old").await;
    }
    publisher.leave().await.unwrap();
    let mut subscriber = client().subscribe(&url, Start::Current).unwrap();
    assert_eq!(next(&mut subscriber).await.seq(), Seq::from(7));
}

#[tokio::test]
async fn a_subscriber_that_fell_behind_is_told_what_it_missed() {
    let server = Server::open().await;
    let url = server.channel("a");
    let mut publisher = publisher(&url).await;
    for _ in 0..9 {
        write(&mut publisher, "x").await;
    }
    let mut current = publisher.next_segment().await.unwrap();
    current.write(Bytes::from_static(b"live")).await.unwrap();
    until(|| server.relay.registry().get("a").is_some()).await;
    let entry = server.relay.registry().get("a").unwrap();
    until(|| entry.with(|channel| channel.next()) == Seq::from(10)).await;

    let mut subscriber = client().subscribe(&url, Start::At(Seq::from(1))).unwrap();
    let reader = tokio::spawn(async move { next(&mut subscriber).await });
    // The relay's latest is the segment after the live one; the reader waits for that.
    until(|| entry.subscribers() == 1).await;
    current.finish().await.unwrap();
    write(&mut publisher, "next").await;
    let reader = reader.await.unwrap();
    assert_eq!(
        reader.gap(),
        Some(Gap::Missed {
            from: Seq::from(1),
            until: reader.seq()
        })
    );
}

#[tokio::test]
async fn a_publisher_resumes_where_another_left_off() {
    let server = Server::open().await;
    let url = server.channel("a");
    let mut first = publisher(&url).await;
    write(&mut first, "0").await;
    write(&mut first, "1").await;
    first.leave().await.unwrap();
    let options = PublishOptions::new("video/mp2t").resume(true);
    let mut second = client().publish(&url, options).await.unwrap();
    let segment = second.next_segment().await.unwrap();
    assert_eq!(segment.seq(), Seq::from(2));
}

#[tokio::test]
async fn a_reset_frees_the_readers_of_a_segment_that_nobody_finishes() {
    let server = Server::open().await;
    let url = server.channel("a");
    let mut hung = publisher(&url).await;
    let mut half = hung.next_segment().await.unwrap();
    half.write(Bytes::from_static(b"half")).await.unwrap();
    let mut subscriber = client().subscribe(&url, Start::At(Seq::ZERO)).unwrap();
    let reader = next(&mut subscriber).await;

    let options = PublishOptions::new("video/mp2t").resume(true);
    let mut successor = client().publish(&url, options).await.unwrap();
    write(&mut successor, "whole").await;
    assert_eq!(text(reader).await, "half");
    assert_eq!(text(next(&mut subscriber).await).await, "whole");
}

#[tokio::test]
async fn a_missing_channel_is_told_to_both_sides() {
    let server = Server::start(RelayConfig::default()).await;
    let url = server.channel("none");
    let error = client()
        .subscribe(&url, Start::Current)
        .unwrap()
        .next_segment()
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            SubscribeError::Stopped {
                stop: SubscribeStop::NotFound,
                ..
            }
        ),
        "{error}"
    );

    let mut publisher = publisher(&url).await;
    let error = loop {
        match publisher.next_segment().await {
            Ok(mut segment) => {
                let _ = segment.write(Bytes::from_static(b"x")).await;
                let _ = segment.finish().await;
            }
            Err(error) if error.is_terminal() => break error,
            Err(_) => {}
        }
    };
    assert!(
        matches!(
            error,
            PublishError::Stopped {
                stop: PublishStop::NotFound,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("Stream not found"), "{error}");
}

#[tokio::test]
async fn a_publisher_may_make_its_channel() {
    let server = Server::open().await;
    let url = server.channel("made");
    let options = PublishOptions::new("text/plain").create(true);
    let _publisher = client().publish(&url, options.clone()).await.unwrap();
    let entry = server.relay.registry().get("made").unwrap();
    assert_eq!(entry.with(|c| c.mime().cloned()).unwrap(), "text/plain");

    let closed = Server::start(RelayConfig::default()).await;
    let error = client()
        .publish(&closed.channel("made"), options)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            PublishError::Stopped {
                stop: PublishStop::NotFound,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_closed_channel_ends_the_publisher() {
    let server = Server::open().await;
    let url = server.channel("a");
    let mut publisher = publisher(&url).await;
    write(&mut publisher, "x").await;
    let mut segment = publisher.next_segment().await.unwrap();
    segment.write(Bytes::from_static(b"y")).await.unwrap();
    let mut subscriber = client().subscribe(&url, Start::At(Seq::from(1))).unwrap();
    next(&mut subscriber).await;
    assert!(server.relay.close_channel("a"));
    while segment.write(Bytes::from_static(b"more")).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let error = loop {
        match publisher.next_segment().await {
            Err(error) if error.is_terminal() => break error,
            _ => {}
        }
    };
    assert!(matches!(
        error,
        PublishError::Stopped {
            stop: PublishStop::EndOfStream,
            ..
        }
    ));
    assert!(subscriber.next_segment().await.unwrap().is_none());
}

#[tokio::test]
async fn a_publisher_that_vanishes_ends_its_segment_for_the_readers() {
    let server = Server::open().await;
    let url = server.channel("a");
    let mut socket = TcpStream::connect(url.socket_addrs(|| None).unwrap()[0])
        .await
        .unwrap();
    let head = "POST /a/0 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut subscriber = client().subscribe(&url, Start::At(Seq::ZERO)).unwrap();
    until(|| server.relay.registry().get("a").is_some()).await;
    let reader = next(&mut subscriber).await;
    drop(socket);
    assert_eq!(text(reader).await, "half");
}

#[tokio::test]
async fn a_slow_reader_is_cut_off_with_an_error_and_holds_nobody_up() {
    let server = Server::open().await;
    let url = server.channel("a");
    let mut publisher = publisher(&url).await;
    let mut slow = TcpStream::connect(url.socket_addrs(|| None).unwrap()[0])
        .await
        .unwrap();
    let large = Bytes::from(vec![7u8; 1 << 20]);
    let segment_bytes = 32 * large.len();

    let mut segment = publisher.next_segment().await.unwrap();
    segment.write(large.clone()).await.unwrap();
    until(|| server.relay.registry().get("a").is_some()).await;
    // It asks for the segment, reads the beginning, and then nothing more.
    slow.write_all(b"GET /a/0 HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut start = [0; 12];
    slow.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    for _ in 1..32 {
        segment.write(large.clone()).await.unwrap();
    }
    segment.finish().await.unwrap();
    for _ in 0..7 {
        write(&mut publisher, "next").await;
    }
    let mut live = client().subscribe(&url, Start::At(Seq::from(7))).unwrap();
    assert_eq!(text(next(&mut live).await).await, "next");

    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest).await;
    assert!(
        rest.len() < segment_bytes,
        "{} bytes came through",
        rest.len()
    );
    assert!(!rest.ends_with(b"0\r\n\r\n"), "the body looks complete");
}

#[tokio::test]
async fn a_relay_that_shuts_down_ends_its_streams_and_returns() {
    let server = Server::open().await;
    let url = server.channel("a");
    let mut publisher = publisher(&url).await;
    write(&mut publisher, "x").await;
    let mut subscriber = client().subscribe(&url, Start::At(Seq::ZERO)).unwrap();
    assert_eq!(text(next(&mut subscriber).await).await, "x");
    let mut waiting = Box::pin(subscriber.next_segment());
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    until(|| server.relay.registry().get("a").unwrap().subscribers() > 0).await;
    server.stop().await;
    assert!(waiting.await.unwrap().is_none());
}
