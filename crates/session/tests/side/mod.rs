//! Control, events and data of a live session, over a real relay.

use serde_json::{Value, json};
use trickle_processor::{
    EmitError, FrameProcessor, MAX_ITEM, Params, ParamsError, ProcessorError, SharedModel,
    StreamContext, VideoFrame, erase, from_fn,
};
use trickle_proto::{PublishOptions, Publisher, Seq, Start, Subscriber};
use trickle_session::{DataFormat, EndReason, Session, SessionConfig};

use crate::common::{Bench, LIMIT, feed_in_step, model};
use crate::{LIVE, beginning, ended, params};

/// Emits an item for every frame and an event with the first; takes a `strength` up to 1.
struct Talks {
    context: StreamContext,
    frames: u64,
}

impl FrameProcessor for Talks {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        if self.frames == 0 {
            let face = json!({"faces": 2});
            self.context.emit_event("face_found", face).expect("room");
            let picture = "x".repeat(MAX_ITEM);
            let refused = self.context.emit_data(picture.into());
            assert!(matches!(refused, Err(EmitError::TooLarge { .. })));
        }
        let item = json!({"frame": self.frames});
        self.context.emit_data(item).expect("room");
        self.frames += 1;
        Ok(Some(frame))
    }

    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        match params.number("strength")? {
            Some(strength) if strength > 1.0 => {
                Err(ParamsError::new("strength", "must be at most 1"))
            }
            _ => Ok(()),
        }
    }
}

fn talks() -> SharedModel {
    erase(from_fn(|context| Ok(Talks { context, frames: 0 })))
}

/// A session with all channels.
pub(crate) fn config(bench: &Bench, id: &str) -> SessionConfig {
    for name in ["control", "events", "data"] {
        bench.relay.create_channel(name, None).expect("room");
    }
    SessionConfig {
        control_url: Some(bench.url("control")),
        events_url: Some(bench.url("events")),
        data_url: Some(bench.url("data")),
        ..bench.config(id)
    }
}

/// Reads the messages of a channel from its first on.
pub(crate) struct Messages {
    subscriber: Subscriber,
    mime: Option<String>,
}

impl Messages {
    pub(crate) fn of(bench: &Bench, channel: &str) -> Self {
        let start = Start::At(Seq::ZERO);
        let subscriber = bench.client.subscribe(&bench.url(channel), start);
        Self {
            subscriber: subscriber.expect("a subscriber"),
            mime: None,
        }
    }

    /// The next message; `None` at the end of the channel.
    pub(crate) async fn next(&mut self) -> Option<String> {
        let next = async {
            let segment = self.subscriber.next_segment().await.expect("a segment")?;
            self.mime = segment.content_type().map(str::to_owned);
            let bytes = segment.collect(1 << 20).await.expect("a whole segment");
            let bytes = bytes.expect("a small message");
            Some(String::from_utf8(bytes.to_vec()).expect("text"))
        };
        tokio::time::timeout(LIMIT, next).await.expect("a message")
    }

    /// The next event of this type, as the events in between are passed over.
    pub(crate) async fn event(&mut self, kind: &str) -> Value {
        self.one_of(&[kind]).await
    }

    /// The next event of one of these types, as [`event`](Self::event).
    pub(crate) async fn one_of(&mut self, kinds: &[&str]) -> Value {
        loop {
            let message = self.next().await.expect("the channel to go on");
            let mut message: Value = serde_json::from_str(&message).expect("JSON");
            let mut event = message["event"].take();
            if kinds.iter().any(|kind| event["type"] == *kind) {
                let stamp = event
                    .as_object_mut()
                    .expect("an object")
                    .remove("timestamp");
                let stamp = stamp.expect("a time").as_u64().expect("milliseconds");
                assert!(stamp > 1_700_000_000_000, "{stamp}");
                return event;
            }
        }
    }

    async fn rest(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(message) = self.next().await {
            rest.push(message);
        }
        rest
    }
}

async fn say(control: &mut Publisher, message: &str) {
    let mut segment = control.next_segment().await.expect("a segment");
    let bytes = bytes::Bytes::copy_from_slice(message.as_bytes());
    segment.write(bytes).await.expect("a write");
    segment.finish().await.expect("a whole segment");
}

async fn control(bench: &Bench) -> Publisher {
    let options = PublishOptions::new("application/json");
    let url = bench.url("control");
    let publisher = bench.client.publish(&url, options).await;
    publisher.expect("a publisher")
}

/// Waits until the status of the session is as wanted.
async fn wait_for(session: &Session, wanted: impl Fn(&Value) -> bool) {
    let seen = async {
        loop {
            let status = serde_json::to_value(session.status()).expect("JSON");
            if wanted(&status["channels"]) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, seen).await.expect("it happens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_told_of_from_its_start_to_its_end() {
    let bench = Bench::new(true).await;
    let mut config = config(&bench, "told");
    config.params = params(json!({"strength": 0.5}));
    let session = bench.start(config, &talks()).await;
    let mut events = Messages::of(&bench, "events");
    let started = events.event("stream_started").await;
    assert_eq!(
        started,
        json!({"type": "stream_started", "params": {"strength": 0.5}})
    );
    assert_eq!(events.mime.as_deref(), Some("application/json"));
    let heartbeat = events.event("heartbeat").await;
    assert_eq!(heartbeat["urls"]["data"], bench.url("data").as_str());
    let status = events.event("status").await;
    assert_eq!(status["state"], "OFFLINE");

    let mut reader = bench.reader();
    feed_in_step(&bench, &beginning(LIVE, 4), &mut reader).await;
    for kind in ["receive_first_ingest_segment", "face_found"] {
        events.event(kind).await;
    }
    events.event("send_first_processed_segment").await;
    reader.rest().await;
    assert_eq!(ended(&session).await, EndReason::InputEnded);
    let stopped = events.event("stream_stopped").await;
    assert_eq!(stopped["reason"], "the input ended");
    assert_eq!(events.next().await, None, "the channel ends after it");

    let mut data = Messages::of(&bench, "data");
    let lines = data.rest().await.concat();
    assert_eq!(data.mime.as_deref(), Some("application/jsonl"));
    let items: Vec<Value> = lines
        .lines()
        .flat_map(|line| serde_json::from_str::<Vec<Value>>(line).expect("an array"))
        .collect();
    assert_eq!(items, [0, 1, 2, 3].map(|frame| json!({"frame": frame})));

    let status = session.stop().await.status;
    assert_eq!(status.processor.data_items, 4);
    assert_eq!(status.processor.refused, 1);
    let channels = status.channels;
    assert_eq!(channels.events.expect("events").dropped, 0);
    assert_eq!(channels.data.expect("data").dropped, 0);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_messages_are_updates_and_nothing_else_harms() {
    let bench = Bench::new(true).await;
    let session = bench.start(config(&bench, "control"), &talks()).await;
    let mut events = Messages::of(&bench, "events");
    let mut control = control(&bench).await;
    // The reader may join later than this, at what is newest then.
    say(&mut control, r#"{"strength": 0.75}"#).await;
    events.event("params_updated").await;
    for message in [
        r#"{"keep":"alive"}"#,
        "garbage",
        "[]",
        r#"{"strength": 7}"#,
        r#"{"strength": 0.25}"#,
    ] {
        say(&mut control, message).await;
    }
    let updated = events.event("params_updated").await;
    assert_eq!(updated["params"], json!({"strength": 0.25}));
    let status = session.status();
    assert_eq!(status.current_params, params(json!({"strength": 0.25})));
    let told = status.channels.control.expect("a control channel");
    assert_eq!((told.received, told.rejected), (3, 3));
    assert_eq!(
        told.last_error.as_deref(),
        Some("a control message was rejected: parameter \"strength\": must be at most 1")
    );

    // A message that is too large, and the end of the channel.
    let mut segment = control.next_segment().await.expect("a segment");
    let megabyte = bytes::Bytes::from(vec![b' '; 1 << 20]);
    for _ in 0..11 {
        if segment.write(megabyte.clone()).await.is_err() {
            break;
        }
    }
    wait_for(&session, |channels| channels["control"]["rejected"] == 4).await;
    drop(segment);
    bench.relay.close_channel("control");
    let mut reader = bench.reader();
    feed_in_step(&bench, &beginning(LIVE, 2), &mut reader).await;
    reader.rest().await;
    assert_eq!(ended(&session).await, EndReason::InputEnded);
    session.stop().await;
    let rest = events.rest().await.concat();
    assert!(rest.contains("more than 10485760 bytes"), "{rest}");
    assert!(rest.contains("stream_stopped"), "{rest}");
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_that_do_not_exist_cost_the_stream_nothing() {
    let bench = Bench::new(true).await;
    let mut config = config(&bench, "missing");
    for name in ["control", "events", "data"] {
        bench.relay.close_channel(name);
    }
    config.control_url = Some(bench.url("nowhere"));
    config.events_url = Some(bench.url("nowhere-else"));
    config.data_url = Some(bench.url("nowhere-at-all"));
    config.data_format = DataFormat::Lines;
    let session = bench.start(config, &talks()).await;
    let mut reader = bench.reader();
    feed_in_step(&bench, &beginning(LIVE, 3), &mut reader).await;
    reader.rest().await;
    assert_eq!(reader.read.video.len(), 3);
    wait_for(&session, |channels| {
        channels["events"]["last_error"].is_string()
            && channels["control"]["last_error"].is_string()
    })
    .await;
    session.stop().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_stopped_says_so_before_the_channel_ends() {
    let bench = Bench::new(true).await;
    let session = bench
        .start(config(&bench, "stopped"), &model("passthrough"))
        .await;
    session.stop().await;
    let rest = Messages::of(&bench, "events").rest().await;
    let last: Value = serde_json::from_str(rest.last().expect("events")).expect("JSON");
    assert_eq!(last["event"]["type"], "stream_stopped");
    assert_eq!(last["event"]["reason"], "it was stopped");
    // Nothing was emitted, and its readers are told that nothing comes any more.
    assert_eq!(Messages::of(&bench, "data").next().await, None);
    bench.close().await;
}
