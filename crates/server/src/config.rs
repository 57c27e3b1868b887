//! Settings of a server, resolved: what [`StreamServerBuilder`](crate::StreamServerBuilder) fills.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use trickle_proto::Token;
use trickle_session::{AudioMode, DataFormat, EncodeConfig, OnError, OnStall};

/// How `GET /health` words its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealthStyle {
    /// `{"status":"ok"}` with 200 when the worker can serve, 503 when it cannot and no session
    /// lives: the code alone tells.
    #[default]
    Standard,
    /// PyTrickle's word (`IDLE`, `OK`, `LOADING`, `ERROR`) in `status`, always with 200, for
    /// managers that read the word.
    PyTrickle,
}

/// Who the worker says it is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) capability_name: String,
    pub(crate) pipeline: String,
    /// `None`: the capability's name.
    pub(crate) model_id: Option<String>,
    pub(crate) version: String,
}

impl Identity {
    pub(crate) fn model_id(&self) -> &str {
        self.model_id.as_deref().unwrap_or(&self.capability_name)
    }
}

/// Everything that routes and slots ask for.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) addr: SocketAddr,
    pub(crate) identity: Identity,
    pub(crate) capacity: NonZeroUsize,
    pub(crate) token: Option<Token>,
    pub(crate) program: Option<u16>,
    pub(crate) encode: EncodeConfig,
    pub(crate) audio: AudioMode,
    pub(crate) on_error: OnError,
    pub(crate) on_stall: OnStall,
    pub(crate) stall_timeout: Option<Duration>,
    pub(crate) frame_deadline: Option<Duration>,
    pub(crate) session_idle_timeout: Option<Duration>,
    pub(crate) accept_while_loading: bool,
    pub(crate) data_format: DataFormat,
    pub(crate) health_style: HealthStyle,
    pub(crate) load_wait: Duration,
    pub(crate) drain_timeout: Duration,
}
