//! Ticks, their times and what becomes of those that nobody has time for, in virtual time.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::{advance, sleep};
use trickle_processor::OverlaySlot;

use super::*;
use crate::config::SessionConfig;
use crate::standin::Call;

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

struct Site {
    shared: Arc<Shared>,
    source: JoinHandle<()>,
    begun: Instant,
}

impl Site {
    fn new() -> Self {
        let shared = Arc::new(Shared::live(
            &SessionConfig::new("generative"),
            OverlaySlot::default(),
        ));
        let source = {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { run(&shared).await })
        };
        Self {
            shared,
            source,
            begun: Instant::now(),
        }
    }

    /// The next frame: when it comes, in milliseconds, and its time after the session's begin, in
    /// ticks of 90 kHz.
    async fn next(&self) -> (u128, i64, VideoFrame) {
        match self.shared.queues.process.next().await {
            Some(Item::Frame(frame)) => (
                self.begun.elapsed().as_millis(),
                frame.frame.pts().ticks - 90_000 * START_SECONDS,
                frame.frame,
            ),
            _ => panic!("not a frame"),
        }
    }

    /// Times of so many frames.
    async fn times(&self, count: usize) -> Vec<(u128, i64)> {
        let mut times = Vec::new();
        for _ in 0..count {
            let (at, pts, _) = self.next().await;
            times.push((at, pts));
        }
        times
    }

    fn counts(&self) -> (u64, u64, u64) {
        let stats = &self.shared.stats;
        (
            stats.generated.get(),
            stats.dropped.processor_busy.get(),
            stats.dropped.deadline.get(),
        )
    }
}

#[tokio::test(start_paused = true)]
async fn frames_come_24_times_a_second_unless_asked_for_otherwise() {
    let site = Site::new();
    // Timers go off at the next whole millisecond.
    let expected = [(0, 0), (42, 3_750), (84, 7_500), (125, 11_250)];
    assert_eq!(site.times(4).await, expected);
    let rest = site.times(24 * 3_600 - 4).await;
    assert_eq!(
        rest.last().map(|last| last.1),
        Some((24 * 3_600 - 1) * 3_750)
    );
    assert!(rest.windows(2).all(|pair| pair[1].1 - pair[0].1 == 3_750));
    assert_eq!(site.counts(), (24 * 3_600, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_new_pace_counts_from_the_last_frame() {
    let site = Site::new();
    site.shared.set_max_framerate(Some(10.0));
    assert_eq!(site.times(2).await, [(0, 0), (100, 9_000)]);
    // Sooner than was due, and later.
    sleep(ms(30)).await;
    site.shared.set_max_framerate(Some(20.0));
    assert_eq!(site.times(2).await, [(150, 13_500), (200, 18_000)]);
    sleep(ms(30)).await;
    site.shared.set_max_framerate(Some(5.0));
    assert_eq!(site.times(2).await, [(400, 36_000), (600, 54_000)]);
    // Told again what holds already.
    sleep(ms(30)).await;
    site.shared.set_max_framerate(Some(5.0));
    assert_eq!(site.times(1).await, [(800, 72_000)]);
    // Long overdue by the new one: at once, at the time of the last tick.
    sleep(ms(190)).await;
    site.shared.set_max_framerate(Some(20.0));
    assert_eq!(site.times(2).await, [(990, 85_500), (1_000, 90_000)]);
    assert_eq!(site.counts().2, 2);
}

/// A processor that takes 100 ms of 24 frames per second gets the newest, and only that.
#[tokio::test(start_paused = true)]
async fn a_slow_processor_finds_one_frame_and_a_fresh_one() {
    let site = Site::new();
    let mut taken = 0;
    for _ in 0..50 {
        sleep(ms(100)).await;
        let waiting = site.shared.queues.process.waiting();
        assert_eq!(waiting, (1, 0));
        let (at, pts, _) = site.next().await;
        taken += 1;
        let age = at as i64 - pts / 90;
        assert!((0..=42).contains(&age), "{age} ms old");
        assert_eq!(pts % 3_750, 0);
    }
    let (generated, busy, missed) = site.counts();
    assert_eq!((generated, missed), (120, 0));
    assert_eq!(generated, taken + busy);
}

#[tokio::test(start_paused = true)]
async fn what_the_machine_is_too_late_for_is_left_out() {
    let site = Site::new();
    assert_eq!(site.times(2).await.len(), 2);
    advance(ms(1_000)).await;
    // 42 ms and a second: the 26th frame was due 1,041 ms after the first.
    assert_eq!(
        site.times(2).await,
        [(1_042, 25 * 3_750), (1_084, 26 * 3_750)]
    );
    assert_eq!(site.counts(), (27, 0, 23));
}

#[tokio::test(start_paused = true)]
async fn frames_are_black_and_of_the_size_asked_for() {
    let site = Site::new();
    let (_, _, frame) = site.next().await;
    assert_eq!((frame.width(), frame.height()), (512, 512));
    assert!(frame.tensor().unwrap().iter().all(|value| *value == 0.0));
    // A processor that paints over one leaves the others as they are.
    let painted = frame.map_tensor(|rgb, _| rgb.fill(1.0)).unwrap();
    let (_, _, frame) = site.next().await;
    assert!(frame.tensor().unwrap().iter().all(|value| *value == 0.0));
    drop(painted);
    site.shared.set_size(Some((320, 180)));
    let (_, _, frame) = site.next().await;
    assert_eq!((frame.width(), frame.height()), (320, 180));
    let input = site.shared.stats.facts().input.clone();
    assert!(input.generative);
    assert_eq!((input.width, input.height), (Some(320), Some(180)));
}

/// A call that does not end: frames go past it, at the clock's pace.
#[tokio::test(start_paused = true)]
async fn a_stalled_processor_is_stood_in_for() {
    let site = Site::new();
    let shared = &site.shared;
    drop(site.next().await);
    shared.standin.enter(Call::Picture, shared.now());
    sleep(SessionConfig::STALL_TIMEOUT).await;
    assert_eq!(shared.stats.processor_stalls.get(), 0);
    let mut shown = Vec::new();
    while shown.len() < 3 {
        match shared.queues.encode.next().await {
            Some(Item::Frame(frame)) => {
                assert!(frame.overlay.is_some());
                shown.push(frame.frame.pts().ticks);
            }
            _ => panic!("not a frame"),
        }
    }
    assert!(shown.windows(2).all(|pair| pair[1] - pair[0] == 3_750));
    assert_eq!(shared.stats.processor_stalls.get(), 1);
    assert!(shared.standin.is_standing_in());
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_session_or_when_no_more_is_wanted() {
    let site = Site::new();
    drop(site.next().await);
    site.shared.input_over.cancel();
    assert!(site.shared.queues.process.next().await.is_none());
    assert!(!site.source.is_finished(), "it waits for the stages");
    sleep(ms(29_000)).await;
    assert!(site.shared.reason().is_none());
    sleep(ms(2_000)).await;
    let reason = site.shared.reason();
    assert!(
        matches!(reason, Some(EndReason::ProcessorFailed(_))),
        "{reason:?}"
    );
    site.source.await.unwrap();

    let site = Site::new();
    drop(site.next().await);
    site.shared.fail(EndReason::Stopped);
    site.source.await.unwrap();
}
