//! What a program adds to its server: routes, files, layers, CORS, TLS, hooks.

use std::future::pending;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::response::Redirect;
use axum::routing::{get as on_get, post as on_post};
use axum::{Extension, Json, Router};
use http::{HeaderValue, Method, Request, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_http::set_header::SetResponseHeaderLayer;
use trickle_processor::Params;
use trickle_processor::builtin::Passthrough;
use trickle_proto::{ClientTls, ServerTls};
use trickle_server::client::WorkerClient;
use trickle_server::{CorsOrigins, ServeError, StreamServer, StreamServerBuilder, Worker};

use crate::support::{empty, get, post, send};

fn built(configure: impl FnOnce(StreamServerBuilder) -> StreamServerBuilder) -> Router {
    let builder = configure(StreamServer::builder(Passthrough));
    builder.build().unwrap().router()
}

#[tokio::test]
async fn routes_with_state_stand_beside_the_workers_own() {
    let names: Arc<Mutex<Vec<String>>> = Arc::default();
    async fn add(State(names): State<Arc<Mutex<Vec<String>>>>, body: String) -> Json<usize> {
        let mut names = names.lock().unwrap();
        names.push(body);
        Json(names.len())
    }
    let routes = Router::new()
        .route("/names", on_post(add))
        .route("/health", on_get(|| async { "never seen" }))
        .with_state(names.clone());
    let more = Router::new().route("/old", on_get(|| async { Redirect::permanent("/names") }));
    let router = built(|builder| builder.routes(routes).routes(more));
    assert_eq!(*post(&router, "/names", "a").await.ok(), json!(1));
    assert_eq!(*post(&router, "/names", "b").await.ok(), json!(2));
    assert_eq!(*names.lock().unwrap(), ["a", "b"]);
    assert_eq!(get(&router, "/old").await.status, 308);
    // The worker's own routes cannot be taken away.
    assert_eq!(get(&router, "/health").await.body["status"], "loading");
    // Errors have one form everywhere.
    get(&router, "/names").await.error(405);
    get(&router, "/other").await.error(404);
}

#[tokio::test]
async fn handlers_reach_the_worker() {
    async fn tell(Extension(worker): Extension<Worker>) -> Json<Value> {
        let update = worker.update(None, Params::new()).await.unwrap_err();
        let stop = worker.stop(Some("x")).await.unwrap_err();
        Json(json!({
            "sessions": worker.sessions().len(),
            "update": [update.status.as_u16(), update.message],
            "stop": [stop.status.as_u16(), stop.message],
        }))
    }
    let router = built(|builder| builder.routes(Router::new().route("/tell", on_get(tell))));
    assert_eq!(
        *get(&router, "/tell").await.ok(),
        json!({
            "sessions": 0,
            "update": [400, "No active stream to update"],
            "stop": [400, "No active stream to stop"],
        })
    );
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_request_only() {
    let fail = on_get(|| async {
        if true {
            panic!("a secret");
        }
    });
    let router = built(|builder| builder.routes(Router::new().route("/fail", fail)));
    let answer = get(&router, "/fail").await;
    assert!(!answer.error(500).contains("secret"));
    get(&router, "/livez").await.ok();
}

#[tokio::test]
async fn files_are_served() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let router = built(|builder| builder.static_files("/files/", directory));
    let answer = get(&router, "/files/auth.rs").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.headers[header::CONTENT_TYPE]
            .to_str()
            .unwrap()
            .contains("rust")
    );
    get(&router, "/files/nothing").await.error(404);
    get(&router, "/files/../Cargo.toml").await.error(404);
    get(&router, "/files/%2e%2e/Cargo.toml").await.error(404);

    let router = built(|builder| builder.static_files("/", directory));
    assert_eq!(get(&router, "/auth.rs").await.status, 200);
    get(&router, "/livez").await.ok();
}

#[tokio::test]
async fn layers_wrap_every_route() {
    let stamp = |value| {
        let name = http::HeaderName::from_static("x-by");
        SetResponseHeaderLayer::appending(name, HeaderValue::from_static(value))
    };
    let router = built(|builder| builder.layer(stamp("inner")).layer(stamp("outer")));
    for path in ["/health", "/api/version", "/nothing"] {
        let answer = get(&router, path).await;
        let stamps: Vec<_> = answer.headers.get_all("x-by").iter().collect();
        assert_eq!(stamps, ["inner", "outer"], "{path}");
    }
}

#[tokio::test]
async fn browsers_may_call_from_the_origins_named_and_from_no_other() {
    let origins = CorsOrigins::parse(["https://good.example"]).unwrap();
    let token = "s3cret";
    let router = built(|builder| builder.cors(origins).auth_token(token));
    let preflight = |origin: &'static str| {
        Request::builder()
            .method(Method::OPTIONS)
            .uri("/api/stream/start")
            .header(header::ORIGIN, origin)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization")
    };
    let good = send(&router, empty(preflight("https://good.example"))).await;
    assert_eq!(good.status, 200);
    let allowed = &good.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN];
    assert_eq!(allowed, "https://good.example");
    let headers = &good.headers[header::ACCESS_CONTROL_ALLOW_HEADERS];
    assert!(headers.to_str().unwrap().contains("authorization"));
    let bad = send(&router, empty(preflight("https://bad.example"))).await;
    assert!(
        !bad.headers
            .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    );
    // An error can be read by the page too.
    let request = Request::get("/api/stream/status").header(header::ORIGIN, "https://good.example");
    let refused = send(&router, empty(request)).await;
    refused.error(401);
    assert_eq!(
        refused.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN],
        "https://good.example"
    );

    let router = built(|builder| builder.cors(CorsOrigins::any()));
    let any = send(&router, empty(preflight("https://bad.example"))).await;
    assert_eq!(any.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    let none = get(&built(|builder| builder), "/livez").await;
    assert!(
        !none
            .headers
            .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    );
}

#[tokio::test]
async fn a_worker_with_a_certificate_speaks_https() {
    let made = rcgen::generate_simple_self_signed(["worker".to_owned()]).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let tls = ServerTls::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
    let server = StreamServer::builder(Passthrough).tls(tls).build().unwrap();
    server.initialize().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(server.serve_with_shutdown(listener, pending()));
    let url = format!("https://{addr}").parse().unwrap();
    let trusting = ClientTls::default().trust_pem(cert.as_bytes()).unwrap();
    let health = WorkerClient::new(&url, &trusting).unwrap().health().await;
    assert_eq!(health.unwrap(), json!({"status": "ok", "state": "IDLE"}));
    let doubting = WorkerClient::new(&url, &ClientTls::default()).unwrap();
    assert!(doubting.health().await.is_err());
    serving.abort();
}

#[tokio::test]
async fn hooks_are_called_at_the_start_and_at_the_end() {
    let calls: Arc<Mutex<Vec<&str>>> = Arc::default();
    let note = |name| {
        let calls = calls.clone();
        move |worker: Worker| async move {
            assert!(worker.sessions().is_empty());
            calls.lock().unwrap().push(name);
            Ok(())
        }
    };
    let server = StreamServer::builder(Passthrough)
        .on_start(note("start 1"))
        .on_start(note("start 2"))
        .on_stop(note("stop"))
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let serving = calls.clone();
    let shutdown = async move { serving.lock().unwrap().push("serving") };
    server
        .serve_with_shutdown(listener, shutdown)
        .await
        .unwrap();
    assert_eq!(
        *calls.lock().unwrap(),
        ["start 1", "start 2", "serving", "stop"]
    );
}

#[tokio::test]
async fn a_hook_that_fails_at_the_start_ends_the_server() {
    let server = StreamServer::builder(Passthrough)
        .on_start(|_| async { Err("no licence".into()) })
        .on_stop(|_| async { panic!("nothing was started") })
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = server.serve_with_shutdown(listener, pending()).await;
    assert!(matches!(error, Err(ServeError::Hook(error)) if error.to_string() == "no licence"));
}
