//! A file published to a real relay, and read from there.

use std::io::Cursor;

use tokio::net::TcpListener;
use trickle_media::access_unit::MediaKind;
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};
use trickle_proto::{Client, ClientConfig, PublishOptions, Relay, RelayConfig, Start};
use trickle_testkit::clip_bytes;
use url::Url;

use super::*;

/// A relay, and the URL of a channel that only `autocreate` makes.
async fn relay(autocreate: bool) -> Url {
    let relay = Relay::new(RelayConfig {
        autocreate,
        ..RelayConfig::default()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    tokio::spawn(async move { relay.serve(listener, std::future::pending()).await });
    Url::parse(&url).unwrap()
}

fn clip(name: &str) -> MediaReader {
    let bytes = clip_bytes(name);
    MediaReader::open(ReadOptions::default(), move || {
        Ok(Cursor::new(bytes.clone()))
    })
    .unwrap()
}

/// Publishes and gives the decoding times of the pictures that were published, and of those that
/// a subscriber got.
async fn through(options: FeedOptions, stop: CancellationToken) -> (Vec<i64>, Vec<i64>) {
    let url = relay(true).await;
    let client = Client::new(ClientConfig::default()).unwrap();
    let publisher = client
        .publish(&url, PublishOptions::new("video/mp2t").create(true))
        .await
        .unwrap();
    let mut subscriber = client.subscribe(&url, Start::Current).unwrap();
    let mut published = Vec::new();
    let observe = |unit: &AccessUnit| {
        if unit.codec.kind() == MediaKind::Video {
            published.push(unit.dts.ticks);
        }
    };
    let feed = publish(clip("ptswrap_180p30.ts"), publisher, options, stop, observe);
    let receive = async {
        let mut demuxer = Demuxer::new(DemuxOptions::default());
        while let Some(mut segment) = subscriber.next_segment().await.unwrap() {
            assert_eq!(segment.content_type(), Some("video/mp2t"));
            while let Some(chunk) = segment.chunk().await.unwrap() {
                demuxer.push(&chunk, None);
            }
        }
        demuxer.finish();
        let events = std::iter::from_fn(|| demuxer.next_event());
        events
            .filter_map(|event| match event {
                DemuxEvent::Unit(unit) if unit.codec.kind() == MediaKind::Video => {
                    Some(unit.dts.ticks)
                }
                _ => None,
            })
            .collect()
    };
    let (fed, received) = tokio::join!(feed, receive);
    fed.unwrap();
    (published, received)
}

#[tokio::test]
async fn a_subscriber_gets_what_was_published_and_the_end() {
    let options = FeedOptions {
        looped: false,
        length: Some(Duration::from_millis(300)),
    };
    let (published, received) = through(options, CancellationToken::new()).await;
    assert_eq!(published.len(), 9, "{published:?}");
    assert_eq!(received, published);
}

#[tokio::test]
async fn stopping_closes_the_channel() {
    let stop = CancellationToken::new();
    stop.cancel();
    let (published, received) = through(FeedOptions::default(), stop).await;
    assert_eq!(received, published);
}

#[tokio::test]
async fn a_channel_that_is_not_there_is_an_error() {
    let url = relay(false).await;
    let client = Client::new(ClientConfig::default()).unwrap();
    let publisher = client
        .publish(&url, PublishOptions::new("video/mp2t"))
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let reader = clip("ptswrap_180p30.ts");
    let fed = publish(reader, publisher, FeedOptions::default(), stop, |_| {}).await;
    assert!(matches!(fed, Err(FeedError::Publish(_))), "{fed:?}");
}
