//! `/openapi.json` and the handlers say the same.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use http::Request;
use serde_json::{Map, Value, json};
use trickle_processor::builtin::Passthrough;
use trickle_server::StreamServer;

use crate::routes::{OPEN_ROUTES, STREAM_ROUTES};
use crate::sessions::Site;
use crate::support::{Answer, get, post_json, send};

struct Document(Value);

impl Document {
    async fn of(router: &Router) -> Self {
        Self(get(router, "/openapi.json").await.ok().clone())
    }

    fn operations(&self) -> impl Iterator<Item = (String, String, &Value)> {
        let paths = self.0["paths"].as_object().unwrap().iter();
        paths.flat_map(|(path, item)| {
            let operations = item.as_object().unwrap().iter();
            operations
                .map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
        })
    }

    fn operation(&self, method: &str, path: &str) -> &Value {
        &self.0["paths"][path][method.to_lowercase()]
    }

    /// Checks that an answer is one of those described.
    #[track_caller]
    fn check(&self, method: &str, path: &str, answer: &Answer) {
        let responses = &self.operation(method, path)["responses"];
        let described = match &responses[answer.status.as_str()] {
            Value::Null if !answer.status.is_success() => &responses["default"],
            described => described,
        };
        let schema = &described["content"]["application/json"]["schema"];
        assert!(!schema.is_null(), "{method} {path}: {described}");
        self.validate(schema, &answer.body);
    }

    #[track_caller]
    fn validate(&self, schema: &Value, value: &Value) {
        let mut root = self.0.clone();
        root["allOf"] = json!([schema]);
        let validator = jsonschema::validator_for(&root).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?} in {value:#}");
    }

    /// The schema of a body, references resolved.
    fn body(&self, method: &str, path: &str) -> &Map<String, Value> {
        let body = &self.operation(method, path)["requestBody"]["content"]["application/json"];
        let mut schema = &body["schema"];
        if let Some(reference) = schema["$ref"].as_str() {
            schema = self.0.pointer(reference.trim_start_matches('#')).unwrap();
        }
        schema["properties"].as_object().unwrap()
    }
}

#[tokio::test]
async fn every_route_is_described_and_nothing_else_is() {
    let site = Site::new().await;
    let document = Document::of(&site.router).await;
    let described: BTreeSet<_> = document
        .operations()
        .map(|(method, path, _)| (method, path))
        .collect();
    let served = STREAM_ROUTES
        .into_iter()
        .chain(OPEN_ROUTES.map(|path| ("GET", path)))
        .map(|(method, path)| (method.to_owned(), path.to_owned()));
    assert_eq!(described, served.collect());
    let ids: BTreeSet<_> = document
        .operations()
        .map(|(_, _, operation)| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), described.len(), "{ids:?}");
    for (method, path, operation) in document.operations() {
        let guarded = STREAM_ROUTES.contains(&(method.as_str(), path.as_str()));
        assert_eq!(operation["security"].is_array(), guarded, "{path}");
        assert!(!operation["summary"].is_null(), "{path}");
    }
}

/// A worker's answers beside the description.
struct Checked<'a> {
    document: &'a Document,
    seen: BTreeSet<(String, String, String)>,
}

impl Checked<'_> {
    /// Calls a route, and checks that its answer is one of those described.
    async fn send(&mut self, router: &Router, path: &str, request: Request<Body>) -> Answer {
        let method = request.method().to_string();
        let answer = send(router, request).await;
        self.document.check(&method, path, &answer);
        let status = answer.status.as_str().to_owned();
        self.seen.insert((method, path.to_owned(), status));
        answer
    }

    async fn call(
        &mut self,
        router: &Router,
        method: &str,
        path: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = Request::builder().method(method).uri(format!("/api{path}"));
        let request = request.body(body.into()).unwrap();
        self.send(router, path, request).await
    }
}

/// Every status that is described is answered, in the form that is described, and no other.
#[tokio::test]
async fn answers_are_those_that_are_described() {
    let site = Site::new().await;
    let document = Document::of(&site.router).await;
    let mut checked = Checked {
        document: &document,
        seen: BTreeSet::new(),
    };
    let worker = &site.router;
    // Without a session.
    for path in OPEN_ROUTES {
        // No JSON: tests of its own look at it.
        if path == "/metrics" {
            let seen = ("GET".into(), path.into(), "200".into());
            checked.seen.insert(seen);
        } else {
            checked.call(worker, "GET", path, "").await.ok();
        }
    }
    for (method, path) in STREAM_ROUTES {
        match method {
            "GET" => drop(checked.call(worker, method, path, "").await.ok().clone()),
            _ => drop(
                checked
                    .call(worker, method, path, "[]")
                    .await
                    .error(400)
                    .len(),
            ),
        }
    }
    // With one.
    let start = site.body("r1").to_string();
    checked
        .call(worker, "POST", "/stream/start", start)
        .await
        .ok();
    site.publish("r1", "ptswrap_180p30.ts").await;
    checked.call(worker, "GET", "/stream/status", "").await.ok();
    site.ended_by_itself().await;
    checked.call(worker, "GET", "/stream/status", "").await.ok();
    let start = site.body("r2").to_string();
    let alias = "/live-video-to-video";
    checked.call(worker, "POST", alias, start).await.ok();
    checked.call(worker, "GET", "/stream/status", "").await.ok();
    let other = json!({"gateway_request_id": "r3"}).to_string();
    let refused = checked.call(worker, "POST", "/stream/start", other.clone());
    refused.await.error(503);
    let refused = checked.call(worker, "POST", alias, other.clone());
    refused.await.error(500);
    for path in ["/stream/update", "/stream/params"] {
        let good = json!({"strength": 0.5}).to_string();
        checked.call(worker, "POST", path, good).await.ok();
        let bad = json!({"strength": 5}).to_string();
        checked.call(worker, "POST", path, bad).await.error(422);
        checked
            .call(worker, "POST", path, other.clone())
            .await
            .error(404);
    }
    let unknown = checked.call(worker, "POST", "/stream/stop", other);
    unknown.await.error(404);
    let large = " ".repeat(65 << 10);
    let refused = checked.call(worker, "POST", "/stream/stop", large);
    refused.await.error(413);
    checked.call(worker, "POST", "/stream/stop", "").await.ok();
    // An orchestrator reserved it and cannot be reached.
    let reserved = Request::post("/api/stream/start")
        .header("livepeer-session-id", "r4")
        .header("livepeer-session-token", "token")
        .header("livepeer-session-control", "http://127.0.0.1:1/session/r4");
    let body = json!({"gateway_request_id": "r4"}).to_string();
    let reserved = reserved.body(body.into()).unwrap();
    let refused = checked.send(worker, "/stream/start", reserved).await;
    refused.error(502);
    // Other workers: one without its model, one with a token.
    let loading = StreamServer::builder(Passthrough).build().unwrap().router();
    let health = checked.call(&loading, "GET", "/health", "").await;
    assert_eq!(health.status, 503);
    let guarded = StreamServer::builder(Passthrough).auth_token("t0ken");
    let guarded = guarded.build().unwrap().router();
    for (method, path) in STREAM_ROUTES {
        checked.call(&guarded, method, path, "").await.error(401);
    }
    for (method, path, operation) in document.operations() {
        for status in operation["responses"].as_object().unwrap().keys() {
            let answer = (method.clone(), path.clone(), status.clone());
            let seen = status == "default" || checked.seen.contains(&answer);
            assert!(seen, "{method} {path} was never answered {status}");
        }
    }
}

/// Every field that is described is read: with a value of another type, the start is refused.
#[tokio::test]
async fn fields_described_are_the_fields_read() {
    let site = Site::new().await;
    let document = Document::of(&site.router).await;
    for path in ["/stream/start", "/live-video-to-video"] {
        let fields = document.body("POST", path);
        assert!(fields.len() >= 5, "{fields:?}");
        for none in [json!(null), json!("")] {
            document.validate(&fields["subscribe_url"], &none);
        }
        for field in fields.keys() {
            let mut body = json!({"gateway_request_id": "r"});
            body[field] = json!(5);
            let answer = post_json(&site.router, path, body).await;
            let message = answer.error(400);
            assert!(message.contains(&format!("{field:?}")), "{message}");
        }
    }
}
