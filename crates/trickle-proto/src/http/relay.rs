//! The relay: every route of the protocol, as a function from request to answer.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, request};
use http_body::Body;
use tokio::time::Instant;

use super::{
    answer::{
        no_room, not_allowed, not_found, reserved, text, unauthorized,
        without_connection_header_on_http2,
    },
    body::RelayBody,
    interim::Interim,
    routes::{NoRoute, Route, Target, normal_base},
    tcp::Silence,
};
use crate::{
    auth::{self, Access, Right},
    limits::Limits,
    registry::{CHANGEFEED, Change, CloseCause, Entry, NoRoom, Registry, Rules},
    seq::SegmentRef,
    sync::lock,
    wire,
};

/// Settings of a [`Relay`].
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Path prefix of all channels; go-livepeer uses `/ai/trickle/`. Default `/`.
    pub base_path: String,
    /// Whether a POST makes a channel that does not exist. Default false: channels are then
    /// made through [`Relay::create_channel`] only.
    pub autocreate: bool,
    /// Segments that each channel keeps. Default 5.
    pub ring: usize,
    /// Whether the channel `_changes` tells of channels made and closed. Default false.
    pub changefeed: bool,
    /// Bounds.
    pub limits: Limits,
    /// Who may use the relay at all. Default: everybody.
    pub access: Access,
    /// Further tokens for channels of these names. Default none.
    pub channel_access: HashMap<String, Access>,
    /// A channel without a byte for this long is closed. Default 5 minutes.
    pub idle_timeout: Duration,
    /// A closed channel is kept for this long for late readers. Default 30 seconds.
    pub retention: Duration,
    /// How long a client of [`Relay::serve`] may be silent before it counts as gone.
    pub silence: Silence,
    /// Longest time that [`Relay::serve`] waits for connections to end after its shutdown.
    /// Default 5 seconds.
    pub drain_timeout: Duration,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            base_path: "/".into(),
            autocreate: false,
            ring: 5,
            changefeed: false,
            limits: Limits::default(),
            access: Access::default(),
            channel_access: HashMap::new(),
            idle_timeout: Duration::from_secs(5 * 60),
            retention: Duration::from_secs(30),
            silence: Silence::default(),
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// Answer of a relay.
pub type RelayResponse = Response<RelayBody>;

/// A relay: channels, and the HTTP routes to them. Cloning gives another handle to the same.
///
/// [`Relay::serve`] runs it on a listener; [`Relay::handle`] lets another server call it.
#[derive(Clone)]
pub struct Relay {
    shared: Arc<Shared>,
}

struct Shared {
    base: String,
    autocreate: bool,
    silence: Silence,
    drain_timeout: Duration,
    access: Access,
    channel_access: Mutex<HashMap<String, Access>>,
    registry: Registry,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("base", &self.shared.base)
            .finish_non_exhaustive()
    }
}

impl Relay {
    /// A relay without channels.
    #[must_use]
    pub fn new(config: RelayConfig) -> Self {
        let rules = Rules {
            ring: config.ring,
            changefeed: config.changefeed,
            idle_timeout: config.idle_timeout,
            retention: config.retention,
            limits: config.limits,
        };
        let shared = Shared {
            base: normal_base(&config.base_path),
            autocreate: config.autocreate,
            silence: config.silence,
            drain_timeout: config.drain_timeout,
            access: config.access,
            channel_access: Mutex::new(config.channel_access),
            registry: Registry::new(rules, now()),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The path below which the channels are, with a slash at both ends.
    #[must_use]
    pub fn base_path(&self) -> &str {
        &self.shared.base
    }

    /// The channels.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// Makes a channel, or starts a closed one anew. One that lives stays as it is.
    ///
    /// # Errors
    /// [`NoRoom`] when the limit of channels is reached.
    pub fn create_channel(&self, name: &str, mime: Option<HeaderValue>) -> Result<(), NoRoom> {
        self.shared.registry.create(name, mime, now()).map(drop)
    }

    /// Ends a channel. False if there is none that lives.
    pub fn close_channel(&self, name: &str) -> bool {
        self.shared.registry.close(name, CloseCause::Asked, now())
    }

    /// Calls `hook` for each channel that is made or closed from now on, by whomever: a request, a
    /// call like [`Relay::close_channel`], the sweep, the shutdown. It is called with no lock held
    /// and must not block; several hooks are called in the order in which they were added.
    ///
    /// ```
    /// use trickle_proto::{Change, Relay, RelayConfig};
    ///
    /// let relay = Relay::new(RelayConfig::default());
    /// relay.on_change(|change| match change {
    ///     Change::Made { name } => println!("{name} begins"),
    ///     Change::Closed { name, cause } => println!("{name} ends: {cause:?}"),
    /// });
    /// relay.create_channel("camera", None)?;
    /// # Ok::<(), trickle_proto::NoRoom>(())
    /// ```
    pub fn on_change(&self, hook: impl Fn(&Change<'_>) + Send + Sync + 'static) {
        self.shared.registry.on_change(hook);
    }

    /// Sets further tokens for a channel, whether it exists or not; they outlive it. With the
    /// default [`Access`] it is as open as the relay.
    pub fn set_channel_access(&self, name: &str, access: Access) {
        let mut all = lock(&self.shared.channel_access);
        if access == Access::default() {
            all.remove(name);
        } else {
            all.insert(name.to_owned(), access);
        }
    }

    fn is_allowed(&self, right: Right, channel: &str, headers: &HeaderMap) -> bool {
        let all = lock(&self.shared.channel_access);
        match all.get(channel) {
            Some(own) => auth::is_allowed(right, &[&self.shared.access, own], headers),
            None => auth::is_allowed(right, &[&self.shared.access], headers),
        }
    }

    /// Closes idle channels and forgets closed ones. [`Relay::serve`] does it by itself; who
    /// uses [`Relay::handle`] calls it every few seconds.
    pub fn sweep(&self) {
        self.shared.registry.sweep(now());
    }

    pub(super) fn silence(&self) -> &Silence {
        &self.shared.silence
    }

    pub(super) fn drain_timeout(&self) -> Duration {
        self.shared.drain_timeout
    }

    /// Answers one request. Dropping the future, as servers do when the client is gone, gives
    /// up a wait and ends a half-written segment.
    pub async fn handle<B>(&self, request: Request<B>) -> RelayResponse
    where
        B: Body<Data = Bytes>,
    {
        let (head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        let response = match Route::parse(&self.shared.base, head.uri.path()) {
            Err(NoRoute::NotFound) => text(StatusCode::NOT_FOUND, "Not found"),
            Err(NoRoute::BadName) => text(StatusCode::BAD_REQUEST, "Invalid channel name"),
            Ok(route) if route.channel.len() > self.limits().name_bytes => {
                text(StatusCode::URI_TOO_LONG, "Channel name too long")
            }
            Ok(route)
                if !self.is_allowed(right(&head.method, &route), &route.channel, &head.headers) =>
            {
                unauthorized()
            }
            Ok(route) => {
                let version = head.version;
                let call = Call {
                    relay: self,
                    name: &route.channel,
                    headers: &head.headers,
                    interim: interim(&head),
                };
                let response = match (&head.method, route.target) {
                    (&Method::POST, Target::Channel) => call.create(),
                    (&Method::DELETE, Target::Channel) => call.delete_channel(),
                    (_, Target::Channel) => not_allowed("POST, DELETE"),
                    (&Method::GET | &Method::HEAD, Target::Next) => call.next_index(),
                    (&Method::GET | &Method::HEAD, Target::Segment(wanted)) => {
                        call.read(wanted).await
                    }
                    (&Method::POST, Target::Segment(wanted)) => call.write(wanted, body).await,
                    (&Method::DELETE, Target::Segment(wanted)) => call.delete_segment(wanted),
                    (&Method::GET | &Method::HEAD | &Method::POST | &Method::DELETE, target) => {
                        call.bad_index(&target)
                    }
                    (_, Target::Next) => not_allowed("GET, HEAD"),
                    _ => not_allowed("GET, HEAD, POST, DELETE"),
                };
                without_connection_header_on_http2(response, version)
            }
        };
        if is_head {
            response.map(|_| RelayBody::empty())
        } else {
            response
        }
    }

    /// [`Relay::handle`] in the form of a `hyper` service.
    ///
    /// # Errors
    /// None.
    pub async fn call<B>(self, request: Request<B>) -> Result<RelayResponse, Infallible>
    where
        B: Body<Data = Bytes>,
    {
        Ok(self.handle(request).await)
    }

    /// Whether publishers may make channels.
    pub(super) fn autocreate(&self) -> bool {
        self.shared.autocreate
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.shared.registry.rules().limits
    }
}

/// One request to one channel.
pub(super) struct Call<'a> {
    pub(super) relay: &'a Relay,
    pub(super) name: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) interim: Option<&'a Interim>,
}

impl Call<'_> {
    pub(super) fn registry(&self) -> &Registry {
        &self.relay.shared.registry
    }

    pub(super) fn entry(&self) -> Option<Arc<Entry>> {
        self.registry().get(self.name)
    }

    /// The relay alone writes to the changefeed.
    pub(super) fn is_reserved(&self) -> bool {
        self.registry().rules().changefeed && self.name == CHANGEFEED
    }

    fn create(&self) -> RelayResponse {
        if self.is_reserved() {
            return reserved();
        }
        let lives = self
            .entry()
            .is_some_and(|entry| entry.with(|c| c.closed_at().is_none()));
        if lives {
            return text(StatusCode::OK, "");
        }
        if !self.relay.autocreate() {
            return not_found();
        }
        let mime = self.headers.get(&wire::EXPECT_CONTENT).cloned();
        match self.registry().create(self.name, mime, now()) {
            Ok(_) => text(StatusCode::OK, ""),
            Err(error) => no_room(error),
        }
    }

    fn delete_channel(&self) -> RelayResponse {
        if self.is_reserved() {
            return reserved();
        }
        if self.registry().close(self.name, CloseCause::Asked, now()) {
            text(StatusCode::OK, "")
        } else {
            text(StatusCode::BAD_REQUEST, "Invalid stream")
        }
    }

    fn delete_segment(&self, wanted: SegmentRef) -> RelayResponse {
        if self.is_reserved() {
            return reserved();
        }
        let Some(entry) = self.entry() else {
            return not_found();
        };
        if entry.with(|channel| channel.end_segment(wanted, now())) {
            text(StatusCode::OK, "")
        } else {
            text(StatusCode::BAD_REQUEST, "Nonexistent segment")
        }
    }

    fn bad_index(&self, target: &Target) -> RelayResponse {
        if self.entry().is_none() && !self.relay.autocreate() {
            return not_found();
        }
        match target {
            Target::BadIndex(bad) => text(StatusCode::BAD_REQUEST, format!("Invalid index: {bad}")),
            _ => not_allowed("GET, HEAD"),
        }
    }
}

/// What a request wants to do.
fn right(method: &Method, route: &Route) -> Right {
    match (method, &route.target) {
        (&Method::GET | &Method::HEAD, Target::Next) => Right::Ask,
        (&Method::GET | &Method::HEAD, _) => Right::Subscribe,
        _ => Right::Publish,
    }
}

/// The way to send interim answers, which HTTP/1.1 alone has.
fn interim(head: &request::Parts) -> Option<&Interim> {
    let sends = head.version == Version::HTTP_11;
    head.extensions.get().filter(|_| sends)
}

pub(super) fn now() -> std::time::Instant {
    // Tokio's clock, so that tests can move it.
    Instant::now().into_std()
}
