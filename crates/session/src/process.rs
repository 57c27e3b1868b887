//! The processing stage: one thread that owns the processor.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use trickle_media::convert::tensor_to_planar;
use trickle_media::frame::{Image, PixelFormat};
use trickle_media::stream::Rational;
use trickle_media::{AudioFrame, FrameError, VideoFrame};
use trickle_processor::{
    Driver, Params, ParamsError, ProcessorError, ProcessorRunner, SharedModel, StreamContext,
};

use crate::config::OnError;
use crate::deadline::{Candidate, Deadline};
use crate::error::{EndReason, StartError};
use crate::item::{Frame, Item, Update};
use crate::params::WorkerParams;
use crate::queue::Push;
use crate::scale::Scaler;
use crate::shared::Shared;
use crate::standin::{self, Call, Cause};
use crate::thread::panic_message;

/// The processing stage. Lives on its thread from [`open`](Self::open) on.
pub(crate) struct ProcessStage {
    runner: Box<dyn ProcessorRunner>,
    driver: Driver,
    worker: WorkerParams,
    on_error: OnError,
    /// The last good output, kept for [`OnError::Freeze`] only.
    last_good: Option<VideoFrame>,
    scaler: Scaler,
    deadline: Deadline,
    shared: Arc<Shared>,
}

/// What a processor's failures and its slowness lead to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Policy {
    pub(crate) on_error: OnError,
    pub(crate) frame_deadline: Option<Duration>,
}

/// The session is over for this stage.
pub(crate) struct Over;

impl ProcessStage {
    /// Opens the processor, gives it its parameters and tells it that the stream starts.
    pub(crate) fn open(
        model: &SharedModel,
        context: StreamContext,
        params: &Params,
        policy: Policy,
        driver: Driver,
        shared: Arc<Shared>,
    ) -> Result<Self, StartError> {
        let (worker, own) = WorkerParams::default().updated(params)?;
        let runner = open_runner(model, context, &own, &driver)?;
        shared.merge_params(params);
        Ok(Self::new(runner, worker, policy, driver, shared))
    }

    /// With a processor that was opened.
    pub(crate) fn new(
        runner: Box<dyn ProcessorRunner>,
        worker: WorkerParams,
        policy: Policy,
        driver: Driver,
        shared: Arc<Shared>,
    ) -> Self {
        shared.set_takes_audio(runner.takes_audio());
        worker.apply(&shared);
        Self {
            runner,
            driver,
            worker,
            on_error: policy.on_error,
            last_good: None,
            scaler: Scaler::default(),
            deadline: Deadline::new(policy.frame_deadline),
            shared,
        }
    }

    /// Works until the input is closed or the session is over, then tells the processor.
    pub(crate) fn run(mut self) {
        while let Some(item) = self.shared.queues.process.pop() {
            let result = match item {
                Item::Frame(frame) => self.video(frame),
                Item::Sound(sound) if self.runner.takes_audio() => self.audio(sound),
                Item::Update(update) => {
                    self.update(update);
                    Ok(())
                }
                other => hand_on(&self.shared, other),
            };
            if result.is_err() {
                break;
            }
        }
        let stopped = catch_unwind(AssertUnwindSafe(|| {
            self.runner.on_stream_stop(&self.driver);
        }));
        if let Err(panic) = stopped {
            let message = panic_message(panic.as_ref());
            tracing::warn!(%message, "the processor panicked in on_stream_stop");
        }
        self.shared.queues.encode.close();
    }

    fn video(&mut self, item: Frame) -> Result<(), Over> {
        let begun = self.shared.now();
        if self.worker.show_loading {
            return self.stand_in(item, Cause::AskedFor);
        }
        if !self.has_time(&item, begun) {
            self.shared.stats.dropped.deadline.add(1);
            return Ok(());
        }
        let Frame {
            mut frame, rate, ..
        } = item;
        frame.times_mut().process_start = begun;
        let scaled = self.scaled(frame);
        let frame = match self.placed(scaled) {
            Ok(frame) => frame,
            Err(error) => {
                self.shared.lost_on_device(&error);
                return Ok(());
            }
        };
        let (times, pts) = (*frame.times(), frame.pts());
        let fit = (!self.worker.detect_out_resolution).then_some((frame.width(), frame.height()));
        let overdue = self.shared.standin.is_overdue(begun);
        let keep = overdue || matches!(self.on_error, OnError::Passthrough | OnError::Freeze);
        let original = keep.then(|| frame.clone());
        let stats = &self.shared.stats;
        stats.processed.add(1);
        if let Some(now) = begun {
            stats.processed_rate.tick(now);
        }
        self.shared.standin.enter(Call::Picture, begun);
        let result = guard(|| self.runner.process_video(frame, &self.driver));
        let ended = self.shared.now();
        if self.shared.standin.leave(ended) {
            return self.late(result);
        }
        if let (Some(begun), Some(ended)) = (begun, ended) {
            self.deadline.took(ended.saturating_duration_since(begun));
        }
        let (picture, missing) = match result {
            Ok(Some(made)) => {
                self.shared.standin.made(&made);
                if self.on_error == OnError::Freeze {
                    self.last_good = Some(made.clone());
                }
                (Some(made), Missing::Dropped)
            }
            Ok(None) => (None, Missing::Dropped),
            Err(error) => {
                self.failed(&error)?;
                let mut instead = match self.on_error {
                    OnError::Freeze => self.last_good.clone().or_else(|| original.clone()),
                    OnError::Passthrough => original.clone(),
                    OnError::Drop | OnError::Stop => None,
                };
                if let Some(instead) = &mut instead {
                    instead.set_pts(pts);
                }
                (instead, Missing::Failed)
            }
        };
        let Some(mut picture) = picture else {
            return self.missing(missing, original.filter(|_| overdue), rate);
        };
        self.shared.standin.came_out();
        // A processor may return a frame of its own making, which has passed no stage.
        *picture.times_mut() = times;
        picture.times_mut().processed = ended;
        let frame = Frame {
            frame: self.as_encoded(picture, fit),
            rate,
            fit,
            overlay: self.shared.standin.own_overlay(),
        };
        hand_on(&self.shared, Item::Frame(frame))
    }

    /// The picture as planes in host memory, where the encoder would make these of its tensor: here
    /// the tensor is in the caches still, and the next picture gets its memory while it is; and what
    /// is on a device comes from there while the encoder has the picture before.
    fn as_encoded(&self, picture: VideoFrame, fit: Option<(usize, usize)>) -> VideoFrame {
        let size = (picture.width(), picture.height());
        // Where it is scaled first, there is less to convert after that.
        if !self.shared.encoder_takes_planes() || fit.is_some_and(|fit| fit != size) {
            return picture;
        }
        let color = picture.color();
        // Where there are no planes the encoder says what is wrong with it.
        match picture.image() {
            Image::Planar(_) => picture,
            Image::Tensor(tensor) => {
                match tensor_to_planar(tensor, PixelFormat::I420, color, picture.pool()) {
                    Ok(planes) => picture.replace_image(Image::Planar(planes)),
                    Err(_) => picture,
                }
            }
            Image::Device(_) => picture.clone().to_host_planes(color).unwrap_or(picture),
        }
    }

    /// Whether the processor could get the picture out in time.
    fn has_time(&mut self, item: &Frame, now: Option<Instant>) -> bool {
        let Some(now) = now else { return true };
        let candidate = Candidate {
            pts: item.frame.pts(),
            received: item.frame.times().received,
            next: self.shared.queues.process.next_picture(),
        };
        self.deadline
            .admit(candidate, self.shared.stats.rest(), now)
    }

    /// Pictures have gone past a call, so that what came of it is no longer wanted.
    fn late(&mut self, result: Result<Option<VideoFrame>, ProcessorError>) -> Result<(), Over> {
        if let Err(error) = &result {
            self.failed(error)?;
        }
        self.shared.stats.dropped.processor_late.add(1);
        if let Ok(Some(made)) = &result {
            self.shared.standin.made(made);
        }
        Ok(())
    }

    /// Nothing came of a picture. Where that has lasted too long, viewers see `original` under
    /// the overlay.
    fn missing(
        &self,
        why: Missing,
        original: Option<VideoFrame>,
        rate: Option<Rational>,
    ) -> Result<(), Over> {
        let dropped = &self.shared.stats.dropped;
        match (original, why) {
            (Some(frame), _) => {
                if self.shared.standin.begin() {
                    standin::note_stall(&self.shared);
                }
                let frame = Frame {
                    frame,
                    rate,
                    fit: None,
                    overlay: None,
                };
                self.stand_in(frame, Cause::Stall)
            }
            (None, Missing::Dropped) => {
                dropped.by_processor.add(1);
                Ok(())
            }
            (None, Missing::Failed) => {
                dropped.processor_error.add(1);
                Ok(())
            }
        }
    }

    /// Sends a picture that the processor has no part in.
    fn stand_in(&self, frame: Frame, cause: Cause) -> Result<(), Over> {
        self.shared.stats.stood_in.add(1);
        let frame = self.shared.standin.dress(frame, cause, self.shared.now());
        hand_on(&self.shared, Item::Frame(frame))
    }

    /// The processor failed on a picture: counts it, and ends the session where that is the
    /// policy.
    fn failed(&self, error: &ProcessorError) -> Result<(), Over> {
        if matches!(error, ProcessorError::Cancelled) {
            self.shared.stats.dropped.stopped.add(1);
            return Err(Over);
        }
        self.shared.note_failure(error);
        if self.on_error == OnError::Stop {
            self.shared.stats.dropped.processor_error.add(1);
            self.shared
                .fail(EndReason::ProcessorFailed(error.to_string()));
            return Err(Over);
        }
        Ok(())
    }

    /// The frame at the size that was asked for, or as it came where it cannot be scaled.
    fn scaled(&mut self, frame: VideoFrame) -> VideoFrame {
        let size = (frame.width(), frame.height());
        let Some(wanted) = self.worker.size.filter(|wanted| *wanted != size) else {
            return frame;
        };
        match self.scaler.fit(&frame, wanted) {
            Ok(image) => {
                // A matrix that nobody stated is guessed from the size: from that of the source.
                let color = frame.color().resolved(size.0 as u32, size.1 as u32);
                let mut frame = frame.replace_image(image);
                frame.set_color(color);
                frame
            }
            Err(error) => {
                self.shared.note_failure(&ProcessorError::Frame(error));
                frame
            }
        }
    }

    /// The frame where the processor takes it.
    fn placed(&self, frame: VideoFrame) -> Result<VideoFrame, FrameError> {
        if self.runner.takes_device_frames() {
            Ok(frame)
        } else {
            frame.to_host()
        }
    }

    fn audio(&mut self, sound: AudioFrame) -> Result<(), Over> {
        let original = sound.clone();
        self.shared.standin.enter(Call::Other, self.shared.now());
        let result = guard(|| self.runner.process_audio(sound, &self.driver));
        let late = self.shared.standin.leave(self.shared.now());
        let frames = match result {
            Ok(frames) => frames.into_iter().flatten().collect(),
            Err(ProcessorError::Cancelled) => return Err(Over),
            Err(error) => {
                self.shared.note_failure(&error);
                self.shared.stats.audio_errors.add(1);
                vec![original]
            }
        };
        if late {
            // Later sound has gone past.
            self.shared.stats.audio_dropped.add(1);
            return Ok(());
        }
        for frame in frames {
            hand_on(&self.shared, Item::Sound(frame))?;
        }
        Ok(())
    }

    fn update(&mut self, update: Update) {
        if update.answer.is_closed() {
            // Whoever asked was told that it is not taken.
            return;
        }
        let result = self.apply(&update.params);
        if let Err(error) = &result {
            tracing::warn!(%error, "update rejected");
        }
        // Whoever asked may have gone.
        let _ = update.answer.send(result);
    }

    /// All of it or nothing: the processor is asked last.
    fn apply(&mut self, params: &Params) -> Result<(), ParamsError> {
        let (worker, own) = self.worker.updated(params)?;
        if !own.is_empty() {
            self.shared.standin.enter(Call::Other, self.shared.now());
            let taken = guard_update(&mut *self.runner, &own);
            self.shared.standin.leave(self.shared.now());
            taken?;
        }
        if worker != self.worker {
            worker.apply(&self.shared);
            self.worker = worker;
        }
        self.shared.merge_params(params);
        Ok(())
    }
}

/// Why nothing came of a picture.
#[derive(Clone, Copy, Debug)]
enum Missing {
    /// The processor returned nothing.
    Dropped,
    /// It failed, and the policy leaves the picture out.
    Failed,
}

/// To the encoding stage.
pub(crate) fn hand_on(shared: &Shared, item: Item) -> Result<(), Over> {
    let stats = &shared.stats;
    let video = matches!(item, Item::Frame(_));
    match shared.queues.encode.push(item) {
        // The encoder's lane of pictures waits, so what gave way is sound.
        Push::Done { dropped, .. } => {
            stats.audio_dropped.add(dropped);
            Ok(())
        }
        Push::Closed(_) => {
            stats.dropped.stopped.add(u64::from(video));
            Err(Over)
        }
    }
}

/// Opens a processor, gives it its parameters and tells it that the stream starts.
pub(crate) fn open_runner(
    model: &SharedModel,
    context: StreamContext,
    own: &Params,
    driver: &Driver,
) -> Result<Box<dyn ProcessorRunner>, StartError> {
    let mut runner = guard(|| model.open(context)).map_err(StartError::Open)?;
    if !own.is_empty() {
        guard_update(&mut *runner, own)?;
    }
    guard(|| runner.on_stream_start(own, driver)).map_err(StartError::StreamStart)?;
    Ok(runner)
}

/// Calls the processor's code; its panic is an error like any other.
fn guard<T>(call: impl FnOnce() -> Result<T, ProcessorError>) -> Result<T, ProcessorError> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|panic| Err(ProcessorError::Panicked(panic_message(panic.as_ref()))))
}

/// `update_params`; a panic rejects the update.
fn guard_update(runner: &mut dyn ProcessorRunner, params: &Params) -> Result<(), ParamsError> {
    catch_unwind(AssertUnwindSafe(|| runner.update_params(params))).unwrap_or_else(|panic| {
        let message = panic_message(panic.as_ref());
        Err(ParamsError::new(
            params.0.keys().next().cloned().unwrap_or_default(),
            format!("the processor panicked: {message}"),
        ))
    })
}

#[cfg(test)]
#[path = "process_test.rs"]
mod tests;
