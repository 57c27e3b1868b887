//! Registration with orchestrators, so that they send streams here.

mod byoc;
mod duration;
mod live_runner;
mod session;
#[cfg(test)]
mod testing;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trickle_proto::{Client, NoAnswer};
use url::Url;
use utoipa::ToSchema;

use crate::app::App;

pub use self::byoc::ByocConfig;
pub use self::live_runner::{LiveRunnerConfig, Price};

pub(crate) use self::session::{MadeChannel, Reserved, Unreleased, session_id};

/// Longest time that an orchestrator has to answer when the worker leaves it.
const LEAVE_LIMIT: Duration = Duration::from_secs(3);

/// A way to orchestrators: a client, or a test's memory.
pub(crate) trait Caller: Send + Sync {
    /// Sends a request and reads the answer.
    fn call(
        &self,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<Response<Bytes>, NoAnswer>> + Send;
}

impl Caller for Client {
    async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, NoAnswer> {
        Client::call(self, request).await
    }
}

/// What registrations ask of the worker's sessions.
pub(crate) trait Sessions: Send + Sync {
    /// Any session has a slot.
    fn busy(&self) -> bool;
    /// Sessions that an orchestrator's proxy started: id, and when.
    fn reserved(&self) -> Vec<(String, Instant)>;
    /// Ends such a session, which the orchestrator has given up.
    fn release(&self, id: &str);
}

/// How a registration stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct RegistrationStatus {
    kind: &'static str,
    orchestrator: String,
    state: State,
    /// The name that the orchestrator gave the worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    runner_id: Option<String>,
    last_error: Option<String>,
}

impl RegistrationStatus {
    /// The kind of registration, and whether the orchestrator knows the worker.
    pub(crate) fn registered(&self) -> (&'static str, bool) {
        (self.kind, self.state == State::Registered)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RegistrationState)]
enum State {
    /// Not yet: the model loads, or the first answer is awaited.
    Waiting,
    Registered,
    /// The last try failed; there will be another.
    Retrying,
    /// The orchestrator will not have it.
    Refused,
    /// The worker has left.
    Unregistered,
}

/// Where a registration's status is kept.
#[derive(Clone, Debug)]
pub(crate) struct Report(Arc<Mutex<RegistrationStatus>>);

impl Report {
    fn new(kind: &'static str, orchestrator: &Url) -> Self {
        Self(Arc::new(Mutex::new(RegistrationStatus {
            kind,
            orchestrator: orchestrator.to_string(),
            state: State::Waiting,
            runner_id: None,
            last_error: None,
        })))
    }

    fn change(&self, change: impl FnOnce(&mut RegistrationStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn is(&self, state: State) {
        self.change(|status| status.state = state);
    }

    fn failed(&self, state: State, error: &Failure) {
        self.change(|status| {
            status.state = state;
            status.last_error = Some(error.to_string());
        });
    }

    fn read(&self) -> RegistrationStatus {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The registrations that a server was built with.
#[derive(Default)]
pub(crate) struct Registrations {
    byoc: Option<(ByocConfig, Report)>,
    live_runner: Option<(LiveRunnerConfig, Report)>,
    /// The token that stream requests need.
    token: Option<String>,
    /// A stream request was answered 401.
    refused: Arc<Notify>,
}

/// What every registration needs to know of the worker.
pub(crate) struct About {
    /// Where it is reached from the machine itself.
    pub(crate) url: Url,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) capacity: usize,
    /// The token that stream requests need.
    pub(crate) token: Option<String>,
    pub(crate) gpu: Option<live_runner::Gpu>,
}

impl Registrations {
    pub(crate) fn new(
        byoc: Option<ByocConfig>,
        live_runner: Option<LiveRunnerConfig>,
        token: Option<String>,
    ) -> Self {
        Self {
            byoc: byoc.map(|config| {
                let report = Report::new("byoc", &config.orchestrator);
                (config, report)
            }),
            live_runner: live_runner.map(|config| {
                let report = Report::new("live_runner", &config.orchestrator);
                (config, report)
            }),
            token,
            refused: Arc::default(),
        }
    }

    /// There is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.byoc.is_none() && self.live_runner.is_none()
    }

    /// A stream request came without the token: a BYOC orchestrator that made it has forgotten
    /// the worker now.
    pub(crate) fn request_refused(&self) {
        self.refused.notify_one();
    }

    pub(crate) fn status(&self) -> Vec<RegistrationStatus> {
        let byoc = self.byoc.iter().map(|(_, report)| report);
        let live_runner = self.live_runner.iter().map(|(_, report)| report);
        byoc.chain(live_runner).map(Report::read).collect()
    }

    /// Registers, and stays so until `stop` is cancelled; the tasks end once the worker has left.
    pub(crate) fn start<S: Sessions + Clone + 'static>(
        &self,
        about: &About,
        client: &Client,
        sessions: &S,
        unreleased: &Unreleased,
        stop: &CancellationToken,
    ) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        if let Some((config, report)) = &self.byoc {
            let registration = byoc::Registration::new(config, about, report.clone());
            let (client, sessions) = (client.clone(), sessions.clone());
            let (refused, stop) = (Arc::clone(&self.refused), stop.clone());
            tasks.spawn(async move {
                registration.run(&client, &sessions, &refused, &stop).await;
            });
        }
        if let Some((config, report)) = &self.live_runner {
            let runner = live_runner::Runner::new(config, about, report.clone());
            let (client, sessions) = (client.clone(), sessions.clone());
            let (unreleased, stop) = (unreleased.clone(), stop.clone());
            tasks.spawn(async move {
                let listen = {
                    let (client, sessions) = (client.clone(), sessions.clone());
                    move |url: Url| live_runner::listen(client.clone(), url, sessions.clone())
                };
                runner
                    .run(&client, &sessions, &unreleased, listen, &stop)
                    .await;
            });
        }
        tasks
    }
}

/// Registers the worker that listens at `addr` once its model is there, and leaves when `stop` is
/// cancelled.
pub(crate) async fn serve(app: App, addr: SocketAddr, https: bool, stop: CancellationToken) {
    if app.registrations.is_empty() {
        return;
    }
    let ready = stop.run_until_cancelled(app.gate.settled()).await;
    if !matches!(ready, Some(Ok(_))) {
        return;
    }
    let probe = Arc::clone(&app.hardware);
    let devices = tokio::task::spawn_blocking(move || probe.devices()).await;
    let gpu = devices.ok().and_then(|devices| devices.into_iter().next());
    let scheme = if https { "https" } else { "http" };
    let local = format!("{scheme}://localhost:{}", addr.port());
    let url = match Url::parse(&local) {
        Ok(url) => url,
        Err(error) => return tracing::error!(%error, local, "not registered"),
    };
    let about = About {
        url,
        name: app.config.identity.capability_name.clone(),
        version: app.config.identity.version.clone(),
        capacity: app.config.capacity.get(),
        token: app.registrations.token.clone(),
        gpu: gpu.map(|device| live_runner::Gpu {
            id: device.id,
            name: device.name,
            vram_mb: device.memory_total >> 20,
        }),
    };
    let slots = &app.slots;
    let mut tasks =
        app.registrations
            .start(&about, slots.client(), slots, slots.unreleased(), &stop);
    while tasks.join_next().await.is_some() {}
}

/// A secret, not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(HeaderValue);

impl Secret {
    pub(crate) fn new(text: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(text).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A request was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no answer: {0}")]
    NoAnswer(String),
    #[error("status {}{}", .status.as_u16(), in_parentheses(.text))]
    Status { status: StatusCode, text: String },
    /// The answer is not what it should be.
    #[error("the answer cannot be used: {0}")]
    Answer(String),
}

fn in_parentheses(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(" ({text})")
    }
}

impl Failure {
    fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::NoAnswer(_) | Self::Answer(_) => None,
        }
    }
}

/// A route below an orchestrator's URL, which may have a path of its own.
fn route(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url
}

/// Sends a request and takes the body of a success.
async fn send(
    caller: &impl Caller,
    method: Method,
    url: &Url,
    headers: &[(HeaderName, &HeaderValue)],
    body: Bytes,
) -> Result<Bytes, Failure> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    let uri = url.as_str().parse();
    *request.uri_mut() = uri.map_err(|error| Failure::NoAnswer(format!("{url}: {error}")))?;
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(header::CONTENT_TYPE, json);
    for (name, value) in headers {
        request.headers_mut().insert(name, (*value).clone());
    }
    let answer = caller.call(request).await;
    let answer = answer.map_err(|error| Failure::NoAnswer(error.reason))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer.into_body());
    }
    let text = String::from_utf8_lossy(answer.body());
    Err(Failure::Status {
        status,
        text: text.trim().chars().take(200).collect(),
    })
}
