//! The encoding stage around encoders that do what they are told.

use super::*;
use crate::status::AudioRoute;
use crate::testing::{Obedient, card_and_spare, frame_item, lost_card, video_stream};

struct Bench {
    shared: Arc<Shared>,
    backend: Arc<Obedient>,
}

impl Bench {
    fn new() -> Self {
        Self::of(false)
    }

    fn of(live: bool) -> Self {
        Self {
            shared: Arc::new(Shared::new("test".into(), live)),
            backend: Arc::new(Obedient::default()),
        }
    }

    /// Runs the stage over `items`; the units that come out: time in ms, text, keyframe.
    fn run(&self, sink: bool, items: Vec<Item>) -> Vec<(i64, String, bool)> {
        self.run_on(self.backend.backends(), sink, items)
    }

    fn run_on(&self, backends: Backends, sink: bool, items: Vec<Item>) -> Vec<(i64, String, bool)> {
        let stage = EncodeStage::new(
            Arc::clone(&self.shared),
            backends,
            EncodeConfig::default(),
            sink,
        );
        let shared = Arc::clone(&self.shared);
        let feeder = std::thread::spawn(move || {
            for item in items {
                shared.queues.encode.push(item);
            }
            shared.queues.encode.close();
        });
        let shared = Arc::clone(&self.shared);
        let reader = std::thread::spawn(move || {
            let mut out = Vec::new();
            while let Some(item) = shared.queues.egress.pop() {
                if let Item::Encoded(Encoded { unit, .. }) = item {
                    let text = String::from_utf8(unit.data.to_vec()).unwrap();
                    out.push((unit.pts.ticks / 90, text, unit.keyframe));
                }
            }
            out
        });
        stage.run();
        feeder.join().unwrap();
        reader.join().unwrap()
    }

    fn opened(&self) -> Vec<(u32, u32, f64, u32)> {
        let encoders = self.backend.encoders.lock().unwrap();
        encoders
            .iter()
            .map(|s| (s.width, s.height, s.frame_rate.as_f64(), s.bitrate))
            .collect()
    }
}

#[test]
fn a_stream_opens_its_encoder_before_the_first_picture() {
    let streams = || {
        Item::Streams(Arc::new(Streams {
            video: Some(video_stream(640, 360)),
            audio: None,
            route: AudioRoute::None,
        }))
    };
    let opened = |live, items| {
        let bench = Bench::of(live);
        bench.run(false, items);
        let opened = bench.opened().into_iter();
        opened.map(|(width, height, ..)| (width, height)).collect()
    };
    let pictures = |size| vec![streams(), frame_item(0, size), frame_item(40, size)];
    // Live and of a file.
    for live in [true, false] {
        let expected: [Vec<_>; 3] = [
            opened(live, vec![streams()]),
            opened(live, pictures((640, 360))),
            opened(live, pictures((320, 180))),
        ];
        assert_eq!(expected[..2], [[(640, 360)], [(640, 360)]]);
        assert_eq!(expected[2], [(640, 360), (320, 180)], "the picture decides");
    }
}

#[test]
fn the_first_frame_decides_and_a_new_size_starts_with_a_keyframe() {
    let bench = Bench::new();
    let out = bench.run(
        false,
        vec![
            frame_item(0, (640, 360)),
            frame_item(40, (640, 360)),
            frame_item(80, (320, 180)),
        ],
    );
    let expected = [
        (0, "640x360", true),
        (40, "640x360", false),
        (80, "320x180", true),
    ];
    assert_eq!(out, expected.map(|(at, size, key)| (at, size.into(), key)));
    assert_eq!(
        bench.opened(),
        [(640, 360, 30.0, 691_200), (320, 180, 30.0, 300_000)]
    );
}

#[test]
fn the_stated_rate_is_held_to_the_one_asked_for() {
    let bench = Bench::new();
    bench.shared.set_max_framerate(Some(12.5));
    let mut first = frame_item(0, (64, 64));
    if let Item::Frame(frame) = &mut first {
        frame.rate = Rational::new(50, 1);
    }
    bench.run(false, vec![first]);
    assert_eq!(bench.opened()[0].2, 12.5);
}

#[test]
fn the_real_rate_is_taken_when_a_keyframe_is_due() {
    let bench = Bench::new();
    let frames = (0..61).map(|n| frame_item(n * 100, (64, 64)));
    let out = bench.run(false, frames.collect());
    let rates: Vec<f64> = bench.opened().iter().map(|opened| opened.2).collect();
    assert_eq!(rates, [30.0, 10.0]);
    let keys: Vec<i64> = out
        .iter()
        .filter(|unit| unit.2)
        .map(|unit| unit.0)
        .collect();
    assert_eq!(keys, [0, 2000, 4000, 6000]);
    assert_eq!(out.len(), 61);
}

#[test]
fn a_request_makes_the_next_frame_a_keyframe() {
    let bench = Bench::new();
    bench.shared.request_keyframe();
    let frames = [0, 40, 80].map(|at| frame_item(at, (64, 64)));
    let out = bench.run(false, frames.into());
    assert_eq!(
        out.iter().map(|unit| unit.2).collect::<Vec<_>>(),
        [true, false, false]
    );
    assert!(!bench.shared.take_keyframe_request());
}

#[test]
fn time_only_goes_forward() {
    let bench = Bench::new();
    let frames = [0, 40, 40, 30, 80].map(|at| frame_item(at, (64, 64)));
    let times: Vec<i64> = bench
        .run(false, frames.into())
        .iter()
        .map(|unit| unit.0)
        .collect();
    assert_eq!(times, [0, 40, 80]);
    assert_eq!(bench.shared.stats.dropped.out_of_order.get(), 2);
}

#[test]
fn a_broken_encoder_is_opened_anew_and_given_up_when_it_only_breaks() {
    let bench = Bench::new();
    let out = bench.run(
        false,
        vec![
            frame_item(0, (64, 64)),
            frame_item(40, (13, 64)),
            frame_item(80, (64, 64)),
        ],
    );
    assert_eq!(out.len(), 2);
    assert_eq!(bench.shared.stats.encoder_restarts.get(), 1);
    assert_eq!(bench.shared.reason(), None);

    let bench = Bench::new();
    let frames = (0..20).map(|n| frame_item(n * 40, (13, 64)));
    bench.run(false, frames.collect());
    assert!(matches!(
        bench.shared.reason(),
        Some(EndReason::EncoderFailed(_))
    ));
    assert_eq!(bench.opened().len(), MAX_BREAKS as usize);
}

#[test]
fn an_encoder_that_breaks_again_and_again_is_given_up_for_the_next_backends() {
    let bench = Bench::new();
    let mut events = bench.shared.side.events.open();
    let spare = Arc::new(Obedient::default());
    let backends = card_and_spare(&bench.backend, &spare);
    let widths = [64, 13, 13, 13, 64, 64];
    let frames = (0..)
        .zip(widths)
        .map(|(n, width)| frame_item(n * 40, (width, 64)));
    let out = bench.run_on(backends, false, frames.collect());
    let out: Vec<_> = out
        .iter()
        .map(|(at, _, keyframe)| (*at, *keyframe))
        .collect();
    assert_eq!(out, [(0, true), (160, true), (200, false)]);
    assert_eq!(spare.encoders.lock().unwrap().len(), 1);
    let stats = &bench.shared.stats;
    assert_eq!(stats.backends_lost.get(), 1);
    assert_eq!(stats.dropped.encoder_error.get(), 3);
    assert_eq!(stats.facts().encoder.clone().unwrap().backend, "spare");
    let event = events.try_recv().unwrap().into_event();
    let reason = "it broke 3 times: obedient failed: as told";
    assert_eq!(event, lost_card("encode", reason));
}

#[test]
fn settings_that_nobody_can_encode_end_the_session() {
    let bench = Bench::new();
    bench.run(false, vec![frame_item(0, (1, 64))]);
    let reason = bench.shared.reason().unwrap().to_string();
    assert!(reason.contains("it is too narrow"), "{reason}");
}

#[test]
fn a_frame_is_brought_to_the_size_that_the_output_must_have() {
    let bench = Bench::new();
    let mut item = frame_item(0, (64, 64));
    if let Item::Frame(frame) = &mut item {
        frame.fit = Some((32, 16));
    }
    let out = bench.run(false, vec![item]);
    assert_eq!(out, [(0, "32x16".to_owned(), true)]);
}

#[test]
fn a_sink_encodes_nothing_and_counts_what_reaches_it() {
    let bench = Bench::new();
    let out = bench.run(
        true,
        vec![frame_item(0, (64, 64)), frame_item(40, (64, 64))],
    );
    assert!(out.is_empty() && bench.opened().is_empty());
    assert_eq!(bench.shared.stats.video_out.get(), 2);
}
