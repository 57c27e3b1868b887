//! Dynamic dispatch over processors, without an allocation per frame.

use tokio::runtime::Handle;
use trickle_media::{AudioFrame, VideoFrame};

use crate::error::{ParamsError, ProcessorError};
use crate::params::Params;
use crate::processor::FrameProcessor;

/// A [`FrameProcessor`] of any type, as a session's processing thread drives it.
///
/// The methods block the calling thread, which must not be one of tokio's workers; the future
/// runs on it in `runtime`'s context. Erasing at this level rather than at the future costs no
/// box per frame.
pub trait ProcessorRunner: Send {
    /// See [`FrameProcessor::process_video`].
    ///
    /// # Errors
    /// As there.
    fn process_video(
        &mut self,
        frame: VideoFrame,
        runtime: &Handle,
    ) -> Result<Option<VideoFrame>, ProcessorError>;

    /// See [`FrameProcessor::takes_audio`].
    fn takes_audio(&self) -> bool;

    /// See [`FrameProcessor::process_audio`].
    ///
    /// # Errors
    /// As there.
    fn process_audio(
        &mut self,
        frame: AudioFrame,
        runtime: &Handle,
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
    fn on_stream_start(&mut self, params: &Params, runtime: &Handle) -> Result<(), ProcessorError>;

    /// See [`FrameProcessor::on_stream_stop`].
    fn on_stream_stop(&mut self, runtime: &Handle);
}

impl<P: FrameProcessor> ProcessorRunner for P {
    fn process_video(
        &mut self,
        frame: VideoFrame,
        runtime: &Handle,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        runtime.block_on(FrameProcessor::process_video(self, frame))
    }

    fn takes_audio(&self) -> bool {
        FrameProcessor::takes_audio(self)
    }

    fn process_audio(
        &mut self,
        frame: AudioFrame,
        runtime: &Handle,
    ) -> Result<Option<Vec<AudioFrame>>, ProcessorError> {
        runtime.block_on(FrameProcessor::process_audio(self, frame))
    }

    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        FrameProcessor::update_params(self, params)
    }

    fn on_stream_start(&mut self, params: &Params, runtime: &Handle) -> Result<(), ProcessorError> {
        runtime.block_on(FrameProcessor::on_stream_start(self, params))
    }

    fn on_stream_stop(&mut self, runtime: &Handle) {
        runtime.block_on(FrameProcessor::on_stream_stop(self));
    }
}
