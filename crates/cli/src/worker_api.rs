//! A caller of the worker's HTTP API, as an orchestrator is one.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::error::CliError;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// A worker at an address.
#[derive(Clone)]
pub(crate) struct WorkerApi {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl WorkerApi {
    /// A worker at `http://HOST:PORT`.
    pub(crate) fn new(base: String) -> Self {
        Self {
            base,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    pub(crate) async fn start(&self, body: &Value) -> Result<Value, CliError> {
        self.call(Method::POST, "/api/stream/start", Some(body))
            .await
    }

    pub(crate) async fn status(&self) -> Result<Value, CliError> {
        self.call(Method::GET, "/api/stream/status", None).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, CliError> {
        let url = format!("{}{path}", self.base);
        let failed = |error: &dyn std::error::Error| {
            CliError::caused(format!("cannot call {method} {url}"), error)
        };
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(&method)
            .uri(&url)
            .header("content-type", "application/json")
            .body(Full::from(body))
            .map_err(|error| failed(&error))?;
        let exchange = async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(|error| failed(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER)
                .collect()
                .await
                .map_err(|error| failed(&*error))?;
            Ok((status, body.to_bytes()))
        };
        let (status, body) = tokio::time::timeout(TIMEOUT, exchange)
            .await
            .map_err(|error| failed(&error))??;
        let answer: Value = serde_json::from_slice(&body).map_err(|error| failed(&error))?;
        if status == StatusCode::OK {
            return Ok(answer);
        }
        let message = answer["message"].as_str().unwrap_or("no message");
        Err(CliError::new(format!(
            "{method} {url} was answered {status}: {message}"
        )))
    }
}
