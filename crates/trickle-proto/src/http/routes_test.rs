//! Paths and what they mean.

use super::*;
use crate::seq::Seq;

fn route(path: &str) -> Result<Route, NoRoute> {
    Route::parse("/ai/trickle/", path)
}

fn found(channel: &str, target: Target) -> Result<Route, NoRoute> {
    Ok(Route {
        channel: channel.into(),
        target,
    })
}

#[test]
fn channels_segments_and_next() {
    assert_eq!(route("/ai/trickle/a"), found("a", Target::Channel));
    assert_eq!(route("/ai/trickle/a/next"), found("a", Target::Next));
    assert_eq!(
        route("/ai/trickle/a/7"),
        found("a", Target::Segment(SegmentRef::At(Seq::from(7))))
    );
    assert_eq!(
        route("/ai/trickle/a/-1"),
        found("a", Target::Segment(SegmentRef::Next))
    );
}

#[test]
fn names_are_decoded() {
    assert_eq!(
        route("/ai/trickle/a%20%2Fb"),
        found("a /b", Target::Channel)
    );
    assert_eq!(route("/ai/trickle/%E2%82%AC"), found("€", Target::Channel));
    assert_eq!(
        route("/ai/trickle/a-b_c.d~e:f@g"),
        found("a-b_c.d~e:f@g", Target::Channel)
    );
    for bad in ["%", "%2", "%zz", "%ff"] {
        assert_eq!(
            route(&format!("/ai/trickle/{bad}")),
            Err(NoRoute::BadName),
            "{bad}"
        );
    }
}

#[test]
fn what_is_elsewhere_is_not_found() {
    for path in [
        "/",
        "/ai/trickle",
        "/ai/trickle/",
        "/ai/trickle//1",
        "/ai/trickle/a/",
        "/ai/trickle/a/1/",
        "/ai/trickle/a/1/2",
        "/other/a",
        "/ai/tricklea",
    ] {
        assert_eq!(route(path), Err(NoRoute::NotFound), "{path}");
    }
}

#[test]
fn a_bad_index_keeps_its_channel() {
    let route = route("/ai/trickle/a/x").unwrap();
    assert_eq!(route.channel, "a");
    assert!(matches!(route.target, Target::BadIndex(_)));
}

#[test]
fn a_base_may_be_written_with_or_without_slashes() {
    for base in ["ai/trickle", "/ai/trickle", "/ai/trickle/", "ai/trickle/"] {
        assert_eq!(normal_base(base), "/ai/trickle/");
    }
    assert_eq!(normal_base(""), "/");
    assert_eq!(normal_base("/"), "/");
}
