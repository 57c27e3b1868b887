//! The decoding stage around decoders that do what they are told.

use super::*;
use crate::testing::{
    Obedient, audio_stream, card_and_spare, lost_card, packet_item, picture_item, video_stream,
};

struct Bench {
    shared: Arc<Shared>,
    backend: Arc<Obedient>,
}

impl Bench {
    fn new(live: bool) -> Self {
        Self {
            shared: Arc::new(Shared::new("test".into(), live)),
            backend: Arc::new(Obedient::default()),
        }
    }

    /// Runs the stage over `items` on this thread; what comes out.
    fn run(&self, items: Vec<Item>) -> Vec<Item> {
        self.run_on(self.backend.backends(), items)
    }

    fn run_on(&self, backends: Backends, items: Vec<Item>) -> Vec<Item> {
        let stage = DecodeStage::new(Arc::clone(&self.shared), backends);
        let shared = Arc::clone(&self.shared);
        let feeder = std::thread::spawn(move || {
            for item in items {
                shared.queues.decode.push(item);
            }
            shared.queues.decode.close();
        });
        let shared = Arc::clone(&self.shared);
        let reader = std::thread::spawn(move || {
            std::iter::from_fn(|| shared.queues.process.pop()).collect()
        });
        stage.run();
        feeder.join().unwrap();
        reader.join().unwrap()
    }
}

fn frames(items: &[Item]) -> Vec<i64> {
    items
        .iter()
        .filter_map(|item| match item {
            Item::Frame(frame) => Some(frame.frame.pts().ticks / 90),
            _ => None,
        })
        .collect()
}

fn size(item: &Item) -> Option<(usize, usize)> {
    match item {
        Item::Frame(frame) => Some((frame.frame.width(), frame.frame.height())),
        _ => None,
    }
}

fn streams(video: &Arc<StreamInfo>, audio: Option<&Arc<StreamInfo>>, route: AudioRoute) -> Item {
    Item::Streams(Arc::new(Streams {
        video: Some(Arc::clone(video)),
        audio: audio.cloned(),
        route,
    }))
}

#[test]
fn damaged_pictures_are_counted_and_the_others_come_out() {
    let bench = Bench::new(false);
    let video = video_stream(16, 8);
    let out = bench.run(vec![
        picture_item(0, "ok", &video),
        picture_item(40, "damaged", &video),
        picture_item(80, "ok", &video),
    ]);
    assert_eq!(frames(&out), [0, 80]);
    assert_eq!(bench.shared.stats.dropped.damaged.get(), 1);
    assert_eq!(bench.shared.stats.damaged_pictures.get(), 1);
    assert_eq!(bench.shared.reason(), None);
}

#[test]
fn a_broken_decoder_is_opened_anew() {
    let bench = Bench::new(false);
    let video = video_stream(16, 8);
    let out = bench.run(vec![
        picture_item(0, "broken", &video),
        picture_item(40, "ok", &video),
    ]);
    assert_eq!(frames(&out), [40]);
    assert_eq!(bench.backend.decoders.lock().unwrap().len(), 2);
    assert_eq!(bench.shared.stats.decoder_restarts.get(), 1);
}

#[test]
fn a_decoder_that_only_breaks_ends_the_session() {
    let bench = Bench::new(false);
    let video = video_stream(16, 8);
    let items = (0..20).map(|n| picture_item(n * 40, "broken", &video));
    bench.run(items.collect());
    let reason = bench.shared.reason().unwrap();
    assert_eq!(reason, EndReason::DecoderFailed("obedient: as told".into()));
    assert_eq!(
        bench.backend.decoders.lock().unwrap().len(),
        MAX_BREAKS as usize
    );
}

/// The next backend takes over; the table of the worker, and so other sessions, keep the card.
#[test]
fn a_decoder_that_breaks_again_and_again_is_given_up_for_the_next_backends() {
    let bench = Bench::new(true);
    let mut events = bench.shared.side.events.open();
    let spare = Arc::new(Obedient::default());
    let backends = card_and_spare(&bench.backend, &spare);
    let video = video_stream(16, 8);
    let told = [
        "ok", "broken", "ok", "broken", "broken", "broken", "ok", "ok",
    ];
    let items = (0..).zip(told);
    let items = items.map(|(n, told)| picture_item(n * 40, told, &video));
    let out = bench.run_on(backends.clone(), items.collect());
    assert_eq!(frames(&out).last(), Some(&280));
    let opened = |backend: &Obedient| backend.decoders.lock().unwrap().len();
    // A frame in between forgives.
    assert_eq!((opened(&bench.backend), opened(&spare)), (4, 1));
    let stats = &bench.shared.stats;
    assert_eq!(stats.decoder_restarts.get(), 4);
    assert_eq!(stats.backends_lost.get(), 1);
    let decoder = stats.facts().decoder.clone().unwrap();
    assert_eq!(decoder.backend, "spare");
    let reason = "it broke 3 times: as told";
    assert!(decoder.passed_over[0].contains(reason), "{decoder:?}");
    let event = events.try_recv().unwrap().into_event();
    assert_eq!(event, lost_card("decode", reason));
    assert!(events.try_recv().is_err(), "it is told once");

    let other = Bench::new(true);
    other.run_on(backends, vec![picture_item(0, "ok", &video)]);
    assert_eq!(
        other.shared.stats.facts().decoder.clone().unwrap().backend,
        "card"
    );
}

#[test]
fn new_parameters_mean_a_new_decoder() {
    let bench = Bench::new(false);
    let (large, small) = (video_stream(32, 16), video_stream(16, 8));
    let out = bench.run(vec![
        picture_item(0, "ok", &large),
        picture_item(40, "ok", &large),
        picture_item(80, "ok", &small),
    ]);
    let sizes: Vec<usize> = out
        .iter()
        .filter_map(|item| match item {
            Item::Frame(frame) => Some(frame.frame.width()),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [32, 32, 16]);
    assert_eq!(bench.backend.decoders.lock().unwrap().len(), 2);
}

#[test]
fn pictures_that_lie_are_turned_upright() {
    let bench = Bench::new(false);
    let upright = video_stream(16, 8);
    let mut lying = (*upright).clone();
    if let StreamParams::Video(params) = &mut lying.params {
        params.orientation.quarter_turns = 1;
    }
    let out = bench.run(vec![
        picture_item(0, "ok", &Arc::new(lying)),
        picture_item(40, "ok", &upright),
    ]);
    let sizes: Vec<_> = out.iter().filter_map(size).collect();
    assert_eq!(sizes, [(8, 16), (16, 8)]);
}

#[test]
fn a_refused_stream_ends_the_session_with_what_and_why() {
    let bench = Bench::new(false);
    let mut interlaced = (*video_stream(16, 8)).clone();
    if let StreamParams::Video(params) = &mut interlaced.params {
        params.interlaced = true;
    }
    bench.run(vec![picture_item(0, "ok", &Arc::new(interlaced))]);
    let reason = bench.shared.reason().unwrap().to_string();
    assert_eq!(
        reason,
        "no backend can decode this stream: obedient: hevc is not supported: it is interlaced"
    );
}

#[test]
fn a_live_session_goes_on_with_its_sound() {
    let bench = Bench::new(true);
    let (video, audio) = (video_stream(16, 8), audio_stream(Codec::Opus, 2));
    let out = bench.run(vec![
        streams(&video, Some(&audio), AudioRoute::Copied),
        picture_item(0, "unsupported", &video),
        packet_item(20, &audio),
    ]);
    assert_eq!(bench.shared.reason(), None);
    let last = out
        .iter()
        .rev()
        .find_map(|item| match item {
            Item::Streams(streams) => Some(Arc::clone(streams)),
            _ => None,
        })
        .unwrap();
    assert!(last.video.is_none() && last.audio.is_some());
    assert!(matches!(out.last(), Some(Item::Packet(_))));
    let refused = bench.shared.stats.facts().input.video_refused.clone();
    assert_eq!(refused.as_deref(), Some("hevc is not supported: as told"));
}

#[test]
fn frames_above_the_rate_are_dropped_here() {
    let bench = Bench::new(false);
    bench.shared.set_max_framerate(Some(5.0));
    let video = video_stream(16, 8);
    let items = (0..25).map(|n| picture_item(n * 40, "ok", &video));
    let out = bench.run(items.collect());
    assert_eq!(frames(&out), [0, 200, 400, 600, 800]);
    assert_eq!(bench.shared.stats.dropped.max_framerate.get(), 20);
}

#[test]
fn a_picture_shown_before_the_last_one_is_left_out() {
    let bench = Bench::new(false);
    let video = video_stream(16, 8);
    let items = [0, 40, 40, 20, 80].map(|at| picture_item(at, "ok", &video));
    assert_eq!(frames(&bench.run(items.into())), [0, 40, 80]);
    assert_eq!(bench.shared.stats.dropped.out_of_order.get(), 2);
}

#[test]
fn sound_that_cannot_be_decoded_is_left_out_and_said_so() {
    let bench = Bench::new(true);
    let (video, audio) = (video_stream(16, 8), audio_stream(Codec::Ac3, 2));
    let out = bench.run(vec![
        streams(&video, Some(&audio), AudioRoute::Transcoded),
        packet_item(0, &audio),
        packet_item(20, &audio),
        picture_item(0, "ok", &video),
    ]);
    assert_eq!(frames(&out), [0]);
    let facts = bench.shared.stats.facts();
    assert_eq!(facts.audio.route, AudioRoute::None);
    assert!(facts.audio.note.as_deref().unwrap().contains("ac3"));
}

#[test]
fn pictures_that_are_not_read_are_refused_with_the_tables_and_once() {
    let vp9 = Arc::new(StreamInfo {
        codec: Codec::OtherVideo("vp9"),
        params: StreamParams::Unknown,
        ..StreamInfo::clone(&video_stream(16, 8))
    });
    let audio = audio_stream(Codec::Opus, 2);
    let told = |live: bool| {
        let bench = Bench::new(live);
        let both = || streams(&vp9, Some(&audio), AudioRoute::Transcoded);
        let out = bench.run(vec![both(), both()]);
        let lists = out.iter().filter_map(|item| match item {
            Item::Streams(streams) => Some((streams.video.is_some(), streams.audio.is_some())),
            _ => None,
        });
        (lists.collect::<Vec<_>>(), bench.shared.reason())
    };
    let (lists, reason) = told(true);
    assert_eq!((lists, reason), (vec![(false, true); 2], None));
    let (lists, reason) = told(false);
    assert_eq!(lists, []);
    assert!(
        matches!(&reason, Some(EndReason::VideoRefused(why)) if why.starts_with("vp9")),
        "{reason:?}"
    );
}

#[test]
fn pictures_that_an_edit_hides_are_decoded_and_not_shown() {
    let bench = Bench::new(false);
    let video = video_stream(16, 8);
    let out = bench.run(vec![
        hidden(picture_item(0, "ok", &video)),
        hidden(picture_item(40, "ok", &video)),
        picture_item(80, "ok", &video),
        hidden(picture_item(120, "ok", &video)),
    ]);
    assert_eq!(frames(&out), [80]);
    assert_eq!(bench.shared.stats.decoded.get(), 1);
    assert_eq!(bench.shared.stats.dropped.damaged.get(), 0);
}

#[test]
fn hidden_pictures_that_never_come_out_do_not_crowd_out_those_that_do() {
    let bench = Bench::new(false);
    let video = video_stream(16, 8);
    let lost = (0..100).map(|n| hidden(picture_item(n * 40, "damaged", &video)));
    let last = [
        hidden(picture_item(4_000, "later", &video)),
        hidden(picture_item(4_040, "ok", &video)),
        picture_item(4_080, "ok", &video),
    ];
    let out = bench.run(lost.chain(last).collect());
    assert_eq!(frames(&out), [4_080]);
}

fn hidden(item: Item) -> Item {
    match item {
        Item::Picture(mut coded) => {
            coded.unit.flags.hidden = true;
            Item::Picture(coded)
        }
        other => other,
    }
}
