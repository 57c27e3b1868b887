//! What can go wrong in a processor.

use thiserror::Error;
use trickle_media::FrameError;

/// Any error type that a processor's own code may use.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A frame could not be processed. The session counts and reports it, applies its error policy
/// to the frame and goes on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProcessorError {
    /// The frame has no pixels of the kind asked for.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The processor's own error.
    #[error("{0}")]
    Failed(BoxError),
    /// The processor panicked; the text is the panic's message.
    #[error("the processor panicked: {0}")]
    Panicked(String),
    /// The session stops, and the method was cancelled.
    #[error("the session stops")]
    Cancelled,
}

impl ProcessorError {
    /// Wraps a processor's own error, or a text.
    pub fn new(error: impl Into<BoxError>) -> Self {
        Self::Failed(error.into())
    }
}

/// The model could not be loaded. It halts the start.
#[derive(Debug, Error)]
#[error("the model could not be initialised: {0}")]
pub struct InitError(BoxError);

impl InitError {
    /// Wraps a model's own error, or a text.
    pub fn new(error: impl Into<BoxError>) -> Self {
        Self(error.into())
    }
}

/// Parameters that a processor rejects. Nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("parameter {field:?}: {reason}")]
pub struct ParamsError {
    /// Name of the parameter, or a path into it such as `colors[2]`.
    pub field: String,
    /// What is wrong with its value and what would be right.
    pub reason: String,
}

impl ParamsError {
    /// `field` is rejected because of `reason`.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            reason: reason.into(),
        }
    }
}
