//! A lane over a real relay that comes and goes.

use super::*;
use tokio::net::TcpListener;
use trickle_proto::{ClientConfig, Relay, RelayConfig, Seq, Start};

async fn relay() -> (Relay, Url) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/lane", listener.local_addr().unwrap());
    let relay = Relay::new(RelayConfig::default());
    let served = relay.clone();
    tokio::spawn(async move { served.serve(listener, std::future::pending()).await });
    (relay, url.parse().unwrap())
}

fn client() -> Client {
    Client::new(ClientConfig::default()).unwrap()
}

async fn read(url: &Url, seq: u32) -> Bytes {
    let mut subscriber = client().subscribe(url, Start::At(Seq::from(seq))).unwrap();
    let segment = subscriber.next_segment().await.unwrap().unwrap();
    segment.collect(1000).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_channel_that_comes_late_is_waited_for() {
    let (relay, url) = relay().await;
    let record = LaneRecord::default();
    let mut lane = Lane::new(client(), url.clone(), "text/plain", &record, &|| false);
    lane.wait = Duration::from_millis(1);
    let appears = async {
        while record.status(String::new(), 0).last_error.is_none() {
            tokio::task::yield_now().await;
        }
        relay.create_channel("lane", None).unwrap();
    };
    let (sent, ()) = tokio::join!(lane.send("first".into()), appears);
    assert_eq!(sent, Ok(()));
    assert_eq!(read(&url, 0).await, "first");
    let status = record.status(String::new(), 0);
    assert_eq!((status.published, status.dropped), (1, 0));
    lane.close().await;
}

#[tokio::test]
async fn a_channel_with_segments_is_continued() {
    let (relay, url) = relay().await;
    relay.create_channel("lane", None).unwrap();
    let record = LaneRecord::default();
    for (seq, text) in [(0, "one"), (1, "two")] {
        // Without an end: its session was cut short.
        let mut lane = Lane::new(client(), url.clone(), "text/plain", &record, &|| false);
        lane.send(text.into()).await.unwrap();
        assert_eq!(read(&url, seq).await, text);
    }
}

#[tokio::test]
async fn a_channel_that_is_closed_is_over() {
    let (relay, url) = relay().await;
    relay.create_channel("lane", None).unwrap();
    let record = LaneRecord::default();
    let mut lane = Lane::new(client(), url.clone(), "text/plain", &record, &|| false);
    lane.send("one".into()).await.unwrap();
    assert!(relay.close_channel("lane"));
    assert_eq!(lane.send("two".into()).await, Err(Closed));
    let status = record.status(String::new(), 0);
    assert!(
        status
            .last_error
            .unwrap()
            .contains("the channel was closed")
    );
}
