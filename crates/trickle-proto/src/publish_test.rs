//! A publisher's decisions.

use super::*;

fn state() -> PublishState {
    PublishState::new(Seq::ZERO, 5, false)
}

#[test]
fn indices_are_taken_in_order() {
    let mut state = state();
    assert_eq!(state.take(), (Seq::from(0), false));
    assert_eq!(state.take(), (Seq::from(1), false));
    state.give_back(Seq::from(1));
    assert_eq!(state.take(), (Seq::from(1), false));
}

#[test]
fn only_a_post_that_lost_nothing_is_sent_again_and_only_once() {
    for answer in [PostAnswer::NoAnswer, PostAnswer::Unavailable(503)] {
        assert!(answer.may_retry(false, false));
        assert!(!answer.may_retry(true, false));
        assert!(!answer.may_retry(false, true));
    }
    for answer in [
        PostAnswer::NotFound,
        PostAnswer::EndOfStream,
        PostAnswer::Refused(401),
    ] {
        assert!(!answer.may_retry(false, false), "{answer:?}");
    }
}

#[test]
fn a_lost_channel_or_a_refusal_is_final() {
    for (answer, stop) in [
        (PostAnswer::NotFound, PublishStop::NotFound),
        (PostAnswer::EndOfStream, PublishStop::EndOfStream),
        (PostAnswer::Refused(401), PublishStop::Refused(401)),
        (PostAnswer::Distrusted, PublishStop::Distrusted),
    ] {
        let mut state = state();
        state.record(answer);
        assert_eq!(state.stop(), Some(stop));
    }
}

#[test]
fn a_certificate_that_is_refused_in_the_middle_is_a_connection_that_was_lost() {
    let mut state = state();
    state.record(PostAnswer::Accepted);
    state.record(PostAnswer::Distrusted);
    assert_eq!(state.stop(), None);
    assert!(state.needs_resync());
}

#[test]
fn one_that_creates_its_channel_makes_it_again() {
    let mut state = PublishState::new(Seq::ZERO, 5, true);
    state.record(PostAnswer::NotFound);
    assert_eq!(state.stop(), None);
    assert!(state.needs_resync());
}

#[test]
fn after_a_failure_it_resumes_with_a_reset_and_keeps_its_numbers() {
    let mut state = state();
    for _ in 0..4 {
        state.take();
    }
    state.record(PostAnswer::NoAnswer);
    assert!(state.needs_resync());
    state.resynced(None, true);
    assert_eq!(state.take(), (Seq::from(4), true));
    assert_eq!(state.take(), (Seq::from(5), false));
    state.resynced(Some(Seq::from(9)), true);
    assert_eq!(state.take(), (Seq::from(9), true));
    // Asked for a second time, nothing had been lost.
    assert_eq!(state.reconnects(), 1);
}

#[test]
fn it_does_not_reset_while_a_segment_of_its_own_is_under_way() {
    let mut state = state();
    state.take();
    state.record(PostAnswer::NoAnswer);
    state.resynced(Some(Seq::from(1)), false);
    assert_eq!(state.take(), (Seq::from(1), false));
}

#[test]
fn a_segment_that_is_too_large_does_not_end_the_stream() {
    let mut state = state();
    state.record(PostAnswer::Refused(413));
    assert_eq!(state.stop(), None);
    assert!(!state.needs_resync());
}

#[test]
fn several_losses_in_a_row_are_final_and_success_forgives() {
    let mut state = state();
    for _ in 0..4 {
        state.record(PostAnswer::NoAnswer);
    }
    state.record(PostAnswer::Accepted);
    for _ in 0..4 {
        state.record(PostAnswer::NoAnswer);
    }
    assert_eq!(state.stop(), None);
    state.record(PostAnswer::NoAnswer);
    assert_eq!(state.stop(), Some(PublishStop::TooManyLost(5)));
}
