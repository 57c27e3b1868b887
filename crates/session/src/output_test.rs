//! Where the output begins, and what happens when streams come and go.

use super::*;
use crate::testing::{audio_stream, ms, packet_item, unit, video_stream};
use std::sync::LazyLock;
use trickle_media::access_unit::MediaKind;
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};

const GOP: Duration = Duration::from_secs(2);

fn streams(video: bool, audio: Option<&Arc<StreamInfo>>) -> Item {
    Item::Streams(Arc::new(Streams {
        video: video.then(|| video_stream(16, 8)),
        audio: audio.cloned(),
        route: AudioRoute::Copied,
    }))
}

fn picture(at: i64, keyframe: bool) -> Item {
    static CODED: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
        let clip = trickle_testkit::clip_bytes("live_720p25_baseline_opus.ts");
        let mut demuxer = Demuxer::new(DemuxOptions::default());
        demuxer.push(&clip, None);
        let units = std::iter::from_fn(|| demuxer.next_event());
        units
            .filter_map(|event| match event {
                DemuxEvent::Unit(unit) if unit.codec == Codec::H264 => Some(unit.data),
                _ => None,
            })
            .take(2)
            .collect()
    });
    let mut unit = unit(Codec::H264, ms(at), CODED[usize::from(!keyframe)].clone());
    unit.keyframe = keyframe;
    Item::Encoded(Encoded {
        unit,
        times: StageTimes::default(),
    })
}

/// What came out: kind and time in ms of each unit, by segment.
fn written(output: &mut Output) -> Vec<Vec<(MediaKind, i64)>> {
    let mut segments: Vec<Vec<u8>> = Vec::new();
    while let Some(chunk) = output.pop() {
        if chunk.starts_segment {
            segments.push(Vec::new());
        }
        segments.last_mut().unwrap().extend_from_slice(&chunk.bytes);
    }
    let read = |bytes: Vec<u8>| {
        let mut demuxer = Demuxer::new(DemuxOptions::default());
        demuxer.push(&bytes, None);
        demuxer.finish();
        let mut units = Vec::new();
        while let Some(event) = demuxer.next_event() {
            match event {
                DemuxEvent::Unit(unit) => {
                    units.push((unit.codec.kind(), unit.pts.in_base(ms(0).base) / 90));
                }
                DemuxEvent::Streams(_) => {}
                DemuxEvent::Fault(fault) => panic!("{fault}"),
            }
        }
        units.sort_by_key(|unit| unit.1);
        units
    };
    segments.into_iter().map(read).collect()
}

use MediaKind::{Audio as A, Video as V};

#[test]
fn it_begins_with_the_first_keyframe_and_the_sound_from_there_on() {
    let shared = Shared::new("test".into(), false);
    let opus = audio_stream(Codec::Opus, 2);
    let mut output = Output::new(false, GOP);
    for item in [
        streams(true, Some(&opus)),
        packet_item(0, &opus),
        packet_item(20, &opus),
        packet_item(40, &opus),
        picture(40, true),
        packet_item(60, &opus),
        picture(80, false),
    ] {
        output.push(item, None, &shared);
    }
    output.finish(&shared);
    assert_eq!(written(&mut output), [[(V, 40), (A, 40), (A, 60), (V, 80)]]);
    assert_eq!(shared.stats.audio_dropped.get(), 2);
}

#[test]
fn sound_begins_alone_when_no_picture_comes_for_long() {
    let shared = Shared::new("test".into(), true);
    let opus = audio_stream(Codec::Opus, 2);
    let mut output = Output::new(true, GOP);
    let start = Instant::now();
    output.push(streams(true, Some(&opus)), Some(start), &shared);
    output.push(packet_item(0, &opus), Some(start), &shared);
    assert_eq!(output.deadline(), Some(start + START_WAIT));
    output.release(Some(start + START_WAIT / 2), &shared);
    assert!(written(&mut output).is_empty());
    output.release(Some(start + START_WAIT), &shared);
    assert_eq!(written(&mut output), [[(A, 0)]]);
    // Pictures join with the first keyframe, in a segment of their own.
    output.push(picture(100, true), Some(start + START_WAIT), &shared);
    assert_eq!(written(&mut output), [[(V, 100)]]);
}

#[test]
fn sound_that_appears_later_is_added_at_the_next_keyframe() {
    let shared = Shared::new("test".into(), true);
    let opus = audio_stream(Codec::Opus, 1);
    let mut output = Output::new(true, GOP);
    let now = Some(Instant::now());
    output.push(streams(true, None), now, &shared);
    output.push(picture(0, true), now, &shared);
    output.push(streams(true, Some(&opus)), now, &shared);
    output.push(picture(40, false), now, &shared);
    output.push(packet_item(40, &opus), now, &shared);
    assert!(shared.take_keyframe_request(), "so that it need not wait");
    output.push(picture(80, true), now, &shared);
    output.push(packet_item(80, &opus), now, &shared);
    assert_eq!(
        written(&mut output),
        [vec![(V, 0), (V, 40)], vec![(V, 80), (A, 80)]]
    );
    assert_eq!(shared.stats.audio_dropped.get(), 1);
}

#[test]
fn sound_goes_on_alone_when_pictures_are_gone() {
    let shared = Shared::new("test".into(), true);
    let opus = audio_stream(Codec::Opus, 2);
    let mut output = Output::new(true, GOP);
    let now = Some(Instant::now());
    output.push(streams(false, Some(&opus)), now, &shared);
    for at in (0..2100).step_by(20) {
        output.push(packet_item(at, &opus), now, &shared);
    }
    let segments = written(&mut output);
    assert_eq!(segments.len(), 2);
    assert_eq!(segments[1][0], (A, 2000));
}

#[test]
fn packets_that_step_back_keep_their_order() {
    let shared = Shared::new("test".into(), false);
    let opus = audio_stream(Codec::Opus, 2);
    let mut output = Output::new(false, GOP);
    output.push(streams(false, Some(&opus)), None, &shared);
    for at in [0, 20, 17, 40] {
        output.push(packet_item(at, &opus), None, &shared);
    }
    let times: Vec<i64> = written(&mut output)[0].iter().map(|unit| unit.1).collect();
    assert_eq!(times, [0, 20, 20, 40]);
}

/// A source whose sound runs 500 ppm faster than its pictures: after an hour, 1.8 s ahead.
#[test]
fn clocks_that_drift_apart_for_an_hour_delay_nothing_without_bound() {
    let shared = Shared::new("test".into(), true);
    let opus = audio_stream(Codec::Opus, 2);
    let mut output = Output::new(true, GOP);
    let start = Instant::now();
    output.push(streams(true, Some(&opus)), Some(start), &shared);
    let mut waiting = VecDeque::new();
    let (mut longest, mut pictures) = (Duration::ZERO, 0);
    for tick in 0..36_000i64 {
        let at = tick * 100;
        let now = start + Duration::from_millis(at as u64);
        output.release(Some(now), &shared);
        output.push(picture(at, tick % 20 == 0), Some(now), &shared);
        output.push(packet_item(at + at / 2000, &opus), Some(now), &shared);
        waiting.push_back(now);
        while let Some(chunk) = output.pop() {
            if chunk.video.is_some() {
                pictures += 1;
            } else if let Some(since) = waiting.pop_front() {
                longest = longest.max(now - since);
            }
        }
    }
    assert_eq!(pictures, 36_000);
    // Sound waits for its pictures for half a second, then no longer.
    assert!(longest <= Duration::from_millis(600), "{longest:?}");
    assert!(waiting.len() <= 6, "{} wait at the end", waiting.len());
    assert_eq!(shared.stats.audio_dropped.get(), 0);
}
