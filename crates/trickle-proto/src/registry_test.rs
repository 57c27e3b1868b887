//! Channels come, go, and are told of; the clock is the tests'.

use futures_util::FutureExt;

use super::*;
use crate::{channel::Read, seq::Seq};

fn rules() -> Rules {
    Rules {
        ring: 5,
        changefeed: false,
        idle_timeout: Duration::from_secs(300),
        retention: Duration::from_secs(30),
        limits: Limits::default(),
    }
}

fn feed_lines(registry: &Registry) -> Vec<String> {
    let feed = registry.get(CHANGEFEED).unwrap();
    let segments: Vec<_> = feed.with(|channel| {
        let first = channel.next().get().saturating_sub(5);
        (first..channel.next().get())
            .map(|n| channel.read(SegmentRef::At(Seq::new(n).unwrap())))
            .collect()
    });
    segments
        .into_iter()
        .map(|read| {
            let Read::Segment(segment) = read else {
                panic!("{read:?}")
            };
            let bytes = segment
                .reader()
                .chunk()
                .now_or_never()
                .unwrap()
                .unwrap()
                .unwrap();
            String::from_utf8(bytes.to_vec()).unwrap()
        })
        .collect()
}

#[test]
fn an_idle_channel_is_closed_and_then_forgotten() {
    let now = Instant::now();
    let registry = Registry::new(rules(), now);
    registry.create("a", None, now).unwrap();
    let at = |seconds| now + Duration::from_secs(seconds);

    registry.sweep(at(299));
    assert!(registry.get("a").unwrap().with(|c| c.closed_at().is_none()));
    registry.sweep(at(300));
    assert!(registry.get("a").unwrap().with(|c| c.closed_at().is_some()));
    registry.sweep(at(329));
    assert!(registry.get("a").is_some());
    registry.sweep(at(330));
    assert!(registry.get("a").is_none());
}

#[test]
fn every_byte_counts_against_idleness() {
    let now = Instant::now();
    let registry = Registry::new(rules(), now);
    let entry = registry.create("long", None, now).unwrap();
    let limits = Limits::default();
    entry.with(|channel| {
        let Write::Open(mut writer) = channel.open_write(SegmentRef::Next, false, &limits) else {
            panic!()
        };
        channel.admit(&mut writer, 1, &limits, now).unwrap();
        channel
            .admit(&mut writer, 1, &limits, now + Duration::from_secs(299))
            .unwrap();
    });
    registry.sweep(now + Duration::from_secs(500));
    assert!(entry.with(|channel| channel.closed_at().is_none()));
}

#[test]
fn internal_channels_are_never_idle() {
    let now = Instant::now();
    let registry = Registry::new(rules(), now);
    registry.create("_internal", None, now).unwrap();
    registry.sweep(now + Duration::from_secs(100_000));
    assert!(
        registry
            .get("_internal")
            .unwrap()
            .with(|c| c.closed_at().is_none())
    );
}

#[test]
fn a_channel_started_anew_is_not_forgotten() {
    let now = Instant::now();
    let registry = Registry::new(rules(), now);
    registry.create("a", None, now).unwrap();
    assert!(registry.close("a", CloseCause::Asked, now));
    assert!(!registry.close("a", CloseCause::Asked, now));
    registry.create("a", None, now).unwrap();
    registry.sweep(now + Duration::from_secs(60));
    assert!(registry.get("a").is_some());
}

#[test]
fn channels_are_bounded_and_closed_ones_make_room() {
    let now = Instant::now();
    let mut rules = rules();
    rules.limits.channels = 2;
    let registry = Registry::new(rules, now);
    registry.create("a", None, now).unwrap();
    registry.create("b", None, now).unwrap();
    assert_eq!(registry.create("c", None, now).unwrap_err(), NoRoom(2));
    registry.create("b", None, now).unwrap();
    registry.close("a", CloseCause::Asked, now);
    registry.create("c", None, now).unwrap();
    assert_eq!(registry.len(), 2);
}

#[test]
fn the_changefeed_tells_of_itself_and_then_of_every_change() {
    let now = Instant::now();
    let registry = Registry::new(
        Rules {
            changefeed: true,
            ..rules()
        },
        now,
    );
    registry.create("a", None, now).unwrap();
    registry.create("a", None, now).unwrap();
    registry.close("a", CloseCause::Asked, now);
    assert_eq!(
        feed_lines(&registry),
        [
            r#"{"added":["_changes"]}"#,
            r#"{"added":["a"]}"#,
            r#"{"removed":["a"]}"#
        ]
    );
}

#[test]
fn subscribers_are_bounded_and_counted() {
    let now = Instant::now();
    let registry = Registry::new(rules(), now);
    let entry = registry.create("a", None, now).unwrap();
    let one = entry.subscribe(1);
    assert!(one.is_some() && entry.subscribe(1).is_none());
    drop(one);
    assert_eq!(entry.subscribers(), 0);
    assert!(entry.subscribe(1).is_some());
}

#[test]
fn hooks_are_called_for_each_change() {
    let now = Instant::now();
    let registry = Registry::new(rules(), now);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    registry.on_change(move |change| lock(&log).push(format!("{change:?}")));
    let told = || std::mem::take(&mut *lock(&seen));

    registry.create("a", None, now).unwrap();
    assert_eq!(told(), [r#"Made { name: "a" }"#]);
    registry.create("a", None, now).unwrap();
    assert!(told().is_empty(), "it exists");
    registry.close("a", CloseCause::Asked, now);
    registry.close("a", CloseCause::Asked, now);
    assert_eq!(told(), [r#"Closed { name: "a", cause: Asked }"#]);
    registry.create("a", None, now).unwrap();
    assert_eq!(
        told(),
        [r#"Made { name: "a" }"#],
        "a closed one starts anew"
    );
    registry.sweep(now + Duration::from_secs(300));
    assert_eq!(told(), [r#"Closed { name: "a", cause: Idle }"#]);
    registry.create("b", None, now).unwrap();
    registry.close_all(now);
    assert_eq!(
        told(),
        [
            r#"Made { name: "b" }"#,
            r#"Closed { name: "b", cause: Shutdown }"#
        ]
    );
}

#[test]
fn a_hook_may_use_the_registry() {
    let now = Instant::now();
    let registry = Arc::new(Registry::new(rules(), now));
    let inner = registry.clone();
    registry.on_change(move |change| {
        if let Change::Made { name: "video" } = change {
            inner.create("audio", None, now).unwrap();
        }
    });
    registry.create("video", None, now).unwrap();
    assert!(registry.get("audio").is_some());
}

#[test]
fn the_changefeed_tells_of_a_shutdown() {
    let now = Instant::now();
    let registry = Registry::new(
        Rules {
            changefeed: true,
            ..rules()
        },
        now,
    );
    registry.create("a", None, now).unwrap();
    registry.close_all(now);
    assert_eq!(
        feed_lines(&registry),
        [
            r#"{"added":["_changes"]}"#,
            r#"{"added":["a"]}"#,
            r#"{"removed":["a"]}"#
        ]
    );
}
