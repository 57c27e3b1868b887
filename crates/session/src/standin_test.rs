//! Who is seen while the processor is silent. The clock is the test's.

use super::*;
use crate::config::{OnError, SessionConfig};
use crate::item::{Streams, Update};
use crate::process::{Policy, ProcessStage};
use crate::status::AudioRoute;
use crate::testing::{frame_item, ms, picture};
use std::sync::mpsc::{Sender, channel};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use trickle_media::AudioFrame;
use trickle_media::frame::Buffer;
use trickle_processor::{
    Driver, FrameProcessor, Params, ProcessorError, StreamContext, erase, from_fn,
};

const TIMEOUT: Duration = Duration::from_secs(3);

fn config(on_stall: OnStall) -> SessionConfig {
    SessionConfig {
        stall_timeout: Some(TIMEOUT),
        on_stall,
        subscribe_url: Some("http://127.0.0.1/in".parse().unwrap()),
        ..SessionConfig::new("test")
    }
}

fn shared(on_stall: OnStall) -> Arc<Shared> {
    let shared = Arc::new(Shared::live(&config(on_stall), OverlaySlot::default()));
    *shared.clock.lock().unwrap() = Some(Instant::now());
    shared
}

/// So many ms pass.
fn pass(shared: &Shared, time: u64) {
    if let Some(now) = &mut *shared.clock.lock().unwrap() {
        *now += Duration::from_millis(time);
    }
}

/// A picture at `at` ms comes, as it does from the decoder.
fn come(shared: &Shared, at: i64) {
    shared.queues.process.push(frame_item(at, (16, 12)));
    relieve(shared);
}

/// What is on its way to the encoder: time in ms, size, the overlay's message.
fn gone(shared: &Shared) -> Vec<(i64, (usize, usize), Option<String>)> {
    let items = std::iter::from_fn(|| shared.queues.encode.take_media_if(|_| true));
    items
        .filter_map(|item| match item {
            Item::Frame(Frame {
                frame,
                overlay,
                fit,
                ..
            }) => Some((
                frame.pts().ticks / 90,
                fit.unwrap_or((frame.width(), frame.height())),
                overlay.map(|overlay| overlay.message().to_owned()),
            )),
            _ => None,
        })
        .collect()
}

fn waiting(at: i64) -> (i64, (usize, usize), Option<String>) {
    (at, (16, 12), Some(STALLED.into()))
}

#[test]
fn pictures_go_past_a_call_that_takes_longer_than_the_timeout() {
    let shared = shared(OnStall::Overlay);
    shared.standin.enter(Call::Picture, shared.now());
    pass(&shared, 3000);
    come(&shared, 40);
    assert_eq!(gone(&shared), []);
    pass(&shared, 1);
    come(&shared, 80);
    // What waited goes too.
    assert_eq!(gone(&shared), [waiting(40), waiting(80)]);
    come(&shared, 120);
    assert_eq!(gone(&shared), [waiting(120)]);
    assert!(shared.standin.is_standing_in());
    assert_eq!(shared.stats.processor_stalls.get(), 1);
    assert_eq!(shared.stats.stood_in.get(), 3);
    assert!(
        shared.standin.leave(shared.now()),
        "what comes of it is late"
    );
}

#[test]
fn after_a_stall_every_call_is_stood_in_for_until_one_ends_in_time() {
    let shared = shared(OnStall::Overlay);
    let call = |at: i64, before: u64, after: u64| {
        shared.standin.enter(Call::Picture, shared.now());
        pass(&shared, before);
        come(&shared, at);
        pass(&shared, after);
        let late = shared.standin.leave(shared.now());
        if !late {
            shared.standin.came_out();
        }
        (gone(&shared), late)
    };
    assert_eq!(call(40, 5000, 0), (vec![waiting(40)], true));
    assert_eq!(call(80, 10, 4990), (vec![waiting(80)], true));
    // This one is quick, but a picture came meanwhile, which could not know.
    assert_eq!(call(120, 10, 40), (vec![waiting(120)], true));
    assert!(!shared.standin.is_standing_in());
    assert_eq!(call(160, 10, 40), (vec![], false));
    assert_eq!(shared.stats.processor_stalls.get(), 1);
}

#[test]
fn freeze_shows_the_last_picture_of_the_processor_again() {
    let shared = shared(OnStall::Freeze);
    shared.standin.enter(Call::Picture, shared.now());
    pass(&shared, 4000);
    come(&shared, 40);
    assert_eq!(gone(&shared), [waiting(40)], "there is none yet");
    shared.standin.leave(shared.now());
    // Late, but good enough to be shown again.
    shared.standin.made(&picture(ms(0), (20, 10)));
    shared.standin.enter(Call::Picture, shared.now());
    come(&shared, 80);
    assert_eq!(gone(&shared), [(80, (20, 10), None)]);
}

#[test]
fn the_overlay_says_what_the_processor_says_and_has_the_size_of_its_pictures() {
    let (context, _sink) = StreamContext::new("test");
    let shared = Shared::live(&config(OnStall::Overlay), context.overlay_slot());
    *shared.clock.lock().unwrap() = Some(Instant::now());
    context.overlay(Overlay::new("Compiling").progress(0.5));
    shared.standin.made(&picture(ms(0), (20, 10)));
    shared.standin.enter(Call::Picture, shared.now());
    pass(&shared, 3001);
    come(&shared, 40);
    assert_eq!(gone(&shared), [(40, (20, 10), Some("Compiling".into()))]);
}

#[test]
fn a_busy_encoder_is_not_waited_for_and_the_newest_pictures_win() {
    let shared = shared(OnStall::Overlay);
    shared.standin.enter(Call::Picture, shared.now());
    pass(&shared, 3001);
    for at in [40, 80, 120, 160, 200, 240] {
        come(&shared, at);
    }
    // Two wait for the encoder, and the last two for room there.
    assert_eq!(gone(&shared), [waiting(40), waiting(80)]);
    relieve(&shared);
    assert_eq!(gone(&shared), [waiting(200), waiting(240)]);
}

#[test]
fn sound_and_facts_go_past_too_and_updates_wait() {
    let shared = shared(OnStall::Overlay);
    shared.standin.enter(Call::Other, shared.now());
    let streams = Arc::new(Streams {
        video: None,
        audio: None,
        route: AudioRoute::Processed,
    });
    let sound = AudioFrame::new(1, 48_000, ms(20), Buffer::from_vec(vec![0.0; 960])).unwrap();
    let (answer, _answered) = oneshot::channel();
    let params = Params::new();
    for item in [
        Item::Update(Update { params, answer }),
        Item::Streams(streams),
        Item::Sound(sound),
    ] {
        shared.queues.process.push(item);
    }
    pass(&shared, 3001);
    relieve(&shared);
    let next = || shared.queues.encode.take_media_if(|_| true);
    assert!(matches!(next(), Some(Item::Streams(_))));
    assert!(matches!(next(), Some(Item::Sound(_))));
    assert!(matches!(shared.queues.process.pop(), Some(Item::Update(_))));
    assert!(shared.standin.leave(shared.now()));
}

#[test]
fn nobody_stands_in_without_a_timeout() {
    let shared = Shared::new("test".into(), true);
    *shared.clock.lock().unwrap() = Some(Instant::now());
    shared.standin.enter(Call::Picture, shared.now());
    pass(&shared, 3_600_000);
    come(&shared, 40);
    assert_eq!(gone(&shared), []);
    assert!(!shared.standin.leave(shared.now()));
}

/// What a processor does with the picture at a time, in ms.
type Script = fn(&Shared, i64) -> bool;

struct Scripted {
    shared: Arc<Shared>,
    script: Script,
    called: Sender<()>,
}

impl FrameProcessor for Scripted {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        let keep = (self.script)(&self.shared, frame.pts().ticks / 90);
        self.called.send(()).unwrap();
        Ok(keep.then_some(frame))
    }
}

/// Runs the stage over pictures at `times`, of which it is given all or none; what goes to the
/// encoder.
fn run(params: Params, script: Script, times: &[i64]) -> (Arc<Shared>, Vec<(i64, bool)>) {
    let given = if params.is_empty() { times.len() } else { 0 };
    let (called, calls) = channel();
    let runtime = Runtime::new().unwrap();
    let shared = shared(OnStall::Overlay);
    let for_model = Arc::clone(&shared);
    let model = erase(from_fn(move |_| {
        Ok(Scripted {
            shared: Arc::clone(&for_model),
            script,
            called: called.clone(),
        })
    }));
    let mut out = Vec::new();
    let policy = Policy {
        on_error: OnError::Passthrough,
        frame_deadline: None,
    };
    let driver = Driver::new(runtime.handle().clone(), shared.cancel.clone());
    let context = StreamContext::detached();
    let stage = ProcessStage::open(
        &model,
        context,
        &params,
        policy,
        driver,
        Arc::clone(&shared),
    )
    .unwrap();
    let reader = {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Some(item) = shared.queues.encode.pop() {
                if let Item::Frame(frame) = item {
                    out.push((frame.frame.pts().ticks / 90, frame.overlay.is_some()));
                }
            }
            out
        })
    };
    let feeder = {
        let (shared, times) = (Arc::clone(&shared), times.to_vec());
        std::thread::spawn(move || {
            for at in times {
                // One at a time: live queues keep the newest only.
                while shared.queues.process.next_picture().is_some() {
                    std::thread::yield_now();
                }
                shared.queues.process.push(frame_item(at, (16, 12)));
            }
            // Pictures may still come from within the last call.
            for _ in 0..given {
                calls.recv().unwrap();
            }
            shared.queues.process.close();
        })
    };
    stage.run();
    feeder.join().unwrap();
    (shared, reader.join().unwrap())
}

#[test]
fn a_late_result_is_left_out_and_the_next_one_shown() {
    let script: Script = |shared, at| {
        if at == 40 {
            pass(shared, 5000);
            come(shared, 60);
        }
        true
    };
    let (shared, out) = run(Params::new(), script, &[0, 40]);
    assert_eq!(out, [(0, false), (60, true)]);
    assert_eq!(shared.stats.dropped.processor_late.get(), 1);
}

#[test]
fn a_processor_that_returns_nothing_for_too_long_is_stood_in_for() {
    let script: Script = |shared, at| {
        pass(shared, 1000);
        at >= 240
    };
    let times: Vec<i64> = (0..8).map(|index| index * 40).collect();
    let (shared, out) = run(Params::new(), script, &times);
    // Four seconds pass with nothing; then every picture is shown, until its own come again.
    assert_eq!(out, [(160, true), (200, true), (240, false), (280, false)]);
    assert_eq!(shared.stats.dropped.by_processor.get(), 4);
    assert_eq!(shared.stats.processor_stalls.get(), 1);
    assert!(!shared.standin.is_standing_in());
}

#[test]
fn show_loading_puts_the_overlay_over_pictures_that_are_not_processed() {
    let params = serde_json::from_value(serde_json::json!({"show_loading": true})).unwrap();
    let (shared, out) = run(params, |_, _| panic!("not to be called"), &[0, 40]);
    assert_eq!(out, [(0, true), (40, true)]);
    assert_eq!(shared.stats.processed.get(), 0);
}
