//! Sessions without an input channel, whose frames a clock makes.

use std::time::Duration;

use serde_json::{Value, json};
use trickle_media::VideoFrame;
use trickle_processor::{SharedModel, erase};
use trickle_session::{EndReason, Session, SessionConfig, SessionState};

use crate::common::{Bench, decode, jump, model, plane, until};
use crate::side::{Messages, config};
use crate::{ended, params};

const MINUTE: Duration = Duration::from_secs(60);

/// Fills what it is given, which must be black, with red.
fn painter() -> SharedModel {
    erase(|frame: VideoFrame| {
        let red = |rgb: &mut [f32], _| {
            assert!(rgb.iter().all(|value| *value == 0.0), "it is black");
            rgb.chunks_exact_mut(3).for_each(|pixel| pixel[0] = 1.0);
        };
        Ok(Some(frame.map_tensor(red)?))
    })
}

/// A session with all channels but the input.
fn without_input(bench: &Bench, id: &str) -> SessionConfig {
    SessionConfig {
        subscribe_url: None,
        // The clock is put forward here, which would look like a call that takes long.
        stall_timeout: None,
        params: params(json!({"max_framerate": 50, "width": 320, "height": 180})),
        ..config(bench, id)
    }
}

#[tokio::test]
async fn a_session_without_input_shows_what_its_processor_makes() {
    let bench = Bench::new(true).await;
    let session = bench.start(without_input(&bench, "made"), &painter()).await;
    let mut events = Messages::of(&bench, "events");
    let mut reader = bench.reader();
    reader.pictures(12).await;
    // In whatever order.
    let kinds = ["heartbeat", "send_first_processed_segment"];
    let mut first: Vec<Value> = Vec::new();
    while !kinds
        .iter()
        .all(|kind| first.iter().any(|event| event["type"] == *kind))
    {
        first.push(events.one_of(&kinds).await);
    }
    let heartbeat = first.iter().find(|event| event["type"] == "heartbeat");
    assert_eq!(heartbeat.expect("one")["urls"]["subscribe"], "");
    jump(Duration::from_secs(10)).await;
    let heartbeat = events.event("heartbeat").await;
    assert_eq!(
        heartbeat["dimensions"],
        json!({"width": 320, "height": 180})
    );
    let status = events.event("status").await;
    assert_eq!(status["state"], "ONLINE");
    assert_eq!(
        status["input_status"],
        json!({"last_input_time": null, "fps": 0.0})
    );

    // From the next frame on, it is made at another pace and size.
    let update = json!({"max_framerate": 25, "width": 160, "height": 90});
    session.update(params(update)).await.expect("it is taken");
    until(|| session.status().output.width == Some(160)).await;
    let turn = reader.read.video.len() + 30;
    reader.pictures(turn).await;
    let status = session.status();
    assert_eq!(status.state, SessionState::Running);
    assert!(status.input.generative && status.subscribe_url.is_none());
    assert_eq!(
        (status.input.width, status.input.height),
        (Some(160), Some(90))
    );
    assert_eq!((status.frames.received, status.frames.decoded), (0, 0));
    assert!(status.decoder.is_none() && status.encoder.is_some());

    let summary = session.stop().await;
    assert_eq!(summary.reason, EndReason::Stopped);
    reader.rest().await;
    // Its clock was put forward.
    let jumps = |fault: &&String| fault.contains("decoding time jumps");
    let jumped = reader.read.faults.iter().filter(jumps).count();
    assert!(
        jumped <= 1 && reader.read.faults.len() == jumped,
        "{:?}",
        reader.read.faults
    );
    let times: Vec<i64> = reader
        .read
        .video
        .iter()
        .map(|unit| unit.pts.ticks)
        .collect();
    let steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        steps.iter().all(|step| *step > 0 && step % 1_800 == 0),
        "{steps:?}"
    );
    assert!(
        steps[steps.len() - 5..]
            .iter()
            .all(|step| step % 3_600 == 0),
        "{steps:?}"
    );
    let shown = decode(&reader.read.video);
    assert_eq!(shown[0].width(), 320);
    assert_eq!(shown[shown.len() - 1].width(), 160);
    for frame in &shown {
        // Red of BT.709: Y 63, U 102, V 240.
        assert!(plane(frame, 0).iter().all(|luma| luma.abs_diff(63) <= 3));
        assert!(plane(frame, 2).iter().all(|v| v.abs_diff(240) <= 3));
    }
    bench.close().await;
}

#[tokio::test]
async fn it_runs_before_its_model_is_loaded_and_ends_in_good_order() {
    let bench = Bench::new(true).await;
    let (load, loaded) = tokio::sync::oneshot::channel();
    let coming = async { loaded.await.map_err(|_| "nobody loads it".to_owned()) };
    let prepared = Session::prepare_loading(without_input(&bench, "early"), coming, &bench.client)
        .await
        .expect("it can be");
    let backends = trickle_media::Backends::default();
    let session = prepared.start(&backends).await.expect("it starts");
    let mut reader = bench.reader();
    reader.pictures(3).await;
    let status = session.status();
    assert_eq!(status.frames.processed, 0);
    assert!(status.processor.stood_in >= 3);
    load.send(painter()).ok().expect("it waits");
    until(|| session.status().frames.processed > 5).await;

    let summary = session.finish(MINUTE).await;
    assert_eq!(summary.reason, EndReason::Stopped);
    let frames = summary.status.frames;
    assert_eq!(frames.generated, frames.out + frames.dropped.total());
    reader.rest().await;
    assert_eq!(
        frames.out,
        reader.read.video.len() as u64,
        "the last frames are out"
    );
    let shown = decode(&reader.read.video);
    // The overlay's message is written on black.
    let brightest = |frame: &VideoFrame| plane(frame, 0).iter().max().copied();
    assert!(brightest(&shown[0]) > Some(150));
    assert!(brightest(&shown[shown.len() - 1]) < Some(70));
    bench.close().await;
}

/// Gateways send a sign of life over the control channel; without one, it is the relay that takes
/// the output.
#[tokio::test]
async fn its_lease_runs_out_when_the_gateway_is_gone() {
    for controlled in [false, true] {
        let bench = Bench::new(true).await;
        let mut config = without_input(&bench, "lease");
        config.idle_timeout = Some(10 * MINUTE);
        if !controlled {
            config.control_url = None;
        }
        let session = bench.start(config, &model("passthrough")).await;
        let segments = || session.status().output.segments;
        until(|| segments() > 0).await;
        for _ in 0..9 {
            // Longer than a group of pictures: a segment ends.
            let before = segments();
            jump(MINUTE).await;
            until(|| segments() > before).await;
        }
        assert_eq!(session.status().state, SessionState::Running);
        let before = segments();
        jump(MINUTE).await;
        if controlled {
            let reason = ended(&session).await;
            assert!(matches!(reason, EndReason::Abandoned(_)), "{reason}");
        } else {
            until(|| segments() > before).await;
            assert_eq!(session.status().state, SessionState::Running);
        }
        session.stop().await;
        bench.close().await;
    }
}

/// What its processor emits may be all that is wanted of it.
#[tokio::test]
async fn it_may_have_no_output_either() {
    let bench = Bench::new(true).await;
    let mut config = without_input(&bench, "sink");
    config.publish_url = None;
    let session = bench.start(config, &painter()).await;
    until(|| session.status().frames.out > 3).await;
    let status = session.stop().await.status;
    assert_eq!(status.processor.errors, 0);
    assert!(status.encoder.is_none());
    bench.close().await;
}
