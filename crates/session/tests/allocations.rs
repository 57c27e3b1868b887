//! Steady state allocates nothing: the threads that decode, process and encode are watched by a
//! counting allocator. What the C codec allocates does not pass through it.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::io::Cursor;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tokio::runtime::Runtime;
use trickle_media::backend::BackendDescription;
use trickle_media::codec::CpuBackend;
use trickle_media::coder::{Decoder, Encoder, VideoDecoder, VideoEncoder, VideoEncoderSettings};
use trickle_media::error::CodecError;
use trickle_media::frame::FramePool;
use trickle_media::{AccessUnit, Backend, Backends, Unsupported, VideoFrame, VideoParams};
use trickle_processor::{FrameProcessor, ProcessorError, erase};
use trickle_session::AudioMode;
use trickle_session::feed::{MediaReader, ReadOptions};
use trickle_session::offline::{OfflineConfig, process};
use trickle_testkit::clip_bytes;

/// Frames after which nothing is allocated any more.
const WARM_UP: u64 = 100;
/// Frames that a stage has given when the next one stands still with its first: that one, two in
/// the queue between them, and one that waits for room in it.
const FULL: u64 = 4;
/// As many, of the decoder, when the encoder stands still with its first and all before it is full.
const ALL_FULL: u64 = 2 * FULL - 1;
/// Longest wait of one stage for another. Only a failing test reaches it.
const LIMIT: Duration = Duration::from_secs(30);

thread_local! {
    /// This thread is one of the stages'.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}
/// Allocations of the stages are counted now.
static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
/// Where the first of them came from.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

struct Counter;

impl Counter {
    fn count() {
        if COUNTING.load(SeqCst) && WATCHED.get() {
            // What is done here allocates as well.
            WATCHED.set(false);
            if ALLOCATIONS.fetch_add(1, SeqCst) == 0 {
                let place = Backtrace::force_capture().to_string();
                FIRST.lock().expect("no panic under it").replace(place);
            }
            WATCHED.set(true);
        }
    }
}

// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: as for this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as for this function.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: as for this function.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counter = Counter;

/// How far a stage is, for others to wait for.
#[derive(Debug, Default)]
struct Progress {
    frames: Mutex<u64>,
    moved: Condvar,
}

impl Progress {
    /// One more; says how many.
    fn step(&self) -> u64 {
        let mut frames = self.frames.lock().expect("no panic under it");
        *frames += 1;
        self.moved.notify_all();
        *frames
    }

    fn wait_for(&self, wanted: u64) {
        let frames = self.frames.lock().expect("no panic under it");
        let (frames, _) = self
            .moved
            .wait_timeout_while(frames, LIMIT, |frames| *frames < wanted)
            .expect("no panic under it");
        assert!(*frames >= wanted, "{} of {wanted} frames came", *frames);
    }
}

/// The stages' progress. The first frames wait at each stage until all queues before it are full, so
/// that the pools hold as many buffers as they ever need.
#[derive(Debug, Default)]
struct Stages {
    units: Progress,
    decoded: Progress,
    processed: Progress,
    encoded: Progress,
}

/// The CPU's codecs, watched.
#[derive(Debug)]
struct Watched(CpuBackend, Arc<Stages>);

impl Backend for Watched {
    fn name(&self) -> &str {
        "watched"
    }

    fn describe(&self) -> BackendDescription {
        self.0.describe()
    }

    fn open_decoder(
        &self,
        params: &VideoParams,
        pool: &FramePool,
    ) -> Result<VideoDecoder, Unsupported> {
        let codec = self.0.open_decoder(params, pool)?;
        let stages = Arc::clone(&self.1);
        Ok(Box::new(WatchedDecoder { codec, stages }))
    }

    fn open_encoder(&self, settings: &VideoEncoderSettings) -> Result<VideoEncoder, Unsupported> {
        let codec = self.0.open_encoder(settings)?;
        let stages = Arc::clone(&self.1);
        Ok(Box::new(WatchedEncoder { codec, stages }))
    }
}

struct WatchedDecoder {
    codec: VideoDecoder,
    stages: Arc<Stages>,
}

impl Decoder for WatchedDecoder {
    type Frame = VideoFrame;

    fn name(&self) -> &'static str {
        self.codec.name()
    }

    fn push(&mut self, unit: &AccessUnit) -> Result<(), CodecError> {
        WATCHED.set(true);
        if self.stages.units.step() == UNITS {
            // What follows the last unit is the end of the stream, which is no steady state.
            COUNTING.store(false, SeqCst);
        }
        self.codec.push(unit)
    }

    fn pull(&mut self) -> Option<VideoFrame> {
        let frame = self.codec.pull()?;
        self.stages.decoded.step();
        Some(frame)
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        self.codec.flush()
    }
}

struct WatchedEncoder {
    codec: VideoEncoder,
    stages: Arc<Stages>,
}

impl Encoder for WatchedEncoder {
    type Frame = VideoFrame;

    fn name(&self) -> &'static str {
        self.codec.name()
    }

    fn push(&mut self, picture: VideoFrame) -> Result<(), CodecError> {
        WATCHED.set(true);
        let frame = self.stages.encoded.step();
        if frame < WARM_UP {
            // Not the first alone: the processing thread may yet be about to take a buffer.
            self.stages.processed.wait_for(frame + FULL - 1);
            self.stages.decoded.wait_for(frame + ALL_FULL - 1);
        } else if frame == WARM_UP {
            COUNTING.store(true, SeqCst);
        }
        self.codec.push(picture)
    }

    fn takes_planes(&self) -> bool {
        self.codec.takes_planes()
    }

    fn pull(&mut self) -> Option<AccessUnit> {
        self.codec.pull()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        self.codec.flush()
    }
}

/// Takes the tensor and gives it back changed.
#[derive(Clone)]
struct Negative(Arc<Stages>);

impl FrameProcessor for Negative {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        WATCHED.set(true);
        if self.0.processed.step() == 1 {
            self.0.decoded.wait_for(FULL);
        }
        let frame = frame.map_tensor(|values, _| {
            values.iter_mut().for_each(|value| *value = 1.0 - *value);
        })?;
        Ok(Some(frame))
    }
}

/// The clip twice: pictures that are reordered, keyframes, and a jump of the clock.
const CLIP: &str = "bframes_360p30_high_aac.ts";
const UNITS: u64 = 2 * 180;

#[test]
fn after_100_frames_no_stage_allocates() {
    let clip = clip_bytes(CLIP);
    let stages = Arc::new(Stages::default());
    let config = OfflineConfig {
        audio: AudioMode::None,
        ..OfflineConfig::default()
    };
    let runtime = Runtime::new().expect("a runtime");
    let twice = [&clip[..], &clip[..]].concat();
    let open = move || Ok(Cursor::new(twice.clone()));
    let source = MediaReader::open(ReadOptions::default(), open).expect("a clip");
    let watched = Watched(CpuBackend::new(), Arc::clone(&stages));
    let summary = process(
        &config,
        &erase(Negative(Arc::clone(&stages))),
        &Backends::new(vec![Arc::new(watched)]),
        runtime.handle(),
        source,
        std::io::sink(),
        |_| {},
    );
    let summary = summary.expect("a clip that can be processed");
    assert_eq!(summary.frames.out, UNITS);
    let first = FIRST.lock().expect("no panic under it").take();
    let count = ALLOCATIONS.load(SeqCst);
    assert_eq!(count, 0, "the first: {}", first.unwrap_or_default());
}
