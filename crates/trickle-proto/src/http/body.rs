//! The bodies that a relay sends.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{
    registry::Subscribed,
    segment::{CutOff, SegmentReader},
};

/// Body of a relay's answer.
#[derive(Debug)]
pub struct RelayBody(Kind);

#[derive(Debug)]
enum Kind {
    Text(Option<Bytes>),
    Segment {
        reader: SegmentReader,
        _counted: Subscribed,
    },
}

impl RelayBody {
    pub(crate) fn empty() -> Self {
        Self(Kind::Text(None))
    }

    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self(Kind::Text((!text.is_empty()).then_some(text)))
    }

    pub(crate) fn segment(reader: SegmentReader, counted: Subscribed) -> Self {
        Self(Kind::Segment {
            reader,
            _counted: counted,
        })
    }
}

impl Body for RelayBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match &mut self.0 {
            Kind::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Kind::Segment { reader, .. } => {
                let chunk = ready!(reader.poll_chunk(cx));
                Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Text(text) => text.is_none(),
            Kind::Segment { reader, .. } => reader.is_at_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Segment { reader, .. } => reader
                .remaining()
                .map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}
