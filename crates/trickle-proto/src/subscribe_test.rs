//! A subscriber's decisions, with a clock that the tests move.

use super::*;

struct Rig {
    state: SubscribeState,
    now: Instant,
}

impl Rig {
    fn new(start: Start) -> Self {
        Self {
            state: SubscribeState::new(start, RetryPolicy::default(), 7),
            now: Instant::now(),
        }
    }

    /// One that has read segment `seq`.
    fn after(seq: u32) -> Self {
        let mut rig = Self::new(Start::Current);
        rig.answer(GetAnswer::Segment {
            seq: Some(Seq::from(seq)),
        });
        rig
    }

    fn answer(&mut self, answer: GetAnswer) -> Step {
        self.state.on_answer(answer, self.now)
    }

    /// Gives the same answer to every try, and returns the last step and the time it took.
    fn until_settled(&mut self, answer: GetAnswer) -> (Step, Duration) {
        let from = self.now;
        for _ in 0..1000 {
            match self.answer(answer) {
                Step::Ask(wait) => self.now += wait,
                step => return (step, self.now - from),
            }
        }
        panic!("retries without end");
    }
}

fn at(n: u32) -> SegmentRef {
    SegmentRef::At(Seq::from(n))
}

fn segment(n: u32) -> GetAnswer {
    GetAnswer::Segment {
        seq: Some(Seq::from(n)),
    }
}

fn no_segment(latest: u32) -> GetAnswer {
    GetAnswer::NoSegment {
        latest: Some(Seq::from(latest)),
    }
}

fn deliver(n: u32, gap: Option<Gap>) -> Step {
    Step::Deliver {
        seq: Seq::from(n),
        gap,
    }
}

#[test]
fn it_starts_where_it_is_told_and_then_counts() {
    for (start, first) in [
        (Start::Current, SegmentRef::Current),
        (Start::Next, SegmentRef::Next),
        (Start::At(Seq::from(4)), at(4)),
    ] {
        let mut rig = Rig::new(start);
        assert_eq!(rig.state.wanted(), first);
        assert_eq!(rig.answer(segment(4)), deliver(4, None));
        assert_eq!(rig.state.wanted(), at(5));
    }
}

#[test]
fn an_answer_without_an_index_is_taken_where_one_was_asked_for() {
    let mut rig = Rig::new(Start::At(Seq::from(4)));
    assert_eq!(
        rig.answer(GetAnswer::Segment { seq: None }),
        deliver(4, None)
    );
    let mut rig = Rig::new(Start::Current);
    let step = rig.answer(GetAnswer::Segment { seq: None });
    assert_eq!(step, Step::Fail(SubscribeStop::NoIndex));
}

#[test]
fn one_that_fell_behind_jumps_to_the_edge_and_reports_the_gap() {
    let mut rig = Rig::after(3);
    assert_eq!(rig.answer(no_segment(20)), Step::Ask(Duration::ZERO));
    assert_eq!(rig.state.wanted(), at(20));
    let gap = Gap::Missed {
        from: Seq::from(4),
        until: Seq::from(20),
    };
    assert_eq!(rig.answer(segment(20)), deliver(20, Some(gap)));
    assert_eq!(gap.missing(), 16);
}

#[test]
fn one_that_is_ahead_waits_and_then_rejoins_with_a_discontinuity() {
    let mut rig = Rig::after(50);
    let from = rig.now;
    while rig.state.wanted() == at(51) {
        let Step::Ask(wait) = rig.answer(no_segment(2)) else {
            panic!("gave up")
        };
        assert!(wait == AHEAD_WAIT || rig.state.wanted() == SegmentRef::Current);
        rig.now += wait;
    }
    assert_eq!(rig.now - from, AHEAD_LIMIT);
    assert_eq!(rig.state.wanted(), SegmentRef::Current);
    let gap = Gap::Restarted {
        expected: Seq::from(51),
        got: Seq::from(2),
    };
    assert_eq!(rig.answer(segment(2)), deliver(2, Some(gap)));
    assert_eq!(rig.state.wanted(), at(3));
}

#[test]
fn one_that_is_ahead_for_a_moment_goes_on_as_if_nothing_had_been() {
    let mut rig = Rig::after(5);
    assert_eq!(rig.answer(no_segment(5)), Step::Ask(AHEAD_WAIT));
    rig.now += AHEAD_WAIT;
    assert_eq!(rig.answer(segment(6)), deliver(6, None));
}

#[test]
fn a_segment_is_never_delivered_twice_after_rejoining() {
    let mut rig = Rig::after(5);
    rig.answer(no_segment(5));
    rig.now += AHEAD_LIMIT;
    rig.answer(no_segment(5));
    assert_eq!(rig.state.wanted(), SegmentRef::Current);
    assert_eq!(rig.answer(segment(5)), Step::Ask(AHEAD_WAIT));
    assert_eq!(rig.state.wanted(), at(6));
}

#[test]
fn a_missing_channel_is_told_at_once_and_ends_a_stream_that_was_read() {
    let mut rig = Rig::new(Start::Current);
    assert_eq!(
        rig.answer(GetAnswer::NotFound),
        Step::Fail(SubscribeStop::NotFound)
    );
    assert_eq!(Rig::after(3).answer(GetAnswer::NotFound), Step::End);
}

#[test]
fn a_missing_channel_after_a_lost_connection_is_waited_for() {
    let window = RetryPolicy::default().window;
    let mut rig = Rig::after(3);
    assert!(matches!(rig.answer(GetAnswer::NoAnswer), Step::Ask(_)));
    let (step, took) = rig.until_settled(GetAnswer::NotFound);
    assert_eq!(step, Step::End);
    assert!(
        took >= window && took < window + Duration::from_secs(3),
        "{took:?}"
    );

    let mut rig = Rig::after(3);
    rig.answer(GetAnswer::NoAnswer);
    rig.answer(GetAnswer::NotFound);
    assert_eq!(rig.answer(segment(4)), deliver(4, None));
}

#[test]
fn an_unreachable_relay_is_given_up_after_the_window() {
    for (answer, stop) in [
        (GetAnswer::NoAnswer, SubscribeStop::Unreachable),
        (GetAnswer::Unavailable(503), SubscribeStop::Unavailable(503)),
        (GetAnswer::Distrusted, SubscribeStop::Distrusted),
    ] {
        let (step, took) = Rig::after(1).until_settled(answer);
        assert_eq!(step, Step::Fail(stop));
        assert!(took >= RetryPolicy::default().window);
    }
}

#[test]
fn each_outage_has_a_window_of_its_own() {
    let mut rig = Rig::after(1);
    rig.answer(GetAnswer::NoAnswer);
    rig.now += Duration::from_secs(29);
    rig.answer(segment(2));
    rig.now += Duration::from_secs(29);
    assert!(matches!(rig.answer(GetAnswer::NoAnswer), Step::Ask(_)));
}

#[test]
fn outages_that_were_ridden_out_are_counted() {
    let mut rig = Rig::after(1);
    assert_eq!(rig.state.reconnects(), 0);
    for answer in [GetAnswer::NoAnswer, GetAnswer::Unavailable(503)] {
        rig.answer(answer);
        rig.answer(answer);
    }
    rig.answer(segment(2));
    rig.answer(segment(3));
    assert_eq!(rig.state.reconnects(), 1);
    rig.answer(GetAnswer::NoAnswer);
    rig.answer(no_segment(9));
    assert_eq!(rig.state.reconnects(), 2);
}

#[test]
fn a_refusal_is_final() {
    for (answer, stop) in [
        (GetAnswer::Refused(401), SubscribeStop::Refused(401)),
        (GetAnswer::Distrusted, SubscribeStop::Distrusted),
    ] {
        let step = Rig::new(Start::Current).answer(answer);
        assert_eq!(step, Step::Fail(stop));
    }
}

#[test]
fn the_end_of_the_stream_ends() {
    assert_eq!(Rig::after(3).answer(GetAnswer::EndOfStream), Step::End);
}
