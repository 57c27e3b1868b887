//! A session that an orchestrator's proxy starts: its channels, and telling that it has ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{sleep, timeout};
use trickle_session::SessionConfig;
use url::Url;
use utoipa::ToSchema;

use super::{Caller, Failure, LEAVE_LIMIT, route, send};

const SESSION_ID: HeaderName = HeaderName::from_static("livepeer-session-id");
const SESSION_TOKEN: HeaderName = HeaderName::from_static("livepeer-session-token");
const SESSION_CONTROL: HeaderName = HeaderName::from_static("livepeer-session-control");
/// Waits before the second and third try to tell that a session has ended.
const STOP_WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];
/// Ended sessions that the orchestrator could not be told of yet.
const MAX_UNRELEASED: usize = 256;

/// The orchestrator's side of a session, from the headers that its proxy adds.
#[derive(Clone, Debug)]
pub(crate) struct Reserved {
    pub(crate) id: String,
    token: HeaderValue,
    /// `None`: the orchestrator does not say where.
    control: Option<Url>,
}

/// A channel that the orchestrator made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct MadeChannel {
    pub(crate) name: String,
    /// For the caller.
    pub(crate) url: String,
    /// For this worker, where that is another.
    #[serde(skip_serializing)]
    internal_url: Option<String>,
    pub(crate) mime_type: String,
}

#[derive(Deserialize)]
struct Made {
    channels: Vec<MadeChannel>,
}

/// A channel by its name, its MIME type, and where its URL goes.
type Kind = (
    &'static str,
    &'static str,
    fn(&mut SessionConfig) -> &mut Option<Url>,
);

const KINDS: [Kind; 5] = [
    ("in", "video/mp2t", |config| &mut config.subscribe_url),
    ("out", "video/mp2t", |config| &mut config.publish_url),
    ("control", "application/json", |config| {
        &mut config.control_url
    }),
    ("events", "application/json", |config| {
        &mut config.events_url
    }),
    ("data", "application/jsonl", |config| &mut config.data_url),
];

/// The id of the session that a request through the orchestrator's proxy belongs to.
pub(crate) fn session_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(SESSION_ID)?.to_str().ok()?.trim();
    (!id.is_empty()).then_some(id)
}

impl Reserved {
    /// From the headers of a start; `None` where no orchestrator has reserved the session.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let control = headers.get(SESSION_CONTROL).and_then(|value| {
            let url = Url::parse(value.to_str().ok()?.trim()).ok()?;
            matches!(url.scheme(), "http" | "https").then_some(url)
        });
        let mut token = headers.get(SESSION_TOKEN)?.clone();
        token.set_sensitive(true);
        Some(Self {
            id: session_id(headers)?.to_owned(),
            token,
            control,
        })
    }

    /// Has the orchestrator make the channels that the start did not name, and gives them to the
    /// session.
    pub(crate) async fn make_channels(
        &self,
        caller: &impl Caller,
        config: &mut SessionConfig,
    ) -> Result<Vec<MadeChannel>, Failure> {
        let missing: Vec<Kind> = KINDS
            .into_iter()
            .filter(|(_, _, url)| url(config).is_none())
            .collect();
        let Some(control) = self.control.as_ref().filter(|_| !missing.is_empty()) else {
            return Ok(Vec::new());
        };
        let wanted: Vec<_> = missing
            .iter()
            .map(|(name, mime, _)| json!({"name": name, "mime_type": mime}))
            .collect();
        let body = json!({"channels": wanted}).to_string().into();
        let answer = self
            .ask(caller, Method::POST, control, "/channels", body)
            .await?;
        let Made { channels } =
            serde_json::from_slice(&answer).map_err(|error| Failure::Answer(error.to_string()))?;
        for (name, _, url) in missing {
            let channel = channels.iter().find(|channel| channel.name == name);
            let channel =
                channel.ok_or_else(|| Failure::Answer(format!("it lacks the channel {name:?}")))?;
            let text = channel.internal_url.as_ref().filter(|url| !url.is_empty());
            let text = text.unwrap_or(&channel.url);
            let parsed = Url::parse(text).map_err(|error| {
                Failure::Answer(format!("the URL of channel {name:?}, {text:?}: {error}"))
            })?;
            *url(config) = Some(parsed);
        }
        Ok(channels)
    }

    /// Removes channels that were made; those that are gone already count as removed.
    pub(crate) async fn remove_channels(&self, caller: &impl Caller, made: &[MadeChannel]) {
        let Some(control) = self.control.as_ref().filter(|_| !made.is_empty()) else {
            return;
        };
        let names: Vec<_> = made.iter().map(|channel| channel.name.as_str()).collect();
        let body = json!({"channels": names}).to_string().into();
        let remove = self.ask(caller, Method::DELETE, control, "/channels", body);
        match timeout(LEAVE_LIMIT, remove).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.status() == Some(StatusCode::NOT_FOUND) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the session's channels could not be removed"),
            Err(_) => tracing::warn!("the orchestrator did not answer within {LEAVE_LIMIT:?}"),
        }
    }

    /// Tells the orchestrator that the session has ended, so that nobody pays for it any longer.
    /// What cannot be told now is told when the orchestrator still lists it.
    pub(crate) async fn release(&self, caller: &impl Caller, unreleased: &Unreleased) {
        let mut waits = STOP_WAITS.into_iter();
        loop {
            let Err(error) = self.stop(caller).await else {
                return;
            };
            let Some(wait) = waits.next() else {
                tracing::error!(%error, "the orchestrator could not be told that it has ended");
                return unreleased.add(self.clone());
            };
            tracing::warn!(%error, "trying again in {wait:?}");
            sleep(wait).await;
        }
    }

    async fn stop(&self, caller: &impl Caller) -> Result<(), Failure> {
        let Some(control) = &self.control else {
            return Ok(());
        };
        match self
            .ask(caller, Method::POST, control, "/stop", Bytes::new())
            .await
        {
            // It is gone there.
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn ask(
        &self,
        caller: &impl Caller,
        method: Method,
        control: &Url,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, Failure> {
        let headers = [(SESSION_TOKEN, &self.token)];
        send(caller, method, &route(control, path), &headers, body).await
    }
}

/// Sessions that have ended here and that an orchestrator may still count. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unreleased(Arc<Mutex<HashMap<String, Reserved>>>);

impl Unreleased {
    fn add(&self, session: Reserved) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() < MAX_UNRELEASED {
            sessions.insert(session.id.clone(), session);
        }
    }

    /// Tells again of those that the orchestrator lists, and forgets the others.
    pub(crate) async fn reconcile(&self, caller: &impl Caller, listed: &[String]) {
        let left = {
            let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *sessions)
        };
        for (id, session) in left {
            if !listed.contains(&id) {
                continue;
            }
            if let Err(error) = session.stop(caller).await {
                tracing::warn!(%error, session = id, "it still counts at the orchestrator");
                self.add(session);
            }
        }
    }
}

#[cfg(test)]
#[path = "session_test.rs"]
mod tests;
