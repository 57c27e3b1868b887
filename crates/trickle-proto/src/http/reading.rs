//! The reading side of a relay: what answers a GET.

use http::{HeaderValue, Response, StatusCode, header};

use super::{
    answer::{NO_STORE, end_of_stream, no_segment, not_found, set, text, too_many},
    body::RelayBody,
    relay::{Call, RelayResponse},
};
use crate::{channel::Read, segment::Begin, seq::SegmentRef, wire};

impl Call<'_> {
    pub(super) fn next_index(&self) -> RelayResponse {
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

    pub(super) async fn read(&self, wanted: SegmentRef) -> RelayResponse {
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
}
