//! A caller of a worker's HTTP API, as an orchestrator is one.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use thiserror::Error;
use trickle_proto::{ClientTls, TlsError};
use url::Url;

/// Longest wait for an answer: a start waits for the model to load.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// A worker at an address, this one or any other that speaks the API.
#[derive(Clone, Debug)]
pub struct WorkerClient {
    base: Url,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// A call that was not answered as hoped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The TLS settings cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The worker refused.
    #[error("{call} was answered {status}: {message}")]
    Status {
        /// Method and URL.
        call: String,
        /// Status of the answer.
        status: StatusCode,
        /// The worker's own words.
        message: String,
    },
    /// There was no answer.
    #[error("cannot call {call}: {reason}")]
    Unreachable {
        /// Method and URL.
        call: String,
        /// What went wrong.
        reason: String,
    },
    /// The answer is no JSON.
    #[error("{call} was answered with what is no JSON: {error}")]
    Answer {
        /// Method and URL.
        call: String,
        /// Where it is wrong.
        error: serde_json::Error,
    },
}

impl WorkerClient {
    /// A worker whose routes are below `base`: `http://HOST:PORT/api` for the reference's, and
    /// `http://HOST:PORT` for the same without prefix, which is all that PyTrickle 0.1.6 has.
    /// `tls` says which https servers are believed.
    ///
    /// # Errors
    /// [`WorkerError::Tls`].
    pub fn new(base: &Url, tls: &ClientTls) -> Result<Self, WorkerError> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.build()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self {
            base: base.clone(),
            client: Client::builder(TokioExecutor::new()).build(connector),
        })
    }

    /// `GET /health`.
    ///
    /// # Errors
    /// [`WorkerError`]; one that is not ready answers 503.
    pub async fn health(&self) -> Result<Value, WorkerError> {
        self.call(Method::GET, "/health", None).await
    }

    /// `POST /stream/start` with this body.
    ///
    /// # Errors
    /// [`WorkerError`].
    pub async fn start(&self, body: &Value) -> Result<Value, WorkerError> {
        self.call(Method::POST, "/stream/start", Some(body)).await
    }

    /// `POST /stream/stop` for the stream of this `gateway_request_id`.
    ///
    /// # Errors
    /// [`WorkerError`].
    pub async fn stop(&self, id: &str) -> Result<Value, WorkerError> {
        let body = json!({"gateway_request_id": id});
        self.call(Method::POST, "/stream/stop", Some(&body)).await
    }

    /// `GET /stream/status`.
    ///
    /// # Errors
    /// [`WorkerError`].
    pub async fn status(&self) -> Result<Value, WorkerError> {
        self.call(Method::GET, "/stream/status", None).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, WorkerError> {
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        let call = format!("{method} {url}");
        let unreachable = |error: &dyn std::error::Error| WorkerError::Unreachable {
            call: call.clone(),
            reason: with_causes(error),
        };
        let request = Request::builder()
            .method(&method)
            .uri(&url)
            .header("content-type", "application/json")
            .body(Full::from(body.map(Value::to_string).unwrap_or_default()))
            .map_err(|error| unreachable(&error))?;
        let exchange = async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(|error| unreachable(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER)
                .collect()
                .await;
            Ok::<_, WorkerError>((
                status,
                body.map_err(|error| unreachable(&*error))?.to_bytes(),
            ))
        };
        let (status, body) = tokio::time::timeout(TIMEOUT, exchange)
            .await
            .map_err(|error| unreachable(&error))??;
        if status == StatusCode::OK {
            return serde_json::from_slice(&body)
                .map_err(|error| WorkerError::Answer { call, error });
        }
        // Some workers refuse in plain text.
        let message = serde_json::from_slice::<Value>(&body)
            .ok()
            .and_then(|answer| Some(answer.get("message")?.as_str()?.to_owned()))
            .unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
        Err(WorkerError::Status {
            call,
            status,
            message,
        })
    }
}

/// An error and what is behind it.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
