//! Which streams are used, what becomes of sound, and where units go.

use super::*;
use crate::testing::{audio_stream, ms, unit, video_stream};
use trickle_media::access_unit::TrackId;

fn intake(live: bool, audio: AudioMode, takes_audio: bool) -> (Intake, Arc<Shared>) {
    let shared = Arc::new(Shared::new("test".into(), live));
    shared.set_takes_audio(takes_audio);
    (Intake::new(Arc::clone(&shared), audio), shared)
}

fn found(audio: Codec) -> Vec<StreamInfo> {
    vec![
        (*video_stream(16, 8)).clone(),
        (*audio_stream(audio, 2)).clone(),
    ]
}

fn route(audio: AudioMode, takes_audio: bool, codec: Codec) -> AudioRoute {
    let (mut intake, shared) = intake(true, audio, takes_audio);
    assert!(intake.streams(&found(codec)).is_ok());
    match shared.queues.decode.pop() {
        Some(Item::Streams(streams)) => {
            assert_eq!(streams.audio.is_some(), streams.route != AudioRoute::None);
            streams.route
        }
        _ => panic!("the streams come first"),
    }
}

#[test]
fn what_becomes_of_sound() {
    use AudioMode::{Aac, Copy, None, Opus};
    assert_eq!(route(Opus, false, Codec::Opus), AudioRoute::Copied);
    assert_eq!(route(Opus, false, Codec::Aac), AudioRoute::Transcoded);
    assert_eq!(route(Copy, false, Codec::Aac), AudioRoute::Copied);
    assert_eq!(route(Copy, false, Codec::Ac3), AudioRoute::Copied);
    assert_eq!(route(Aac, false, Codec::Aac), AudioRoute::Copied);
    assert_eq!(route(Aac, false, Codec::Opus), AudioRoute::Transcoded);
    assert_eq!(route(Opus, true, Codec::Opus), AudioRoute::Processed);
    assert_eq!(route(None, true, Codec::Opus), AudioRoute::None);
}

#[test]
fn the_first_stream_of_a_kind_is_used_and_kept() {
    let (mut intake, shared) = intake(true, AudioMode::Opus, false);
    let mut second = (*video_stream(32, 16)).clone();
    second.track = TrackId(9);
    let first = (*video_stream(16, 8)).clone();
    let _ = intake.streams(&[first.clone(), second.clone()]);
    // The order of the tables says nothing about which stream was chosen.
    let _ = intake.streams(&[second.clone(), first.clone()]);
    // Only when it is gone, the other takes its place.
    let _ = intake.streams(&[second]);
    shared.queues.decode.close();
    let tracks: Vec<u32> = std::iter::from_fn(|| shared.queues.decode.pop())
        .filter_map(|item| match item {
            Item::Streams(streams) => Some(streams.video.as_ref()?.track.0),
            _ => None,
        })
        .collect();
    assert_eq!(tracks, [1, 9]);
}

#[test]
fn copied_sound_goes_past_the_stages_live_and_in_order_offline() {
    for live in [true, false] {
        let (mut intake, shared) = intake(live, AudioMode::Opus, false);
        let _ = intake.streams(&found(Codec::Opus));
        let mut packet = unit(Codec::Opus, ms(0), "packet");
        packet.track = TrackId(2);
        let _ = intake.unit(packet);
        let _ = intake.unit(unit(Codec::Hevc, ms(0), "picture"));
        intake.finish();
        shared.queues.egress.close();
        let decode: Vec<bool> = std::iter::from_fn(|| shared.queues.decode.pop())
            .map(|item| matches!(item, Item::Packet(_)))
            .collect();
        let straight = shared.queues.egress.pop().is_some();
        assert_eq!(straight, live);
        let expected: &[bool] = if live {
            &[false, false]
        } else {
            &[false, true, false]
        };
        assert_eq!(decode, expected);
    }
}

#[test]
fn units_are_counted_and_mapped_and_those_of_other_tracks_passed_over() {
    let (mut intake, shared) = intake(true, AudioMode::Opus, false);
    let _ = intake.streams(&found(Codec::Aac));
    let mut stray = unit(Codec::Aac, ms(0), "stray");
    stray.track = TrackId(7);
    let _ = intake.unit(stray);
    let _ = intake.unit(unit(Codec::Hevc, ms(500), "a"));
    let _ = intake.unit(unit(Codec::Hevc, ms(60_500), "b"));
    assert_eq!(shared.stats.video_in.get(), 2);
    assert_eq!(shared.stats.audio_in.get(), 0);
    assert_eq!(shared.stats.timeline_rebases.get(), 1);
    intake.finish();
    let times: Vec<i64> = std::iter::from_fn(|| shared.queues.decode.pop())
        .filter_map(|item| match item {
            Item::Picture(coded) => Some(coded.unit.dts.ticks / 90),
            _ => None,
        })
        .collect();
    assert_eq!(times, [10_500, 10_533]);
}

#[test]
fn an_input_without_anything_of_use_is_a_failure_that_says_what_was_there() {
    let (mut intake, shared) = intake(true, AudioMode::None, false);
    let _ = intake.streams(&[(*audio_stream(Codec::Mpeg, 2)).clone()]);
    intake.finish();
    assert_eq!(
        shared.reason(),
        Some(EndReason::NoStreams("it holds mp2".into()))
    );
}
