//! What sessions share: weights, warmed-up devices, batching.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use trickle_media::VideoFrame;

use crate::context::StreamContext;
use crate::error::{InitError, ProcessorError};
use crate::processor::FrameProcessor;
use crate::runner::ProcessorRunner;

/// A model: loaded once, however many sessions run, and asked for a processor by each.
pub trait Model: Send + Sync + 'static {
    /// The processor of one session.
    type Processor: FrameProcessor;

    /// Loads weights, warms up; once, before the first session.
    ///
    /// # Errors
    /// Halts the start of the worker.
    fn initialize(&self) -> impl Future<Output = Result<(), InitError>> + Send {
        async { Ok(()) }
    }

    /// A processor for a new session.
    ///
    /// # Errors
    /// Ends the session before it starts.
    fn open(&self, context: StreamContext) -> Result<Self::Processor, ProcessorError>;

    /// The JSON schema of a session's parameters, as
    /// [`FrameProcessor::params_schema`](crate::FrameProcessor::params_schema). Must not need
    /// what [`initialize`](Self::initialize) loads.
    fn params_schema(&self) -> Option<Value> {
        None
    }
}

/// A [`Model`] of any type, shared by the sessions of a worker.
pub type SharedModel = Arc<dyn ErasedModel>;

/// The object-safe form of [`Model`]; made by [`erase`].
pub trait ErasedModel: Send + Sync {
    /// See [`Model::initialize`].
    fn initialize(&self) -> Pin<Box<dyn Future<Output = Result<(), InitError>> + Send + '_>>;

    /// See [`Model::open`].
    ///
    /// # Errors
    /// As there.
    fn open(&self, context: StreamContext) -> Result<Box<dyn ProcessorRunner>, ProcessorError>;

    /// See [`Model::params_schema`].
    fn params_schema(&self) -> Option<Value>;
}

impl<M: Model> ErasedModel for M {
    fn initialize(&self) -> Pin<Box<dyn Future<Output = Result<(), InitError>> + Send + '_>> {
        Box::pin(Model::initialize(self))
    }

    fn open(&self, context: StreamContext) -> Result<Box<dyn ProcessorRunner>, ProcessorError> {
        Ok(Box::new(Model::open(self, context)?))
    }

    fn params_schema(&self) -> Option<Value> {
        Model::params_schema(self)
    }
}

/// A model as sessions and servers take it.
///
/// ```
/// use trickle_processor::{VideoFrame, builtin, erase};
///
/// // A closure states its argument's type; the rest is inferred.
/// let flip = erase(|frame: VideoFrame| {
///     let frame = frame.map_tensor(|values, [_, width, channels]| {
///         for row in values.chunks_exact_mut(width * channels) {
///             row.reverse();
///         }
///     })?;
///     Ok(Some(frame))
/// });
/// // A processor that is `Clone`.
/// let tint = erase(builtin::Tint::default());
/// ```
pub fn erase<Kind>(model: impl IntoModel<Kind>) -> SharedModel {
    Arc::new(model.into_model())
}

/// Whatever can be handed to a server: a [`Model`], a [`FrameProcessor`] that is `Clone` (each
/// session gets a clone), or a closure from frame to frame. `Kind` tells them apart and is
/// inferred.
pub trait IntoModel<Kind> {
    /// The model that this becomes.
    type Model: Model;

    /// Makes a model of it.
    fn into_model(self) -> Self::Model;
}

/// [`IntoModel`] of a [`Model`].
#[derive(Debug)]
pub struct ByModel;

/// [`IntoModel`] of a cloned [`FrameProcessor`].
#[derive(Debug)]
pub struct ByClone;

/// [`IntoModel`] of a closure.
#[derive(Debug)]
pub struct ByClosure;

impl<M: Model> IntoModel<ByModel> for M {
    type Model = M;

    fn into_model(self) -> M {
        self
    }
}

impl<P: FrameProcessor + Clone + Sync> IntoModel<ByClone> for P {
    type Model = Cloned<P>;

    fn into_model(self) -> Cloned<P> {
        Cloned(self)
    }
}

impl<F> IntoModel<ByClosure> for F
where
    F: FnMut(VideoFrame) -> Result<Option<VideoFrame>, ProcessorError>
        + Clone
        + Send
        + Sync
        + 'static,
{
    type Model = Cloned<Closure<F>>;

    fn into_model(self) -> Self::Model {
        Cloned(Closure(self))
    }
}

/// A model whose sessions each get a clone of one processor.
#[derive(Clone, Debug)]
pub struct Cloned<P>(P);

impl<P: FrameProcessor + Clone + Sync> Model for Cloned<P> {
    type Processor = P;

    fn open(&self, _: StreamContext) -> Result<P, ProcessorError> {
        Ok(self.0.clone())
    }

    fn params_schema(&self) -> Option<Value> {
        self.0.params_schema()
    }
}

/// A closure as a processor.
#[derive(Clone, Debug)]
pub struct Closure<F>(F);

impl<F> FrameProcessor for Closure<F>
where
    F: FnMut(VideoFrame) -> Result<Option<VideoFrame>, ProcessorError> + Send + 'static,
{
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        (self.0)(frame)
    }
}

/// A model whose processors `open` makes: for a processor that is not `Clone`, or that wants the
/// session's [`StreamContext`].
///
/// ```
/// use trickle_processor::{FrameProcessor, ProcessorError, StreamContext, VideoFrame};
/// use trickle_processor::{erase, from_fn};
///
/// struct Counter {
///     context: StreamContext,
///     frames: u64,
/// }
///
/// impl FrameProcessor for Counter {
///     async fn process_video(
///         &mut self,
///         frame: VideoFrame,
///     ) -> Result<Option<VideoFrame>, ProcessorError> {
///         self.frames += 1;
///         // It is refused when more is emitted than can be published: no reason to stop.
///         let _ = self.context.emit_data(self.frames.into());
///         Ok(Some(frame))
///     }
/// }
///
/// let model = erase(from_fn(|context| Ok(Counter { context, frames: 0 })));
/// ```
pub fn from_fn<P, F>(open: F) -> impl Model<Processor = P>
where
    P: FrameProcessor,
    F: Fn(StreamContext) -> Result<P, ProcessorError> + Send + Sync + 'static,
{
    FromFn {
        open,
        processor: PhantomData,
    }
}

struct FromFn<P, F> {
    open: F,
    processor: PhantomData<fn() -> P>,
}

impl<P, F> Model for FromFn<P, F>
where
    P: FrameProcessor,
    F: Fn(StreamContext) -> Result<P, ProcessorError> + Send + Sync + 'static,
{
    type Processor = P;

    fn open(&self, context: StreamContext) -> Result<P, ProcessorError> {
        (self.open)(context)
    }
}

#[cfg(test)]
#[path = "model_test.rs"]
mod tests;
