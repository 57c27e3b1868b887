//! What stands on the wire: header names, the status of its own, and reading an answer's head.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::seq::Seq;

/// Index of the segment that an answer carries or a request wrote.
pub const SEQ: HeaderName = HeaderName::from_static("lp-trickle-seq");
/// Index that the channel's next write takes.
pub const LATEST: HeaderName = HeaderName::from_static("lp-trickle-latest");
/// Present when the channel has ended.
pub const CLOSED: HeaderName = HeaderName::from_static("lp-trickle-closed");
/// Sent with a POST by a publisher that started anew.
pub const RESET: HeaderName = HeaderName::from_static("lp-trickle-reset");
/// Bytes that the segment held when the answer was made.
pub const SIZE: HeaderName = HeaderName::from_static("lp-trickle-size");
/// MIME type of a channel that is being created.
pub const EXPECT_CONTENT: HeaderName = HeaderName::from_static("expect-content");

/// Value of [`CLOSED`].
pub const TERMINATED: HeaderValue = HeaderValue::from_static("terminated");
/// Value of [`RESET`] that asks for a reset.
pub const RESET_YES: HeaderValue = HeaderValue::from_static("1");

/// "The channel exists, the segment does not": 470, trickle's own status.
pub const STATUS_NO_SEGMENT: u16 = 470;

/// The last part of the path that asks for the index of the next write.
pub const NEXT_PATH: &str = "next";

/// MIME type of a channel whose creator named none.
pub const DEFAULT_MIME: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// [`STATUS_NO_SEGMENT`] as a status code.
#[must_use]
pub fn no_segment() -> StatusCode {
    StatusCode::from_u16(STATUS_NO_SEGMENT).unwrap_or(StatusCode::NOT_FOUND)
}

/// The trickle headers of an answer. Fields that are absent or unreadable are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// [`SEQ`].
    pub seq: Option<Seq>,
    /// [`LATEST`].
    pub latest: Option<Seq>,
    /// [`SIZE`], in bytes.
    pub size: Option<u64>,
    /// Whether [`CLOSED`] is there, with whatever value.
    pub closed: bool,
    /// `Content-Type`.
    pub content_type: Option<String>,
}

impl Head {
    /// Reads the headers of an answer. Never fails: a peer that writes nonsense into one header
    /// is treated as if it had left it out.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            seq: text(&SEQ).and_then(|value| value.trim().parse().ok()),
            latest: text(&LATEST).and_then(|value| value.trim().parse().ok()),
            size: text(&SIZE).and_then(|value| value.trim().parse().ok()),
            closed: headers.contains_key(&CLOSED),
            content_type: text(&header::CONTENT_TYPE).map(str::to_owned),
        }
    }
}

/// Whether a POST asks for a reset. The value is `1`; some publishers say `true`.
#[must_use]
pub fn wants_reset(headers: &HeaderMap) -> bool {
    headers.get(&RESET).is_some_and(|value| {
        let value = value.as_bytes().trim_ascii();
        value == b"1" || value.eq_ignore_ascii_case(b"true")
    })
}

#[cfg(test)]
#[path = "wire_test.rs"]
mod tests;
