//! Registration as a live runner (go-livepeer 0.9 and later): heartbeats, and what the
//! orchestrator tells in return.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use trickle_proto::retry::Backoff;
use trickle_proto::{Client, RetryPolicy, Seq, Start};
use url::Url;

use super::{
    About, Caller, Failure, LEAVE_LIMIT, Report, Secret, Sessions, State, Unreleased, duration,
    route, send,
};
use crate::error::BuildError;

/// Interval of heartbeats until the orchestrator tells its own.
const INTERVAL: Duration = Duration::from_secs(5);
/// Intervals that an orchestrator may ask for; others are brought within.
const INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(60);
/// Time after which an orchestrator forgets a runner, until it tells its own.
const TTL: Duration = Duration::from_secs(20);
/// Waits between tries to register.
const RETRY: RetryPolicy = RetryPolicy {
    window: Duration::MAX,
    base: Duration::from_secs(1),
    max: Duration::from_secs(30),
};
/// Most bytes of metadata that orchestrators take.
const MAX_METADATA: usize = 1024;
/// Largest message of the orchestrator, in bytes.
const MAX_MESSAGE: usize = 64 << 10;

/// Registration as a live runner.
#[derive(Clone, Debug)]
pub struct LiveRunnerConfig {
    pub(crate) orchestrator: Url,
    secret: Secret,
    /// The URL that the orchestrator's proxy calls. Default: `http://localhost` and the server's
    /// port.
    pub url: Option<Url>,
    /// The app that it offers. Default: the server's capability name.
    pub app: Option<String>,
    /// Streams at once. Default: the server's.
    pub capacity: Option<usize>,
    /// Told in discovery, as it is. At most 1,024 bytes.
    pub metadata: Option<String>,
    /// Needed where the orchestrator works on chain.
    pub price: Option<Price>,
}

/// What a session costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Price {
    /// Per unit, in the currency.
    pub price: f64,
    /// Such as `usd` or `wei`.
    pub currency: String,
    /// Such as `hour` or `720p`.
    pub unit: String,
}

impl LiveRunnerConfig {
    /// With the orchestrator's URL and its registration secret.
    ///
    /// # Errors
    /// [`BuildError`] when the secret cannot be sent in a header, or the URL is not of a web
    /// server.
    pub fn new(orchestrator: Url, secret: &str) -> Result<Self, BuildError> {
        check_url("live_runner", &orchestrator)?;
        Ok(Self {
            orchestrator,
            secret: self::secret("live_runner", secret)?,
            url: None,
            app: None,
            capacity: None,
            metadata: None,
            price: None,
        })
    }

    /// Checks what orchestrators would refuse.
    pub(crate) fn validate(&self) -> Result<(), BuildError> {
        let wrong = |reason: String| BuildError::Option {
            option: "live_runner",
            reason,
        };
        if let Some(metadata) = &self.metadata
            && metadata.len() > MAX_METADATA
        {
            let bytes = metadata.len();
            return Err(wrong(format!(
                "metadata must have at most {MAX_METADATA} bytes, got {bytes}"
            )));
        }
        if let Some(price) = &self.price
            && !(price.price.is_finite() && price.price >= 0.0)
        {
            return Err(wrong(format!(
                "price must not be negative, got {}",
                price.price
            )));
        }
        Ok(())
    }
}

pub(super) fn check_url(option: &'static str, url: &Url) -> Result<(), BuildError> {
    match url.scheme() {
        "http" | "https" => Ok(()),
        scheme => Err(BuildError::Option {
            option,
            reason: format!("the orchestrator's URL must be http or https, got {scheme}"),
        }),
    }
}

pub(super) fn secret(option: &'static str, text: &str) -> Result<Secret, BuildError> {
    Secret::new(text).ok_or(BuildError::Option {
        option,
        reason: "the secret must be of visible ASCII characters".into(),
    })
}

/// The GPU that sessions run on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Gpu {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) vram_mb: u64,
}

/// A heartbeat; the first one registers.
#[derive(Debug, Serialize)]
struct Heartbeat<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    runner_id: Option<&'a str>,
    runner_url: &'a str,
    app: &'a str,
    mode: &'static str,
    capacity: usize,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu: Option<&'a Gpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price_info: Option<&'a Price>,
    session_ids: Vec<&'a str>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    runner_id: String,
    heartbeat_interval: Option<String>,
    heartbeat_ttl: Option<String>,
    heartbeat_secret: Option<String>,
    o2r: Option<Channel>,
    session_ids: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Channel {
    url: String,
}

/// A runner on its way to an orchestrator, and back.
pub(crate) struct Runner {
    orchestrator: Url,
    secret: Secret,
    runner_url: String,
    app: String,
    metadata: Option<String>,
    price: Option<Price>,
    capacity: usize,
    version: String,
    gpu: Option<Gpu>,
    report: Report,
}

/// What the orchestrator gave at registration.
struct Membership {
    runner_id: String,
    secret: Secret,
    interval: Duration,
    ttl: Duration,
    /// Listens to the orchestrator's messages.
    _o2r: Option<AbortOnDropHandle<()>>,
}

impl Runner {
    pub(crate) fn new(config: &LiveRunnerConfig, about: &About, report: Report) -> Self {
        let url = config.url.as_ref().unwrap_or(&about.url);
        Self {
            orchestrator: config.orchestrator.clone(),
            secret: config.secret.clone(),
            runner_url: url.as_str().trim_end_matches('/').to_owned(),
            app: config.app.as_ref().unwrap_or(&about.name).clone(),
            metadata: config.metadata.clone(),
            price: config.price.clone(),
            capacity: config.capacity.unwrap_or(about.capacity),
            version: about.version.clone(),
            gpu: about.gpu.clone(),
            report,
        }
    }

    /// Registers and stays registered until `stop`, then unregisters. `listen` starts to listen
    /// to a channel of the orchestrator.
    pub(crate) async fn run(
        &self,
        caller: &impl Caller,
        sessions: &impl Sessions,
        unreleased: &Unreleased,
        listen: impl Fn(Url) -> AbortOnDropHandle<()>,
        stop: &CancellationToken,
    ) {
        let mut membership = None;
        let stay = self.stay(caller, sessions, unreleased, listen, &mut membership);
        stop.run_until_cancelled(stay).await;
        let Some(Membership {
            runner_id, secret, ..
        }) = membership
        else {
            return;
        };
        let leave = self.leave(caller, &runner_id, &secret);
        match timeout(LEAVE_LIMIT, leave).await {
            Ok(Ok(())) => {
                tracing::info!(runner_id, "unregistered");
                self.report.is(State::Unregistered);
            }
            Ok(Err(error)) => tracing::warn!(%error, "the runner could not be unregistered"),
            Err(_) => tracing::warn!("the orchestrator did not answer within {LEAVE_LIMIT:?}"),
        }
    }

    async fn stay(
        &self,
        caller: &impl Caller,
        sessions: &impl Sessions,
        unreleased: &Unreleased,
        listen: impl Fn(Url) -> AbortOnDropHandle<()>,
        membership: &mut Option<Membership>,
    ) {
        let mut backoff = Backoff::new(RETRY, super::byoc::seed());
        let mut last_answer = Instant::now();
        loop {
            let asked = Instant::now();
            let beat = self.beat(caller, sessions, membership.as_ref()).await;
            let wait = match beat.and_then(|answer| {
                let listed = answer.session_ids.clone();
                self.take(answer, membership, &listen)?;
                Ok(listed)
            }) {
                Ok(listed) => {
                    last_answer = asked;
                    backoff.reset();
                    if let Some(listed) = listed {
                        end_unlisted(sessions, &listed, asked);
                        unreleased.reconcile(caller, &listed).await;
                    }
                    membership
                        .as_ref()
                        .map_or(INTERVAL, |member| member.interval)
                }
                Err(error) => {
                    let forgotten = matches!(
                        error.status(),
                        Some(StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND)
                    );
                    let expired = membership
                        .as_ref()
                        .is_some_and(|member| last_answer.elapsed() > member.ttl);
                    self.failed(&error, membership.is_some());
                    if membership.is_some() && (forgotten || expired) {
                        tracing::info!("registering anew");
                        *membership = None;
                    }
                    let wait = backoff.next_wait();
                    // Within the time that the orchestrator remembers the runner for.
                    membership
                        .as_ref()
                        .map_or(wait, |member| wait.min(member.interval))
                }
            };
            sleep(wait).await;
        }
    }

    fn failed(&self, error: &Failure, member: bool) {
        let orchestrator = &self.orchestrator;
        let hint = match error.status() {
            Some(StatusCode::UNAUTHORIZED) if !member => "is the secret right?",
            Some(StatusCode::NOT_FOUND) if !member => "does it take runners?",
            _ => "trying again",
        };
        tracing::warn!(%error, %orchestrator, hint, "no answer to the heartbeat");
        self.report.failed(State::Retrying, error);
    }

    /// Sends one heartbeat: with the runner's own secret, or to register.
    async fn beat(
        &self,
        caller: &impl Caller,
        sessions: &impl Sessions,
        membership: Option<&Membership>,
    ) -> Result<Answer, Failure> {
        let reserved = sessions.reserved();
        let heartbeat = Heartbeat {
            runner_id: membership.map(|member| member.runner_id.as_str()),
            runner_url: &self.runner_url,
            app: &self.app,
            mode: "persistent",
            capacity: self.capacity,
            version: &self.version,
            metadata: self.metadata.as_deref(),
            status: "ready",
            gpu: self.gpu.as_ref(),
            price_info: self.price.as_ref(),
            session_ids: reserved.iter().map(|(id, _)| id.as_str()).collect(),
        };
        let body = serde_json::to_vec(&heartbeat).map_err(|error| {
            // No value of it can fail to be written.
            Failure::Answer(error.to_string())
        })?;
        let url = route(&self.orchestrator, "/runners/heartbeat");
        let secret = membership.map_or(&self.secret, |member| &member.secret);
        let headers = [(header::AUTHORIZATION, &secret.0)];
        let answer = send(caller, Method::POST, &url, &headers, body.into()).await?;
        serde_json::from_slice(&answer).map_err(|error| Failure::Answer(error.to_string()))
    }

    /// Takes what the orchestrator answers: secret and channel at first, intervals always.
    fn take(
        &self,
        answer: Answer,
        membership: &mut Option<Membership>,
        listen: impl Fn(Url) -> AbortOnDropHandle<()>,
    ) -> Result<(), Failure> {
        let secret = match answer.heartbeat_secret.filter(|text| !text.is_empty()) {
            Some(text) => Some(
                Secret::new(&text)
                    .ok_or_else(|| Failure::Answer("heartbeat_secret is no header".into()))?,
            ),
            None => None,
        };
        let o2r = match answer.o2r {
            Some(channel) => {
                let url = channel.url;
                let parsed = Url::parse(&url)
                    .map_err(|error| Failure::Answer(format!("o2r.url {url:?}: {error}")))?;
                Some(listen(parsed))
            }
            None => None,
        };
        let read = |text: Option<String>| text.and_then(|text| duration::parse(&text));
        let ttl = read(answer.heartbeat_ttl).unwrap_or(TTL);
        let interval = read(answer.heartbeat_interval)
            .unwrap_or(INTERVAL)
            .min(ttl / 3)
            .clamp(*INTERVALS.start(), *INTERVALS.end());
        match membership {
            Some(member) => {
                member.runner_id = answer.runner_id;
                (member.interval, member.ttl) = (interval, ttl);
                if let Some(secret) = secret {
                    member.secret = secret;
                }
                if o2r.is_some() {
                    member._o2r = o2r;
                }
            }
            None => {
                let secret =
                    secret.ok_or_else(|| Failure::Answer("it lacks heartbeat_secret".into()))?;
                tracing::info!(
                    runner_id = answer.runner_id, orchestrator = %self.orchestrator,
                    app = self.app, "registered"
                );
                *membership = Some(Membership {
                    runner_id: answer.runner_id,
                    secret,
                    interval,
                    ttl,
                    _o2r: o2r,
                });
            }
        }
        self.report.change(|status| {
            status.state = State::Registered;
            status.runner_id = membership.as_ref().map(|member| member.runner_id.clone());
        });
        Ok(())
    }

    async fn leave(
        &self,
        caller: &impl Caller,
        runner_id: &str,
        secret: &Secret,
    ) -> Result<(), Failure> {
        let mut url = route(&self.orchestrator, "/runners");
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend([runner_id, "unregister"]);
        }
        let headers = [(header::AUTHORIZATION, &secret.0)];
        send(caller, Method::POST, &url, &headers, Bytes::new())
            .await
            .map(drop)
    }
}

/// Ends sessions that began before the heartbeat and that the orchestrator does not know.
fn end_unlisted(sessions: &impl Sessions, listed: &[String], asked: Instant) {
    for (id, started) in sessions.reserved() {
        if started < asked && !listed.contains(&id) {
            tracing::info!(session = id, "the orchestrator no longer has it");
            sessions.release(&id);
        }
    }
}

/// A message of the orchestrator.
#[derive(Debug, Deserialize)]
struct Message {
    event: Option<String>,
    session: Option<String>,
}

/// Listens to the orchestrator's messages until the channel ends or the handle is dropped. A loss
/// does no harm: heartbeats tell the same later.
pub(crate) fn listen(
    client: Client,
    url: Url,
    sessions: impl Sessions + 'static,
) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut subscriber = match client.subscribe(&url, Start::At(Seq::ZERO)) {
            Ok(subscriber) => subscriber,
            Err(error) => return tracing::warn!(%error, "the orchestrator's channel"),
        };
        loop {
            let segment = match subscriber.next_segment().await {
                Ok(Some(segment)) => segment,
                Ok(None) => return tracing::info!("the orchestrator's channel ended"),
                Err(error) => return tracing::warn!(%error, "the orchestrator's channel"),
            };
            match segment.collect(MAX_MESSAGE).await {
                Ok(Some(message)) => obey(&sessions, &message),
                Ok(None) => tracing::warn!("a message of the orchestrator is too large"),
                Err(error) => tracing::warn!(%error, "a message of the orchestrator"),
            }
        }
    }))
}

fn obey(sessions: &impl Sessions, message: &[u8]) {
    let message: Message = match serde_json::from_slice(message) {
        Ok(message) => message,
        Err(error) => return tracing::warn!(%error, "a message of the orchestrator"),
    };
    match (message.event.as_deref(), message.session) {
        (Some("released"), Some(session)) => {
            tracing::info!(session, "released by the orchestrator");
            sessions.release(&session);
        }
        (Some("reserved"), Some(session)) => {
            tracing::info!(session, "reserved by the orchestrator");
        }
        // Keepalives, and what later versions may tell.
        _ => {}
    }
}

#[cfg(test)]
#[path = "live_runner_test.rs"]
mod tests;
