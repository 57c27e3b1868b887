//! The relay: every route of the protocol, as a function from request to answer.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::{
    body::RelayBody,
    routes::{NoRoute, Route, Target, normal_base},
};
use crate::{
    auth::{self, Access, Right},
    channel::{BodyEnd, Read, TooLarge, Write},
    limits::Limits,
    registry::{CHANGEFEED, Entry, NoRoom, Registry, Rules},
    segment::{Begin, SegmentReader},
    seq::{SegmentRef, Seq},
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
        self.shared.registry.close(name, now())
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

    fn limits(&self) -> &Limits {
        &self.shared.registry.rules().limits
    }
}

/// One request to one channel.
struct Call<'a> {
    relay: &'a Relay,
    name: &'a str,
    headers: &'a HeaderMap,
}

impl Call<'_> {
    fn registry(&self) -> &Registry {
        &self.relay.shared.registry
    }

    fn entry(&self) -> Option<Arc<Entry>> {
        self.registry().get(self.name)
    }

    /// The relay alone writes to the changefeed.
    fn is_reserved(&self) -> bool {
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
        if !self.relay.shared.autocreate {
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
        if self.registry().close(self.name, now()) {
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
        if self.entry().is_none() && !self.relay.shared.autocreate {
            return not_found();
        }
        match target {
            Target::BadIndex(bad) => text(StatusCode::BAD_REQUEST, format!("Invalid index: {bad}")),
            _ => not_allowed("GET, HEAD"),
        }
    }

    fn next_index(&self) -> RelayResponse {
        let Some(entry) = self.entry() else {
            return not_found();
        };
        let (next, closed) = entry.with(|c| (c.next(), c.closed_at().is_some()));
        let mut response = text(StatusCode::OK, next.to_string());
        set(&mut response, wire::LATEST, next);
        if closed {
            response
                .headers_mut()
                .insert(wire::CLOSED, wire::TERMINATED);
        }
        response
    }

    async fn read(&self, wanted: SegmentRef) -> RelayResponse {
        let Some(entry) = self.entry() else {
            return not_found();
        };
        let (read, next) = entry.with(|channel| (channel.read(wanted), channel.next()));
        let segment = match read {
            Read::Segment(segment) => segment,
            Read::EndOfStream => return end_of_stream(next),
            Read::NoSegment { seq } => return no_segment(seq, next),
        };
        let Some(counted) = entry.subscribe(self.relay.limits().subscribers) else {
            return too_many("Too many subscribers");
        };
        let seq = segment.seq();
        let mut reader = segment.reader();
        // Clients take the head as the sign that the segment lives, so it waits for that.
        let begin = reader.begin().await;
        let (next, mime) = entry.with(|channel| (channel.next(), channel.mime().cloned()));
        match begin {
            Begin::Data | Begin::Empty => {
                let size = segment.len();
                let mut response = Response::new(RelayBody::segment(reader, counted));
                set(&mut response, wire::SEQ, seq);
                set(&mut response, wire::LATEST, next);
                response
                    .headers_mut()
                    .insert(wire::SIZE, HeaderValue::from(size));
                let mime = mime.unwrap_or(wire::DEFAULT_MIME);
                response.headers_mut().insert(header::CONTENT_TYPE, mime);
                response
                    .headers_mut()
                    .insert(header::CACHE_CONTROL, NO_STORE);
                response
            }
            Begin::ChannelClosed => end_of_stream(next),
            Begin::Gone => no_segment(Some(seq), next),
        }
    }

    async fn write<B: Body<Data = Bytes>>(&self, wanted: SegmentRef, body: B) -> RelayResponse {
        if self.is_reserved() {
            return reserved();
        }
        let reset = wire::wants_reset(self.headers);
        let entry = match self.entry_for_write(wanted, reset) {
            Ok(entry) => entry,
            Err(response) => return *response,
        };
        let open = entry.with(|channel| {
            channel.offer_mime(self.headers.get(header::CONTENT_TYPE));
            channel.open_write(wanted, reset, self.relay.limits())
        });
        match open {
            Write::Open(writer) => {
                let posting = Posting {
                    entry: &entry,
                    writer: Some(writer),
                };
                posting.receive(body, self.relay.limits()).await
            }
            Write::Finished(seq) => {
                drain(body).await;
                written(seq)
            }
            Write::Closed => closed_to_writers(),
            Write::TooManyWaiting => too_many("Too many segments wait for their first byte"),
            Write::BadIndex => text(StatusCode::BAD_REQUEST, "Invalid index: out of range"),
        }
    }

    /// The channel to write to, made or started anew where the request may do so.
    fn entry_for_write(
        &self,
        wanted: SegmentRef,
        reset: bool,
    ) -> Result<Arc<Entry>, Box<RelayResponse>> {
        let mime = || self.headers.get(header::CONTENT_TYPE).cloned();
        let make = || {
            let made = self.registry().create(self.name, mime(), now());
            made.map_err(|error| Box::new(no_room(error)))
        };
        let starts = matches!(wanted, SegmentRef::Next | SegmentRef::At(Seq::ZERO));
        match self.entry() {
            None if self.relay.shared.autocreate => make(),
            None => Err(Box::new(not_found())),
            Some(entry) => {
                let closed = entry.with(|channel| channel.closed_at().is_some());
                if closed && (reset || (starts && self.relay.shared.autocreate)) {
                    make()
                } else {
                    Ok(entry)
                }
            }
        }
    }
}

/// A POST whose body is being received. Ends its hold on the segment however it goes.
struct Posting<'a> {
    entry: &'a Entry,
    writer: Option<crate::channel::Writer>,
}

impl Posting<'_> {
    async fn receive<B: Body<Data = Bytes>>(mut self, body: B, limits: &Limits) -> RelayResponse {
        let mut body = pin!(body);
        let Some(mut watch) = self.writer.as_ref().map(|w| w.segment().reader()) else {
            return closed_to_writers();
        };
        loop {
            let frame = match next_frame(&mut body, &mut watch).await {
                Received::Frame(frame) => frame,
                Received::SegmentEnded => {
                    // The segment was ended by somebody else. If the whole channel was, the
                    // publisher must know now; else what still comes is dropped.
                    if self.entry.with(|channel| channel.closed_at().is_some()) {
                        return closed_to_writers();
                    }
                    let complete = drain(body).await;
                    return self.end(complete);
                }
            };
            match frame {
                None => return self.end(true),
                Some(Err(())) => return self.end(false),
                Some(Ok(frame)) => {
                    let Ok(bytes) = frame.into_data() else {
                        continue;
                    };
                    if let Err(error) = self.take(bytes, &mut watch, limits) {
                        self.end(true);
                        return too_large(error);
                    }
                }
            }
        }
    }

    fn take(
        &mut self,
        bytes: Bytes,
        watch: &mut SegmentReader,
        limits: &Limits,
    ) -> Result<(), TooLarge> {
        let Some(writer) = self.writer.as_mut() else {
            return Ok(());
        };
        if bytes.is_empty() {
            return Ok(());
        }
        self.entry
            .with(|channel| channel.admit(writer, bytes.len(), limits, now()))?;
        let segment = writer.segment();
        if !Arc::ptr_eq(segment, watch.segment()) {
            *watch = segment.reader();
        }
        segment.append(bytes);
        Ok(())
    }

    fn end(&mut self, complete: bool) -> RelayResponse {
        let Some(writer) = self.writer.take() else {
            return closed_to_writers();
        };
        let seq = writer.segment().seq();
        let end = if complete {
            BodyEnd::Complete
        } else {
            BodyEnd::Broken
        };
        let closed = self.entry.with(|channel| {
            channel.end_write(writer, end, now());
            channel.closed_at().is_some()
        });
        match (complete, closed) {
            (true, true) => closed_to_writers(),
            (true, false) => written(seq),
            // Nobody is left to read it.
            (false, _) => text(StatusCode::BAD_REQUEST, "The body broke off"),
        }
    }
}

impl Drop for Posting<'_> {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.entry
                .with(|channel| channel.end_write(writer, BodyEnd::Broken, now()));
        }
    }
}

enum Received {
    Frame(Option<Result<http_body::Frame<Bytes>, ()>>),
    SegmentEnded,
}

/// The body's next frame, or word that the segment takes no more.
async fn next_frame<B: Body<Data = Bytes>>(
    body: &mut std::pin::Pin<&mut B>,
    watch: &mut SegmentReader,
) -> Received {
    match select(body.frame(), pin!(watch.ended())).await {
        Either::Left((frame, _)) => Received::Frame(frame.map(|frame| frame.map_err(drop))),
        Either::Right(((), _)) => Received::SegmentEnded,
    }
}

/// Reads a body to its end and drops it. Returns whether it came to one.
async fn drain<B: Body<Data = Bytes>>(body: B) -> bool {
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return false;
        }
    }
    true
}

/// What a request wants to do.
fn right(method: &Method, route: &Route) -> Right {
    match (method, &route.target) {
        (&Method::GET | &Method::HEAD, Target::Next) => Right::Ask,
        (&Method::GET | &Method::HEAD, _) => Right::Subscribe,
        _ => Right::Publish,
    }
}

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

fn now() -> std::time::Instant {
    // Tokio's clock, so that tests can move it.
    Instant::now().into_std()
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> RelayResponse {
    let mut response = Response::new(RelayBody::text(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, PLAIN);
    response
}

fn set(response: &mut RelayResponse, name: HeaderName, seq: Seq) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from(seq.get()));
}

fn not_found() -> RelayResponse {
    let mut response = text(StatusCode::NOT_FOUND, "Stream not found");
    response.headers_mut().insert(header::CONNECTION, CLOSE);
    response
}

fn not_allowed(allowed: &'static str) -> RelayResponse {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

fn unauthorized() -> RelayResponse {
    let mut response = text(StatusCode::UNAUTHORIZED, "A valid bearer token is needed");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn reserved() -> RelayResponse {
    text(StatusCode::FORBIDDEN, "This channel belongs to the relay")
}

fn no_room(error: NoRoom) -> RelayResponse {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

fn too_many(what: &'static str) -> RelayResponse {
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, what);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn too_large(error: TooLarge) -> RelayResponse {
    let mut response = text(StatusCode::PAYLOAD_TOO_LARGE, error.to_string());
    response.headers_mut().insert(header::CONNECTION, CLOSE);
    response
}

fn written(seq: Seq) -> RelayResponse {
    let mut response = text(StatusCode::OK, "");
    set(&mut response, wire::SEQ, seq);
    response
}

fn closed_to_writers() -> RelayResponse {
    let mut response = text(StatusCode::OK, "");
    response
        .headers_mut()
        .insert(wire::CLOSED, wire::TERMINATED);
    response.headers_mut().insert(header::CONNECTION, CLOSE);
    response
}

fn end_of_stream(next: Seq) -> RelayResponse {
    let mut response = text(StatusCode::OK, "");
    set(&mut response, wire::LATEST, next);
    response
        .headers_mut()
        .insert(wire::CLOSED, wire::TERMINATED);
    response
}

fn no_segment(seq: Option<Seq>, next: Seq) -> RelayResponse {
    let mut response = text(wire::no_segment(), "Entry not found");
    set(&mut response, wire::LATEST, next);
    if let Some(seq) = seq {
        set(&mut response, wire::SEQ, seq);
    }
    response
}

/// HTTP/2 forbids the header.
fn without_connection_header_on_http2(
    mut response: RelayResponse,
    version: Version,
) -> RelayResponse {
    if version == Version::HTTP_2 {
        response.headers_mut().remove(header::CONNECTION);
    }
    response
}
