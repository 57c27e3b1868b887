//! The processing stage: parameters, errors, panics, sizes. The stage runs on the test's thread.

use super::*;
use serde_json::{Value, json};
use std::sync::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use trickle_media::frame::{FramePool, PlanarImage};
use trickle_media::{ColorDescription, Tensor, Timestamp};
use trickle_processor::{FrameProcessor, erase, from_fn};

/// What to do with the frame at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Pass,
    Drop,
    Fail,
    Panic,
    /// A frame of its own making, 4×2.
    Replace,
}

/// Acts by a script, and remembers what it saw.
struct Scripted {
    script: Vec<Act>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    fn note(&self, what: impl Into<String>) {
        self.seen.lock().unwrap().push(what.into());
    }
}

impl FrameProcessor for Scripted {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        self.note(format!("{}x{}", frame.width(), frame.height()));
        match self.script.remove(0) {
            Act::Pass => Ok(Some(frame)),
            Act::Drop => Ok(None),
            Act::Fail => Err(ProcessorError::new("no luck")),
            Act::Panic => panic!("boom"),
            Act::Replace => Ok(Some(VideoFrame::new(
                Image::Tensor(Tensor::from_vec(2, 4, 3, vec![0.5; 24]).unwrap()),
                frame.pts(),
                frame.color(),
                FramePool::new(),
            ))),
        }
    }

    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        match params.text("mood")? {
            Some("bad") => Err(ParamsError::new("mood", "must not be bad")),
            Some("panic") => panic!("no mood"),
            mood => {
                self.note(format!("mood {mood:?}"));
                Ok(())
            }
        }
    }

    async fn on_stream_start(&mut self, params: &Params) -> Result<(), ProcessorError> {
        self.note(format!("start {}", params.0.len()));
        Ok(())
    }

    async fn on_stream_stop(&mut self) {
        self.note("stop");
    }
}

struct Bench {
    runtime: Runtime,
    shared: Arc<Shared>,
    seen: Arc<Mutex<Vec<String>>>,
    model: SharedModel,
}

impl Bench {
    fn new(script: &[Act]) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log) = (script.to_vec(), Arc::clone(&seen));
        let model = erase(from_fn(move |_| {
            Ok(Scripted {
                script: script.clone(),
                seen: Arc::clone(&log),
            })
        }));
        Self {
            runtime: Runtime::new().unwrap(),
            shared: Arc::new(Shared::new("test".into(), false)),
            seen,
            model,
        }
    }

    fn open(&self, params: Value, on_error: OnError) -> Result<ProcessStage, StartError> {
        ProcessStage::open(
            &self.model,
            StreamContext::detached(),
            &serde_json::from_value(params).unwrap(),
            Policy {
                on_error,
                frame_deadline: None,
            },
            Driver::new(self.runtime.handle().clone(), self.shared.cancel.clone()),
            Arc::clone(&self.shared),
        )
    }

    /// Runs the stage over `items`; what comes out, by pts in ms and size.
    fn run(&self, stage: ProcessStage, items: Vec<Item>) -> Vec<(i64, usize, usize)> {
        let shared = Arc::clone(&self.shared);
        let feeder = std::thread::spawn(move || {
            for item in items {
                shared.queues.process.push(item);
            }
            shared.queues.process.close();
        });
        let shared = Arc::clone(&self.shared);
        let reader = std::thread::spawn(move || {
            let mut out = Vec::new();
            while let Some(item) = shared.queues.encode.pop() {
                if let Item::Frame(Frame { frame, .. }) = item {
                    out.push((frame.pts().ticks / 90, frame.width(), frame.height()));
                }
            }
            out
        });
        stage.run();
        feeder.join().unwrap();
        reader.join().unwrap()
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn frame(ms: i64) -> Item {
    let pool = FramePool::new();
    let image = PlanarImage::new(PixelFormat::I420, 16, 12, &pool.bytes).unwrap();
    Item::Frame(Frame {
        frame: VideoFrame::new(
            Image::Planar(image),
            Timestamp::mpeg(ms * 90),
            ColorDescription::default(),
            pool,
        ),
        rate: None,
        fit: None,
        overlay: None,
    })
}

fn update(params: Value) -> (Item, oneshot::Receiver<Result<(), ParamsError>>) {
    let (answer, answered) = oneshot::channel();
    let params = serde_json::from_value(params).unwrap();
    (Item::Update(Update { params, answer }), answered)
}

#[test]
fn start_splits_the_parameters_and_tells_the_processor_first_and_last() {
    let bench = Bench::new(&[Act::Pass]);
    let params = json!({"max_framerate": 12, "mood": "good"});
    let stage = bench.open(params.clone(), OnError::Drop).unwrap();
    bench.run(stage, vec![frame(0)]);
    assert_eq!(
        bench.seen(),
        ["mood Some(\"good\")", "start 1", "16x12", "stop"]
    );
    assert_eq!(bench.shared.max_framerate(), Some(12.0));
    assert_eq!(serde_json::to_value(bench.shared.params()).unwrap(), params);
}

#[test]
fn start_is_refused_for_parameters_of_either_that_cannot_be() {
    let bench = Bench::new(&[]);
    for (params, field) in [
        (json!({"max_framerate": 0}), "max_framerate"),
        (json!({"mood": "bad"}), "mood"),
        (json!({"mood": "panic"}), "mood"),
    ] {
        match bench.open(params, OnError::Drop) {
            Err(StartError::Params(error)) => assert_eq!(error.field, field),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("must not start"),
        }
    }
}

#[test]
fn errors_and_panics_pass_the_frame_through_by_default() {
    let bench = Bench::new(&[Act::Pass, Act::Fail, Act::Panic, Act::Pass]);
    let stage = bench.open(json!({}), OnError::default()).unwrap();
    let out = bench.run(stage, [0, 40, 80, 120].map(frame).into());
    assert_eq!(out, [0, 40, 80, 120].map(|at| (at, 16, 12)));
    assert_eq!(bench.shared.stats.processor_errors.get(), 2);
    assert_eq!(bench.shared.stats.processor_panics.get(), 1);
    let error = bench.shared.stats.facts().processor.last_error.clone();
    assert_eq!(error.as_deref(), Some("the processor panicked: boom"));
}

#[test]
fn freeze_shows_the_last_good_frame_at_the_new_time() {
    let bench = Bench::new(&[Act::Fail, Act::Replace, Act::Fail]);
    let stage = bench.open(json!({}), OnError::Freeze).unwrap();
    let out = bench.run(stage, [0, 40, 80].map(frame).into());
    assert_eq!(out, [(0, 16, 12), (40, 4, 2), (80, 4, 2)]);
}

#[test]
fn drop_leaves_it_out_and_counts_apart_from_what_the_processor_drops() {
    let bench = Bench::new(&[Act::Fail, Act::Drop, Act::Pass]);
    let stage = bench.open(json!({}), OnError::Drop).unwrap();
    let out = bench.run(stage, [0, 40, 80].map(frame).into());
    assert_eq!(out, [(80, 16, 12)]);
    assert_eq!(bench.shared.stats.dropped.processor_error.get(), 1);
    assert_eq!(bench.shared.stats.dropped.by_processor.get(), 1);
}

#[test]
fn stop_ends_the_session_with_the_error() {
    let bench = Bench::new(&[Act::Fail]);
    let stage = bench.open(json!({}), OnError::Stop).unwrap();
    assert_eq!(bench.run(stage, vec![frame(0)]), []);
    assert_eq!(
        bench.shared.reason(),
        Some(EndReason::ProcessorFailed("no luck".into()))
    );
    assert!(bench.seen().contains(&"stop".to_owned()));
}

#[test]
fn an_update_is_taken_as_a_whole_or_not_at_all() {
    let bench = Bench::new(&[Act::Pass]);
    let stage = bench
        .open(json!({"max_framerate": 20}), OnError::Drop)
        .unwrap();
    let (rejected, mut why) = update(json!({"max_framerate": 5, "mood": "bad"}));
    bench.run(stage, vec![rejected, frame(0)]);
    assert_eq!(why.try_recv().unwrap().unwrap_err().field, "mood");
    assert_eq!(bench.shared.max_framerate(), Some(20.0));
    assert_eq!(
        serde_json::to_value(bench.shared.params()).unwrap(),
        json!({"max_framerate": 20})
    );

    let bench = Bench::new(&[Act::Pass]);
    let stage = bench
        .open(json!({"max_framerate": 20, "a": 1}), OnError::Drop)
        .unwrap();
    let (taken, mut answer) = update(json!({"max_framerate": "5", "mood": "fine"}));
    bench.run(stage, vec![taken, frame(0)]);
    assert_eq!(answer.try_recv().unwrap(), Ok(()));
    assert_eq!(bench.shared.max_framerate(), Some(5.0));
    assert_eq!(
        serde_json::to_value(bench.shared.params()).unwrap(),
        json!({"max_framerate": "5", "a": 1, "mood": "fine"})
    );
}

#[test]
fn width_and_height_scale_what_the_processor_gets() {
    let bench = Bench::new(&[Act::Pass, Act::Pass]);
    let stage = bench
        .open(json!({"width": 8, "height": "8"}), OnError::Drop)
        .unwrap();
    let (larger, _answer) = update(json!({"width": 32, "height": 20}));
    let out = bench.run(stage, vec![frame(0), larger, frame(40)]);
    // The update may overtake the first frame, as commands do.
    assert_eq!(out.last(), Some(&(40, 32, 20)));
}

#[test]
fn without_detection_the_output_keeps_the_size_of_what_was_given() {
    let bench = Bench::new(&[Act::Replace]);
    let stage = bench
        .open(json!({"detect_out_resolution": false}), OnError::Drop)
        .unwrap();
    bench.shared.queues.process.push(frame(0));
    bench.shared.queues.process.close();
    stage.run();
    match bench.shared.queues.encode.pop() {
        Some(Item::Frame(Frame { frame, fit, .. })) => {
            assert_eq!((frame.width(), frame.height()), (4, 2));
            assert_eq!(fit, Some((16, 12)));
        }
        _ => panic!("a frame comes out"),
    }
}

#[test]
fn tensors_become_the_encoders_planes_where_nothing_is_scaled_before() {
    let planes = |takes_planes, params| {
        let bench = Bench::new(&[Act::Replace]);
        bench.shared.set_encoder_takes_planes(takes_planes);
        let stage = bench.open(params, OnError::Drop).unwrap();
        bench.shared.queues.process.push(frame(0));
        bench.shared.queues.process.close();
        stage.run();
        let Some(Item::Frame(Frame { frame, .. })) = bench.shared.queues.encode.pop() else {
            panic!("no frame");
        };
        match frame.into_image() {
            Image::Planar(image) => Some(image.as_bytes().to_vec()),
            Image::Tensor(_) => None,
            Image::Device(_) => panic!("a device"),
        }
    };
    let gray = Tensor::from_vec(2, 4, 3, vec![0.5; 24]).unwrap();
    let color = ColorDescription::default();
    let expected = tensor_to_planar(&gray, PixelFormat::I420, color, &FramePool::new()).unwrap();
    assert_eq!(planes(true, json!({})).unwrap(), expected.as_bytes());
    assert_eq!(planes(false, json!({})), None);
    // It is brought to 16×12 first.
    let fixed = json!({"detect_out_resolution": false});
    assert_eq!(planes(true, fixed), None);
}
