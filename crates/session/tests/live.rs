//! Live sessions, end to end: a relay on loopback, real clips, real codecs.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;
mod devices;
mod generative;
mod models;
mod neighbours;
mod outages;
mod programs;
mod restarts;
mod side;

use bytes::Bytes;
use common::{
    Bench, LIMIT, by_picture, decode, feed_in_step, model, plane, psnr, read, times_from_first,
};
use models::Hangs;
use serde_json::{Value, json};
use trickle_media::VideoFrame;
use trickle_media::access_unit::Codec;
use trickle_processor::{FrameProcessor, Params, ParamsError, ProcessorError, erase, from_fn};
use trickle_session::{
    AudioMode, AudioRoute, EndReason, Session, SessionConfig, SessionState, StartError, UpdateError,
};
use trickle_testkit::clip_bytes;

const LIVE: &str = "live_720p25_baseline_opus.ts";

fn params(value: Value) -> Params {
    serde_json::from_value(value).expect("an object")
}

/// The first `count` pictures of a clip and the sound between them.
fn beginning(clip: &str, count: usize) -> Bytes {
    let stream = Bytes::from(clip_bytes(clip));
    let pieces = by_picture(&stream);
    let length: usize = pieces.iter().take(count).map(Bytes::len).sum();
    stream.slice(..length)
}

async fn ended(session: &Session) -> EndReason {
    tokio::time::timeout(LIMIT, session.ended())
        .await
        .expect("an end within the limit")
}

/// The way of the demo: nothing is missing, times are the input's, sound is the input's byte for
/// byte, and a picture is out before the first byte of the next one is in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_picture_goes_through_before_the_next_one_comes() {
    let bench = Bench::new(true).await;
    let stream = Bytes::from(clip_bytes(LIVE));
    let input = read(&stream);
    let session = bench
        .start(bench.config("step"), &model("passthrough"))
        .await;
    let mut reader = bench.reader();
    feed_in_step(&bench, &stream, &mut reader).await;
    reader.rest().await;
    assert_eq!(ended(&session).await, EndReason::InputEnded);
    let summary = session.stop().await;

    let output = &reader.read;
    assert_eq!(output.faults, Vec::<String>::new());
    assert_eq!(output.video.len(), input.video.len());
    assert_eq!(
        times_from_first(&output.video),
        times_from_first(&input.video)
    );
    // One offset for both: sound lies where it lay against the pictures.
    let offset = output.video[0].pts.ticks - input.video[0].pts.ticks;
    let sound: Vec<(i64, &Bytes)> = output
        .audio
        .iter()
        .map(|unit| (unit.pts.ticks - offset, &unit.data))
        .collect();
    let first = sound.first().expect("sound").0;
    let expected: Vec<(i64, &Bytes)> = input
        .audio
        .iter()
        .map(|unit| (unit.pts.ticks, &unit.data))
        .filter(|(pts, _)| *pts >= first)
        .collect();
    assert_eq!(sound, expected);
    assert!(
        first - input.video[0].pts.ticks < 90 * 50,
        "sound from the start on"
    );

    // Every segment can be read alone.
    let mut bounds = reader.segments.clone();
    bounds.push(reader.bytes.len());
    let segments: Vec<_> = bounds
        .windows(2)
        .map(|range| read(&reader.bytes[range[0]..range[1]]))
        .filter(|segment| !segment.video.is_empty())
        .collect();
    assert_eq!(segments.len(), 3);
    assert!(segments.iter().all(|segment| segment.video[0].keyframe));
    assert!(segments.iter().all(|segment| segment.streams.len() == 2));

    let status = summary.status;
    assert_eq!(status.state, SessionState::Ended);
    assert_eq!(status.frames.received, 125);
    assert_eq!(status.frames.out, 125);
    assert_eq!(status.frames.dropped.total(), 0);
    assert_eq!(status.audio.route, AudioRoute::Copied);
    assert_eq!(status.faults.transport, 0);
    assert!(status.latency_ms.total.count > 0);
    assert!(!summary.draining);
    bench.close().await;
}

/// The pixels of what comes out, against the pixels that went in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_processor_does_is_seen_in_the_output() {
    let stream = beginning(LIVE, 6);
    let input = decode(&read(&stream).video);
    let gray = |rgb: &mut [f32], _| {
        for pixel in rgb.chunks_exact_mut(3) {
            pixel.fill(0.2126 * pixel[0] + 0.7152 * pixel[1] + 0.0722 * pixel[2]);
        }
    };
    let invert = |rgb: &mut [f32], _| rgb.iter_mut().for_each(|value| *value = 1.0 - *value);
    let models = [
        ("passthrough", model("passthrough")),
        (
            "gray",
            erase(move |frame: VideoFrame| Ok(Some(frame.map_tensor(gray)?))),
        ),
        (
            "invert",
            erase(move |frame: VideoFrame| Ok(Some(frame.map_tensor(invert)?))),
        ),
    ];
    for (name, model) in models {
        let bench = Bench::new(true).await;
        let session = bench.start(bench.config(name), &model).await;
        let mut reader = bench.reader();
        feed_in_step(&bench, &stream, &mut reader).await;
        reader.rest().await;
        session.stop().await;
        let output = decode(&reader.read.video);
        assert_eq!(output.len(), input.len(), "{name}");
        for (before, after) in input.iter().zip(&output) {
            check_pixels(name, before, after);
        }
        bench.close().await;
    }
}

fn check_pixels(name: &str, before: &VideoFrame, after: &VideoFrame) {
    let (luma, shown) = (plane(before, 0), plane(after, 0));
    match name {
        "passthrough" => {
            let quality = psnr(luma, shown);
            assert!(quality >= 35.0, "{name}: {quality:.1} dB");
        }
        "gray" => {
            for chroma in [plane(after, 1), plane(after, 2)] {
                assert!(
                    chroma.iter().all(|value| value.abs_diff(128) <= 2),
                    "{name}"
                );
            }
            let quality = psnr(luma, shown);
            assert!(quality >= 30.0, "{name}: {quality:.1} dB");
        }
        _ => {
            // Limited range: black is 16 and white is 235.
            let inverted: Vec<u8> = luma
                .iter()
                .map(|value| 251 - value.clamp(&16, &235))
                .collect();
            let quality = psnr(&inverted, shown);
            assert!(quality >= 25.0, "{name}: {quality:.1} dB");
        }
    }
}

/// Passes frames through, and wants a number for `strength`.
#[derive(Clone)]
struct Picky;

impl FrameProcessor for Picky {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        Ok(Some(frame))
    }

    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        params.number("strength").map(drop)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_size_the_output_and_an_update_is_all_or_nothing() {
    let bench = Bench::new(true).await;
    let mut config = bench.config("params");
    config.params = params(json!({"width": "320", "height": 180}));
    let session = bench.start(config, &erase(Picky)).await;
    let rejected = session
        .update(params(json!({"max_framerate": 10, "strength": "much"})))
        .await
        .unwrap_err();
    match rejected {
        UpdateError::Rejected(error) => assert_eq!(error.field, "strength"),
        other => panic!("{other}"),
    }
    session
        .update(params(json!({"max_framerate": "60"})))
        .await
        .expect("it is taken");
    let stream = beginning(LIVE, 4);
    let mut reader = bench.reader();
    feed_in_step(&bench, &stream, &mut reader).await;

    let status = session.status();
    assert_eq!(
        serde_json::to_value(&status.current_params).unwrap(),
        json!({"width": "320", "height": 180, "max_framerate": "60"})
    );
    assert_eq!(
        (status.output.width, status.output.height),
        (Some(320), Some(180))
    );

    reader.rest().await;
    session.stop().await;
    assert_eq!(
        session.update(params(json!({}))).await,
        Err(UpdateError::Ended)
    );
    let shown = decode(&reader.read.video);
    assert_eq!(shown.len(), 4);
    assert!(
        shown
            .iter()
            .all(|frame| (frame.width(), frame.height()) == (320, 180))
    );
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_ends_the_output_channel_and_can_be_asked_for_again() {
    let bench = Bench::new(true).await;
    let session = bench
        .start(bench.config("stop"), &model("passthrough"))
        .await;
    let mut publisher = bench.publisher("in").await;
    let mut segment = publisher.next_segment().await.expect("a segment");
    segment.write(beginning(LIVE, 5)).await.expect("a write");
    let mut reader = bench.reader();
    reader.pictures(1).await;
    // The input is still open, and silent.
    let summary = session.stop().await;
    assert_eq!(summary.reason, EndReason::Stopped);
    assert!(!summary.draining);
    reader.rest().await;
    assert_eq!(session.stop().await.reason, EndReason::Stopped);
    assert_eq!(ended(&session).await, EndReason::Stopped);
    drop(segment);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_does_not_exist_ends_the_session_with_the_reason() {
    let bench = Bench::new(false).await;
    let session = bench
        .start(bench.config("none"), &model("passthrough"))
        .await;
    let reason = ended(&session).await;
    assert!(matches!(reason, EndReason::InputNotFound(_)), "{reason}");
    session.stop().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_that_nobody_takes_ends_the_session_with_the_reason() {
    let bench = Bench::new(true).await;
    let mut config = bench.config("refused");
    config.publish_url = Some(bench.url("missing"));
    let session = bench.start(config, &model("passthrough")).await;
    let mut publisher = bench.publisher("in").await;
    let mut segment = publisher.next_segment().await.expect("a segment");
    segment.write(beginning(LIVE, 5)).await.expect("a write");
    // The relay answers to the first POST while the session goes on; a second segment tells.
    segment
        .write(Bytes::from(clip_bytes(LIVE)))
        .await
        .expect("a write");
    let reason = ended(&session).await;
    assert!(matches!(reason, EndReason::OutputFailed(_)), "{reason}");
    session.stop().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_cannot_be_says_what_is_wrong() {
    let bench = Bench::new(true).await;
    let start = |config: SessionConfig, model| {
        let client = bench.client.clone();
        async move {
            Session::start(config, &model, &trickle_media::Backends::default(), &client)
                .await
                .expect_err("it must not start")
        }
    };
    let mut bad = bench.config("bad");
    bad.params = params(json!({"max_framerate": 0}));
    let error = start(bad, model("passthrough")).await;
    assert!(matches!(&error, StartError::Params(error) if error.field == "max_framerate"));

    let fails = erase(from_fn(|_| -> Result<Hangs, _> {
        Err(ProcessorError::new("no weights"))
    }));
    let error = start(bench.config("fails"), fails).await;
    assert!(matches!(error, StartError::Open(_)), "{error}");
    bench.close().await;
}

/// AAC in, Opus out; damage and all, the session lives to the end of its input.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_survived_and_counted() {
    // Of the first, every keyframe lacks packets.
    for clip in ["damaged_lost_packets.ts", "damaged_bitflips.ts"] {
        let bench = Bench::new(true).await;
        let session = bench.start(bench.config(clip), &model("passthrough")).await;
        let mut publisher = bench.publisher("in").await;
        let mut segment = publisher.next_segment().await.expect("a segment");
        segment
            .write(Bytes::from(clip_bytes(clip)))
            .await
            .expect("a write");
        segment.finish().await.expect("a whole segment");
        publisher.close().await.expect("an ended channel");
        assert_eq!(ended(&session).await, EndReason::InputEnded, "{clip}");
        let status = session.stop().await.status;
        assert!(
            status.faults.transport + status.faults.damaged_pictures > 0,
            "{clip}"
        );
        assert_eq!(
            status.frames.received,
            status.frames.out + status.frames.dropped.total(),
            "{clip}: every picture is accounted for"
        );
        assert!(status.audio.out > 0, "{clip}");
        bench.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_that_is_no_opus_is_made_so() {
    let bench = Bench::new(true).await;
    let session = bench
        .start(bench.config("aac"), &model("passthrough"))
        .await;
    let mut reader = bench.reader();
    let mut publisher = bench.publisher("in").await;
    let mut segment = publisher.next_segment().await.expect("a segment");
    let stream = beginning("portrait_360x640_aac44k_mono.ts", 20);
    segment.write(stream).await.expect("a write");
    segment.finish().await.expect("a whole segment");
    publisher.close().await.expect("an ended channel");
    reader.rest().await;
    let status = session.stop().await.status;
    assert_eq!(status.audio.route, AudioRoute::Transcoded);
    // What lies before the first picture that came out of a burst is left out.
    assert!(status.audio.out + status.audio.dropped > 10 && status.audio.errors == 0);
    let sound = &reader.read.audio;
    assert!(sound.iter().all(|unit| unit.codec == Codec::Opus));
    let times = times_from_first(sound);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 1800));
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_alone_goes_through() {
    let bench = Bench::new(true).await;
    let session = bench
        .start(bench.config("sound"), &model("passthrough"))
        .await;
    let mut publisher = bench.publisher("in").await;
    let mut segment = publisher.next_segment().await.expect("a segment");
    // Two seconds, which may come at once without loss.
    let clip = Bytes::from(clip_bytes("audioonly_opus.ts"));
    let stream = clip.slice(..clip.len() / 376 * 188);
    segment.write(stream.clone()).await.expect("a write");
    segment.finish().await.expect("a whole segment");
    publisher.close().await.expect("an ended channel");
    let mut reader = bench.reader();
    reader.rest().await;
    session.stop().await;
    let input = read(&stream);
    assert!(reader.read.video.is_empty());
    assert_eq!(
        times_from_first(&reader.read.audio),
        times_from_first(&input.audio)
    );
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_alone_go_through_when_sound_is_not_wanted() {
    let bench = Bench::new(true).await;
    let mut config = bench.config("pictures");
    config.audio = AudioMode::None;
    let session = bench.start(config, &model("passthrough")).await;
    let stream = beginning(LIVE, 3);
    let mut reader = bench.reader();
    feed_in_step(&bench, &stream, &mut reader).await;
    reader.rest().await;
    session.stop().await;
    assert_eq!(reader.read.video.len(), 3);
    assert_eq!(reader.read.streams.len(), 1);
    assert_eq!(reader.read.streams[0].codec, Codec::H264);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_handle_ends_everything() {
    let bench = Bench::new(true).await;
    let session = bench
        .start(bench.config("drop"), &model("passthrough"))
        .await;
    let ended = session.ended();
    drop(session);
    let reason = tokio::time::timeout(LIMIT, ended)
        .await
        .expect("an end within the limit");
    assert_eq!(reason, EndReason::Stopped);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_session_is_refused_before_any_channel_is_touched() {
    let bench = Bench::new(true).await;
    let mut config = bench.config("picky");
    config.params = params(json!({"strength": "much"}));
    let error = Session::prepare(config, &erase(Picky), &bench.client)
        .await
        .expect_err("it must not be");
    assert!(matches!(error, StartError::Params(_)), "{error}");
    let prepared = Session::prepare(bench.config("fine"), &erase(Picky), &bench.client)
        .await
        .expect("it can be");
    prepared.give_up().await;
    let mut zero = bench.config("zero");
    zero.stall_timeout = Some(std::time::Duration::ZERO);
    let error = Session::prepare(zero, &erase(Picky), &bench.client)
        .await
        .expect_err("it must not be");
    assert!(matches!(&error, StartError::Config(error) if error.field == "stall_timeout"));
    bench.close().await;
}
