//! Processors written as plain functions.

use serde_json::Value;
use trickle_media::{AudioFrame, VideoFrame};

use crate::error::{ParamsError, ProcessorError};
use crate::params::Params;
use crate::processor::FrameProcessor;

/// A [`FrameProcessor`] without `async`: inference on the CPU, a call into a library that blocks.
///
/// A session gives its processor an OS thread of its own, so that blocking there holds up that
/// session's video and nothing else: neither the network, nor other sessions, nor the worker's
/// API. Wrapped in [`Blocking`], it goes wherever a [`FrameProcessor`] does.
///
/// ```
/// use trickle_processor::{Blocking, BlockingProcessor, ProcessorError, VideoFrame, erase};
///
/// #[derive(Clone)]
/// struct Darken;
///
/// impl BlockingProcessor for Darken {
///     fn process(&mut self, frame: VideoFrame) -> Result<Option<VideoFrame>, ProcessorError> {
///         let frame = frame.map_tensor(|rgb, _| rgb.iter_mut().for_each(|v| *v *= 0.5))?;
///         Ok(Some(frame))
///     }
/// }
///
/// let model = erase(Blocking(Darken));
/// ```
pub trait BlockingProcessor: Send + 'static {
    /// See [`FrameProcessor::process_video`].
    ///
    /// # Errors
    /// As there.
    fn process(&mut self, frame: VideoFrame) -> Result<Option<VideoFrame>, ProcessorError>;

    /// See [`FrameProcessor::takes_device_frames`].
    fn takes_device_frames(&self) -> bool {
        false
    }

    /// See [`FrameProcessor::takes_audio`].
    fn takes_audio(&self) -> bool {
        false
    }

    /// See [`FrameProcessor::process_audio`].
    ///
    /// # Errors
    /// As there.
    fn process_audio(
        &mut self,
        frame: AudioFrame,
    ) -> Result<Option<Vec<AudioFrame>>, ProcessorError> {
        Ok(Some(vec![frame]))
    }

    /// See [`FrameProcessor::update_params`].
    ///
    /// # Errors
    /// As there.
    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        let _ = params;
        Ok(())
    }

    /// See [`FrameProcessor::params_schema`].
    fn params_schema(&self) -> Option<Value> {
        None
    }

    /// See [`FrameProcessor::on_stream_start`].
    ///
    /// # Errors
    /// As there.
    fn on_stream_start(&mut self, params: &Params) -> Result<(), ProcessorError> {
        let _ = params;
        Ok(())
    }

    /// See [`FrameProcessor::on_stream_stop`].
    fn on_stream_stop(&mut self) {}
}

/// A [`BlockingProcessor`] as a [`FrameProcessor`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Blocking<P>(pub P);

impl<P: BlockingProcessor> FrameProcessor for Blocking<P> {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        self.0.process(frame)
    }

    fn takes_device_frames(&self) -> bool {
        self.0.takes_device_frames()
    }

    fn takes_audio(&self) -> bool {
        self.0.takes_audio()
    }

    async fn process_audio(
        &mut self,
        frame: AudioFrame,
    ) -> Result<Option<Vec<AudioFrame>>, ProcessorError> {
        self.0.process_audio(frame)
    }

    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        self.0.update_params(params)
    }

    fn params_schema(&self) -> Option<Value> {
        self.0.params_schema()
    }

    async fn on_stream_start(&mut self, params: &Params) -> Result<(), ProcessorError> {
        self.0.on_stream_start(params)
    }

    async fn on_stream_stop(&mut self) {
        self.0.on_stream_stop();
    }
}
