//! Live sessions whose model blocks, waits, stalls or is not there yet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use trickle_media::VideoFrame;
use trickle_processor::{FrameProcessor, ProcessorError, erase, from_fn};
use trickle_session::Session;
use trickle_testkit::clip_bytes;

use crate::common::{Bench, LIMIT, by_picture, decode, model, plane, psnr, read};
use crate::{LIVE, beginning};

/// Blocks in the middle of a frame until it is let go.
struct Blocks {
    gate: Arc<(Mutex<bool>, Condvar)>,
    entered: Arc<AtomicBool>,
    told: tokio::sync::mpsc::UnboundedSender<()>,
}

impl FrameProcessor for Blocks {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        self.entered.store(true, Ordering::SeqCst);
        let _ = self.told.send(());
        let (open, changed) = &*self.gate;
        let mut open = open.lock().expect("the gate");
        while !*open {
            open = changed.wait(open).expect("the gate");
        }
        Ok(Some(frame))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_processor_that_cannot_be_stopped_is_reported_and_awaited() {
    let bench = Bench::new(true).await;
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let entered = Arc::new(AtomicBool::new(false));
    let (told, mut blocked) = tokio::sync::mpsc::unbounded_channel();
    let blocks = {
        let (gate, entered) = (Arc::clone(&gate), Arc::clone(&entered));
        erase(from_fn(move |_| {
            Ok(Blocks {
                gate: Arc::clone(&gate),
                entered: Arc::clone(&entered),
                told: told.clone(),
            })
        }))
    };
    let session = bench.start(bench.config("stuck"), &blocks).await;
    let mut publisher = bench.publisher("in").await;
    let mut segment = publisher.next_segment().await.expect("a segment");
    segment.write(beginning(LIVE, 2)).await.expect("a write");
    tokio::time::timeout(LIMIT, blocked.recv())
        .await
        .expect("a call within the limit")
        .expect("it is called");
    let summary = session.stop().await;
    assert!(entered.load(Ordering::SeqCst));
    assert!(summary.draining && summary.status.processor.draining);

    let drained = session.drained();
    *gate.0.lock().expect("the gate") = true;
    gate.1.notify_all();
    tokio::time::timeout(LIMIT, drained)
        .await
        .expect("it comes back");
    assert!(!session.stop().await.draining);
    bench.close().await;
}

/// Waits for ever, in a way that can be cancelled.
#[derive(Clone)]
pub(crate) struct Hangs;

impl FrameProcessor for Hangs {
    async fn process_video(&mut self, _: VideoFrame) -> Result<Option<VideoFrame>, ProcessorError> {
        std::future::pending().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_processor_that_waits_is_cancelled_and_sound_goes_on_without_pictures() {
    let bench = Bench::new(true).await;
    let mut config = bench.config("waits");
    config.publish_url = None;
    let session = bench.start(config, &erase(Hangs)).await;
    let mut publisher = bench.publisher("in").await;
    let mut segment = publisher.next_segment().await.expect("a segment");
    segment.write(beginning(LIVE, 20)).await.expect("a write");
    let summary = tokio::time::timeout(LIMIT, session.stop())
        .await
        .expect("a stop within the limit");
    assert!(!summary.draining);
    bench.close().await;
}

/// Blocks in its first picture; viewers see the others under the overlay until it comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_processor_is_stood_in_for_until_it_comes_back() {
    let bench = Bench::new(true).await;
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let (told, mut blocked) = tokio::sync::mpsc::unbounded_channel();
    let blocks = {
        let gate = Arc::clone(&gate);
        erase(from_fn(move |_| {
            Ok(Blocks {
                gate: Arc::clone(&gate),
                entered: Arc::default(),
                told: told.clone(),
            })
        }))
    };
    let mut config = bench.config("stall");
    // Any call that lasts until the next picture has stalled.
    config.stall_timeout = Some(std::time::Duration::from_micros(1));
    let session = bench.start(config, &blocks).await;
    let stream = Bytes::from(clip_bytes(LIVE));
    let input = decode(&read(&stream).video);
    let mut reader = bench.reader();
    let mut publisher = bench.publisher("in").await;
    let mut segment = publisher.next_segment().await.expect("a segment");
    let mut pieces = by_picture(&stream).into_iter();
    let mut next = || pieces.next().expect("the clip is long enough");

    segment.write(next()).await.expect("a write");
    tokio::time::timeout(LIMIT, blocked.recv())
        .await
        .expect("a call within the limit");
    for count in 1..=3 {
        segment.write(next()).await.expect("a write");
        reader.pictures(count).await;
    }
    let status = session.status();
    assert!(status.processor.stalled);
    assert_eq!((status.processor.stalls, status.processor.stood_in), (1, 3));

    *gate.0.lock().expect("the gate") = true;
    gate.1.notify_all();
    while session.status().processor.stalled {
        segment.write(next()).await.expect("a write");
        let count = reader.read.video.len() + 1;
        reader.pictures(count).await;
    }
    segment.finish().await.expect("a whole segment");
    publisher.close().await.expect("an ended channel");
    reader.rest().await;
    let status = session.stop().await.status;
    assert_eq!(status.frames.dropped.processor_late, 1);

    let output = decode(&reader.read.video);
    // In the middle the card darkens the picture; beside it, all is as it came.
    let middle = |frame: &VideoFrame| {
        let row = &plane(frame, 0)[260 * 1280..261 * 1280];
        row[500..780]
            .iter()
            .map(|value| u64::from(*value))
            .sum::<u64>()
            / 280
    };
    let (before, covered) = (middle(&input[1]), middle(&output[0]));
    assert!(covered * 2 < before, "{covered} of {before}");
    let corner = |frame: &VideoFrame| plane(frame, 0)[..1280 * 64].to_vec();
    assert!(psnr(&corner(&input[1]), &corner(&output[0])) > 30.0);
    let (last, shown) = (&input[output.len()], &output[output.len() - 1]);
    assert!(
        psnr(plane(last, 0), plane(shown, 0)) > 30.0,
        "its own again"
    );
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_runs_before_its_model_is_loaded() {
    let bench = Bench::new(true).await;
    let (load, loaded) = tokio::sync::oneshot::channel();
    let coming = async { loaded.await.map_err(|_| "nobody loads it".to_owned()) };
    let prepared = Session::prepare_loading(bench.config("early"), coming, &bench.client)
        .await
        .expect("it can be");
    let backends = trickle_media::Backends::default();
    let session = prepared.start(&backends).await.expect("it starts");
    let stream = Bytes::from(clip_bytes(LIVE));
    let mut reader = bench.reader();
    let mut publisher = bench.publisher("in").await;
    let mut segment = publisher.next_segment().await.expect("a segment");
    let mut load = Some(load);
    for (index, piece) in by_picture(&stream).into_iter().take(40).enumerate() {
        segment.write(piece).await.expect("a write");
        reader.pictures(index + 1).await;
        if session.status().frames.processed > 0 {
            break;
        }
        if index == 3 {
            assert_eq!(session.status().processor.stood_in, 4);
            let model = model("grayscale");
            load.take()
                .expect("once")
                .send(model)
                .ok()
                .expect("it waits");
        }
    }
    let status = session.stop().await.status;
    assert_eq!(status.frames.processed, 1, "it went over to the model");
    assert_eq!(status.frames.dropped.total(), 0);
    let output = decode(&reader.read.video);
    let color = |frame: &VideoFrame| plane(frame, 1).iter().any(|u| u.abs_diff(128) > 16);
    assert!(color(&output[0]) && !color(&output[output.len() - 1]));
    bench.close().await;
}
