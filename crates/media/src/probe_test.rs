//! Rates, GOPs and faults of times, on units made by hand.

use bytes::Bytes;

use super::*;
use crate::access_unit::UnitFlags;

/// A picture shown and decoded at these ticks of 90 kHz.
fn picture(dts: i64, pts: i64, keyframe: bool) -> AccessUnit {
    AccessUnit {
        track: TrackId(256),
        codec: Codec::H264,
        data: Bytes::from_static(&[0; 1000]),
        pts: Timestamp::mpeg(pts),
        dts: Timestamp::mpeg(dts),
        keyframe,
        flags: UnitFlags::default(),
        received: None,
    }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6 * b.abs()
}

/// Pictures decoded at these ticks, the first a keyframe.
fn report(times: impl IntoIterator<Item = i64>) -> StreamReport {
    let mut probe = Probe::new();
    for (index, at) in times.into_iter().enumerate() {
        probe.unit(&picture(at, at, index == 0));
    }
    probe.report().streams.remove(0)
}

#[test]
fn a_steady_stream() {
    let mut probe = Probe::new();
    for index in 0..100 {
        let at = 126_000 + index * 3_600;
        probe.unit(&picture(at, at, index % 40 == 0));
    }
    let report = probe.report();
    assert!(near(report.duration_s, 4.0), "{report:?}");
    let video = &report.streams[0];
    assert_eq!(video.units, 100);
    assert!(near(video.rate.unwrap(), 25.0), "{video:?}");
    assert!(near(video.bitrate.unwrap(), 200_000.0), "{video:?}");
    assert!(near(video.start_s.unwrap(), 1.4), "{video:?}");
    assert_eq!(video.times, TimeFaults::default());
    let gop = video.gop.unwrap();
    assert_eq!(gop.keyframes, 3);
    assert_eq!(gop.leading, 0);
    assert_eq!(gop.longest_frames, Some(40));
    assert!(near(gop.longest_s.unwrap(), 1.6));
    assert!(!gop.reordered);
}

#[test]
fn b_frames_and_pictures_without_a_keyframe_are_told() {
    let mut probe = Probe::new();
    for (dts, pts, keyframe) in [
        (0, 3_600, false),
        (3_600, 14_400, true),
        (7_200, 7_200, false),
    ] {
        probe.unit(&picture(dts, pts, keyframe));
    }
    let gop = probe.report().streams[0].gop.unwrap();
    assert!(gop.reordered);
    assert_eq!(gop.leading, 1);
    assert_eq!(gop.longest_frames, None);

    let mut probe = Probe::new();
    probe.unit(&picture(0, 0, false));
    assert_eq!(probe.report().streams[0].gop.unwrap().leading, 1);
}

#[test]
fn faults_of_times_are_counted_by_kind() {
    let steady = |from: i64, count: i64| (0..count).map(move |index| from + index * 3_600);
    assert_eq!(report([0, 3_600, 3_600, 7_200]).times.repeated, 1);
    assert_eq!(report([0, 3_600, 1_800, 7_200]).times.backwards, 1);

    let gap = report(steady(0, 10).chain(steady(90_000, 10)));
    assert_eq!(gap.times.gaps, 1);
    assert!(near(gap.times.longest_gap_s, 0.64));
    assert!(near(gap.duration_s, 1.4));
    assert!(near(gap.rate.unwrap(), 25.0));

    let forward = report(steady(0, 10).chain(steady(9_000_000, 10)));
    assert_eq!(forward.times.jumps, 1);
    let back = report(steady(9_000_000, 10).chain(steady(0, 10)));
    assert_eq!(back.times.jumps, 1);
    assert_eq!(back.times.total(), 1);
    // A jump is no time.
    assert!(near(back.duration_s, 0.76), "{}", back.duration_s);

    let mut probe = Probe::new();
    probe.unit(&picture(3_600, 0, true));
    assert_eq!(probe.report().streams[0].times.shown_early, 1);
}

#[test]
fn parameters_that_change_are_counted() {
    let stream = |sample_rate| StreamInfo {
        track: TrackId(257),
        codec: Codec::Aac,
        language: Some("eng".into()),
        params: StreamParams::Audio(AudioParams {
            codec: Codec::Aac,
            sample_rate,
            channels: 2,
            config: Bytes::new(),
        }),
    };
    let mut probe = Probe::new();
    for rate in [48_000, 48_000, 44_100] {
        probe.streams(&[stream(rate)]);
    }
    let report = probe.report().streams.remove(0);
    assert_eq!(report.changes, 1);
    assert_eq!(report.audio.unwrap().sample_rate, 44_100);
    assert_eq!(report.language.as_deref(), Some("eng"));
    assert_eq!(report.units, 0);
    assert_eq!(report.rate, None);
}

#[test]
fn a_picture_that_comes_again_whole_is_no_other() {
    let mut probe = Probe::new();
    probe.unit(&picture(0, 0, true));
    let mut part = picture(3_600, 3_600, false);
    part.data = Bytes::from_static(&[0; 300]);
    part.flags.damaged = true;
    probe.unit(&part);
    let mut whole = picture(3_600, 3_600, false);
    whole.flags.replaces_previous = true;
    probe.unit(&whole);
    let report = probe.report().streams.remove(0);
    assert_eq!((report.units, report.bytes, report.damaged), (2, 2_000, 0));
    assert_eq!(report.times, TimeFaults::default());
}

#[test]
fn a_clock_that_goes_back_by_seconds_jumps() {
    let back = |ticks: i64| {
        let steady = (0..50).map(|index| 900_000 + index * 3_600);
        let times = steady
            .clone()
            .chain(steady.map(|at| at + 50 * 3_600 - ticks));
        report(times).times
    };
    let jump = back(270_000);
    assert_eq!((jump.jumps, jump.backwards), (1, 0));
    let slip = back(9_000);
    assert_eq!((slip.jumps, slip.backwards), (0, 1));
}
