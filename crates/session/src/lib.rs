//! One live stream through its stages.
//!
//! ```text
//! trickle segments → ingest → decode → process → encode → egress → trickle segments
//!                    (task)   thread   thread    thread   (task)
//! ```
//!
//! Decoder, processor and encoder each have an OS thread; reading from and writing to the network
//! are tasks. A session without an input channel is generative: a clock of its own gives the processor
//! blank frames instead. Between two stages stands a bounded queue whose policy says what gives way when it is
//! full; the table of them is in this crate's README. Files go through the same stages.

#![forbid(unsafe_code)]

mod config;
mod deadline;
mod decode;
mod egress;
mod encode;
mod error;
pub mod feed;
mod generate;
mod histogram;
mod ingest;
mod intake;
mod interleave;
mod item;
mod lease;
mod loading;
mod metrics;
pub mod offline;
mod open_video;
mod output;
mod overlaid;
mod pacing;
mod params;
mod prepare;
mod process;
mod queue;
pub mod record;
mod scale;
mod selection;
mod session;
mod shared;
mod side;
mod standin;
mod stats;
mod status;
#[cfg(test)]
mod testing;
mod thread;
mod timeline;
mod update;

pub use config::{AudioMode, DataFormat, EncodeConfig, OnError, OnStall, SessionConfig};
pub use error::{ConfigError, EndReason, StartError, UpdateError};
pub use metrics::{LATENCY_BOUNDS, LatencyHistogram, LatencyTotals, QueueDepth};
pub use params::WorkerParams;
pub use prepare::Prepared;
pub use session::Session;
pub use status::{
    AudioRoute, AudioStatus, ChannelsStatus, CodecStatus, ControlStatus, Dropped, Faults, Fps,
    FrameCounts, InputStatus, LatencyStatus, OutputStatus, Percentiles, ProcessorStatus,
    PublishedStatus, SessionState, SessionStatus, SessionSummary,
};
