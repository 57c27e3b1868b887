//! What can go wrong for the users of publisher and subscriber.

use url::Url;

use crate::{
    http::tls::TlsError,
    publish::{PostAnswer, PublishStop},
    seq::Seq,
    subscribe::SubscribeStop,
};

/// A channel's address that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadUrl {
    /// Neither http nor https.
    #[error("channel URL {url}: scheme {scheme:?} is not http or https")]
    Scheme {
        /// The address.
        url: Url,
        /// Its scheme.
        scheme: String,
    },
    /// No path, so no channel is named.
    #[error("channel URL {url}: the path names no channel")]
    NoChannel {
        /// The address.
        url: Url,
    },
    /// Not a URI that can be sent in a request.
    #[error("channel URL {url}: {source}")]
    Uri {
        /// The address.
        url: Url,
        /// What is wrong with it.
        source: http::uri::InvalidUri,
    },
}

/// A client that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A header cannot carry this MIME type or token.
    #[error("{what} {value:?} cannot be sent in a header")]
    Header {
        /// Which setting.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// A bearer token is not made of visible ASCII characters. It is not shown.
    #[error("a token must be one or more visible ASCII characters without spaces")]
    Token,
    /// TLS settings.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
}

/// Publishing failed. [`PublishError::is_terminal`] tells whether for good.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The address cannot be used.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Part of a segment, or all of it, did not reach the relay. The next one may.
    #[error("segment {seq} was lost: {}", lost(.answer, .detail))]
    SegmentLost {
        /// Which one.
        seq: Seq,
        /// What came of its POST.
        answer: PostAnswer,
        /// The connection's error, or the relay's own words.
        detail: String,
    },
    /// Nothing more can be published.
    #[error("publishing to {url} ended: {stop}{}", in_parentheses(.detail))]
    Stopped {
        /// The channel.
        url: Url,
        /// Why.
        stop: PublishStop,
        /// The connection's last error, or the relay's own words.
        detail: String,
    },
}

impl PublishError {
    /// Whether publishing is over; otherwise the next segment may be tried.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        !matches!(self, Self::SegmentLost { .. })
    }
}

/// Subscribing failed.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// The address cannot be used.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// No further segment can be had.
    #[error("subscription to {url} ended: {stop}{}", in_parentheses(.detail))]
    Stopped {
        /// The channel.
        url: Url,
        /// Why.
        stop: SubscribeStop,
        /// The connection's last error, or the relay's own words.
        detail: String,
    },
    /// The segment's body broke off; the next segment may be read.
    #[error("segment {seq} broke off after {received} bytes: {detail}")]
    Truncated {
        /// Which one.
        seq: Seq,
        /// Bytes that had come.
        received: u64,
        /// The connection's error.
        detail: String,
    },
}

impl SubscribeError {
    /// Whether the subscription is over; otherwise the next segment may be read.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        !matches!(self, Self::Truncated { .. })
    }
}

fn in_parentheses(detail: &str) -> String {
    if detail.is_empty() {
        String::new()
    } else {
        format!(" ({detail})")
    }
}

fn lost(answer: &PostAnswer, detail: &str) -> String {
    let what = match answer {
        PostAnswer::Accepted => "it was not ended".to_owned(),
        PostAnswer::CutShort => "the relay answered before its end".to_owned(),
        PostAnswer::EndOfStream => "the channel was closed".to_owned(),
        PostAnswer::NotFound => "there is no such channel".to_owned(),
        PostAnswer::Unavailable(status) | PostAnswer::Refused(status) => format!("status {status}"),
        PostAnswer::NoAnswer => "the connection failed".to_owned(),
        PostAnswer::Distrusted => "the relay's certificate was refused".to_owned(),
    };
    what + &in_parentheses(detail)
}

/// An error and its causes in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
