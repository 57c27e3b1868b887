//! A media file as a live stream: read, paced in real time by its timestamps, and published as
//! trickle segments that start with keyframes.

use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trickle_media::{AccessUnit, Timestamp};
use trickle_proto::{PublishError, Publisher, SegmentWriter};

use packager::{Packager, Packet};

mod packager;
mod reader;

pub use reader::{MediaEvent, MediaFault, MediaReader, ReadError, ReadOptions};

/// Events read ahead of their time.
const READ_AHEAD: usize = 64;

/// How a file is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedOptions {
    /// Start over at the end, with timestamps that go on. The reader must be able to rewind.
    pub looped: bool,
    /// End after so much of the stream; `None`: at its own end.
    pub length: Option<Duration>,
}

/// A file cannot be published, or not to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The file cannot be read.
    #[error("reading the input: {0}")]
    Read(#[from] ReadError),
    /// The file holds nothing that can be published.
    #[error("the input holds nothing that can be published: {0}")]
    Nothing(String),
    /// The channel takes nothing more.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Publishes a file in real time until it ends, `stop` is cancelled or the channel takes nothing
/// more; then closes the channel. `observe` sees every unit as it is published, on the output's
/// clock.
///
/// # Errors
/// [`FeedError`]. A segment that was lost is no end: it is logged, and the next one begins.
pub async fn publish(
    reader: MediaReader,
    publisher: Publisher,
    options: FeedOptions,
    stop: CancellationToken,
    observe: impl FnMut(&AccessUnit),
) -> Result<(), FeedError> {
    let (events, incoming) = mpsc::channel(READ_AHEAD);
    // It ends when the receiver is gone. It is not joined, as a read from a pipe may last.
    drop(tokio::task::spawn_blocking(move || {
        read(reader, options.looped, &events);
    }));
    let mut output = Output {
        publisher,
        segment: None,
    };
    let sending = send(incoming, &mut output, options.length, observe);
    match stop.run_until_cancelled(sending).await {
        // Nothing is left to close.
        Some(Err(error @ FeedError::Publish(_))) => Err(error),
        Some(Err(error)) => output.close().await.and(Err(error)),
        Some(Ok(())) | None => output.close().await,
    }
}

/// Reads events until nobody takes them.
fn read(
    mut reader: MediaReader,
    looped: bool,
    events: &mpsc::Sender<Result<MediaEvent, ReadError>>,
) {
    let mut units = false;
    loop {
        let next = match reader.next_event() {
            Ok(Some(event)) => {
                units |= matches!(event, MediaEvent::Unit(_));
                Ok(event)
            }
            // A file without units would be read again and again for nothing.
            Ok(None) if looped && units => match reader.rewind() {
                Ok(()) => continue,
                Err(error) => Err(error),
            },
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let failed = next.is_err();
        if events.blocking_send(next).is_err() || failed {
            return;
        }
    }
}

/// Sends packets at their time.
async fn send(
    mut incoming: mpsc::Receiver<Result<MediaEvent, ReadError>>,
    output: &mut Output,
    length: Option<Duration>,
    mut observe: impl FnMut(&AccessUnit),
) -> Result<(), FeedError> {
    let mut packager = Packager::new();
    let mut clock: Option<Clock> = None;
    loop {
        let next = incoming.recv().await;
        let ended = next.is_none();
        match next {
            Some(event) => packager.push(event?),
            None => packager.finish(),
        }
        while let Some(packet) = packager.pop() {
            let unit = &packet.unit;
            let clock = clock.get_or_insert_with(|| Clock::starting(unit.dts));
            let position = clock.position(unit.dts);
            if length.is_some_and(|length| position >= length) {
                return Ok(());
            }
            tokio::time::sleep_until(clock.began + position).await;
            observe(unit);
            output.send(packet).await?;
        }
        if clock.is_none()
            && let Some(reason) = packager.refused()
        {
            // A file that starts over would be read again and again for nothing.
            return Err(FeedError::Nothing(reason.to_string()));
        }
        if ended {
            break;
        }
    }
    if clock.is_none() {
        let reason = "no video and no audio was found";
        return Err(FeedError::Nothing(reason.into()));
    }
    Ok(())
}

/// When units are due.
struct Clock {
    began: Instant,
    first: Timestamp,
}

impl Clock {
    fn starting(first: Timestamp) -> Self {
        Self {
            began: Instant::now(),
            first,
        }
    }

    /// Time from the first unit; units before it are due at once.
    fn position(&self, at: Timestamp) -> Duration {
        at.since(self.first).unwrap_or_default()
    }
}

/// The channel.
struct Output {
    publisher: Publisher,
    /// `None` before the first segment, and after one was cut short until the next begins.
    segment: Option<SegmentWriter>,
}

impl Output {
    async fn send(&mut self, packet: Packet) -> Result<(), PublishError> {
        if packet.new_segment {
            self.finish_segment().await;
            self.segment = Some(self.next_segment().await?);
        }
        if let Some(segment) = &mut self.segment
            && segment.write(packet.bytes).await.is_err()
        {
            // Why is told with the next segment.
            self.segment = None;
        }
        Ok(())
    }

    async fn next_segment(&mut self) -> Result<SegmentWriter, PublishError> {
        loop {
            match self.publisher.next_segment().await {
                Err(error) if !error.is_terminal() => tracing::warn!(%error, "publishing"),
                result => return result,
            }
        }
    }

    async fn finish_segment(&mut self) {
        if let Some(segment) = self.segment.take() {
            // As above.
            let _ = segment.finish().await;
        }
    }

    async fn close(mut self) -> Result<(), FeedError> {
        self.finish_segment().await;
        Ok(self.publisher.close().await?)
    }
}

#[cfg(test)]
#[path = "feed_test.rs"]
mod tests;
