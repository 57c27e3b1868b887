//! A model on its way, and one that never comes: health, starts, the end of serving.

use std::sync::Arc;
use std::time::Duration;

use crate::sessions::relay;
use crate::support::{get, post_json};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use trickle_processor::builtin::Passthrough;
use trickle_processor::{InitError, Model, ProcessorError, StreamContext};
use trickle_server::{HealthStyle, ServeError, StreamServer, StreamServerBuilder};

/// A model that is loaded when the test says so, or fails.
struct Slow {
    gate: Arc<Semaphore>,
    end: Result<(), &'static str>,
}

impl Model for Slow {
    type Processor = Passthrough;

    async fn initialize(&self) -> Result<(), InitError> {
        // The semaphore is never closed.
        drop(self.gate.acquire().await);
        self.end.map_err(InitError::new)
    }

    fn open(&self, _: StreamContext) -> Result<Passthrough, ProcessorError> {
        Ok(Passthrough)
    }
}

fn slow(end: Result<(), &'static str>) -> (StreamServerBuilder, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let model = Slow {
        gate: gate.clone(),
        end,
    };
    (StreamServer::builder(model), gate)
}

#[tokio::test]
async fn health_is_503_until_the_model_is_loaded() {
    let (builder, gate) = slow(Ok(()));
    let server = builder.build().unwrap();
    let router = server.router();
    for path in ["/health", "/api/health"] {
        let answer = get(&router, path).await;
        assert_eq!(answer.status, 503);
        assert_eq!(
            answer.body,
            json!({"status": "loading", "state": "LOADING"})
        );
    }
    get(&router, "/livez").await.ok();
    gate.add_permits(1);
    server.initialize().await.unwrap();
    assert_eq!(
        *get(&router, "/health").await.ok(),
        json!({"status": "ok", "state": "IDLE"})
    );
}

#[tokio::test]
async fn a_model_that_fails_shows_why() {
    let (builder, gate) = slow(Err("no such weights"));
    let server = builder.build().unwrap();
    let router = server.router();
    gate.add_permits(1);
    let error = server.initialize().await.unwrap_err();
    assert!(error.to_string().contains("no such weights"));
    let answer = get(&router, "/health").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body["state"], "ERROR");
    assert!(
        answer.body["message"]
            .as_str()
            .unwrap()
            .contains("no such weights")
    );
    let status = get(&router, "/stream/status").await;
    assert_eq!(status.ok()["pipeline_ready"], false);
    let start = post_json(&router, "/stream/start", json!({"gateway_request_id": "r"})).await;
    assert!(start.error(503).contains("no such weights"));
}

#[tokio::test]
async fn a_model_that_panics_is_a_model_that_failed() {
    struct Panics;
    impl Model for Panics {
        type Processor = Passthrough;
        async fn initialize(&self) -> Result<(), InitError> {
            panic!("out of memory")
        }
        fn open(&self, _: StreamContext) -> Result<Passthrough, ProcessorError> {
            Ok(Passthrough)
        }
    }
    let server = StreamServer::builder(Panics).build().unwrap();
    let error = server.initialize().await.unwrap_err();
    assert!(error.to_string().contains("out of memory"), "{error}");
}

#[tokio::test]
async fn pytrickles_style_is_always_200_and_says_it_in_a_word() {
    for (end, word) in [(Ok(()), "IDLE"), (Err("broken"), "ERROR")] {
        let (builder, gate) = slow(end);
        let server = builder
            .health_style(HealthStyle::PyTrickle)
            .build()
            .unwrap();
        let router = server.router();
        assert_eq!(get(&router, "/health").await.ok()["status"], "LOADING");
        gate.add_permits(1);
        assert_eq!(server.initialize().await.is_ok(), end.is_ok());
        assert_eq!(get(&router, "/health").await.ok()["status"], word);
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_waits_for_the_model_and_then_says_when_to_come_back() {
    let (builder, _gate) = slow(Ok(()));
    let server = builder.load_wait(Duration::from_secs(20)).build().unwrap();
    let router = server.router();
    let before = tokio::time::Instant::now();
    let body = json!({"gateway_request_id": "r"});
    let answer = post_json(&router, "/stream/start", body.clone()).await;
    assert_eq!(answer.error(503), "The model is still loading");
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(before.elapsed().as_secs(), 20);
    // go-livepeer's live pipeline knows no 503.
    let answer = post_json(&router, "/live-video-to-video", body).await;
    answer.error(500);
}

#[tokio::test]
async fn a_session_may_run_before_the_model_is_loaded() {
    let (builder, gate) = slow(Ok(()));
    let server = builder.accept_while_loading(true).build().unwrap();
    let router = server.router();
    let (relay, base) = relay().await;
    relay.create_channel("in", None).unwrap();
    let body = json!({
        "gateway_request_id": "r",
        "subscribe_url": format!("{base}in"),
        "params": {"mood": 1},
    });
    post_json(&router, "/stream/start", body).await.ok();
    // Loading, and yet a session lives.
    let health = get(&router, "/health").await;
    assert_eq!(health.ok()["state"], "LOADING");
    let status = get(&router, "/stream/status").await;
    assert_eq!(status.ok()["sessions"][0]["phase"], "running");
    assert_eq!(status.ok()["pipeline_ready"], false);
    // Updates are taken meanwhile, those of the worker's own parameters at once.
    let update = json!({"max_framerate": 0});
    post_json(&router, "/stream/update", update)
        .await
        .error(422);
    let update = json!({"max_framerate": 12});
    post_json(&router, "/stream/update", update).await.ok();
    gate.add_permits(1);
    server.initialize().await.unwrap();
    let status = get(&router, "/stream/status").await;
    assert_eq!(
        status.ok()["current_params"]["params"],
        json!({"mood": 1, "max_framerate": 12})
    );
    post_json(&router, "/stream/stop", json!({})).await.ok();
}

#[tokio::test]
async fn a_bad_start_is_refused_while_the_model_loads() {
    let (builder, _gate) = slow(Ok(()));
    let router = builder.build().unwrap().router();
    post_json(&router, "/stream/start", json!({}))
        .await
        .error(400);
}

#[tokio::test]
async fn serving_ends_with_the_models_error() {
    let (builder, gate) = slow(Err("no such weights"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    gate.add_permits(1);
    let served = builder
        .build()
        .unwrap()
        .serve_with_shutdown(listener, std::future::pending())
        .await;
    assert!(matches!(served, Err(ServeError::Model(_))), "{served:?}");
}

#[tokio::test]
async fn shutting_down_does_not_wait_for_a_model_that_loads() {
    let (builder, _gate) = slow(Ok(()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = builder.build().unwrap();
    server
        .serve_with_shutdown(listener, std::future::ready(()))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let served = StreamServer::builder(Passthrough).addr(addr).serve().await;
    let message = served.unwrap_err().to_string();
    assert!(message.contains(&addr.to_string()), "{message}");
}
