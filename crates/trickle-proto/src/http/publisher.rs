//! Publishing: POSTs one ahead of the writer, and what became of each.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use super::{
    client::{Answer, Client, NoAnswer, is_passing, seed},
    post::{Post, Posted},
    upload::Upload,
    url::ChannelUrl,
};
use crate::{
    error::{ConfigError, PublishError},
    publish::{PublishState, PublishStop},
    retry::Backoff,
    seq::Seq,
    wire,
};

/// Ended segments whose answer may be outstanding before the next segment waits for the oldest.
const MOST_UNANSWERED: usize = 3;
/// Longest wait for the answer to an ended segment.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// How to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishOptions {
    /// MIME type of the channel, such as `video/mp2t`.
    pub mime: String,
    /// Make the channel first. Needs a relay that lets publishers do so. Default false.
    pub create: bool,
    /// Continue a channel that was published to before: asks the relay for the next index and
    /// says that the publisher started anew. Default false: starts at 0.
    pub resume: bool,
}

impl PublishOptions {
    /// Publishes data of type `mime`, from segment 0, to a channel that exists or is made by
    /// the relay.
    #[must_use]
    pub fn new(mime: impl Into<String>) -> Self {
        Self {
            mime: mime.into(),
            create: false,
            resume: false,
        }
    }

    /// Sets [`PublishOptions::create`].
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Sets [`PublishOptions::resume`].
    #[must_use]
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }
}

/// Writes a channel, segment after segment.
///
/// The POST of the next segment is opened while one is written, so that its first byte can leave
/// at once. What went wrong with an ended segment is reported by the next call to
/// [`Publisher::next_segment`], or by [`Publisher::close`]; nothing is lost without a word.
pub struct Publisher {
    client: Client,
    url: ChannelUrl,
    mime: HeaderValue,
    create: bool,
    state: PublishState,
    ahead: Option<Post>,
    /// POSTs that were handed out, oldest first.
    posts: VecDeque<Post>,
    backoff: Backoff,
    /// The last failure's own words.
    detail: String,
}

impl Publisher {
    pub(crate) async fn start(
        client: Client,
        url: ChannelUrl,
        options: PublishOptions,
    ) -> Result<Self, PublishError> {
        let mime = HeaderValue::from_str(&options.mime).map_err(|_| ConfigError::Header {
            what: "MIME type",
            value: options.mime.clone(),
        })?;
        let config = client.config();
        let state = PublishState::new(Seq::ZERO, config.max_lost_segments, options.create);
        let backoff = Backoff::new(config.retry, seed());
        let mut publisher = Self {
            client,
            url,
            mime,
            create: options.create,
            state,
            ahead: None,
            posts: VecDeque::new(),
            backoff,
            detail: String::new(),
        };
        if options.create {
            publisher.within_window(Ask::Create).await?;
        }
        if options.resume {
            publisher.resync().await?;
        }
        Ok(publisher)
    }

    /// The channel.
    #[must_use]
    pub fn url(&self) -> &Url {
        self.url.url()
    }

    /// Times that the relay was found again, after segments were lost because it could not be
    /// reached or was not available.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.state.reconnects()
    }

    /// Begins the next segment, and connects for the one after it.
    ///
    /// After a lost connection this waits, within the retry window, until the relay answers
    /// again. Cancelling it loses nothing.
    ///
    /// # Errors
    /// [`PublishError::SegmentLost`] for an earlier segment that did not arrive: call again to
    /// go on. [`PublishError::Stopped`] when publishing is over.
    pub async fn next_segment(&mut self) -> Result<SegmentWriter, PublishError> {
        loop {
            self.collect_answers().await?;
            if let Some(stop) = self.state.stop() {
                return Err(self.stopped(stop));
            }
            if self.state.needs_resync() {
                if let Some(ahead) = self.ahead.take() {
                    self.state.give_back(ahead.seq);
                }
                // The reset that follows would cut short what the relay is still receiving.
                self.settled().await?;
                self.resync().await?;
            }
            let ahead = match self.ahead.take() {
                Some(ahead) => ahead,
                None => self.connect(),
            };
            if ahead.task.is_finished() {
                // Answered before its first byte: nothing was lost with it.
                self.state.give_back(ahead.seq);
                let posted = ahead.posted().await;
                self.detail = posted.detail;
                self.state.record(posted.answer);
                continue;
            }
            self.ahead = Some(self.connect());
            let writer = SegmentWriter {
                seq: ahead.seq,
                upload: ahead.upload.clone(),
            };
            self.posts.push_back(ahead);
            return Ok(writer);
        }
    }

    /// Waits for the answers to all segments that were ended. For channels of small messages,
    /// whose segments are so short that the relay might receive one before the one ahead of it.
    ///
    /// # Errors
    /// [`PublishError::SegmentLost`] for the first segment that did not arrive.
    pub async fn settled(&mut self) -> Result<(), PublishError> {
        while let Some(at) = self.posts.iter().position(|post| post.upload.is_ended()) {
            self.settle(at).await?;
        }
        Ok(())
    }

    /// Ends the channel, after the answers to all ended segments have come.
    ///
    /// # Errors
    /// The first segment that was lost, else why the channel could not be closed. A channel
    /// that is gone already counts as closed.
    pub async fn close(mut self) -> Result<(), PublishError> {
        let flushed = self.flush().await;
        let closed = match self.state.stop() {
            Some(PublishStop::EndOfStream | PublishStop::NotFound) => Ok(()),
            _ => self.within_window(Ask::Delete).await.map(drop),
        };
        flushed.and(closed)
    }

    /// Ends publishing and leaves the channel open for another publisher.
    ///
    /// # Errors
    /// The first segment that was lost.
    pub async fn leave(mut self) -> Result<(), PublishError> {
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), PublishError> {
        self.ahead = None;
        let mut first = Ok(());
        while !self.posts.is_empty() {
            let settled = self.settle(0).await;
            first = first.and(settled);
        }
        first
    }

    /// Takes note of the POSTs that are over, and waits for the oldest if many are not.
    async fn collect_answers(&mut self) -> Result<(), PublishError> {
        loop {
            let unanswered = self
                .posts
                .iter()
                .filter(|post| post.upload.is_ended())
                .count();
            let wait = unanswered > MOST_UNANSWERED;
            let over = self
                .posts
                .iter()
                .position(|post| post.task.is_finished() || (wait && post.upload.is_ended()));
            let Some(at) = over else { return Ok(()) };
            self.settle(at).await?;
        }
    }

    /// Waits for the answer to the POST at this place, and takes note of it.
    async fn settle(&mut self, at: usize) -> Result<(), PublishError> {
        let Some(post) = self.posts.get_mut(at) else {
            return Ok(());
        };
        let posted = match timeout(ANSWER_WAIT, &mut post.task).await {
            Ok(Ok(posted)) => posted,
            Ok(Err(error)) => Posted::none(&NoAnswer::new(error.to_string())),
            Err(_) => Posted::none(&NoAnswer::new(format!("no answer within {ANSWER_WAIT:?}"))),
        };
        // Removed only now, so that a caller who gives up waiting loses nothing.
        let Some(post) = self.posts.remove(at) else {
            return Ok(());
        };
        self.state.record(posted.answer);
        if posted.answer.is_accepted() {
            return Ok(());
        }
        self.detail.clone_from(&posted.detail);
        tracing::warn!(
            url = %self.url.url(), seq = %post.seq, answer = ?posted.answer,
            detail = posted.detail, "segment lost",
        );
        Err(PublishError::SegmentLost {
            seq: post.seq,
            answer: posted.answer,
            detail: posted.detail,
        })
    }

    /// Opens the POST of the next segment.
    fn connect(&mut self) -> Post {
        let (seq, reset) = self.state.take();
        let (client, url) = (self.client.clone(), self.url.clone());
        Post::open(client, url, seq, reset, self.mime.clone())
    }

    /// Asks the relay where the channel is, making it again if it was ours to make.
    async fn resync(&mut self) -> Result<(), PublishError> {
        let next = self.within_window(Ask::Next).await?;
        if next.is_none() && self.create {
            self.within_window(Ask::Create).await?;
        }
        self.state.resynced(next, self.posts.is_empty());
        Ok(())
    }

    /// Asks until the relay answers or the retry window is over.
    async fn within_window(&mut self, ask: Ask) -> Result<Option<Seq>, PublishError> {
        let deadline = Instant::now() + self.client.config().retry.window;
        self.backoff.reset();
        loop {
            let failure = match self.ask_once(ask).await {
                Ok(answer) => match ask.judge(&answer) {
                    Ok(next) => return Ok(next),
                    Err(stop) => {
                        self.detail = answer.describe();
                        if !is_passing(answer.status) {
                            return Err(self.halted(stop));
                        }
                        stop
                    }
                },
                Err(error) => {
                    self.detail = error.reason;
                    match error.distrusted {
                        true if !self.state.was_reached() => {
                            return Err(self.halted(PublishStop::Distrusted));
                        }
                        true => PublishStop::Distrusted,
                        false => PublishStop::Unreachable,
                    }
                }
            };
            let wait = self.backoff.next_wait();
            if Instant::now() + wait > deadline {
                return Err(self.halted(failure));
            }
            sleep(wait).await;
        }
    }

    async fn ask_once(&mut self, ask: Ask) -> Result<Answer, NoAnswer> {
        let (method, uri, header) = match ask {
            Ask::Create => {
                let mime = (wire::EXPECT_CONTENT, self.mime.clone());
                (Method::POST, self.url.channel(), Some(mime))
            }
            Ask::Next => (Method::GET, self.url.next(), None),
            Ask::Delete => (Method::DELETE, self.url.channel(), None),
        };
        let answer = self.client.ask(method, uri, header).await?;
        self.state.set_reached();
        Ok(answer)
    }

    fn halted(&mut self, stop: PublishStop) -> PublishError {
        self.state.halt(stop);
        self.stopped(stop)
    }

    fn stopped(&self, stop: PublishStop) -> PublishError {
        let url = self.url.url().clone();
        PublishError::Stopped {
            url,
            stop,
            detail: self.detail.clone(),
        }
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("url", &self.url.url().as_str())
            .field("next", &self.state.next())
            .finish_non_exhaustive()
    }
}

/// A small request of a publisher.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Create,
    Next,
    Delete,
}

impl Ask {
    /// What an answer means: the next index where it tells one.
    fn judge(self, answer: &Answer) -> Result<Option<Seq>, PublishStop> {
        match (self, answer.status) {
            (Self::Next, StatusCode::OK) if answer.head.closed => Err(PublishStop::EndOfStream),
            (Self::Next, StatusCode::OK) => Ok(answer.next_index()),
            // The first without such a channel, the others without such a route.
            (
                Self::Next,
                StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED,
            ) => Ok(None),
            (Self::Delete, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST) => Ok(None),
            (_, status) if status.is_success() => Ok(None),
            (_, StatusCode::NOT_FOUND) => Err(PublishStop::NotFound),
            (_, status) => Err(PublishStop::Refused(status.as_u16())),
        }
    }
}

/// One segment that is being written. Dropping it without [`SegmentWriter::finish`] breaks the
/// segment off.
#[derive(Debug)]
pub struct SegmentWriter {
    seq: Seq,
    upload: Arc<Upload>,
}

impl SegmentWriter {
    /// The segment's index.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Sends bytes. They leave at once; this waits only while the connection is behind.
    ///
    /// # Errors
    /// [`SegmentOver`] when the relay takes no more of this segment;
    /// [`Publisher::next_segment`] tells why.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), SegmentOver> {
        self.upload
            .write(bytes)
            .await
            .map_err(|_| SegmentOver { seq: self.seq })
    }

    /// Ends the segment, once the connection has taken all its bytes. Does not wait for the
    /// relay's answer, so that the next segment can begin at once; a failure found later is
    /// reported by the next [`Publisher::next_segment`] or [`Publisher::close`].
    ///
    /// # Errors
    /// [`SegmentOver`] as for [`SegmentWriter::write`].
    pub async fn finish(self) -> Result<(), SegmentOver> {
        self.upload.finish();
        self.upload
            .sent()
            .await
            .map_err(|_| SegmentOver { seq: self.seq })
    }
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        // After `finish` this changes nothing.
        self.upload.abort();
    }
}

/// The relay takes no more of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("segment {seq} takes no more bytes")]
pub struct SegmentOver {
    /// Which one.
    pub seq: Seq,
}
