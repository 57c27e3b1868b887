//! The answers of a relay, each in one place with its status, headers and text.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, Version, header};

use super::{body::RelayBody, relay::RelayResponse};
use crate::{channel::TooLarge, registry::NoRoom, seq::Seq, wire};

pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> RelayResponse {
    let mut response = Response::new(RelayBody::text(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, PLAIN);
    response
}

pub(super) fn set(response: &mut RelayResponse, name: HeaderName, seq: Seq) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from(seq.get()));
}

pub(super) fn not_found() -> RelayResponse {
    let mut response = text(StatusCode::NOT_FOUND, "Stream not found");
    response.headers_mut().insert(header::CONNECTION, CLOSE);
    response
}

pub(super) fn not_allowed(allowed: &'static str) -> RelayResponse {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

pub(super) fn unauthorized() -> RelayResponse {
    let mut response = text(StatusCode::UNAUTHORIZED, "A valid bearer token is needed");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

pub(super) fn reserved() -> RelayResponse {
    text(StatusCode::FORBIDDEN, "This channel belongs to the relay")
}

pub(super) fn no_room(error: NoRoom) -> RelayResponse {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

pub(super) fn too_many(what: &'static str) -> RelayResponse {
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, what);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

pub(super) fn too_large(error: TooLarge) -> RelayResponse {
    let mut response = text(StatusCode::PAYLOAD_TOO_LARGE, error.to_string());
    response.headers_mut().insert(header::CONNECTION, CLOSE);
    response
}

pub(super) fn written(seq: Seq) -> RelayResponse {
    let mut response = text(StatusCode::OK, "");
    set(&mut response, wire::SEQ, seq);
    response
}

pub(super) fn closed_to_writers() -> RelayResponse {
    let mut response = text(StatusCode::OK, "");
    response
        .headers_mut()
        .insert(wire::CLOSED, wire::TERMINATED);
    response.headers_mut().insert(header::CONNECTION, CLOSE);
    response
}

pub(super) fn end_of_stream(next: Seq) -> RelayResponse {
    let mut response = text(StatusCode::OK, "");
    set(&mut response, wire::LATEST, next);
    response
        .headers_mut()
        .insert(wire::CLOSED, wire::TERMINATED);
    response
}

pub(super) fn no_segment(seq: Option<Seq>, next: Seq) -> RelayResponse {
    let mut response = text(wire::no_segment(), "Entry not found");
    set(&mut response, wire::LATEST, next);
    if let Some(seq) = seq {
        set(&mut response, wire::SEQ, seq);
    }
    response
}

/// HTTP/2 forbids the header.
pub(super) fn without_connection_header_on_http2(
    mut response: RelayResponse,
    version: Version,
) -> RelayResponse {
    if version == Version::HTTP_2 {
        response.headers_mut().remove(header::CONNECTION);
    }
    response
}
