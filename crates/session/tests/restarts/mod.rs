//! Live sessions whose publisher or relay starts anew, and whose input changes on the way.

use bytes::Bytes;
use trickle_proto::{Client, ClientConfig, PublishOptions, Publisher, Start};
use trickle_session::{EndReason, Session, SessionConfig};
use trickle_testkit::clip_bytes;

use crate::LIVE;
use crate::common::{Bench, LIMIT, Mortal, Reader, by_picture, decode, model, times_from_first};

/// Publishes pictures over and over, in short segments, until `done`.
async fn publish_until(publisher: &mut Publisher, pieces: &[Bytes], done: impl Fn() -> bool) {
    let publishing = async {
        for segments in std::iter::repeat(pieces.chunks(5)) {
            for pieces in segments {
                let mut segment = publisher.next_segment().await.expect("a segment");
                for piece in pieces {
                    segment.write(piece.clone()).await.expect("a write");
                    // About as fast as the stages are; what is faster gives way to the newest.
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
                segment.finish().await.expect("a whole segment");
                if done() {
                    return;
                }
            }
        }
    };
    tokio::time::timeout(LIMIT, publishing)
        .await
        .expect("it is done within the limit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_starts_again_at_0_is_gone_on_with() {
    let bench = Bench::new(true).await;
    let session = bench
        .start(bench.config("again"), &model("passthrough"))
        .await;
    let pieces = by_picture(&Bytes::from(clip_bytes(LIVE)));
    let out = || session.status().frames.out;
    for run in 0..2 {
        // Each begins at segment 0 and at the clip's first picture.
        let before = out();
        let mut publisher = bench.publisher("in").await;
        publish_until(&mut publisher, &pieces[..60], || {
            out() > before + 5 && session.status().faults.timeline_rebases >= run
        })
        .await;
    }
    let summary = session.stop().await;
    assert_eq!(summary.reason, EndReason::Stopped);
    let mut reader = bench.reader();
    reader.rest().await;
    assert_eq!(reader.read.faults, Vec::<String>::new());
    let times = times_from_first(&reader.read.video);
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    bench.close().await;
}

/// The relay forgets everything, is away for a moment, and comes back with empty channels. Source
/// and viewers begin anew there; the session, which no one restarts, goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_restarts_is_gone_on_with() {
    let (relay, addr) = Mortal::new("127.0.0.1:0");
    let url = |name: &str| -> url::Url { format!("http://{addr}/{name}").parse().expect("a URL") };
    let client = || Client::new(ClientConfig::default()).expect("a client");
    let config = SessionConfig {
        subscribe_url: Some(url("in")),
        publish_url: Some(url("out")),
        ..SessionConfig::new("restart")
    };
    let backends = trickle_media::Backends::default();
    let session = Session::start(config, &model("passthrough"), &backends, &client())
        .await
        .expect("it starts");
    let out = || session.status().frames.out;
    let pieces = by_picture(&Bytes::from(clip_bytes(LIVE)));
    let mut relay = Some(relay);
    for run in 0..2 {
        if run == 1 {
            relay.take().expect("it is there").lose();
            relay = Some(Mortal::new(&addr).0);
        }
        let before = out();
        let options = PublishOptions::new("video/mp2t");
        let source = client();
        let mut publisher = source
            .publish(&url("in"), options)
            .await
            .expect("a publisher");
        // Pictures of the relay before may still come out.
        publish_until(&mut publisher, &pieces[..60], || {
            let faults = session.status().faults;
            out() > before + 30 && faults.input_reconnects.min(faults.output_reconnects) >= run
        })
        .await;
    }
    let mut reader = Reader::new(&client(), &url("out"), Start::Current);
    reader.pictures(1).await;
    let summary = session.stop().await;
    assert_eq!(summary.reason, EndReason::Stopped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_that_comes_later_is_carried_and_a_new_size_too() {
    let bench = Bench::new(true).await;
    let session = bench
        .start(bench.config("later"), &model("passthrough"))
        .await;
    let silent = by_picture(&Bytes::from(clip_bytes("crop_854x482_videoonly.ts")));
    let sounding = by_picture(&Bytes::from(clip_bytes(LIVE)));
    let mut publisher = bench.publisher("in").await;
    publish_until(&mut publisher, &silent, || session.status().frames.out > 5).await;
    assert_eq!(session.status().audio.out, 0);
    // What is out last may be cut off by the stop.
    publish_until(&mut publisher, &sounding, || {
        session.status().audio.out > 100
    })
    .await;
    let status = session.stop().await.status;
    assert_eq!(status.output.width, Some(1280));
    let mut reader = bench.reader();
    reader.rest().await;
    assert_eq!(reader.read.faults, Vec::<String>::new());
    assert_eq!(reader.read.streams.len(), 2);
    assert!(reader.read.audio.len() > 20, "{}", reader.read.audio.len());
    let shown = decode(&reader.read.video);
    let turn = shown.iter().position(|frame| frame.width() == 1280);
    let turn = turn.expect("the new size is shown");
    assert!(turn > 5 && shown[..turn].iter().all(|frame| frame.width() == 854));
    assert!(shown[turn..].iter().all(|frame| frame.width() == 1280));
    bench.close().await;
}
