//! The trait that users implement.

use std::future::Future;

use serde_json::Value;
use trickle_media::{AudioFrame, VideoFrame};

use crate::error::{ParamsError, ProcessorError};
use crate::params::Params;

/// Processes the frames of one session.
///
/// All methods of one processor are called one after another, on one thread that belongs to the
/// session: blocking code is allowed, and holds up this session's video only. A future may also
/// wait for tokio's timers and I/O.
///
/// When a method is cancelled because the session stops, its future is dropped.
pub trait FrameProcessor: Send + 'static {
    /// One decoded picture. The frame returned enters the output; `None` drops it.
    ///
    /// # Errors
    /// Reported and counted; the session's error policy decides what viewers see instead.
    fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> impl Future<Output = Result<Option<VideoFrame>, ProcessorError>> + Send;

    /// Whether frames may come in device memory, where a GPU decodes them. Without it a frame is
    /// downloaded before [`process_video`](Self::process_video) gets it. With it a frame may be in
    /// either place: see [`VideoFrame::device`] and [`VideoFrame::device_tensor`]. Asked once, when
    /// the session starts.
    fn takes_device_frames(&self) -> bool {
        false
    }

    /// Whether audio is decoded and given to [`process_audio`](Self::process_audio). Without it,
    /// audio reaches the output untouched. Asked once, when the session starts.
    fn takes_audio(&self) -> bool {
        false
    }

    /// One decoded audio frame; `None` drops it, `Some(vec![frame])` passes it through.
    ///
    /// # Errors
    /// Reported and counted; the frame is passed through.
    fn process_audio(
        &mut self,
        frame: AudioFrame,
    ) -> impl Future<Output = Result<Option<Vec<AudioFrame>>, ProcessorError>> + Send {
        async move { Ok(Some(vec![frame])) }
    }

    /// New parameters, between two frames: only the keys that change are there. Takes effect
    /// with the next frame.
    ///
    /// # Errors
    /// An error rejects the update, and must leave the processor as it was: check everything
    /// before changing anything.
    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        let _ = params;
        Ok(())
    }

    /// The JSON schema of the parameters in force, which must be an object. Callers can read it,
    /// and what it forbids is refused before [`update_params`](Self::update_params) is called: see
    /// [`checked`](crate::checked). Asked once, of a processor that is its own model, when the
    /// worker is put together.
    fn params_schema(&self) -> Option<Value> {
        None
    }

    /// The stream starts, with these parameters; before its first frame. They were given to
    /// [`update_params`](Self::update_params) already.
    ///
    /// # Errors
    /// An error ends the session.
    fn on_stream_start(
        &mut self,
        params: &Params,
    ) -> impl Future<Output = Result<(), ProcessorError>> + Send {
        let _ = params;
        async { Ok(()) }
    }

    /// The stream has ended; after its last frame.
    fn on_stream_stop(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}
