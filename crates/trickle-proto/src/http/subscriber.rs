//! Subscribing: GETs one ahead of the reader, and the segments they bring.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::{
    client::{Answer, Client, ClientBody, NoAnswer, is_passing, request, seed},
    transport::Arrived,
    url::ChannelUrl,
};
use crate::{
    error::{SubscribeError, with_causes},
    seq::{SegmentRef, Seq},
    subscribe::{Gap, GetAnswer, Start, Step, SubscribeState},
    wire::{Head, STATUS_NO_SEGMENT},
};

/// Reads a channel, segment after segment.
///
/// The next segment is asked for as soon as one is handed out, so that it can begin without a
/// round trip. Lost connections and restarted relays are ridden out within
/// [`ClientConfig::retry`](crate::ClientConfig::retry).
pub struct Subscriber {
    client: Client,
    url: ChannelUrl,
    state: SubscribeState,
    /// The GET that was sent ahead.
    ahead: Option<AbortOnDropHandle<Got>>,
}

/// What came of a GET, for the decision and for the user.
struct Got {
    answer: GetAnswer,
    body: Option<Response<Incoming>>,
    detail: String,
}

impl Subscriber {
    pub(crate) fn new(client: Client, url: ChannelUrl, start: Start) -> Self {
        let state = SubscribeState::new(start, client.config().retry, seed());
        Self {
            client,
            url,
            state,
            ahead: None,
        }
    }

    /// The channel.
    #[must_use]
    pub fn url(&self) -> &Url {
        self.url.url()
    }

    /// The segment that is asked for next.
    #[must_use]
    pub fn wanted(&self) -> SegmentRef {
        self.state.wanted()
    }

    /// Times that the relay answered again, after it could not be reached or refused for a while.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.state.reconnects()
    }

    /// Waits for the next segment to begin; `None` at the end of the stream.
    ///
    /// May be called before the last segment is read to its end. Cancelling it loses nothing.
    ///
    /// # Errors
    /// [`SubscribeError::Stopped`] when the channel does not exist, the relay refuses, or it
    /// cannot be reached for longer than the retry window.
    pub async fn next_segment(&mut self) -> Result<Option<SegmentReader>, SubscribeError> {
        loop {
            let ahead = match self.ahead.as_mut() {
                Some(ahead) => ahead,
                None => self.ahead.insert(self.get(Duration::ZERO)),
            };
            let got = match ahead.await {
                Ok(got) => got,
                Err(error) => Got::no_answer(NoAnswer::new(error.to_string())),
            };
            self.ahead = None;
            match self.state.on_answer(got.answer, Instant::now().into_std()) {
                Step::Deliver { seq, gap } => {
                    self.ahead = Some(self.get(Duration::ZERO));
                    if let Some(gap) = gap {
                        tracing::warn!(url = %self.url.url(), %seq, ?gap, "gap");
                    }
                    return Ok(got
                        .body
                        .map(|response| SegmentReader::new(seq, gap, response)));
                }
                Step::Ask(wait) => {
                    tracing::debug!(
                        url = %self.url.url(), answer = ?got.answer, detail = got.detail,
                        wanted = %self.state.wanted(), ?wait, "asking again",
                    );
                    self.ahead = Some(self.get(wait));
                }
                Step::End => return Ok(None),
                Step::Fail(stop) => {
                    let url = self.url.url().clone();
                    return Err(SubscribeError::Stopped {
                        url,
                        stop,
                        detail: got.detail,
                    });
                }
            }
        }
    }

    /// Starts the GET of the wanted segment after `wait`.
    fn get(&self, wait: Duration) -> AbortOnDropHandle<Got> {
        let client = self.client.clone();
        let uri = self.url.segment(self.state.wanted());
        AbortOnDropHandle::new(tokio::spawn(async move {
            if !wait.is_zero() {
                sleep(wait).await;
            }
            match client
                .send(request(Method::GET, uri, ClientBody::Empty), false)
                .await
            {
                Ok(response) => Got::from_response(response).await,
                Err(error) => Got::no_answer(error),
            }
        }))
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("url", &self.url.url().as_str())
            .field("wanted", &self.state.wanted())
            .finish_non_exhaustive()
    }
}

impl Got {
    fn no_answer(error: NoAnswer) -> Self {
        Self {
            answer: if error.distrusted {
                GetAnswer::Distrusted
            } else {
                GetAnswer::NoAnswer
            },
            body: None,
            detail: error.reason,
        }
    }

    async fn from_response(response: Response<Incoming>) -> Self {
        let head = Head::read(response.headers());
        if response.status() == StatusCode::OK && !head.closed {
            let answer = GetAnswer::Segment { seq: head.seq };
            return Self {
                answer,
                body: Some(response),
                detail: String::new(),
            };
        }
        let answer = Answer::read(response).await;
        let status = answer.status.as_u16();
        let kind = match answer.status {
            StatusCode::OK => GetAnswer::EndOfStream,
            StatusCode::NOT_FOUND => GetAnswer::NotFound,
            _ if status == STATUS_NO_SEGMENT => GetAnswer::NoSegment {
                latest: head.latest,
            },
            _ if is_passing(answer.status) => GetAnswer::Unavailable(status),
            _ => GetAnswer::Refused(status),
        };
        Self {
            answer: kind,
            body: None,
            detail: answer.describe(),
        }
    }
}

/// One segment that is being received.
#[derive(Debug)]
pub struct SegmentReader {
    seq: Seq,
    gap: Option<Gap>,
    head: Head,
    arrived: Option<Arrived>,
    body: Incoming,
    received: u64,
}

impl SegmentReader {
    fn new(seq: Seq, gap: Option<Gap>, response: Response<Incoming>) -> Self {
        let head = Head::read(response.headers());
        Self {
            seq,
            gap,
            head,
            arrived: response.extensions().get().cloned(),
            body: response.into_body(),
            received: 0,
        }
    }

    /// The segment's index.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The break in the sequence before this segment, if there is one.
    #[must_use]
    pub fn gap(&self) -> Option<Gap> {
        self.gap
    }

    /// The channel's MIME type.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.head.content_type.as_deref()
    }

    /// The index that the channel's next write took when this segment was answered; how far it
    /// lies ahead of [`SegmentReader::seq`] tells how far this reader is behind.
    #[must_use]
    pub fn latest(&self) -> Option<Seq> {
        self.head.latest
    }

    /// Bytes received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// When the bytes that the connection read last had arrived, since the Unix epoch. Only
    /// connections of a client that measures know.
    pub(crate) fn arrived(&self) -> Option<Duration> {
        self.arrived.as_ref()?.get()
    }

    /// The next bytes, as soon as they come; `None` at the end of the segment.
    ///
    /// # Errors
    /// [`SubscribeError::Truncated`] when the body breaks off: the connection was lost, or this
    /// reader was so slow that the segment left the relay's ring.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, SubscribeError> {
        while let Some(frame) = self.body.frame().await {
            match frame {
                Ok(frame) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.received += bytes.len() as u64;
                        return Ok(Some(bytes));
                    }
                }
                Err(error) => {
                    return Err(SubscribeError::Truncated {
                        seq: self.seq,
                        received: self.received,
                        detail: with_causes(&error),
                    });
                }
            }
        }
        Ok(None)
    }

    /// All bytes that are still to come, at most `most` of them; `None` if there are more. For
    /// channels of small messages.
    ///
    /// # Errors
    /// As [`SegmentReader::chunk`].
    pub async fn collect(mut self, most: usize) -> Result<Option<Bytes>, SubscribeError> {
        let mut all = bytes::BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if all.len().saturating_add(chunk.len()) > most {
                return Ok(None);
            }
            all.extend_from_slice(&chunk);
        }
        Ok(Some(all.freeze()))
    }
}
