//! What can be a model, and that sessions do not share a processor.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use trickle_media::frame::{FramePool, Image};
use trickle_media::{ColorDescription, Tensor, TimeBase, Timestamp};

use super::*;
use crate::blocking::{Blocking, BlockingProcessor};
use crate::runner::Driver;

fn frame(value: f32) -> VideoFrame {
    let tensor = Tensor::from_vec(1, 1, 3, vec![value; 3]).unwrap();
    let pts = Timestamp::new(0, TimeBase::MPEG);
    VideoFrame::new(
        Image::Tensor(tensor),
        pts,
        ColorDescription::BT709,
        FramePool::new(),
    )
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

/// The first value of what a session's processor makes of a frame of `value`.
fn process(session: &mut dyn ProcessorRunner, value: f32) -> Option<f32> {
    let runtime = runtime();
    let driver = Driver::new(runtime.handle().clone(), CancellationToken::new());
    let out = session.process_video(frame(value), &driver).unwrap();
    out.map(|frame| frame.tensor().unwrap()[0])
}

fn open(model: &SharedModel) -> Box<dyn ProcessorRunner> {
    model.open(StreamContext::detached()).unwrap()
}

/// Counts its frames into them.
#[derive(Clone)]
struct Counter(f32);

impl FrameProcessor for Counter {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        self.0 += 1.0;
        Ok(Some(frame.map_tensor(|values, _| values.fill(self.0))?))
    }
}

#[test]
fn a_closure_is_a_model() {
    let model = erase(|frame: VideoFrame| Ok(Some(frame.map_tensor(|v, _| v[0] += 1.0)?)));
    assert_eq!(process(&mut *open(&model), 2.0), Some(3.0));
    let nothing = erase(|_: VideoFrame| Ok(None));
    assert_eq!(process(&mut *open(&nothing), 2.0), None);
}

#[test]
fn each_session_gets_a_clone_of_a_processor() {
    let model = erase(Counter(10.0));
    let (mut one, mut other) = (open(&model), open(&model));
    assert_eq!(process(&mut *one, 0.0), Some(11.0));
    assert_eq!(process(&mut *one, 0.0), Some(12.0));
    assert_eq!(process(&mut *other, 0.0), Some(11.0));
}

#[test]
fn a_function_that_opens_processors_is_a_model() {
    let opened = AtomicUsize::new(0);
    let model = erase(from_fn(move |_| {
        Ok(Counter(
            10.0 * opened.fetch_add(1, Ordering::Relaxed) as f32,
        ))
    }));
    let (mut one, mut other) = (open(&model), open(&model));
    assert_eq!(process(&mut *one, 0.0), Some(1.0));
    assert_eq!(process(&mut *other, 0.0), Some(11.0));
}

#[test]
fn a_blocking_processor_is_a_model() {
    #[derive(Clone)]
    struct Halve;
    impl BlockingProcessor for Halve {
        fn process(&mut self, frame: VideoFrame) -> Result<Option<VideoFrame>, ProcessorError> {
            Ok(Some(frame.map_tensor(|values, _| values[0] *= 0.5)?))
        }
    }
    assert_eq!(process(&mut *open(&erase(Blocking(Halve))), 3.0), Some(1.5));
}

/// Loads its weight in `initialize` and refuses sessions until then.
struct Weighted {
    weight: std::sync::OnceLock<f32>,
}

impl Model for Weighted {
    type Processor = Counter;

    async fn initialize(&self) -> Result<(), InitError> {
        self.weight
            .set(0.5)
            .map_err(|_| InitError::new("loaded twice"))
    }

    fn open(&self, context: StreamContext) -> Result<Counter, ProcessorError> {
        assert_eq!(context.session(), "one");
        let weight = self.weight.get();
        let weight = weight.ok_or_else(|| ProcessorError::new("not loaded"))?;
        Ok(Counter(*weight))
    }
}

#[test]
fn a_model_is_loaded_once_and_opened_for_each_session() {
    let model = erase(Weighted {
        weight: std::sync::OnceLock::new(),
    });
    let context = || StreamContext::new("one").0;
    assert_eq!(
        model.open(context()).err().unwrap().to_string(),
        "not loaded"
    );
    runtime().block_on(model.initialize()).unwrap();
    let mut session = model.open(context()).unwrap();
    assert_eq!(process(&mut *session, 0.0), Some(1.5));
    let error = runtime().block_on(model.initialize()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model could not be initialised: loaded twice"
    );
}
