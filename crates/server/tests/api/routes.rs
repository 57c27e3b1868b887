//! Every route without a session: prefixes, statuses, bodies, limits, tokens.

use std::convert::Infallible;

use crate::support::{get, post, post_json, send};
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::json;
use trickle_processor::builtin::{Passthrough, Tint};
use trickle_server::{BuildError, StreamServer};

pub const STREAM_ROUTES: [(&str, &str); 7] = [
    ("POST", "/stream/start"),
    ("POST", "/live-video-to-video"),
    ("POST", "/stream/stop"),
    ("POST", "/stream/update"),
    ("POST", "/stream/params"),
    ("GET", "/stream/status"),
    ("GET", "/stream/params-schema"),
];
pub const OPEN_ROUTES: [&str; 8] = [
    "/health",
    "/livez",
    "/metrics",
    "/openapi.json",
    "/version",
    "/app-version",
    "/hardware/info",
    "/hardware/stats",
];

/// A worker that has loaded its model.
async fn ready() -> Router {
    let server = StreamServer::builder(Passthrough).build().unwrap();
    server.initialize().await.unwrap();
    server.router()
}

fn both(path: &str) -> [String; 2] {
    [path.to_owned(), format!("/api{path}")]
}

#[tokio::test]
async fn open_routes_answer_under_both_prefixes() {
    let router = ready().await;
    for path in OPEN_ROUTES.iter().flat_map(|path| both(path)) {
        get(&router, &path).await.ok();
    }
}

#[tokio::test]
async fn an_unknown_route_is_404_in_json() {
    let router = ready().await;
    for path in ["/", "/api", "/nope", "/api/nope", "/api/stream", "/health/"] {
        let answer = get(&router, path).await;
        assert!(answer.error(404).contains(path), "{answer:?}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_in_json_and_names_the_right_one() {
    let router = ready().await;
    let routes = STREAM_ROUTES
        .into_iter()
        .chain(OPEN_ROUTES.map(|path| ("GET", path)));
    for (method, path) in routes {
        for path in both(path) {
            let wrong = if method == "GET" { "POST" } else { "GET" };
            let request = Request::builder().method(wrong).uri(&path);
            let answer = send(&router, request.body(Body::empty()).unwrap()).await;
            answer.error(405);
            let allow = answer.headers[header::ALLOW].to_str().unwrap();
            assert!(allow.contains(method), "{path}: {allow}");
        }
    }
}

#[tokio::test]
async fn version_states_what_was_configured() {
    let server = StreamServer::builder(Passthrough)
        .capability_name("cats")
        .version("1.2.3")
        .build()
        .unwrap();
    let router = server.router();
    assert_eq!(
        *get(&router, "/version").await.ok(),
        json!({"pipeline": "byoc", "model_id": "cats", "version": "1.2.3"})
    );
    assert_eq!(
        *get(&router, "/app-version").await.ok(),
        json!({"version": "1.2.3"})
    );
    let router = StreamServer::builder(Passthrough)
        .pipeline("live-video-to-video")
        .model_id("noop")
        .build()
        .unwrap()
        .router();
    let version = get(&router, "/version").await;
    assert_eq!(version.body["pipeline"], "live-video-to-video");
    assert_eq!(version.body["model_id"], "noop");
}

#[tokio::test]
async fn hardware_without_a_gpu_is_an_empty_map() {
    let router = ready().await;
    let info = get(&router, "/hardware/info").await.ok().clone();
    let backends = info["backends"].clone();
    assert_eq!(backends[0]["name"], "cpu");
    assert_eq!(
        info,
        json!({
            "pipeline": "byoc",
            "model_id": "custom-processor",
            "gpu_info": {},
            "backends": backends,
        })
    );
    assert_eq!(
        *get(&router, "/hardware/stats").await.ok(),
        json!({"pipeline": "byoc", "model_id": "custom-processor", "gpu_stats": {}})
    );
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_400() {
    let router = ready().await;
    for path in [
        "/stream/start",
        "/live-video-to-video",
        "/stream/update",
        "/stream/params",
    ] {
        for path in both(path) {
            let message = post(&router, &path, "{\"a\":").await.error(400).to_owned();
            assert!(message.contains("line 1"), "{message}");
            let message = post(&router, &path, "[1]").await.error(400).to_owned();
            assert!(message.contains("an array"), "{message}");
            let message = post(&router, &path, Body::empty())
                .await
                .error(400)
                .to_owned();
            assert!(message.contains("nothing"), "{message}");
            let nested = "[".repeat(100_000);
            post(&router, &path, nested).await.error(400);
        }
    }
}

#[tokio::test]
async fn a_start_with_a_wrong_field_names_it() {
    let router = ready().await;
    for path in both("/stream/start") {
        let answer = post_json(&router, &path, json!({"params": {}})).await;
        assert!(answer.error(400).contains("\"gateway_request_id\""));
        let body = json!({"gateway_request_id": "r", "subscribe_url": "nonsense"});
        let answer = post_json(&router, &path, body).await;
        assert!(answer.error(400).contains("\"subscribe_url\""));
        // What names no channel.
        let body = json!({"gateway_request_id": "r", "subscribe_url": "http://127.0.0.1:1/"});
        let answer = post_json(&router, &path, body).await;
        assert!(answer.error(400).contains("\"subscribe_url\""));
    }
}

#[tokio::test]
async fn bodies_have_limits() {
    let router = ready().await;
    let text = |bytes: usize| format!("{{\"x\":\"{}\"}}", "y".repeat(bytes));
    for (path, limit) in [
        ("/stream/start", 1 << 20),
        ("/stream/stop", 64 << 10),
        ("/stream/update", 10 << 20),
    ] {
        let answer = post(&router, path, text(limit)).await;
        assert!(answer.error(413).contains(&limit.to_string()), "{path}");
        // What is within it reaches the handler.
        post(&router, path, text(limit - 100)).await.error(400);
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_limited_too() {
    let router = ready().await;
    let chunks = std::iter::repeat_with(|| {
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[b' '; 65_536])))
    });
    let body = Body::new(StreamBody::new(futures_util::stream::iter(chunks)));
    post(&router, "/stream/start", body).await.error(413);
}

#[tokio::test]
async fn with_a_token_stream_routes_want_it_and_others_do_not() {
    let server = StreamServer::builder(Passthrough)
        .auth_token("s3cret")
        .build()
        .unwrap();
    server.initialize().await.unwrap();
    let router = server.router();
    let call = |method: &str, path: String, credential: Option<&'static str>| {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path);
        if let Some(value) = credential {
            request = request.header(header::AUTHORIZATION, value);
        }
        let router = router.clone();
        async move { send(&router, request.body(Body::empty()).unwrap()).await }
    };
    for (method, path) in STREAM_ROUTES {
        for path in both(path) {
            for wrong in [
                None,
                Some("Bearer s3cre"),
                Some("Bearer s3cret2"),
                Some("s3cret"),
            ] {
                let answer = call(method, path.clone(), wrong).await;
                answer.error(401);
                assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
            }
            let answer = call(method, path.clone(), Some("Bearer s3cret")).await;
            assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        }
    }
    for path in OPEN_ROUTES.iter().flat_map(|path| both(path)) {
        call("GET", path, None).await.ok();
    }
}

#[tokio::test]
async fn without_a_session_there_is_nothing_to_stop_or_update() {
    let router = ready().await;
    for path in both("/stream/stop") {
        for body in ["", "stream ended", "{}", r#"{"gateway_request_id":"r"}"#] {
            let answer = post(&router, &path, body).await;
            assert_eq!(answer.error(400), "No active stream to stop");
        }
    }
    for path in both("/stream/update")
        .into_iter()
        .chain(both("/stream/params"))
    {
        let answer = post_json(&router, &path, json!({"strength": 1})).await;
        assert_eq!(answer.error(400), "No active stream to update");
    }
}

#[tokio::test]
async fn status_without_a_session() {
    let router = ready().await;
    for path in both("/stream/status") {
        let answer = get(&router, &path).await;
        let status = answer.ok();
        assert_eq!(status["status"], "IDLE");
        assert_eq!(status["state"], "IDLE");
        assert_eq!(status["pipeline_state"], "IDLE");
        assert_eq!(status["pipeline_ready"], true);
        assert_eq!(status["startup_complete"], true);
        assert_eq!(status["additional_info"], json!({}));
        assert_eq!(status["active_streams"], 0);
        assert_eq!(status["client_active"], false);
        assert_eq!(status["client_running"], false);
        assert_eq!(status["fps"]["ingress_video_fps"], 0.0);
        assert_eq!(status["current_params"], json!({}));
        assert_eq!(status["sessions"], json!([]));
        assert_eq!(status["capacity"], 1);
    }
}

#[tokio::test]
async fn parameters_are_described_the_workers_own_among_them() {
    let router = ready().await;
    for path in both("/stream/params-schema") {
        let schema = get(&router, &path).await.ok().clone();
        assert_eq!(schema["type"], "object");
        let own = schema["properties"].as_object().unwrap();
        assert_eq!(own.len(), 6, "{schema}");
        assert_eq!(own["max_framerate"]["maximum"], 60.0);
    }
    let router = StreamServer::builder(Tint::default())
        .build()
        .unwrap()
        .router();
    let schema = get(&router, "/stream/params-schema").await;
    let properties = &schema.ok()["properties"];
    assert_eq!(properties["strength"]["maximum"], 1);
    assert_eq!(properties["width"]["minimum"], 1);
}

#[test]
fn an_option_that_cannot_work_is_named() {
    let built = StreamServer::builder(Passthrough)
        .auth_token("two words")
        .build();
    assert!(matches!(
        built.err(),
        Some(BuildError::Option {
            option: "auth_token",
            ..
        })
    ));
}
