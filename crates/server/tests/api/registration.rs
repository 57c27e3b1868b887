//! Registration over sockets: a worker, and the endpoints of an orchestrator with its relay.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use trickle_processor::builtin::Passthrough;
use trickle_proto::{
    Client, ClientConfig, PublishOptions, Publisher, Relay, RelayConfig, ServerTls,
};
use trickle_server::{ByocConfig, LiveRunnerConfig, StreamServer, StreamServerBuilder};

const SECRET: &str = "orch-secret";
/// Longest wait for what happens on its own; tests do not come near it.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Book {
    /// Route and authorization of every request, with its body.
    asked: Vec<(String, String, String)>,
    sessions: Vec<String>,
}

/// An orchestrator: go-livepeer's routes for workers, and a relay.
#[derive(Clone)]
struct Orchestrator {
    book: Arc<Mutex<Book>>,
    noted: Arc<Notify>,
    relay: Relay,
    url: String,
    channels: String,
}

impl Orchestrator {
    async fn new() -> Self {
        let relay = Relay::new(RelayConfig::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let channels = format!("http://{}/", listener.local_addr().unwrap());
        let served = relay.clone();
        tokio::spawn(async move { served.serve(listener, std::future::pending()).await });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let orchestrator = Self {
            book: Arc::default(),
            noted: Arc::default(),
            relay,
            url: format!("http://{}", listener.local_addr().unwrap()),
            channels,
        };
        let router = Router::new()
            .route("/capability/{action}", post(capability))
            .route("/runners/heartbeat", post(heartbeat))
            .route("/runners/{id}/unregister", post(unregister))
            .route("/session/{id}/channels", post(make).delete(remove))
            .route("/session/{id}/stop", post(stopped))
            .with_state(orchestrator.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        orchestrator
    }

    fn note(&self, what: &str, headers: &HeaderMap, body: &str) -> String {
        let auth = ["authorization", "livepeer-session-token"]
            .iter()
            .find_map(|name| headers.get(*name))
            .map_or("", |value| value.to_str().unwrap())
            .to_owned();
        let mut book = self.book.lock().unwrap();
        book.asked.push((what.into(), auth.clone(), body.into()));
        drop(book);
        self.noted.notify_one();
        auth
    }

    /// Waits for a request to this route, and gives its authorization and body.
    async fn asked(&self, what: &str) -> (String, String) {
        let asked = async {
            loop {
                let found = {
                    let mut book = self.book.lock().unwrap();
                    let at = book.asked.iter().position(|(route, ..)| route == what);
                    at.map(|at| book.asked.remove(at))
                };
                match found {
                    Some((_, auth, body)) => return (auth, body),
                    None => self.noted.notified().await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .unwrap_or_else(|_| panic!("nobody asked for {what}"))
    }

    async fn o2r(&self) -> Publisher {
        let url = format!("{}o2r", self.channels).parse().unwrap();
        let client = Client::new(ClientConfig::default()).unwrap();
        let options = PublishOptions::new("application/json");
        client.publish(&url, options).await.unwrap()
    }
}

async fn capability(
    State(orchestrator): State<Orchestrator>,
    Path(action): Path<String>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, &'static str) {
    match orchestrator.note(&action, &headers, &body).as_str() {
        SECRET => (StatusCode::OK, "ok"),
        _ => (StatusCode::BAD_REQUEST, "invalid authorization"),
    }
}

async fn heartbeat(
    State(orchestrator): State<Orchestrator>,
    headers: HeaderMap,
    body: String,
) -> Result<Json<Value>, StatusCode> {
    let auth = orchestrator.note("heartbeat", &headers, &body);
    let mut answer = json!({
        "runner_id": "runner_1",
        "orchestrator": "https://public:8935",
        "heartbeat_interval": "100ms",
        "heartbeat_ttl": "20s",
        "session_ids": orchestrator.book.lock().unwrap().sessions,
    });
    let known = serde_json::from_str::<Value>(&body).unwrap();
    match (known.get("runner_id"), auth.as_str()) {
        (None, SECRET) => {
            orchestrator.relay.create_channel("o2r", None).unwrap();
            let url = format!("{}o2r", orchestrator.channels);
            answer["heartbeat_secret"] = "heart".into();
            answer["o2r"] =
                json!({"name": "o2r", "channel_name": "o2r", "url": url, "mime_type": ""});
        }
        (Some(_), "heart") => {}
        _ => return Err(StatusCode::UNAUTHORIZED),
    }
    Ok(Json(answer))
}

async fn unregister(
    State(orchestrator): State<Orchestrator>,
    Path(id): Path<String>,
    headers: HeaderMap,
) {
    orchestrator.note(&format!("unregister {id}"), &headers, "");
}

async fn make(
    State(orchestrator): State<Orchestrator>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Json<Value> {
    orchestrator.note("channels", &headers, &body.to_string());
    let made = |channel: &Value| {
        let name = channel["name"].as_str().unwrap();
        let channel_name = format!("{id}-{name}");
        orchestrator
            .relay
            .create_channel(&channel_name, None)
            .unwrap();
        json!({
            "name": name,
            "channel_name": channel_name,
            "url": format!("https://public:8935/ai/trickle/{channel_name}"),
            "internal_url": format!("{}{channel_name}", orchestrator.channels),
            "mime_type": channel["mime_type"],
        })
    };
    let channels: Vec<_> = body["channels"]
        .as_array()
        .unwrap()
        .iter()
        .map(made)
        .collect();
    Json(json!({"channels": channels}))
}

async fn remove(
    State(orchestrator): State<Orchestrator>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Json<Value> {
    orchestrator.note("remove", &headers, &body.to_string());
    Json(json!({"deleted": body["channels"]}))
}

async fn stopped(
    State(orchestrator): State<Orchestrator>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> StatusCode {
    orchestrator.note(&format!("stop {id}"), &headers, "");
    StatusCode::NO_CONTENT
}

/// A worker that serves.
struct Worker {
    inside: trickle_server::Worker,
    url: String,
    client: Client,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Worker {
    async fn new(configure: impl FnOnce(StreamServerBuilder) -> StreamServerBuilder) -> Self {
        let server = configure(StreamServer::builder(Passthrough))
            .build()
            .unwrap();
        let inside = server.worker();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            server.serve_with_shutdown(listener, stopped).await.unwrap();
        });
        Self {
            inside,
            url,
            client: Client::new(ClientConfig::default()).unwrap(),
            stop,
            serving,
        }
    }

    /// Calls the worker as the orchestrator's proxy does for session `id`.
    async fn call(&self, path: &str, id: &str, control: &str, body: Value) -> (StatusCode, Value) {
        let request = http::Request::post(format!("{}{path}", self.url))
            .header("livepeer-session-id", id)
            .header("livepeer-session-token", "token")
            .header("livepeer-session-control", control)
            .header("livepeer-runner-route", "runner_1")
            .body(body.to_string().into());
        let answer = self.client.call(request.unwrap()).await.unwrap();
        let body = serde_json::from_slice(answer.body()).unwrap();
        (answer.status(), body)
    }

    async fn status(&self) -> Value {
        let request = http::Request::get(format!("{}/stream/status", self.url));
        let answer = self.client.call(request.body(bytes::Bytes::new()).unwrap());
        serde_json::from_slice(answer.await.unwrap().body()).unwrap()
    }

    async fn idle(&self) {
        let idle = self.inside.idle();
        tokio::time::timeout(PATIENCE, idle).await.unwrap();
    }

    async fn shut_down(self) {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap();
    }
}

#[tokio::test]
async fn a_capability_comes_and_goes_with_the_worker() {
    let orchestrator = Orchestrator::new().await;
    let config = ByocConfig::new(orchestrator.url.parse().unwrap(), SECRET).unwrap();
    let worker = Worker::new(|builder| {
        builder
            .byoc(config)
            .capability_name("depth")
            .auth_token("t0ken")
    })
    .await;
    let (auth, body) = orchestrator.asked("register").await;
    assert_eq!(auth, SECRET);
    let body: Value = serde_json::from_str(&body).unwrap();
    let port = worker.url.rsplit(':').next().unwrap();
    assert_eq!(body["url"], format!("http://localhost:{port}"));
    assert_eq!(
        (&body["name"], &body["token"]),
        (&"depth".into(), &"t0ken".into())
    );
    worker.shut_down().await;
    let left = orchestrator.asked("unregister").await;
    assert_eq!(left, (SECRET.to_owned(), "depth".to_owned()));
}

#[tokio::test]
async fn a_worker_with_a_certificate_registers_under_https() {
    let orchestrator = Orchestrator::new().await;
    let config = ByocConfig::new(orchestrator.url.parse().unwrap(), SECRET).unwrap();
    let made = rcgen::generate_simple_self_signed(["worker".to_owned()]).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let tls = ServerTls::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
    let worker = Worker::new(|builder| builder.byoc(config).tls(tls)).await;
    let (_, body) = orchestrator.asked("register").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    let url = body["url"].as_str().unwrap();
    assert!(url.starts_with("https://localhost:"), "{url}");
    worker.shut_down().await;
}

#[tokio::test]
async fn a_runner_serves_the_sessions_that_its_orchestrator_reserves() {
    let orchestrator = Orchestrator::new().await;
    let config = LiveRunnerConfig::new(orchestrator.url.parse().unwrap(), SECRET).unwrap();
    let two = std::num::NonZeroUsize::new(2).unwrap();
    let worker = Worker::new(|builder| builder.live_runner(config).capacity(two)).await;
    assert_eq!(orchestrator.asked("heartbeat").await.0, SECRET);
    assert_eq!(orchestrator.asked("heartbeat").await.0, "heart");
    assert_eq!(
        worker.status().await["registrations"][0]["state"],
        "registered"
    );

    let all = ["a", "b"].map(str::to_owned);
    orchestrator.book.lock().unwrap().sessions = all.to_vec();
    for id in &all {
        let control = format!("{}/session/{id}", orchestrator.url);
        let body = json!({"gateway_request_id": format!("request-{id}")});
        let (status, answer) = worker.call("/stream/start", id, &control, body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(
            answer["channels"][0]["url"],
            format!("https://public:8935/ai/trickle/{id}-in")
        );
        assert_eq!(orchestrator.asked("channels").await.0, "token");
    }

    // One ends with its input; the orchestrator is told.
    assert!(orchestrator.relay.close_channel("a-in"));
    assert_eq!(orchestrator.asked("stop a").await.0, "token");
    assert!(orchestrator.asked("remove").await.1.contains("\"events\""));

    // The other is released by the orchestrator, which needs not be told.
    let mut o2r = orchestrator.o2r().await;
    let mut segment = o2r.next_segment().await.unwrap();
    let released = json!({"event": "released", "session": "b"}).to_string();
    segment.write(released.into()).await.unwrap();
    segment.finish().await.unwrap();
    worker.idle().await;
    orchestrator.asked("remove").await;
    worker.shut_down().await;
    assert_eq!(orchestrator.asked("unregister runner_1").await.0, "heart");
    let book = orchestrator.book.lock().unwrap();
    assert!(book.asked.iter().all(|(route, ..)| route != "stop b"));
}

#[tokio::test]
async fn a_session_that_is_no_longer_listed_is_ended() {
    let orchestrator = Orchestrator::new().await;
    let config = LiveRunnerConfig::new(orchestrator.url.parse().unwrap(), SECRET).unwrap();
    let worker = Worker::new(|builder| builder.live_runner(config)).await;
    orchestrator.asked("heartbeat").await;
    orchestrator.book.lock().unwrap().sessions = vec!["a".into()];
    let control = format!("{}/session/a", orchestrator.url);
    let body = json!({"gateway_request_id": "r"});
    let (status, _) = worker.call("/stream/start", "a", &control, body).await;
    assert_eq!(status, StatusCode::OK);
    // A request without an id is of the session in its headers.
    let update = worker.call("/stream/update", "a", &control, json!({}));
    assert_eq!(update.await.0, StatusCode::OK);
    let (status, _) = worker.call("/stream/stop", "b", &control, json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    orchestrator.book.lock().unwrap().sessions.clear();
    worker.idle().await;
    worker.shut_down().await;
}

#[tokio::test]
async fn without_channels_from_the_orchestrator_nothing_starts() {
    let orchestrator = Orchestrator::new().await;
    let worker = Worker::new(|builder| builder).await;
    let control = format!("{}/nowhere", orchestrator.url);
    let body = json!({"gateway_request_id": "r"});
    let (status, answer) = worker.call("/stream/start", "a", &control, body).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    let message = answer["message"].as_str().unwrap();
    assert!(
        message.contains("made no channels: status 404"),
        "{message}"
    );
    worker.idle().await;
    worker.shut_down().await;
}
