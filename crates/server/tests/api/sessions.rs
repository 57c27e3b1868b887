//! Sessions through the API: they are real, on channels of a real relay that nobody writes to.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderValue, Request};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use trickle_processor::builtin::Delay;
use trickle_processor::{
    FrameProcessor, Model, Params, ParamsError, ProcessorError, StreamContext, VideoFrame,
};
use trickle_proto::{
    Client, ClientConfig, PublishOptions, Publisher, Relay, RelayConfig, Start, Subscriber,
};
use trickle_server::{StreamServer, StreamServerBuilder};

use crate::support::{Answer, get, post, post_json, send};

/// Longest wait for what happens on its own; tests do not come near it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A model that counts its processors, which take a `strength` from 0 to 1.
#[derive(Clone, Default)]
struct Counting {
    opened: Arc<AtomicUsize>,
}

struct Picky;

impl Model for Counting {
    type Processor = Picky;

    fn open(&self, _: StreamContext) -> Result<Picky, ProcessorError> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        Ok(Picky)
    }

    /// What the schema forbids never reaches the processor, which knows nothing of `mode`.
    fn params_schema(&self) -> Option<Value> {
        Some(json!({"properties": {"mode": {"enum": ["fast", "good"]}}}))
    }
}

impl FrameProcessor for Picky {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        Ok(Some(frame))
    }

    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        match params.number("strength")? {
            Some(strength) if !(0.0..=1.0).contains(&strength) => Err(ParamsError::new(
                "strength",
                format!("must be from 0 to 1, got {strength}"),
            )),
            _ => Ok(()),
        }
    }
}

/// Publishes a clip as one segment.
pub async fn feed(publisher: &mut Publisher, clip: &str) {
    let mut segment = publisher.next_segment().await.unwrap();
    let bytes = trickle_testkit::clip_bytes(clip);
    segment.write(bytes.into()).await.unwrap();
    segment.finish().await.unwrap();
}

/// A relay with empty channels, and a worker.
pub struct Site {
    server: StreamServer,
    pub router: Router,
    relay: Relay,
    base: String,
    opened: Arc<AtomicUsize>,
}

impl Site {
    pub async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub async fn with(configure: impl FnOnce(StreamServerBuilder) -> StreamServerBuilder) -> Self {
        let model = Counting::default();
        let opened = model.opened.clone();
        let site = Self::of(configure(StreamServer::builder(model))).await;
        Self { opened, ..site }
    }

    /// With a processor of one's own, whose parameters are `strength` or none.
    pub async fn of(builder: StreamServerBuilder) -> Self {
        let server = builder.build().unwrap();
        server.initialize().await.unwrap();
        let (relay, base) = relay().await;
        Self {
            router: server.router(),
            server,
            relay,
            base,
            opened: Arc::default(),
        }
    }

    /// A start body with this id, on the channels `{id}` and `{id}-out`.
    pub fn body(&self, id: &str) -> Value {
        self.body_on(id, id)
    }

    /// A start body with this id, on the channels `{channel}` and `{channel}-out`.
    fn body_on(&self, id: &str, channel: &str) -> Value {
        self.relay.create_channel(channel, mime()).unwrap();
        let out = format!("{channel}-out");
        self.relay.create_channel(&out, mime()).unwrap();
        json!({
            "gateway_request_id": id,
            "subscribe_url": format!("{}{channel}", self.base),
            "publish_url": format!("{}{out}", self.base),
            "params": {"strength": 0.5},
        })
    }

    async fn start(&self, id: &str) -> Answer {
        post_json(&self.router, "/api/stream/start", self.body(id)).await
    }

    pub async fn start_named(&self, id: &str, channel: &str) -> Answer {
        let body = self.body_on(id, channel);
        post_json(&self.router, "/api/stream/start", body).await
    }

    /// Publishes a clip on a channel as one segment, and ends the channel.
    pub async fn publish(&self, channel: &str, clip: &str) {
        let publisher = self.feed(channel, clip).await;
        publisher.close().await.unwrap();
    }

    /// Publishes a clip on a channel as one segment.
    async fn feed(&self, channel: &str, clip: &str) -> Publisher {
        let mut publisher = self.publisher(channel).await;
        feed(&mut publisher, clip).await;
        publisher
    }

    /// Makes a channel, and gives its URL.
    pub fn channel(&self, name: &str) -> String {
        self.relay.create_channel(name, None).unwrap();
        format!("{}{name}", self.base)
    }

    pub async fn publisher(&self, channel: &str) -> Publisher {
        let client = Client::new(ClientConfig::default()).unwrap();
        let url = format!("{}{channel}", self.base).parse().unwrap();
        let options = PublishOptions::new("video/mp2t");
        client.publish(&url, options).await.unwrap()
    }

    pub fn subscriber(&self, channel: &str, start: Start) -> Subscriber {
        let client = Client::new(ClientConfig::default()).unwrap();
        let url = format!("{}{channel}", self.base).parse().unwrap();
        client.subscribe(&url, start).unwrap()
    }

    /// Waits until a picture has come out on a channel.
    async fn picture(&self, channel: &str) {
        let mut output = self.subscriber(channel, Start::Current);
        let mut segment = output.next_segment().await.unwrap().unwrap();
        segment.chunk().await.unwrap().unwrap();
    }

    /// The summary of a session that ends by itself.
    pub async fn ended_by_itself(&self) -> Value {
        let worker = self.server.worker();
        tokio::time::timeout(PATIENCE, worker.idle()).await.unwrap();
        self.status().await["last_session"].take()
    }

    pub async fn stop(&self, body: &'static str) -> Answer {
        post(&self.router, "/api/stream/stop", body).await
    }

    async fn status(&self) -> Value {
        get(&self.router, "/api/stream/status").await.ok().clone()
    }

    /// Ids of the sessions that hold a slot.
    async fn active(&self) -> Vec<String> {
        let status = self.status().await;
        let sessions = status["sessions"].as_array().unwrap();
        sessions
            .iter()
            .map(|session| session["gateway_request_id"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn mime() -> Option<HeaderValue> {
    Some(HeaderValue::from_static("video/mp2t"))
}

pub async fn relay() -> (Relay, String) {
    let relay = Relay::new(RelayConfig::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    let serving = relay.clone();
    tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
    (relay, base)
}

async fn with_stream_id(router: &Router, path: &str, id: &str, body: Value) -> Answer {
    let request = Request::post(path).header("X-Stream-Id", id);
    send(router, request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn a_session_from_start_to_stop() {
    let site = Site::new().await;
    assert_eq!(
        *site.start("r1").await.ok(),
        json!({
            "status": "success",
            "message": "Stream started successfully",
            "request_id": "r1",
        })
    );

    let status = site.status().await;
    assert_eq!(status["status"], "OK");
    assert_eq!(status["active_streams"], 1);
    assert_eq!(status["client_active"], true);
    assert_eq!(status["client_running"], true);
    assert_eq!(status["current_params"]["gateway_request_id"], "r1");
    assert_eq!(status["current_params"]["params"]["strength"], 0.5);
    assert_eq!(status["sessions"][0]["phase"], "running");
    assert_eq!(status["sessions"][0]["frames"]["in"], 0);
    assert_eq!(
        *get(&site.router, "/health").await.ok(),
        json!({"status": "ok", "state": "OK"})
    );

    assert_eq!(
        *site.stop(r#"{"gateway_request_id":"r1"}"#).await.ok(),
        json!({"status": "success", "message": "Stream stopped successfully"})
    );
    // The slot is free as soon as the stop is answered.
    let status = site.status().await;
    assert_eq!(status["status"], "IDLE");
    assert_eq!(status["sessions"], json!([]));
    assert_eq!(status["last_session"]["reason"]["reason"], "stopped");
    site.stop("").await.error(400);
    site.start("r2").await.ok();
}

#[tokio::test]
async fn a_second_session_finds_the_worker_busy() {
    let site = Site::new().await;
    site.start("r1").await.ok();
    assert_eq!(
        site.start("r2").await.error(503),
        "Pipeline is still in use"
    );
    let body = site.body("r2");
    let alias = post_json(&site.router, "/live-video-to-video", body).await;
    assert_eq!(alias.error(500), "Pipeline is still in use");
    assert_eq!(site.active().await, ["r1"]);
}

#[tokio::test]
async fn the_same_id_again_replaces_the_session() {
    let site = Site::new().await;
    site.start("r1").await.ok();
    site.start("r1").await.ok();
    assert_eq!(site.opened.load(Ordering::SeqCst), 2);
    assert_eq!(site.active().await, ["r1"]);
    site.stop("").await.ok();
    assert_eq!(site.active().await, [""; 0]);
}

#[tokio::test]
async fn a_bad_start_leaves_the_running_session_alone() {
    let site = Site::new().await;
    site.start("r1").await.ok();
    for bad in [
        json!({"gateway_request_id": "r1", "subscribe_url": 1}),
        json!({"gateway_request_id": "r1", "params": "x"}),
        json!({"gateway_request_id": "r1", "params": {"width": 640}}),
        json!({"gateway_request_id": "r1", "max_framerate": 0}),
    ] {
        let answer = post_json(&site.router, "/stream/start", bad).await;
        answer.error(400);
    }
    assert_eq!(site.opened.load(Ordering::SeqCst), 1);
    assert_eq!(site.status().await["sessions"][0]["phase"], "running");
}

#[tokio::test]
async fn parameters_that_the_processor_rejects_give_no_session() {
    let site = Site::new().await;
    let mut body = site.body("r1");
    body["params"] = json!({"strength": 7});
    let answer = post_json(&site.router, "/stream/start", body).await;
    assert!(answer.error(400).contains("\"strength\""), "{answer:?}");
    site.start("r2").await.ok();
}

#[tokio::test]
async fn a_rejected_start_with_the_same_id_leaves_the_running_session_alone() {
    let site = Site::new().await;
    site.start("r1").await.ok();
    let mut body = site.body("r1");
    body["params"] = json!({"strength": 7});
    let answer = post_json(&site.router, "/stream/start", body).await;
    assert!(answer.error(400).contains("\"strength\""), "{answer:?}");
    assert_eq!(site.opened.load(Ordering::SeqCst), 2);
    assert_eq!(site.active().await, ["r1"]);
    let status = site.status().await;
    assert_eq!(status["sessions"][0]["phase"], "running");
    assert_eq!(status["current_params"]["params"]["strength"], 0.5);
    let update = json!({"strength": 0.75});
    post_json(&site.router, "/stream/update", update).await.ok();
    site.stop("").await.ok();
    assert_eq!(site.active().await, [""; 0]);
}

/// A processor that blocks where nothing can interrupt it, once its session has started.
#[derive(Clone)]
struct Stuck {
    release: Arc<(std::sync::Mutex<bool>, std::sync::Condvar)>,
    entered: Arc<tokio::sync::Notify>,
}

impl Stuck {
    fn block(&self) {
        self.entered.notify_one();
        let mut free = self.release.0.lock().unwrap();
        while !*free {
            free = self.release.1.wait(free).unwrap();
        }
    }
}

impl FrameProcessor for Stuck {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        Ok(Some(frame))
    }

    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        if params.boolean("block")? == Some(true) {
            self.block();
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_processor_that_cannot_be_stopped_keeps_its_slot_and_is_shown_so() {
    let stuck = Stuck {
        release: Arc::default(),
        entered: Arc::default(),
    };
    let server = StreamServer::builder(stuck.clone()).build().unwrap();
    server.initialize().await.unwrap();
    let router = server.router();
    let (relay, base) = relay().await;
    relay.create_channel("in", mime()).unwrap();
    let body = |id: &str| json!({"gateway_request_id": id, "subscribe_url": format!("{base}in")});
    post_json(&router, "/stream/start", body("r1")).await.ok();
    let update = {
        let router = router.clone();
        tokio::spawn(
            async move { post_json(&router, "/stream/update", json!({"block": true})).await },
        )
    };
    stuck.entered.notified().await;
    post(&router, "/stream/stop", "").await.ok();

    let status = get(&router, "/stream/status").await;
    let session = &status.ok()["sessions"][0];
    assert_eq!(session["phase"], "draining");
    assert_eq!(session["processor"]["draining"], true);
    // It waits for some seconds in case the processor comes back: those of a clock that jumps.
    tokio::time::pause();
    let busy = post_json(&router, "/stream/start", body("r2")).await;
    tokio::time::resume();
    assert_eq!(busy.error(503), "Pipeline is still in use");

    *stuck.release.0.lock().unwrap() = true;
    stuck.release.1.notify_all();
    update.await.unwrap();
    // A start waits for a processor that is about to come back.
    post_json(&router, "/stream/start", body("r2")).await.ok();
}

#[tokio::test]
async fn the_alias_takes_its_id_from_elsewhere() {
    let site = Site::new().await;
    let mut body = site.body("m1");
    body["gateway_request_id"] = json!("");
    body["manifest_id"] = json!("m1");
    body["model_id"] = json!("noop");
    let answer = post_json(&site.router, "/live-video-to-video", body.clone()).await;
    assert_eq!(answer.ok()["request_id"], "");
    assert_eq!(site.active().await, ["m1"]);
    post(&site.router, "/stream/stop", "").await.ok();

    body.as_object_mut().unwrap().remove("manifest_id");
    let answer = post_json(&site.router, "/api/live-video-to-video", body).await;
    answer.ok();
    assert_eq!(site.active().await.len(), 1);
}

#[tokio::test]
async fn a_session_is_stopped_by_any_of_its_names_or_by_none() {
    let site = Site::new().await;
    for stop in ["", "{}", "stream ended", r#"{"gateway_request_id":"r"}"#] {
        site.start("r").await.ok();
        site.stop(stop).await.ok();
    }
    site.start("r").await.ok();
    let unknown = site.stop(r#"{"gateway_request_id":"other"}"#).await;
    assert!(unknown.error(404).contains("\"other\""));
    let wrong = site.stop(r#"{"gateway_request_id":5}"#).await;
    assert!(wrong.error(400).contains("\"gateway_request_id\""));
    assert_eq!(site.active().await, ["r"]);
    site.stop("").await.ok();

    // BYOC names a stream by header, at the start and afterwards.
    let body = site.body("r");
    with_stream_id(&site.router, "/stream/start", "s", body)
        .await
        .ok();
    let other = with_stream_id(&site.router, "/stream/stop", "t", json!("text")).await;
    other.error(404);
    let text = with_stream_id(&site.router, "/stream/stop", "s", json!("text")).await;
    text.ok();
}

#[tokio::test]
async fn updates_reach_the_processor_and_rejected_ones_change_nothing() {
    let site = Site::new().await;
    site.start("r1").await.ok();
    for path in ["/api/stream/update", "/stream/params"] {
        let update = post_json(&site.router, path, json!({"strength": 0.75})).await;
        assert_eq!(
            *update.ok(),
            json!({"status": "success", "message": "Parameters updated successfully"})
        );
    }
    for bad in [
        json!({"strength": 2}),
        json!({"strength": []}),
        json!({"strength": 0, "mode": "bad"}),
        json!({"width": -1, "height": 5}),
    ] {
        let answer = post_json(&site.router, "/api/stream/update", bad).await;
        answer.error(422);
    }
    let status = site.status().await;
    assert_eq!(status["current_params"]["params"]["strength"], 0.75);
    assert_eq!(status["client_running"], true);
}

#[tokio::test]
async fn with_several_sessions_a_request_must_name_one() {
    let two = NonZeroUsize::new(2).unwrap();
    let site = Site::with(|builder| builder.capacity(two)).await;
    site.start("r1").await.ok();
    site.start("r2").await.ok();
    site.start("r3").await.error(503);
    assert!(
        site.stop("")
            .await
            .error(400)
            .contains("\"gateway_request_id\"")
    );
    let update = json!({"strength": 1});
    let answer = post_json(&site.router, "/stream/update", update).await;
    answer.error(400);

    let update = json!({"strength": 1, "gateway_request_id": "r2"});
    post_json(&site.router, "/stream/update", update).await.ok();
    let update = json!({"strength": 0});
    with_stream_id(&site.router, "/stream/params", "r1", update)
        .await
        .ok();
    let status = site.status().await;
    let strength = |at: usize| &status["sessions"][at]["current_params"]["strength"];
    assert_eq!((strength(0), strength(1)), (&json!(0), &json!(1)));

    site.stop(r#"{"gateway_request_id":"r1"}"#).await.ok();
    assert_eq!(site.active().await, ["r2"]);
}

#[tokio::test]
async fn a_session_whose_input_ends_gives_its_slot_back() {
    let site = Site::new().await;
    site.start("r1").await.ok();
    site.relay.close_channel("r1");
    // Nothing came before the end.
    let summary = site.ended_by_itself().await;
    assert_eq!(summary["reason"]["reason"], "no_streams");
}

#[tokio::test]
async fn a_processor_that_cannot_be_opened_takes_no_slot() {
    for panics in [false, true] {
        let model = trickle_processor::from_fn(move |_| -> Result<Picky, ProcessorError> {
            assert!(!panics, "no such device");
            Err(ProcessorError::new("no such device"))
        });
        let server = StreamServer::builder(model).build().unwrap();
        server.initialize().await.unwrap();
        let router = server.router();
        for _ in 0..2 {
            // Channels are touched only once there is a processor.
            let body = json!({"gateway_request_id": "r", "subscribe_url": "http://127.0.0.1:1/in"});
            let answer = post_json(&router, "/stream/start", body).await;
            let message = answer.error(500);
            assert!(message.contains("no such device"), "{message}");
        }
    }
}

#[tokio::test]
async fn draining_ends_sessions_and_refuses_new_ones() {
    let site = Site::new().await;
    site.start("r1").await.ok();
    site.server.drain().await.unwrap();
    assert_eq!(site.active().await, [""; 0]);
    assert_eq!(
        site.start("r2").await.error(503),
        "The worker is shutting down"
    );
}

#[tokio::test]
async fn draining_lets_the_last_frames_out() {
    // Slow enough that frames wait when the end comes.
    let slow = Delay::new(Duration::from_millis(20));
    let server = StreamServer::builder(slow).frame_deadline(None);
    let site = Site::of(server).await;
    let mut body = site.body("r1");
    body["params"] = json!({});
    post_json(&site.router, "/stream/start", body).await.ok();
    let _input_goes_on = site.feed("r1", "ptswrap_180p30.ts").await;
    tokio::time::timeout(PATIENCE, site.picture("r1-out"))
        .await
        .unwrap();
    site.server.drain().await.unwrap();
    let summary = &site.status().await["last_session"];
    assert_eq!(summary["reason"]["reason"], "stopped");
    let frames = &summary["status"]["frames"];
    assert_eq!(frames["dropped"]["stopped"], 0, "{frames}");
    assert!(frames["out"].as_u64().unwrap() >= 3, "{frames}");
}
