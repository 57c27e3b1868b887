//! The egress task: coded units to the output, and its bytes to the output channel.

use std::time::Duration;

use trickle_media::frame::StageTimes;
use trickle_proto::{Publisher, SegmentWriter};

use crate::error::EndReason;
use crate::item::Item;
use crate::output::{Chunk, Output};
use crate::shared::Shared;

/// Longest time for ending the last segment and the channel.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);

/// Publishes until the stages before it have ended, then ends the channel.
pub(crate) async fn run(shared: &Shared, publisher: Publisher, target: Duration) {
    let mut egress = Egress {
        shared,
        publisher,
        segment: None,
        output: Output::new(true, target),
    };
    if let Some(Err(reason)) = shared.cancel.run_until_cancelled(egress.publish()).await {
        shared.fail(reason);
    }
    if tokio::time::timeout(CLOSE_LIMIT, egress.close())
        .await
        .is_err()
    {
        tracing::warn!("the output channel could not be ended within {CLOSE_LIMIT:?}");
    }
}

/// Takes what comes out of a session that publishes nothing.
pub(crate) async fn sink(shared: &Shared) {
    let stats = &shared.stats;
    while let Some(item) = shared.queues.egress.next().await {
        // Pictures and processed sound ended in the encoding stage.
        if matches!(item, Item::Packet(_)) {
            stats.audio_out.add(1);
        }
    }
}

struct Egress<'a> {
    shared: &'a Shared,
    publisher: Publisher,
    /// `None` before the first segment, and after a lost one until the next begins.
    segment: Option<SegmentWriter>,
    output: Output,
}

impl Egress<'_> {
    async fn publish(&mut self) -> Result<(), EndReason> {
        loop {
            while let Some(chunk) = self.output.pop() {
                self.send(chunk).await?;
            }
            let next = self.shared.queues.egress.next();
            let item = match self.output.deadline() {
                None => next.await,
                Some(deadline) => tokio::select! {
                    biased;
                    item = next => item,
                    () = tokio::time::sleep_until(deadline.into()) => {
                        self.output.release(self.shared.now(), self.shared);
                        continue;
                    }
                },
            };
            match item {
                Some(item) => self.output.push(item, self.shared.now(), self.shared),
                None => break,
            }
        }
        self.output.finish(self.shared);
        while let Some(chunk) = self.output.pop() {
            self.send(chunk).await?;
        }
        Ok(())
    }

    async fn send(&mut self, chunk: Chunk) -> Result<(), EndReason> {
        if chunk.starts_segment {
            self.end_segment().await;
            self.segment = Some(self.begin_segment().await?);
            self.shared.stats.segments_out.add(1);
        }
        let stats = &self.shared.stats;
        let Some(segment) = &mut self.segment else {
            self.lost(&chunk.video);
            return Ok(());
        };
        let length = chunk.bytes.len() as u64;
        if let Err(error) = segment.write(chunk.bytes).await {
            tracing::warn!(%error, "going on with a new segment at the next keyframe");
            self.segment = None;
            stats.output_segments_lost.add(1);
            self.lost(&chunk.video);
            self.output.cut();
            self.shared.request_keyframe();
            return Ok(());
        }
        stats.bytes_out.add(length);
        self.shared.side.events.sent();
        sent(self.shared, chunk.video.as_ref());
        Ok(())
    }

    /// A unit could not be sent.
    fn lost(&self, video: &Option<StageTimes>) {
        match video {
            Some(_) => self.shared.stats.dropped.publisher_busy.add(1),
            None => self.shared.stats.audio_dropped.add(1),
        }
    }

    /// The next segment; earlier ones that turn out to be lost are counted.
    async fn begin_segment(&mut self) -> Result<SegmentWriter, EndReason> {
        loop {
            match self.publisher.next_segment().await {
                Ok(segment) => {
                    let reconnects = self.publisher.reconnects();
                    self.shared.stats.output_reconnects.raise_to(reconnects);
                    if self.shared.output_renews {
                        self.shared.lease.renew();
                    }
                    return Ok(segment);
                }
                Err(error) if error.is_terminal() => {
                    return Err(EndReason::OutputFailed(error.to_string()));
                }
                Err(error) => {
                    self.shared.stats.output_segments_lost.add(1);
                    tracing::warn!(%error, "a segment of the output was lost");
                }
            }
        }
    }

    async fn end_segment(&mut self) {
        if let Some(segment) = self.segment.take()
            && let Err(error) = segment.finish().await
        {
            self.shared.stats.output_segments_lost.add(1);
            tracing::warn!(%error, "a segment of the output could not be ended");
        }
    }

    async fn close(mut self) {
        self.end_segment().await;
        let ended = if self.shared.leaves_output() {
            self.publisher.leave().await
        } else {
            self.publisher.close().await
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "the output channel could not be ended");
        }
    }
}

/// Counts a unit that has gone out: a picture with its times, or sound.
pub(crate) fn sent(shared: &Shared, video: Option<&StageTimes>) {
    let stats = &shared.stats;
    let now = shared.now();
    let (count, rate) = match video {
        Some(_) => (&stats.video_out, &stats.video_out_rate),
        None => (&stats.audio_out, &stats.audio_out_rate),
    };
    count.add(1);
    if let Some(now) = now {
        rate.tick(now);
        if let Some(times) = video {
            stats.sent(times, now);
        }
    }
}
