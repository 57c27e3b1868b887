//! What goes over the events channel when, in virtual time.

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use trickle_processor::Params;

use super::*;
use crate::side::testing::Recorder;
use std::sync::Arc;

/// Clocks of these tests begin here, in seconds since 1970.
const ORIGIN: Duration = Duration::from_secs(1_700_000_000);

struct Site {
    shared: Arc<Shared>,
    recorder: Recorder,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Site {
    fn new(recorder: Recorder) -> Self {
        let shared = Arc::new(Shared::new("test".into(), true));
        let queue = shared.side.events.open();
        let (end, ended) = oneshot::channel::<()>();
        let task = {
            let (shared, recorder) = (Arc::clone(&shared), recorder.clone());
            tokio::spawn(async move {
                let urls = Urls::default();
                let ended = async {
                    let _ = ended.await;
                };
                let clock = WallClock::at(ORIGIN);
                run_at(clock, &shared, recorder, queue, &urls, ended).await;
            })
        };
        Self {
            shared,
            recorder,
            end,
            task,
        }
    }

    async fn wait(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Ends it: time, type and time stamp of everything that was sent.
    async fn end(self) -> Vec<(u64, String, u64)> {
        self.end.send(()).unwrap();
        self.task.await.unwrap();
        let read = |(at, text): (u64, String)| match serde_json::from_str::<Value>(&text) {
            Ok(message) => {
                let event = &message["event"];
                let kind = event["type"].as_str().unwrap().to_owned();
                let stamp = event["timestamp"].as_u64().unwrap();
                (at, kind, stamp - ORIGIN.as_millis() as u64)
            }
            Err(_) => (at, text, at),
        };
        self.recorder.sent().into_iter().map(read).collect()
    }
}

fn expected<const N: usize>(list: [(u64, &str, u64); N]) -> Vec<(u64, String, u64)> {
    list.map(|(at, kind, stamp)| (at, kind.to_owned(), stamp))
        .into()
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_is_heard_of_every_10_seconds() {
    let site = Site::new(Recorder::new());
    site.wait(20_500).await;
    site.shared.end(EndReason::InputEnded);
    assert_eq!(
        site.end().await,
        expected([
            (0, "stream_started", 0),
            (0, "heartbeat", 0),
            (0, "status", 0),
            (10_000, "heartbeat", 10_000),
            (10_000, "status", 10_000),
            (20_000, "heartbeat", 20_000),
            (20_000, "status", 20_000),
            (20_500, "stream_stopped", 20_500),
            (20_500, "closed", 20_500),
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_told_at_once_and_once() {
    let site = Site::new(Recorder::new());
    site.wait(100).await;
    let events = &site.shared.side.events;
    events.received();
    events.received();
    site.wait(50).await;
    events.sent();
    events.sent();
    site.wait(50).await;
    events.emit(Event::ParamsUpdated {
        params: Params::new(),
    });
    site.wait(50).await;
    // Seen at the next look, however many there are.
    site.shared.stats.processor_errors.add(25);
    site.wait(2_000).await;
    site.shared
        .end(EndReason::ProcessorFailed("no memory".into()));
    assert_eq!(
        site.end().await[3..],
        expected([
            (100, "receive_first_ingest_segment", 100),
            (150, "send_first_processed_segment", 150),
            (200, "params_updated", 200),
            (1_000, "error", 1_000),
            (2_250, "error", 2_250),
            (2_250, "stream_stopped", 2_250),
            (2_250, "closed", 2_250),
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn what_waits_at_the_end_still_goes_out() {
    let site = Site::new(Recorder::slow(Duration::from_millis(400)));
    site.wait(500).await;
    for _ in 0..2 {
        site.shared.side.events.emit(Event::Custom {
            kind: "found".into(),
            fields: serde_json::Map::new(),
        });
    }
    // Sent later, stamped with the time it happened at.
    assert_eq!(
        site.end().await[3..],
        expected([
            (1_600, "found", 500),
            (2_000, "found", 500),
            (2_400, "stream_stopped", 2_000),
            (2_400, "closed", 2_400),
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_relay_costs_events_and_no_time() {
    let site = Site::new(Recorder::slow(Duration::from_secs(3600)));
    site.wait(1).await;
    let events = &site.shared.side.events;
    for _ in 0..QUEUE + 7 {
        events.emit(Event::ReceiveFirstIngestSegment);
    }
    assert_eq!(events.dropped(), 7);
    site.task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_its_readers_closed_is_left_alone() {
    let site = Site::new(Recorder::closed_after(3));
    site.wait(30_000).await;
    assert_eq!(
        site.recorder.sent().len(),
        3,
        "neither more messages nor an end"
    );
    assert!(site.task.is_finished());
    let events = &site.shared.side.events;
    events.emit(Event::SendFirstProcessedSegment);
    assert_eq!(events.dropped(), 1);
}

#[tokio::test]
async fn without_a_channel_nothing_is_kept() {
    let shared = Shared::new("test".into(), true);
    shared.side.events.received();
    assert_eq!(shared.side.events.dropped(), 0);
}
