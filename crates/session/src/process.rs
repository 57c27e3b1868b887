//! The processing stage: one thread that owns the processor.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use trickle_media::{AudioFrame, FrameError, VideoFrame};
use trickle_processor::{
    Driver, Params, ParamsError, ProcessorError, ProcessorRunner, SharedModel, StreamContext,
};

use crate::config::OnError;
use crate::error::{EndReason, StartError};
use crate::item::{Frame, Item, Update};
use crate::params::WorkerParams;
use crate::queue::Push;
use crate::scale::Scaler;
use crate::shared::Shared;
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
    shared: Arc<Shared>,
}

/// The session is over for this stage.
struct Over;

impl ProcessStage {
    /// Opens the processor, gives it its parameters and tells it that the stream starts.
    pub(crate) fn open(
        model: &SharedModel,
        context: StreamContext,
        params: &Params,
        on_error: OnError,
        driver: Driver,
        shared: Arc<Shared>,
    ) -> Result<Self, StartError> {
        let (worker, own) = WorkerParams::default().updated(params)?;
        let mut runner = guard(|| model.open(context)).map_err(StartError::Open)?;
        if !own.is_empty() {
            guard_update(&mut *runner, &own)?;
        }
        guard(|| runner.on_stream_start(&own, &driver)).map_err(StartError::StreamStart)?;
        shared.set_max_framerate(worker.max_framerate);
        shared.merge_params(params);
        Ok(Self {
            runner,
            driver,
            worker,
            on_error,
            last_good: None,
            scaler: Scaler::default(),
            shared,
        })
    }

    /// Whether the processor wants sound.
    pub(crate) fn takes_audio(&self) -> bool {
        self.runner.takes_audio()
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
                other => self.send(other),
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

    fn video(
        &mut self,
        Frame {
            mut frame, rate, ..
        }: Frame,
    ) -> Result<(), Over> {
        frame.times_mut().process_start = self.shared.now();
        let scaled = self.scaled(frame);
        let frame = match self.placed(scaled) {
            Ok(frame) => frame,
            Err(error) => {
                self.lost(&error);
                return Ok(());
            }
        };
        let (times, pts) = (*frame.times(), frame.pts());
        let fit = (!self.worker.detect_out_resolution).then_some((frame.width(), frame.height()));
        let original =
            matches!(self.on_error, OnError::Passthrough | OnError::Freeze).then(|| frame.clone());
        let stats = &self.shared.stats;
        stats.processed.add(1);
        if let Some(now) = times.process_start {
            stats.processed_rate.tick(now);
        }
        let result = guard(|| self.runner.process_video(frame, &self.driver));
        let mut done = match result {
            Ok(Some(done)) => {
                if self.on_error == OnError::Freeze {
                    self.last_good = Some(done.clone());
                }
                done
            }
            Ok(None) => {
                stats.dropped.by_processor.add(1);
                return Ok(());
            }
            Err(ProcessorError::Cancelled) => {
                stats.dropped.stopped.add(1);
                return Err(Over);
            }
            Err(error) => {
                self.note(&error);
                let instead = match self.on_error {
                    OnError::Freeze => self.last_good.clone().or(original),
                    OnError::Passthrough => original,
                    OnError::Drop => None,
                    OnError::Stop => {
                        self.shared
                            .fail(EndReason::ProcessorFailed(error.to_string()));
                        None
                    }
                };
                let Some(mut instead) = instead else {
                    self.shared.stats.dropped.processor_error.add(1);
                    return if self.on_error == OnError::Stop {
                        Err(Over)
                    } else {
                        Ok(())
                    };
                };
                instead.set_pts(pts);
                instead
            }
        };
        // A processor may return a frame of its own making, which has passed no stage.
        *done.times_mut() = times;
        done.times_mut().processed = self.shared.now();
        self.send(Item::Frame(Frame {
            frame: done,
            rate,
            fit,
        }))
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
                self.note(&ProcessorError::Frame(error));
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

    /// The frame's device failed: nothing is left to process. The decoder, which finds out too,
    /// goes on elsewhere.
    fn lost(&self, error: &FrameError) {
        let lost = &self.shared.stats.dropped.device_error;
        lost.add(1);
        if lost.get().is_power_of_two() {
            tracing::warn!(%error, count = lost.get(), "a frame is lost on its device");
        }
    }

    fn audio(&mut self, sound: AudioFrame) -> Result<(), Over> {
        let original = sound.clone();
        match guard(|| self.runner.process_audio(sound, &self.driver)) {
            Ok(frames) => {
                for frame in frames.into_iter().flatten() {
                    self.send(Item::Sound(frame))?;
                }
                Ok(())
            }
            Err(ProcessorError::Cancelled) => Err(Over),
            Err(error) => {
                self.note(&error);
                self.shared.stats.audio_errors.add(1);
                self.send(Item::Sound(original))
            }
        }
    }

    fn update(&mut self, update: Update) {
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
            guard_update(&mut *self.runner, &own)?;
        }
        self.worker = worker;
        self.shared.set_max_framerate(self.worker.max_framerate);
        self.shared.merge_params(params);
        Ok(())
    }

    /// Counts and reports a failure of the processor.
    fn note(&self, error: &ProcessorError) {
        let stats = &self.shared.stats;
        stats.processor_errors.add(1);
        if matches!(error, ProcessorError::Panicked(_)) {
            stats.processor_panics.add(1);
        }
        let count = stats.processor_errors.get();
        // A processor that fails on every frame must not fill the log.
        if count.is_power_of_two() {
            tracing::warn!(%error, count, "the processor failed");
        }
        stats.facts().processor.last_error = Some(error.to_string());
    }

    fn send(&self, item: Item) -> Result<(), Over> {
        let stats = &self.shared.stats;
        let video = matches!(item, Item::Frame(_));
        match self.shared.queues.encode.push(item) {
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
