//! The HTTP client that publishers and subscribers share.

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use url::Url;

use super::{
    publisher::{PublishOptions, Publisher},
    subscriber::Subscriber,
    tcp::Silence,
    tls::{ClientTls, is_distrust},
    transport::Transport,
    upload::{Aborted, Upload, UploadBody},
    url::ChannelUrl,
};
use crate::{
    auth::Token,
    error::{BadUrl, ConfigError, PublishError, with_causes},
    retry::RetryPolicy,
    seq::Seq,
    subscribe::Start,
    wire::{self, Head},
};

/// Settings of a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Longest time to make a connection. Default 10 seconds.
    pub connect_timeout: Duration,
    /// Longest time for the small requests: create, `/next`, delete. Segments have no such
    /// limit, as a live one stays open for as long as its source is quiet. Default 10 seconds.
    pub request_timeout: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Which servers of `https` channels are believed.
    pub tls: ClientTls,
    /// Sent with every request, if there is one.
    pub token: Option<Token>,
    /// How long a relay may be silent before it counts as gone.
    pub silence: Silence,
    /// Segments lost in a row after which a publisher gives up. Default 5.
    pub max_lost_segments: u32,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            retry: RetryPolicy::default(),
            tls: ClientTls::default(),
            token: None,
            silence: Silence::default(),
            max_lost_segments: 5,
        }
    }
}

/// Makes publishers and subscribers. They share its connections; cloning is cheap.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    config: ClientConfig,
    pooled: Http,
    /// Never uses a connection twice.
    fresh: Http,
}

type Http = legacy::Client<HttpsConnector<Transport>, ClientBody>;

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client without connections.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(config: ClientConfig) -> Result<Self, ConfigError> {
        let connector = connector(&config);
        Self::over(config, Transport::Tcp(connector))
    }

    /// The same client with connections of its own, whose answers tell when their bytes arrived.
    pub(crate) fn timed(&self) -> Result<Self, ConfigError> {
        let config = self.config().clone();
        let connector = connector(&config);
        Self::over(config, Transport::timed(connector))
    }

    /// A client that makes its connections so.
    pub(super) fn over(config: ClientConfig, transport: Transport) -> Result<Self, ConfigError> {
        let silence = config.silence;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config.tls.build()?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(transport);
        let build = |idle: usize| {
            let mut builder = legacy::Client::builder(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_max_idle_per_host(idle)
                .http2_keep_alive_interval(silence.ping_every)
                .http2_keep_alive_timeout(silence.ping_timeout);
            builder.build(connector.clone())
        };
        let (pooled, fresh) = (build(usize::MAX), build(0));
        Ok(Self {
            shared: Arc::new(Shared {
                config,
                pooled,
                fresh,
            }),
        })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.shared.config
    }

    /// Publishes to a channel.
    ///
    /// With neither [`PublishOptions::create`] nor [`PublishOptions::resume`] nothing is asked
    /// of the relay before the first segment, so a relay that is down is reported by
    /// [`Publisher::next_segment`]; with either, it is waited for as long as
    /// [`ClientConfig::retry`] says.
    ///
    /// # Errors
    /// [`PublishError::Url`] or [`PublishError::Config`] for arguments that cannot be used;
    /// [`PublishError::Stopped`] when the relay refuses or cannot be reached.
    pub async fn publish(
        &self,
        url: &Url,
        options: PublishOptions,
    ) -> Result<Publisher, PublishError> {
        Publisher::start(self.clone(), ChannelUrl::new(url)?, options).await
    }

    /// Subscribes to a channel. Nothing is asked of the relay before the first
    /// [`Subscriber::next_segment`].
    ///
    /// # Errors
    /// [`BadUrl`] for an address that cannot be used.
    pub fn subscribe(&self, url: &Url, start: Start) -> Result<Subscriber, BadUrl> {
        Ok(Subscriber::new(self.clone(), ChannelUrl::new(url)?, start))
    }

    /// Sends a request that may take as long as it likes.
    pub(crate) async fn send(
        &self,
        mut request: Request<ClientBody>,
        fresh: bool,
    ) -> Result<Response<Incoming>, NoAnswer> {
        if let Some(token) = &self.shared.config.token {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, token.header().clone());
        }
        self.exchange(request, fresh).await
    }

    /// Sends a request as it is.
    pub(crate) async fn exchange(
        &self,
        request: Request<ClientBody>,
        fresh: bool,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let http = if fresh {
            &self.shared.fresh
        } else {
            &self.shared.pooled
        };
        http.request(request).await.map_err(|error| NoAnswer {
            distrusted: is_distrust(&error),
            reason: with_causes(&error),
        })
    }

    /// Sends a small request and reads its whole answer, within the time for such.
    pub(crate) async fn ask(
        &self,
        method: Method,
        uri: Uri,
        header: Option<(http::HeaderName, HeaderValue)>,
    ) -> Result<Answer, NoAnswer> {
        let mut request = request(method, uri, ClientBody::Empty);
        if let Some((name, value)) = header {
            request.headers_mut().insert(name, value);
        }
        let limit = self.shared.config.request_timeout;
        let answer = async { Ok(Answer::read(self.send(request, false).await?).await) };
        tokio::time::timeout(limit, answer)
            .await
            .unwrap_or_else(|_| Err(NoAnswer::new(format!("no answer within {limit:?}"))))
    }
}

fn connector(config: &ClientConfig) -> HttpConnector {
    let silence = config.silence;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(config.connect_timeout));
    connector.set_keepalive(Some(silence.probe_after));
    connector.set_keepalive_interval(Some(silence.probe_every));
    connector.set_keepalive_retries(Some(silence.probes));
    #[cfg(target_os = "linux")]
    connector.set_tcp_user_timeout(Some(silence.unacknowledged));
    connector.enforce_http(false);
    connector
}

/// No answer came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NoAnswer {
    /// Why.
    pub reason: String,
    /// The server's certificate was refused: another try will not change that by itself.
    pub distrusted: bool,
}

impl NoAnswer {
    /// No answer for a reason that may pass.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            distrusted: false,
        }
    }
}

/// An answer without the rest of its body.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) head: Head,
    /// The beginning of the body, for messages.
    pub(crate) text: String,
}

impl Answer {
    /// Longest body that is read; small enough for a log line, large enough for an index.
    const MOST_TEXT: usize = 4096;

    /// Reads the answer's body to its end, so that the connection can be used again.
    pub(crate) async fn read(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = Limited::new(body, Self::MOST_TEXT).collect().await;
        let text = bytes.map(|body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned());
        Self {
            status: parts.status,
            head: Head::read(&parts.headers),
            text: text.unwrap_or_default(),
        }
    }

    /// The index in the answer to `/next`: the header, or the text where that is missing.
    pub(crate) fn next_index(&self) -> Option<Seq> {
        self.head.latest.or_else(|| self.text.parse().ok())
    }

    /// Status and text, for a message.
    pub(crate) fn describe(&self) -> String {
        if self.text.is_empty() {
            self.status.to_string()
        } else {
            let text: String = self.text.chars().take(200).collect();
            format!("{}: {text}", self.status)
        }
    }
}

/// Whether another try may bring another status.
pub(crate) fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

pub(crate) fn request(method: Method, uri: Uri, body: ClientBody) -> Request<ClientBody> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    request
}

/// A POST of `seq`.
pub(crate) fn post(
    url: &ChannelUrl,
    seq: Seq,
    reset: bool,
    mime: &HeaderValue,
    upload: Arc<Upload>,
) -> Request<ClientBody> {
    let uri = url.segment(crate::seq::SegmentRef::At(seq));
    let mut request = request(Method::POST, uri, ClientBody::Upload(UploadBody(upload)));
    request
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, mime.clone());
    if reset {
        request.headers_mut().insert(wire::RESET, wire::RESET_YES);
    }
    request
}

/// Body of a client's request.
#[derive(Debug)]
pub(crate) enum ClientBody {
    Empty,
    /// All of it, until it is taken.
    Whole(Option<Bytes>),
    Upload(UploadBody),
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match self.get_mut() {
            Self::Empty => std::task::Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = bytes.take().filter(|bytes| !bytes.is_empty());
                std::task::Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
            Self::Upload(body) => std::pin::Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Upload(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Empty => http_body::SizeHint::with_exact(0),
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                http_body::SizeHint::with_exact(length as u64)
            }
            Self::Upload(_) => http_body::SizeHint::new(),
        }
    }
}

/// A seed for the waits between retries, different in every client.
pub(crate) fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::{io::AsyncReadExt, net::TcpListener};

    use super::*;

    /// `tr` of the kernel's table: the timer that runs on a socket is the one of keepalive.
    const KEEPALIVE_TIMER: &str = "02";
    /// The kernel shows times in hundredths of a second.
    const TICKS_PER_SECOND: u64 = 100;

    #[tokio::test]
    async fn a_relay_that_goes_away_without_a_word_is_probed_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a", listener.local_addr().unwrap());
        let client = Client::new(ClientConfig::default()).unwrap();
        let asked = tokio::spawn(async move {
            let request = request(Method::GET, url.parse().unwrap(), ClientBody::Empty);
            client.send(request, false).await.map(drop)
        });
        let (mut stream, peer) = listener.accept().await.unwrap();
        assert_ne!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
        // What was sent is acknowledged by now, so no other timer runs.
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let ends = format!(
            ":{:04X} 0100007F:{:04X} ",
            peer.port(),
            listener.local_addr().unwrap().port()
        );
        let line = table.lines().find(|line| line.contains(&ends)).unwrap();
        let timer = line.split_whitespace().nth(5).unwrap();
        let (kind, when) = timer.split_once(':').unwrap();
        assert_eq!(kind, KEEPALIVE_TIMER, "{line}");
        let when = u64::from_str_radix(when, 16).unwrap() / TICKS_PER_SECOND;
        let probe_after = Silence::default().probe_after;
        assert!(when <= probe_after.as_secs(), "{line}");
        asked.abort();
    }
}
