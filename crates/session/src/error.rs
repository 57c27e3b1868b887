//! Why a session cannot start, rejects an update, or has ended.

use serde::Serialize;
use thiserror::Error;
use trickle_processor::{ParamsError, ProcessorError};
use utoipa::ToSchema;

/// A field of the configuration that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct ConfigError {
    /// Name of the field.
    pub field: &'static str,
    /// What is wrong with its value and what would be right.
    pub reason: String,
}

impl ConfigError {
    pub(crate) fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self {
            field,
            reason: reason.into(),
        }
    }
}

/// A session could not start. Nothing of it is left running, save a processor that cannot be
/// interrupted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The parameters were rejected, by the worker or by the processor.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The model gave no processor.
    #[error("the processor could not be opened: {0}")]
    Open(#[source] ProcessorError),
    /// The processor's `on_stream_start` failed.
    #[error("the processor could not start the stream: {0}")]
    StreamStart(#[source] ProcessorError),
    /// The operating system gave no thread.
    #[error("no thread for the {stage} stage: {error}")]
    Thread {
        /// The stage.
        stage: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// The processing stage itself failed.
    #[error("internal error: {0}")]
    Internal(String),
    /// A channel's address cannot be used.
    #[error("{field}: {reason}")]
    Channel {
        /// `subscribe_url` or `publish_url`.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// Parameters were not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// They were rejected, and nothing has changed.
    #[error(transparent)]
    Rejected(#[from] ParamsError),
    /// The session has ended.
    #[error("the session has ended")]
    Ended,
    /// The processor is in a call that takes too long: nothing has changed.
    #[error("the processor is busy and did not take the update in time")]
    Busy,
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, ToSchema)]
#[serde(tag = "reason", content = "detail", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// The input channel ended, and everything of it was published.
    #[error("the input ended")]
    InputEnded,
    /// It was told to stop.
    #[error("it was stopped")]
    Stopped,
    /// Nobody has shown interest in it for the time that its lease allows.
    #[error("it was abandoned: {0}")]
    Abandoned(String),
    /// The input channel does not exist.
    #[error("the input channel was not found: {0}")]
    InputNotFound(String),
    /// The input channel was lost and did not come back.
    #[error("the input was lost: {0}")]
    InputLost(String),
    /// Nothing could be published any more.
    #[error("the output failed: {0}")]
    OutputFailed(String),
    /// No backend can decode the input.
    #[error("{0}")]
    VideoRefused(String),
    /// The input holds nothing that could be published.
    #[error("the input has no stream that can be used: {0}")]
    NoStreams(String),
    /// The decoder failed again and again.
    #[error("the decoder failed: {0}")]
    DecoderFailed(String),
    /// No backend can encode the output, or the encoder failed again and again.
    #[error("the encoder failed: {0}")]
    EncoderFailed(String),
    /// The processor failed, and the policy is to stop.
    #[error("the processor failed: {0}")]
    ProcessorFailed(String),
    /// A stage of the session itself panicked.
    #[error("internal error: {0}")]
    Internal(String),
}

impl EndReason {
    /// Its name, as in its JSON form.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InputEnded => "input_ended",
            Self::Stopped => "stopped",
            Self::Abandoned(_) => "abandoned",
            Self::InputNotFound(_) => "input_not_found",
            Self::InputLost(_) => "input_lost",
            Self::OutputFailed(_) => "output_failed",
            Self::VideoRefused(_) => "video_refused",
            Self::NoStreams(_) => "no_streams",
            Self::DecoderFailed(_) => "decoder_failed",
            Self::EncoderFailed(_) => "encoder_failed",
            Self::ProcessorFailed(_) => "processor_failed",
            Self::Internal(_) => "internal",
        }
    }

    /// The session ended as it was meant to: its input ended, or it was stopped.
    pub fn is_clean(&self) -> bool {
        matches!(self, Self::InputEnded | Self::Stopped)
    }
}
