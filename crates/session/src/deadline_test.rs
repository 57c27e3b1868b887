//! Which pictures are skipped, by what the processor has taken lately.

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// Judges pictures at a time of the test's own.
struct Judge {
    deadline: Deadline,
    start: Instant,
    rest: Duration,
}

impl Judge {
    /// With a limit of a second, and a processor that takes so long.
    fn new(process: u64) -> Self {
        let mut deadline = Deadline::new(Some(MS(1000)));
        deadline.took(MS(process));
        let mut judge = Self {
            deadline,
            start: Instant::now(),
            rest: MS(10),
        };
        // One that is on time, so that nothing is owed.
        assert!(judge.admits(0, 0, None));
        judge
    }

    /// A picture at `pts`, received as long ago, with another waiting at `next`; all in ms.
    fn admits(&mut self, pts: i64, age: u64, next: Option<i64>) -> bool {
        let now = self.start + MS(pts as u64);
        let picture = Candidate {
            pts: Timestamp::mpeg(pts * 90),
            received: now.checked_sub(MS(age)),
            next: next.map(|next| Timestamp::mpeg(next * 90)),
        };
        self.deadline.admit(picture, self.rest, now)
    }
}

#[test]
fn a_processor_that_keeps_up_gets_every_picture() {
    let mut judge = Judge::new(30);
    assert!((1..100).all(|index| judge.admits(index * 40, 45, Some(index * 40 + 40))));
}

#[test]
fn one_that_does_not_gets_the_newest() {
    let mut judge = Judge::new(50);
    assert!(!judge.admits(40, 50, Some(80)));
    assert!(judge.admits(80, 10, None));
}

#[test]
fn the_measured_time_follows_the_processor() {
    let mut judge = Judge::new(50);
    for _ in 0..20 {
        judge.deadline.took(MS(20));
    }
    assert!(judge.admits(40, 50, Some(80)));
    for _ in 0..20 {
        judge.deadline.took(MS(90));
    }
    assert!(!judge.admits(80, 50, Some(120)));
}

#[test]
fn a_picture_that_would_be_out_too_late_is_skipped() {
    let mut judge = Judge::new(100);
    // 890 + 100 + 10 is the limit.
    assert!(judge.admits(40, 890, None));
    assert!(!judge.admits(80, 891, None));
}

#[test]
fn something_is_shown_at_least_once_per_limit() {
    let mut judge = Judge::new(100);
    let shown = (1..=200).filter(|index| judge.admits(index * 40, 2500, None));
    // Eight seconds of pictures, all too old.
    assert_eq!(shown.count(), 8);
}

#[test]
fn a_processor_slower_than_the_limit_is_given_what_it_can_do() {
    let mut judge = Judge::new(1500);
    assert!(judge.admits(2000, 100, None));
    assert!(judge.admits(4000, 1900, None));
}

#[test]
fn without_a_measurement_or_a_limit_nothing_is_skipped_for_its_age() {
    let now = Instant::now();
    let old = Candidate {
        pts: Timestamp::mpeg(0),
        received: now.checked_sub(MS(60_000)),
        next: None,
    };
    assert!(Deadline::new(Some(MS(1))).admit(old, MS(10), now));
    let mut endless = Deadline::new(None);
    endless.took(MS(40));
    assert!(endless.admit(old, MS(10), now));
}
