//! Sessions beside each other in one process: how they share the CPU, and what they do not share.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use serde_json::json;
use trickle_media::VideoFrame;
use trickle_processor::{ProcessorError, SharedModel, erase};
use trickle_session::{EndReason, SessionConfig};
use trickle_testkit::clip_bytes;

use crate::common::{Bench, Reader, Source, feed_in_step, model, pieces, until};
use crate::params;

/// Work that takes its thread some milliseconds.
fn work() -> u64 {
    (0..400_000u64).fold(1, |x, n| black_box(x.wrapping_mul(31) ^ n))
}

/// Four models that want more than two cores have: none gets much less than another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_want_more_than_there_is_get_equal_shares() {
    const SESSIONS: usize = 4;
    let bench = Bench::new(false).await;
    let total = Arc::new(AtomicU64::new(0));
    let mut sessions = Vec::new();
    for index in 0..SESSIONS {
        let total = Arc::clone(&total);
        let busy = erase(move |frame: VideoFrame| {
            black_box(work());
            total.fetch_add(1, Ordering::Relaxed);
            Ok(Some(frame))
        });
        let config = SessionConfig {
            params: params(json!({"max_framerate": 60, "width": 64, "height": 64})),
            ..SessionConfig::new(format!("busy-{index}"))
        };
        sessions.push(bench.start(config, &busy).await);
    }
    // From a moment on at which all of them run.
    let counts = || -> Vec<u64> {
        let count = |session: &trickle_session::Session| session.status().frames.processed;
        sessions.iter().map(count).collect()
    };
    until(|| counts().iter().all(|count| *count > 0)).await;
    let before = counts();
    let begun = total.load(Ordering::Relaxed);
    while total.load(Ordering::Relaxed) < begun + 160 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let shares: Vec<u64> = counts()
        .iter()
        .zip(&before)
        .map(|(now, then)| now - then)
        .collect();
    let (least, most) = (shares.iter().min(), shares.iter().max());
    let (least, most) = (least.expect("four"), most.expect("four"));
    assert!(least * 2 >= *most, "{shares:?}");
    for session in &sessions {
        assert!(!session.stop().await.draining);
    }
    bench.close().await;
}

/// Of three, one panics at every frame, one does not come back from its first, and one notices
/// nothing of either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_faults_of_a_session_are_its_own() {
    let bench = Bench::new(true).await;
    for name in ["in1", "out1", "in2", "out2"] {
        bench.relay.create_channel(name, None).expect("room");
    }
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let panics = erase(
        |_: VideoFrame| -> Result<Option<VideoFrame>, ProcessorError> { panic!("no such layer") },
    );
    let blocks = {
        let gate = Arc::clone(&gate);
        erase(move |frame: VideoFrame| {
            let (open, changed) = &*gate;
            let open = open.lock().expect("the gate");
            drop(changed.wait_while(open, |open| !*open).expect("the gate"));
            Ok(Some(frame))
        })
    };
    let start = async |index: usize, model: &SharedModel| {
        let config = SessionConfig {
            subscribe_url: Some(bench.url(&format!("in{index}"))),
            publish_url: Some(bench.url(&format!("out{index}"))),
            ..SessionConfig::new(format!("bad-{index}"))
        };
        bench.start(config, model).await
    };
    let bad = [start(1, &panics).await, start(2, &blocks).await];
    let good = bench
        .start(bench.config("good"), &model("passthrough"))
        .await;
    let stream = Bytes::from(clip_bytes("ptswrap_180p30.ts"));
    // Open to the end: who comes late finds the last segment.
    let mut sources = Vec::new();
    for index in [1, 2] {
        let mut source = Source::at(&bench, &format!("in{index}")).await;
        source.pour(&pieces(&stream)).await;
        sources.push(source);
    }
    until(|| bad[0].status().processor.panics > 0).await;
    until(|| bad[1].status().frames.processed == 1).await;

    let mut reader: Reader = bench.reader();
    feed_in_step(&bench, &stream, &mut reader).await;
    let status = good.stop().await.status;
    assert_eq!((status.frames.received, status.frames.out), (150, 150));
    assert_eq!((status.processor.errors, status.processor.stalls), (0, 0));
    let summary = bad[1].stop().await;
    assert!(summary.draining, "it is still in its call");
    *gate.0.lock().expect("the gate") = true;
    gate.1.notify_all();
    bad[1].drained().await;
    assert_eq!(bad[0].stop().await.reason, EndReason::Stopped);
    drop(sources);
    bench.close().await;
}
