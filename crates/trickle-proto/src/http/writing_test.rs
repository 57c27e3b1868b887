//! Who is woken when by a POST, polled by hand.

use std::{convert::Infallible, task::Waker};

use futures_util::{FutureExt, stream};
use http::Request;
use http_body::Frame;
use http_body_util::{Empty, Full, StreamBody};

use super::*;
use crate::{Relay, RelayConfig, sync::counting_waker};

const FRAME: usize = 64 * 1024;
const READERS: usize = 3 * WAKE_TOGETHER;

fn open() -> Relay {
    Relay::new(RelayConfig {
        autocreate: true,
        ..RelayConfig::default()
    })
}

fn post<B>(body: B) -> Request<B> {
    Request::post("/a/0").body(body).unwrap()
}

/// A body that has `frames` frames at once, and then nothing for now.
fn body(frames: usize) -> impl Body<Data = Bytes> {
    let mut left = frames;
    StreamBody::new(stream::poll_fn(move |_| {
        if left == 0 {
            return Poll::Pending;
        }
        left -= 1;
        let frame = Frame::data(Bytes::from(vec![0; FRAME]));
        Poll::Ready(Some(Ok::<_, Infallible>(frame)))
    }))
}

/// Readers that wait for segment 0, their answers polled with `waker`.
fn readers(relay: &Relay, waker: &Waker) -> Vec<impl Future<Output = RelayResponse>> {
    relay.create_channel("a", None).unwrap();
    (0..READERS)
        .map(|_| {
            let get = Request::get("/a/0").body(Empty::<Bytes>::new()).unwrap();
            let mut reading = Box::pin(relay.clone().call(get).map(Result::unwrap));
            assert!(
                reading
                    .poll_unpin(&mut Context::from_waker(waker))
                    .is_pending()
            );
            reading
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_publisher_is_looked_at_again_before_the_next_readers_are_woken() {
    let (waker, wakes) = counting_waker();
    let (own, own_wakes) = counting_waker();
    let relay = open();
    let _readers = readers(&relay, &waker);
    let mut posting = Box::pin(relay.handle(post(body(1))));
    let mut poll = || {
        posting
            .poll_unpin(&mut Context::from_waker(&own))
            .is_pending()
    };
    // Polled once more for what else has come.
    assert!(poll());
    assert_eq!((wakes(), own_wakes()), (0, 1));
    for woken in [1, 2, 3] {
        assert!(poll());
        assert_eq!(wakes(), woken * WAKE_TOGETHER);
        // It wakes itself as long as there is somebody left.
        assert_eq!(own_wakes(), 1 + woken.min(2));
    }
    assert!(poll());
    assert_eq!((wakes(), own_wakes()), (READERS, 3), "and then is at rest");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_always_has_more_wakes_readers_all_the_same() {
    let (waker, wakes) = counting_waker();
    let relay = open();
    let _readers = readers(&relay, &waker);
    let batches = 2;
    let frames = batches * BATCH_BYTES / FRAME;
    assert!(relay.handle(post(body(frames))).now_or_never().is_none());
    assert_eq!(wakes(), (batches + 1) * WAKE_TOGETHER);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_one_of_two_posts_to_a_segment_leaves_no_reader_asleep() {
    let (waker, wakes) = counting_waker();
    let relay = open();
    let mut readers = readers(&relay, &waker);
    let mut other = Box::pin(relay.handle(post(body(1))));
    for _ in 0..2 + READERS / WAKE_TOGETHER {
        assert!(other.as_mut().now_or_never().is_none());
    }
    assert_eq!(wakes(), READERS);
    let mut read = readers.swap_remove(0).now_or_never().unwrap().into_body();
    assert!(read.frame().now_or_never().is_some());
    let (waker, wakes) = counting_waker();
    let mut more = read.frame();
    assert!(
        more.poll_unpin(&mut Context::from_waker(&waker))
            .is_pending()
    );
    let whole = relay.handle(post(Full::from("more")));
    assert_eq!(whole.await.status(), StatusCode::OK);
    assert_eq!(wakes(), 1);
}
