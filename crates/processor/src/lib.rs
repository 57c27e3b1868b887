//! The API that a video processor is written against: the reference's `FrameProcessor` in Rust.
//!
//! A processor in 20 lines:
//!
//! ```
//! use trickle_processor::{FrameProcessor, Params, ParamsError, ProcessorError, VideoFrame};
//!
//! #[derive(Clone)]
//! struct Brightness {
//!     gain: f32,
//! }
//!
//! impl FrameProcessor for Brightness {
//!     async fn process_video(
//!         &mut self,
//!         frame: VideoFrame,
//!     ) -> Result<Option<VideoFrame>, ProcessorError> {
//!         let gain = self.gain;
//!         let frame = frame.map_tensor(|rgb, _shape| {
//!             rgb.iter_mut().for_each(|value| *value = (*value * gain).min(1.0));
//!         })?;
//!         Ok(Some(frame))
//!     }
//!
//!     fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
//!         if let Some(gain) = params.number("gain")? {
//!             self.gain = gain as f32;
//!         }
//!         Ok(())
//!     }
//! }
//! ```
//!
//! One session has one [`FrameProcessor`]; what sessions share, such as weights, is its
//! [`Model`]. A processor that is `Clone`, or a closure, is a model of itself: anything that is
//! [`IntoModel`] can be handed to a server.

#![forbid(unsafe_code)]

mod blocking;
pub mod builtin;
mod context;
mod error;
mod model;
mod params;
mod processor;
mod registry;
mod runner;
mod schema;
pub mod testing;

pub use blocking::{Blocking, BlockingProcessor};
pub use context::{DataSink, EmitError, Emitted, MAX_ITEM, OverlaySlot, StreamContext};
pub use error::{InitError, ParamsError, ProcessorError};
pub use model::{
    ByClone, ByClosure, ByModel, ErasedModel, IntoModel, Model, SharedModel, erase, from_fn,
};
pub use params::Params;
pub use processor::FrameProcessor;
pub use registry::{Registry, UnknownProcessor};
pub use runner::{Driver, ProcessorRunner};
pub use schema::{SchemaError, checked};
pub use trickle_media::{AudioFrame, FrameError, Overlay, Tensor, Timestamp, VideoFrame};
