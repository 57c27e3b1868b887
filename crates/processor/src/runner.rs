//! Dynamic dispatch over processors, without an allocation per frame.

use std::future::Future;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use trickle_media::{AudioFrame, VideoFrame};

use crate::error::{ParamsError, ProcessorError};
use crate::params::Params;
use crate::processor::FrameProcessor;

/// How a session's processing thread runs a processor's futures: on itself, in the context of a
/// tokio runtime, until the session is cancelled.
#[derive(Clone, Debug)]
pub struct Driver {
    runtime: Handle,
    cancel: CancellationToken,
}

impl Driver {
    /// Futures find the timers and I/O of `runtime`, and are dropped once `cancel` is cancelled.
    pub fn new(runtime: Handle, cancel: CancellationToken) -> Self {
        Self { runtime, cancel }
    }

    /// Runs a future on this thread; `None` when it was cancelled.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.runtime
            .block_on(self.cancel.run_until_cancelled(future))
    }

    fn run<T>(
        &self,
        future: impl Future<Output = Result<T, ProcessorError>>,
    ) -> Result<T, ProcessorError> {
        self.wait(future).unwrap_or(Err(ProcessorError::Cancelled))
    }
}

/// A [`FrameProcessor`] of any type, as a session's processing thread drives it.
///
/// The methods block the calling thread, which must not be one of tokio's workers. Erasing at
/// this level rather than at the future costs no box per frame.
pub trait ProcessorRunner: Send {
    /// See [`FrameProcessor::process_video`].
    ///
    /// # Errors
    /// As there.
    fn process_video(
        &mut self,
        frame: VideoFrame,
        driver: &Driver,
    ) -> Result<Option<VideoFrame>, ProcessorError>;

    /// See [`FrameProcessor::takes_device_frames`].
    fn takes_device_frames(&self) -> bool;

    /// See [`FrameProcessor::takes_audio`].
    fn takes_audio(&self) -> bool;

    /// See [`FrameProcessor::process_audio`].
    ///
    /// # Errors
    /// As there.
    fn process_audio(
        &mut self,
        frame: AudioFrame,
        driver: &Driver,
    ) -> Result<Option<Vec<AudioFrame>>, ProcessorError>;

    /// See [`FrameProcessor::update_params`].
    ///
    /// # Errors
    /// As there.
    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError>;

    /// See [`FrameProcessor::on_stream_start`].
    ///
    /// # Errors
    /// As there.
    fn on_stream_start(&mut self, params: &Params, driver: &Driver) -> Result<(), ProcessorError>;

    /// See [`FrameProcessor::on_stream_stop`]; it is not cancelled.
    fn on_stream_stop(&mut self, driver: &Driver);
}

impl<P: FrameProcessor> ProcessorRunner for P {
    fn process_video(
        &mut self,
        frame: VideoFrame,
        driver: &Driver,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        driver.run(FrameProcessor::process_video(self, frame))
    }

    fn takes_device_frames(&self) -> bool {
        FrameProcessor::takes_device_frames(self)
    }

    fn takes_audio(&self) -> bool {
        FrameProcessor::takes_audio(self)
    }

    fn process_audio(
        &mut self,
        frame: AudioFrame,
        driver: &Driver,
    ) -> Result<Option<Vec<AudioFrame>>, ProcessorError> {
        driver.run(FrameProcessor::process_audio(self, frame))
    }

    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        FrameProcessor::update_params(self, params)
    }

    fn on_stream_start(&mut self, params: &Params, driver: &Driver) -> Result<(), ProcessorError> {
        driver.run(FrameProcessor::on_stream_start(self, params))
    }

    fn on_stream_stop(&mut self, driver: &Driver) {
        driver
            .runtime
            .block_on(FrameProcessor::on_stream_stop(self));
    }
}

#[cfg(test)]
#[path = "runner_test.rs"]
mod tests;
