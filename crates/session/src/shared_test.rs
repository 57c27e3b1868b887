//! The bounds of a live session's queues: the table in the README, in behaviour.

use super::*;
use crate::queue::Push;
use crate::testing::{
    audio_stream, encoded_item, frame_item, ms, packet_item, picture_item, video_stream,
};
use trickle_media::access_unit::Codec;

fn live() -> Shared {
    Shared::new("test".into(), true)
}

/// How many of `items` gave way, whether the lane skips at the end, and how many wait.
fn fill(queue: &Queue<Item>, items: impl IntoIterator<Item = Item>) -> (u64, bool, (usize, usize)) {
    let (mut gone, mut skips) = (0, false);
    for item in items {
        match queue.push(item) {
            Push::Done { dropped, skipping } => {
                gone += dropped;
                skips = skipping;
            }
            Push::Closed(_) => panic!("it is open"),
        }
    }
    (gone, skips, queue.waiting())
}

/// A picture that others refer to, or that refers to others.
fn coded(at: i64, keyframe: bool) -> Item {
    let mut item = picture_item(at, "picture", &video_stream(16, 8));
    if let Item::Picture(coded) = &mut item {
        coded.unit.keyframe = keyframe;
    }
    item
}

#[test]
fn coded_pictures_skip_to_the_next_keyframe_beyond_180_or_3_seconds() {
    let shared = live();
    let queue = &shared.queues.decode;
    let pictures = (0..181).map(|n| coded(n * 10, n == 0));
    assert_eq!(fill(queue, pictures), (1, true, (180, 0)));
    // The next keyframe comes in, and all that was left before it goes.
    assert_eq!(fill(queue, [coded(1_900, true)]), (180, false, (1, 0)));

    let shared = live();
    let pictures = (0..77).map(|n| coded(n * 40, n == 0));
    assert_eq!(fill(&shared.queues.decode, pictures), (1, true, (76, 0)));
}

#[test]
fn before_the_processor_the_newest_two_wait_and_of_a_clock_the_newest() {
    let shared = live();
    let frames = (0..5).map(|n| frame_item(n * 40, (16, 8)));
    assert_eq!(fill(&shared.queues.process, frames), (3, false, (2, 0)));
    assert_eq!(shared.queues.process.next_picture(), Some(ms(120)));

    let clock = Shared::live(&SessionConfig::new("clock"), OverlaySlot::default());
    let frames = (0..5).map(|n| frame_item(n * 40, (16, 8)));
    assert_eq!(fill(&clock.queues.process, frames), (4, false, (1, 0)));
    assert_eq!(clock.queues.process.next_picture(), Some(ms(160)));
}

#[test]
fn behind_the_processor_there_is_room_for_two() {
    let shared = live();
    let queue = &shared.queues.encode;
    for n in 0..2 {
        assert!(queue.has_room(&frame_item(n * 40, (16, 8))));
        fill(queue, [frame_item(n * 40, (16, 8))]);
    }
    assert!(!queue.has_room(&frame_item(80, (16, 8))));
}

#[test]
fn what_is_to_be_published_skips_to_the_next_keyframe_beyond_120_or_a_second() {
    let shared = live();
    let pictures = (0..121).map(|n| encoded_item(n * 5, n == 0));
    assert_eq!(fill(&shared.queues.egress, pictures), (1, true, (120, 0)));
    let shared = live();
    let pictures = (0..27).map(|n| encoded_item(n * 40, n == 0));
    assert_eq!(fill(&shared.queues.egress, pictures), (1, true, (26, 0)));
}

#[test]
fn of_sound_the_oldest_goes_beyond_256_or_3_seconds() {
    let opus = audio_stream(Codec::Opus, 2);
    let shared = live();
    let Queues {
        decode,
        process,
        encode,
        egress,
    } = &shared.queues;
    for queue in [decode, process, encode, egress] {
        let packets = (0..257).map(|n| packet_item(n * 10, &opus));
        assert_eq!(fill(queue, packets), (1, false, (0, 256)));
        queue.abort();
    }
    let shared = live();
    let packets = (0..152).map(|n| packet_item(n * 20, &opus));
    assert_eq!(fill(&shared.queues.decode, packets), (1, false, (0, 151)));
}

/// Whose sign of life counts.
#[test]
fn only_without_input_and_control_channel_does_the_output_renew_the_lease() {
    let url = || Some("http://127.0.0.1/x".parse().unwrap());
    for (subscribe_url, control_url, renews) in [
        (None, None, true),
        (None, url(), false),
        (url(), None, false),
        (url(), url(), false),
    ] {
        let config = SessionConfig {
            subscribe_url,
            control_url,
            ..SessionConfig::new("test")
        };
        let shared = Shared::live(&config, OverlaySlot::default());
        assert_eq!(shared.output_renews, renews);
    }
}
