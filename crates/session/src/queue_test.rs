//! The queue's policies, one by one.

use super::*;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Unit {
    lane: Lane,
    at_ms: i64,
    key: bool,
    replaces: bool,
    came: Option<Instant>,
}

impl Queued for Unit {
    fn lane(&self) -> Lane {
        self.lane
    }
    fn time(&self) -> Option<Timestamp> {
        Some(Timestamp::mpeg(self.at_ms * 90))
    }
    fn came(&self) -> Option<Instant> {
        self.came
    }
    fn is_entry(&self) -> bool {
        self.key
    }
    fn replaces_last(&self) -> bool {
        self.replaces
    }
    fn has_replaced(&mut self) {
        self.replaces = false;
    }
}

fn unit(lane: Lane, at_ms: i64) -> Unit {
    Unit {
        lane,
        at_ms,
        key: false,
        replaces: false,
        came: None,
    }
}

fn picture(at_ms: i64) -> Unit {
    unit(Lane::Video, at_ms)
}

fn keyframe(at_ms: i64) -> Unit {
    Unit {
        key: true,
        ..picture(at_ms)
    }
}

fn sound(at_ms: i64) -> Unit {
    unit(Lane::Audio, at_ms)
}

fn queue(video: Rule, audio: Rule) -> Queue<Unit> {
    Queue::new(Rules {
        video,
        audio,
        marks: NEWEST_MARKS,
    })
}

fn times(queue: &Queue<Unit>) -> Vec<i64> {
    queue.close();
    std::iter::from_fn(|| queue.pop())
        .map(|unit| unit.at_ms)
        .collect()
}

const KEPT: Push<Unit> = Push::Done {
    dropped: 0,
    skipping: false,
};

#[test]
fn items_come_out_in_order_of_arrival_across_lanes_and_commands_first() {
    let queue = queue(Rule::wait(9), Rule::wait(9));
    for unit in [picture(1), sound(2), unit(Lane::Mark, 3), picture(4)] {
        assert_eq!(queue.push(unit), KEPT);
    }
    queue.push(unit(Lane::Command, 0));
    assert_eq!(times(&queue), [0, 1, 2, 3, 4]);
}

#[test]
fn newest_wins_drops_the_oldest_of_its_lane_only() {
    let queue = queue(Rule::newest(2), Rule::newest(2));
    queue.push(sound(0));
    let dropped: u64 = (1..=5)
        .map(|at| match queue.push(picture(at)) {
            Push::Done { dropped, .. } => dropped,
            Push::Closed(_) => panic!("not closed"),
        })
        .sum();
    assert_eq!(dropped, 3);
    assert_eq!(times(&queue), [0, 4, 5]);
}

#[test]
fn more_than_the_newest_stay_where_they_came_in_close_succession() {
    let lately = Lately {
        count: 4,
        time: Duration::from_millis(50),
    };
    let start = Instant::now();
    let kept = |interval| {
        let queue = queue(Rule::newest_and(2, lately), Rule::wait(1));
        for at in 0..9 {
            queue.push(Unit {
                came: Some(start + at * Duration::from_millis(interval)),
                ..picture(at.into())
            });
        }
        times(&queue)
    };
    assert_eq!(kept(33), [7, 8], "two at 30 fps");
    assert_eq!(kept(20), [6, 7, 8], "what came within 50 ms");
    assert_eq!(kept(5), [5, 6, 7, 8], "and no more than four");
    let queue = queue(Rule::newest_and(2, lately), Rule::wait(1));
    for at in 0..9 {
        queue.push(picture(at));
    }
    assert_eq!(times(&queue), [7, 8], "of those that say when they came");
}

#[test]
fn a_bound_in_media_time_drops_what_is_older() {
    let queue = queue(
        Rule::wait(1),
        Rule::newest_within(100, Duration::from_millis(100)),
    );
    for at in (0..300).step_by(20) {
        queue.push(sound(at));
    }
    assert_eq!(times(&queue), [180, 200, 220, 240, 260, 280]);
}

#[test]
fn a_full_queue_of_coded_pictures_skips_to_the_next_keyframe() {
    let queue = queue(Rule::skip(3, Duration::from_secs(9)), Rule::wait(1));
    for unit in [keyframe(0), picture(1), picture(2)] {
        assert_eq!(queue.push(unit), KEPT);
    }
    let skipped = Push::Done {
        dropped: 1,
        skipping: true,
    };
    assert_eq!(queue.push(picture(3)), skipped);
    // The decoder goes on with what is there meanwhile …
    assert_eq!(queue.pop().unwrap().at_ms, 0);
    // … and room alone does not end the skipping: 4 refers to 3.
    assert_eq!(queue.push(picture(4)), skipped);
    assert_eq!(
        queue.push(keyframe(5)),
        Push::Done {
            dropped: 2,
            skipping: false
        }
    );
    assert_eq!(queue.push(picture(6)), KEPT);
    assert_eq!(times(&queue), [5, 6]);
}

#[test]
fn skipping_holds_for_a_bound_in_time_too() {
    let queue = queue(Rule::skip(99, Duration::from_millis(100)), Rule::wait(1));
    queue.push(keyframe(0));
    assert_eq!(queue.push(picture(100)), KEPT);
    assert_eq!(
        queue.push(picture(101)),
        Push::Done {
            dropped: 1,
            skipping: true
        }
    );
}

#[test]
fn a_unit_that_replaces_takes_the_place_of_the_one_before() {
    let queue = queue(Rule::skip(9, Duration::from_secs(1)), Rule::wait(9));
    queue.push(keyframe(0));
    queue.push(picture(40));
    queue.push(Unit {
        replaces: true,
        ..picture(41)
    });
    assert_eq!(queue.pop().map(|unit| unit.at_ms), Some(0));
    let replaced = queue.pop().unwrap();
    assert_eq!((replaced.at_ms, replaced.replaces), (41, false));
}

#[test]
fn a_unit_whose_predecessor_has_gone_on_still_says_what_it_replaces() {
    let queue = queue(Rule::skip(9, Duration::from_secs(1)), Rule::wait(9));
    queue.push(Unit {
        replaces: true,
        ..picture(41)
    });
    assert!(queue.pop().unwrap().replaces);
}

#[test]
fn a_waiting_producer_goes_on_when_there_is_room() {
    let queue = Arc::new(queue(Rule::wait(1), Rule::wait(1)));
    queue.push(picture(0));
    let producer = std::thread::spawn({
        let queue = Arc::clone(&queue);
        move || {
            for at in 1..100 {
                queue.push(picture(at));
            }
            queue.close();
        }
    });
    let got: Vec<i64> = std::iter::from_fn(|| queue.pop())
        .map(|unit| unit.at_ms)
        .collect();
    producer.join().unwrap();
    assert_eq!(got, (0..100).collect::<Vec<_>>());
}

#[test]
fn closing_gives_a_waiting_producer_its_item_back() {
    let queue = Arc::new(queue(Rule::wait(1), Rule::wait(1)));
    queue.push(picture(0));
    let producer = std::thread::spawn({
        let queue = Arc::clone(&queue);
        move || queue.push(picture(1))
    });
    queue.close();
    assert_eq!(producer.join().unwrap(), Push::Closed(picture(1)));
    assert_eq!(queue.pop(), Some(picture(0)));
    assert_eq!(queue.pop(), None);
}

#[test]
fn aborting_drops_what_is_there_and_counts_the_pictures() {
    let queue = queue(Rule::wait(9), Rule::wait(9));
    queue.push(picture(0));
    queue.push(sound(0));
    queue.push(picture(1));
    assert_eq!(queue.abort(), 2);
    assert_eq!(queue.pop(), None);
    assert_eq!(queue.push(sound(5)), Push::Closed(sound(5)));
}

#[tokio::test(start_paused = true)]
async fn a_task_wakes_for_an_item_and_for_the_end() {
    let queue = Arc::new(queue(Rule::newest(2), Rule::newest(2)));
    let consumer = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move {
            let mut got = Vec::new();
            while let Some(unit) = queue.next().await {
                got.push(unit.at_ms);
            }
            got
        }
    });
    tokio::task::yield_now().await;
    queue.push(picture(7));
    tokio::task::yield_now().await;
    queue.push(picture(8));
    queue.close();
    assert_eq!(consumer.await.unwrap(), [7, 8]);
}
