//! `/openapi.json` and the handlers say the same.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use http::{Method, Request};
use serde_json::{Map, Value, json};

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

#[tokio::test]
async fn answers_have_the_form_that_is_described() {
    let site = Site::new().await;
    let document = Document::of(&site.router).await;
    let call = async |method: &str, path: &str, body: Body| {
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("/api{path}"));
        let answer = send(&site.router, request.body(body).unwrap()).await;
        document.check(method, path, &answer);
        answer
    };
    // Without a session.
    for path in OPEN_ROUTES {
        if path != "/metrics" {
            call("GET", path, Body::empty()).await.ok();
        }
    }
    call("GET", "/stream/status", Body::empty()).await.ok();
    for (method, path) in STREAM_ROUTES {
        if method == "POST" {
            call(method, path, Body::from("[]")).await.error(400);
        }
    }
    // With one.
    let start = site.body("r1").to_string();
    call("POST", "/stream/start", start.into()).await.ok();
    site.publish("r1", "ptswrap_180p30.ts").await;
    call("GET", "/stream/status", Body::empty()).await.ok();
    site.ended_by_itself().await;
    call("GET", "/stream/status", Body::empty()).await.ok();
    let start = site.body("r2").to_string();
    call("POST", "/live-video-to-video", start.into())
        .await
        .ok();
    call("GET", "/stream/status", Body::empty()).await.ok();
    let other = json!({"gateway_request_id": "r3"}).to_string();
    call("POST", "/stream/start", other.clone().into())
        .await
        .error(503);
    call("POST", "/live-video-to-video", other.clone().into())
        .await
        .error(500);
    let good = json!({"strength": 0.5}).to_string();
    call("POST", "/stream/params", good.into()).await.ok();
    let bad = json!({"strength": 5}).to_string();
    call("POST", "/stream/update", bad.into()).await.error(422);
    call("POST", "/stream/stop", other.into()).await.error(404);
    let large = " ".repeat(65 << 10);
    call("POST", "/stream/stop", large.into()).await.error(413);
    call("POST", "/stream/stop", Body::empty()).await.ok();
}

/// Every field that is described is read: with a value of another type, the start is refused.
#[tokio::test]
async fn fields_described_are_the_fields_read() {
    let site = Site::new().await;
    let document = Document::of(&site.router).await;
    for path in ["/stream/start", "/live-video-to-video"] {
        let fields = document.body("POST", path);
        assert!(fields.len() >= 5, "{fields:?}");
        for field in fields.keys() {
            let mut body = json!({"gateway_request_id": "r"});
            body[field] = json!(5);
            let answer = post_json(&site.router, path, body).await;
            let message = answer.error(400);
            assert!(message.contains(&format!("{field:?}")), "{message}");
        }
    }
}
