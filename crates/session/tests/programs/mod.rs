//! Inputs that hold several programs.

use bytes::Bytes;
use serde_json::json;
use trickle_proto::Publisher;
use trickle_session::{AudioMode, SessionConfig};
use trickle_testkit::clip_bytes;

use crate::common::{Bench, decode, model};
use crate::{ended, params};

/// Program 3 is 128×96 with sound, program 8 is 96×64 without.
const CLIP: &str = "two_programs.ts";

async fn feed(publisher: &mut Publisher) {
    let mut segment = publisher.next_segment().await.expect("a segment");
    let clip = Bytes::from(clip_bytes(CLIP));
    segment.write(clip).await.expect("a write");
    segment.finish().await.expect("a whole segment");
}

/// Sizes of the pictures that come out, each once, and whether the input has sound.
async fn output(config: SessionConfig, bench: Bench) -> (Vec<(usize, usize)>, bool) {
    let session = bench.start(config, &model("passthrough")).await;
    let mut reader = bench.reader();
    let mut publisher = bench.publisher("in").await;
    feed(&mut publisher).await;
    publisher.close().await.expect("an ended channel");
    reader.rest().await;
    ended(&session).await;
    let status = session.stop().await.status;
    bench.close().await;
    let frames = decode(&reader.read.video);
    let mut sizes: Vec<_> = frames.iter().map(|f| (f.width(), f.height())).collect();
    sizes.dedup();
    // Of a clip that comes at once the first picture that goes out may be the last, and no sound
    // goes out ahead of it: so it is the input's that is looked at.
    (sizes, status.input.audio_codec.is_some())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_program_is_read_unless_another_is_named() {
    for (usual, parameter, size, sound) in [
        (None, None, (128, 96), true),
        (Some(8), None, (96, 64), false),
        (Some(8), Some("3"), (128, 96), true),
    ] {
        let bench = Bench::new(true).await;
        let mut config = bench.config("program");
        config.program = usual;
        config.audio = AudioMode::Copy;
        config.params = params(json!({ "input_program": parameter }));
        assert_eq!(output(config, bench).await, (vec![size], sound));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_goes_over_to_another_program() {
    let bench = Bench::new(true).await;
    let session = bench
        .start(bench.config("change"), &model("passthrough"))
        .await;
    let mut reader = bench.reader();
    let mut publisher = bench.publisher("in").await;
    feed(&mut publisher).await;
    reader.pictures(1).await;
    let rejected = session.update(params(json!({"input_program": 0}))).await;
    assert!(rejected.is_err());
    let taken = session.update(params(json!({"input_program": 8}))).await;
    taken.expect("it is taken");
    feed(&mut publisher).await;
    publisher.close().await.expect("an ended channel");
    reader.rest().await;
    ended(&session).await;
    session.stop().await;
    bench.close().await;
    let frames = decode(&reader.read.video);
    let mut sizes: Vec<_> = frames.iter().map(|f| (f.width(), f.height())).collect();
    sizes.dedup();
    assert_eq!(sizes, [(128, 96), (96, 64)]);
    let times: Vec<_> = frames.iter().map(|frame| frame.pts().ticks).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}
