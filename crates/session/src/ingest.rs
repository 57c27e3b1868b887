//! The ingest task: segments of the input channel to the demuxer to the stages.

use std::convert::Infallible;
use std::time::Duration;

use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};
use trickle_proto::subscribe::{Gap, SubscribeStop};
use trickle_proto::{SegmentReader, SubscribeError, Subscriber};

use crate::error::EndReason;
use crate::intake::{Intake, Over};
use crate::shared::Shared;
use crate::thread::now;

/// How long the stages may take to finish after the input has ended. A model that is slower than
/// this with its last two frames has stalled.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// Silence of the input, once it has begun, that counts as a stall.
const STALL: Duration = Duration::from_secs(2);

/// Reads the input channel until it ends or the session does.
pub(crate) async fn run(shared: &Shared, subscriber: Subscriber, intake: Intake) {
    let mut ingest = Ingest {
        shared,
        demuxer: demuxer(shared.program()),
        program: shared.program(),
        intake,
    };
    let read = async {
        tokio::select! {
            read = ingest.read(subscriber) => read,
            never = count_stalls(shared) => match never {},
        }
    };
    let read = shared.input_over.run_until_cancelled(read);
    let Some(result) = shared.cancel.run_until_cancelled(read).await else {
        return;
    };
    if let Some(Err(reason)) = result {
        return shared.fail(reason);
    }
    if ingest.finish().is_ok() {
        drain(shared).await;
    }
}

/// Waits for the stages to finish what they have, and ends the session when they do not.
pub(crate) async fn drain(shared: &Shared) {
    let in_time = tokio::time::timeout(DRAIN_LIMIT, shared.cancel.cancelled()).await;
    if in_time.is_err() {
        shared.fail(EndReason::ProcessorFailed(format!(
            "it did not finish within {DRAIN_LIMIT:?} after the end of the input"
        )));
    }
}

/// Reads one program.
fn demuxer(program: Option<u16>) -> Demuxer {
    Demuxer::new(DemuxOptions {
        program,
        ..DemuxOptions::default()
    })
}

/// Counts every silence of the input that lasts for [`STALL`].
async fn count_stalls(shared: &Shared) -> Infallible {
    let mut counted = None;
    loop {
        let Some(last) = shared.lease.last_input() else {
            tokio::time::sleep(STALL).await;
            continue;
        };
        if last.elapsed() < STALL {
            tokio::time::sleep_until(last + STALL).await;
            continue;
        }
        if counted.replace(last) != Some(last) {
            shared.stats.input_stalls.add(1);
            tracing::warn!("nothing of the input has come for {STALL:?}");
        }
        tokio::time::sleep(STALL).await;
    }
}

struct Ingest<'a> {
    shared: &'a Shared,
    demuxer: Demuxer,
    /// The one that the demuxer reads.
    program: Option<u16>,
    intake: Intake,
}

impl Ingest<'_> {
    /// Reads segment after segment; returns at the end of the stream.
    async fn read(&mut self, mut subscriber: Subscriber) -> Result<(), EndReason> {
        let stats = &self.shared.stats;
        loop {
            let segment = match subscriber.next_segment().await {
                Ok(Some(segment)) => segment,
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.reason(&error)),
            };
            stats.segments_in.add(1);
            let reconnects = subscriber.reconnects();
            stats.input_reconnects.raise_to(reconnects);
            self.shared.lease.renew();
            if let Some(gap) = segment.gap() {
                stats.input_gaps.add(gap.missing().max(1));
                let restarted = matches!(gap, Gap::Restarted { .. });
                stats.input_restarts.add(u64::from(restarted));
            }
            match self.segment(segment).await {
                Ok(()) => {}
                // The stages are gone; why is known already.
                Err(Broken::Over) => return Ok(()),
                Err(Broken::Read(error)) if error.is_terminal() => {
                    return Err(self.reason(&error));
                }
                Err(Broken::Read(error)) => {
                    stats.input_gaps.add(1);
                    tracing::warn!(%error, "going on with the next segment");
                }
            }
        }
    }

    async fn segment(&mut self, mut segment: SegmentReader) -> Result<(), Broken> {
        loop {
            let chunk = segment.chunk();
            // A unit whose end cannot be told from its bytes is complete after a pause.
            let chunk = match self.demuxer.deadline() {
                None => chunk.await,
                Some(deadline) => {
                    tokio::pin!(chunk);
                    tokio::select! {
                        biased;
                        chunk = &mut chunk => chunk,
                        () = tokio::time::sleep_until(deadline.into()) => {
                            self.demuxer.flush_quiet(now());
                            self.hand_on()?;
                            chunk.await
                        }
                    }
                }
            };
            let Some(chunk) = chunk.map_err(Broken::Read)? else {
                return Ok(());
            };
            self.shared.stats.bytes_in.add(chunk.len() as u64);
            self.shared.lease.input_came();
            self.shared.side.events.received();
            self.follow_choice()?;
            self.demuxer.push(&chunk, Some(now()));
            self.hand_on()?;
        }
    }

    /// Goes over to another program where a parameter says so.
    fn follow_choice(&mut self) -> Result<(), Over> {
        let chosen = self.shared.program();
        if chosen == self.program {
            return Ok(());
        }
        self.demuxer.finish();
        self.hand_on()?;
        self.program = chosen;
        self.demuxer = demuxer(chosen);
        Ok(())
    }

    /// Gives the stages what the demuxer has ready.
    fn hand_on(&mut self) -> Result<(), Over> {
        while let Some(event) = self.demuxer.next_event() {
            match event {
                DemuxEvent::Streams(streams) => self.intake.streams(&streams)?,
                DemuxEvent::Unit(unit) => self.intake.unit(unit)?,
                DemuxEvent::Fault(fault) => note_fault(&fault, self.shared),
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Over> {
        self.demuxer.finish();
        self.hand_on()?;
        self.intake.finish();
        Ok(())
    }

    fn reason(&self, error: &SubscribeError) -> EndReason {
        let began = self.shared.stats.segments_in.get() > 0;
        match error {
            SubscribeError::Stopped {
                stop: SubscribeStop::NotFound,
                ..
            } if !began => EndReason::InputNotFound(error.to_string()),
            _ => EndReason::InputLost(error.to_string()),
        }
    }
}

/// Counts a fault of the container.
pub(crate) fn note_fault(fault: &dyn std::fmt::Display, shared: &Shared) {
    let faults = &shared.stats.transport_faults;
    faults.add(1);
    // A bad line must not fill the log.
    if faults.get().is_power_of_two() {
        tracing::warn!(%fault, count = faults.get(), "fault in the input");
    }
}

/// Why a segment is not read any further.
enum Broken {
    Over,
    Read(SubscribeError),
}

impl From<Over> for Broken {
    fn from(_: Over) -> Self {
        Self::Over
    }
}
