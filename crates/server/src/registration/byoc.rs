//! Registration as a capability of a BYOC orchestrator.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use trickle_proto::RetryPolicy;
use trickle_proto::retry::Backoff;
use url::Url;

use super::{About, Caller, Failure, LEAVE_LIMIT, Report, Secret, Sessions, State, route, send};
use crate::error::BuildError;

/// Waits between tries.
const RETRY: RetryPolicy = RetryPolicy {
    window: Duration::MAX,
    base: Duration::from_secs(1),
    max: Duration::from_secs(30),
};
/// Time between two registrations of a worker without sessions: an orchestrator that restarted
/// has forgotten it, and cannot be asked.
const AGAIN: Duration = Duration::from_secs(60);
/// Shortest time between two registrations, however often requests are refused.
const LEAST_GAP: Duration = Duration::from_secs(10);

/// Registration as a capability of a BYOC orchestrator.
#[derive(Clone, Debug)]
pub struct ByocConfig {
    pub(crate) orchestrator: Url,
    secret: Secret,
    /// The URL that the orchestrator calls. Default: `http://localhost` and the server's port.
    pub url: Option<Url>,
    /// The capability's name. Default: the server's.
    pub name: Option<String>,
    /// What it does, for people.
    pub description: String,
    /// Streams at once. Default: the server's.
    pub capacity: Option<usize>,
    /// Price of [`price_scaling`](Self::price_scaling) units.
    pub price_per_unit: u64,
    /// Units that the price is for.
    pub price_scaling: u64,
    /// Currency of the price. Default: none is told, and the orchestrator's holds.
    pub currency: Option<String>,
}

impl ByocConfig {
    /// With the orchestrator's URL and its secret; free of charge until a price is set.
    ///
    /// # Errors
    /// [`BuildError`] when the secret cannot be sent in a header, or the URL is not of a web
    /// server.
    pub fn new(orchestrator: Url, secret: &str) -> Result<Self, BuildError> {
        super::live_runner::check_url("byoc", &orchestrator)?;
        Ok(Self {
            orchestrator,
            secret: super::live_runner::secret("byoc", secret)?,
            url: None,
            name: None,
            description: String::new(),
            capacity: None,
            price_per_unit: 0,
            price_scaling: 1,
            currency: None,
        })
    }
}

/// A capability on its way to an orchestrator, and back.
pub(crate) struct Registration {
    orchestrator: Url,
    secret: Secret,
    name: String,
    body: Bytes,
    report: Report,
}

impl Registration {
    pub(crate) fn new(config: &ByocConfig, about: &About, report: Report) -> Self {
        let name = config.name.as_ref().unwrap_or(&about.name).clone();
        let url = config.url.as_ref().unwrap_or(&about.url);
        let mut body = Map::new();
        // Routes are appended to it.
        let url = url.as_str().trim_end_matches('/');
        body.insert("url".into(), url.into());
        body.insert("name".into(), name.as_str().into());
        body.insert("description".into(), config.description.as_str().into());
        let capacity = config.capacity.unwrap_or(about.capacity);
        body.insert("capacity".into(), capacity.into());
        body.insert("price_per_unit".into(), config.price_per_unit.into());
        body.insert("price_scaling".into(), config.price_scaling.into());
        if let Some(currency) = &config.currency {
            body.insert("currency".into(), currency.as_str().into());
        }
        if let Some(token) = &about.token {
            body.insert("token".into(), token.as_str().into());
        }
        Self {
            orchestrator: config.orchestrator.clone(),
            secret: config.secret.clone(),
            name,
            body: Value::Object(body).to_string().into(),
            report,
        }
    }

    /// Registers and stays registered until `stop`, then unregisters.
    pub(crate) async fn run(
        &self,
        caller: &impl Caller,
        sessions: &impl Sessions,
        refused: &Notify,
        stop: &CancellationToken,
    ) {
        let Some(registered) = stop.run_until_cancelled(self.register(caller)).await else {
            return;
        };
        if registered.is_err() {
            return;
        }
        if let Some(Err(_)) = stop
            .run_until_cancelled(self.stay(caller, sessions, refused))
            .await
        {
            return;
        }
        match timeout(LEAVE_LIMIT, self.unregister(caller)).await {
            Ok(Ok(())) => {
                tracing::info!(capability = self.name, "unregistered");
                self.report.is(State::Unregistered);
            }
            Ok(Err(error)) => tracing::warn!(%error, "the capability could not be unregistered"),
            Err(_) => tracing::warn!("the orchestrator did not answer within {LEAVE_LIMIT:?}"),
        }
    }

    /// Registers again when the orchestrator has, or may have, forgotten the worker.
    async fn stay(
        &self,
        caller: &impl Caller,
        sessions: &impl Sessions,
        refused: &Notify,
    ) -> Result<(), Failure> {
        loop {
            let last = Instant::now();
            loop {
                tokio::select! {
                    () = refused.notified() => {
                        tracing::info!("a request without the token was refused; registering again");
                        sleep_until(last + LEAST_GAP).await;
                        break;
                    }
                    () = sleep(AGAIN) => {
                        // With sessions, it would take them out of the orchestrator's count.
                        if !sessions.busy() {
                            break;
                        }
                    }
                }
            }
            self.register(caller).await?;
        }
    }

    /// Tries until it is registered, or refused for good.
    async fn register(&self, caller: &impl Caller) -> Result<(), Failure> {
        let mut backoff = Backoff::new(RETRY, seed());
        loop {
            let error = match self.post(caller, "/capability/register", &self.body).await {
                Ok(()) => {
                    tracing::info!(
                        capability = self.name, orchestrator = %self.orchestrator, "registered"
                    );
                    self.report.is(State::Registered);
                    return Ok(());
                }
                Err(error) => error,
            };
            if error.status() == Some(StatusCode::BAD_REQUEST) {
                tracing::error!(
                    %error, orchestrator = %self.orchestrator,
                    "the orchestrator refuses: is the secret right?"
                );
                self.report.failed(State::Refused, &error);
                return Err(error);
            }
            let wait = backoff.next_wait();
            tracing::warn!(%error, orchestrator = %self.orchestrator, "trying again in {wait:?}");
            self.report.failed(State::Retrying, &error);
            sleep(wait).await;
        }
    }

    async fn unregister(&self, caller: &impl Caller) -> Result<(), Failure> {
        let name = Bytes::from(self.name.clone());
        self.post(caller, "/capability/unregister", &name).await
    }

    async fn post(&self, caller: &impl Caller, path: &str, body: &Bytes) -> Result<(), Failure> {
        let url = route(&self.orchestrator, path);
        let headers = [(header::AUTHORIZATION, &self.secret.0)];
        send(caller, Method::POST, &url, &headers, body.clone())
            .await
            .map(drop)
    }
}

/// Different in every process, so that many workers do not come back in step.
pub(super) fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
#[path = "byoc_test.rs"]
mod tests;
