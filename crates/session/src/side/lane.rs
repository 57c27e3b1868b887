//! A channel that messages are published to, one segment each, for as long as a session lives.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use trickle_proto::{Client, PublishError, PublishOptions, PublishStop, Publisher};
use url::Url;

use crate::stats::Counter;
use crate::status::PublishedStatus;

/// First wait after a relay that could not be reached, or lost the channel; doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What a lane has done.
#[derive(Debug, Default)]
pub(crate) struct LaneRecord {
    published: Counter,
    /// Messages for which there was no room.
    pub(crate) dropped: Counter,
    last_error: Mutex<Option<String>>,
}

impl LaneRecord {
    pub(crate) fn status(&self, url: String, dropped_before: u64) -> PublishedStatus {
        let last_error = self.last_error.lock();
        PublishedStatus {
            url,
            published: self.published.get(),
            dropped: self.dropped.get() + dropped_before,
            last_error: last_error.unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn failed(&self, error: &PublishError) {
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }
}

/// The channel was closed by the other side: nothing can be sent any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// Where messages go: a channel, or a test's memory.
pub(crate) trait Outlet {
    /// Sends a message; returns when it has left, however long that takes.
    async fn send(&mut self, message: Bytes) -> Result<(), Closed>;
    /// Ends the channel.
    async fn close(self);
}

/// Publishes messages. A relay that goes away is waited for.
pub(crate) struct Lane<'a> {
    client: Client,
    url: Url,
    mime: &'static str,
    record: &'a LaneRecord,
    publisher: Option<Publisher>,
    wait: Duration,
    /// The channel is left open at the end when this says so: another session goes on with it.
    leaves: &'a (dyn Fn() -> bool + Send + Sync),
}

impl<'a> Lane<'a> {
    /// Nothing is asked of the relay before the first message.
    pub(crate) fn new(
        client: Client,
        url: Url,
        mime: &'static str,
        record: &'a LaneRecord,
        leaves: &'a (dyn Fn() -> bool + Send + Sync),
    ) -> Self {
        Self {
            client,
            url,
            mime,
            record,
            publisher: None,
            wait: FIRST_WAIT,
            leaves,
        }
    }

    /// Tries once to send a message.
    async fn publish(&mut self, message: &Bytes) -> Result<(), PublishError> {
        let publisher = match &mut self.publisher {
            Some(publisher) => publisher,
            None => {
                // Another session may have written here, or this one before the relay went.
                let options = PublishOptions::new(self.mime).resume(true);
                let publisher = self.client.publish(&self.url, options).await?;
                self.publisher.insert(publisher)
            }
        };
        let mut segment = publisher.next_segment().await?;
        // Why it could not be written is told with the answer.
        if segment.write(message.clone()).await.is_ok() {
            let _ = segment.finish().await;
        } else {
            drop(segment);
        }
        publisher.settled().await
    }
}

impl Outlet for Lane<'_> {
    /// One segment for each message; returns when the relay has it. One whose answer was lost with
    /// its connection may arrive twice.
    async fn send(&mut self, message: Bytes) -> Result<(), Closed> {
        loop {
            let Err(error) = self.publish(&message).await else {
                self.record.published.add(1);
                self.wait = FIRST_WAIT;
                return Ok(());
            };
            self.record.failed(&error);
            match &error {
                PublishError::SegmentLost { .. } => {}
                PublishError::Stopped {
                    stop: PublishStop::EndOfStream,
                    ..
                } => {
                    tracing::info!(url = %self.url, "the channel was closed");
                    return Err(Closed);
                }
                _ => {
                    tracing::warn!(%error, "trying again in {:?}", self.wait);
                    self.publisher = None;
                    tokio::time::sleep(self.wait).await;
                    self.wait = (self.wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }

    /// Also a channel that nothing was sent to.
    async fn close(self) {
        let leaves = (self.leaves)();
        let close = async {
            let publisher = match self.publisher {
                Some(publisher) => publisher,
                None => {
                    let options = PublishOptions::new(self.mime);
                    self.client.publish(&self.url, options).await?
                }
            };
            if leaves {
                publisher.leave().await
            } else {
                publisher.close().await
            }
        };
        if let Err(error) = close.await {
            self.record.failed(&error);
            tracing::warn!(%error, "a side channel could not be ended");
        }
    }
}

#[cfg(test)]
#[path = "lane_test.rs"]
mod tests;
