//! The worker's HTTP API: what a Livepeer orchestrator calls to start, update and stop streams.
//!
//! [`StreamServer`] is the front door. Hand it a processor (see [`trickle_processor`]) and serve:
//!
//! ```no_run
//! use trickle_processor::{ProcessorError, VideoFrame};
//! use trickle_server::StreamServer;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let invert = |frame: VideoFrame| -> Result<Option<VideoFrame>, ProcessorError> {
//!     let inverted = frame.map_tensor(|rgb, _shape| {
//!         rgb.iter_mut().for_each(|value| *value = 1.0 - *value);
//!     })?;
//!     Ok(Some(inverted))
//! };
//! StreamServer::builder(invert)
//!     .port(8000)
//!     .capability_name("invert")
//!     .serve()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! Routes stand under `/api` (the FrameProcessor reference) and without prefix (PyTrickle and
//! the BYOC orchestrator):
//!
//! | route | method | purpose |
//! |---|---|---|
//! | `/stream/start`, `/live-video-to-video` | POST | start a session |
//! | `/stream/stop` | POST | stop it; answered when its slot is free |
//! | `/stream/update`, `/stream/params` | POST | new parameters for the running processor |
//! | `/stream/status` | GET | sessions, frame counts, latency |
//! | `/stream/params-schema` | GET | JSON schema of the parameters |
//! | `/health`, `/livez` | GET | ready; alive |
//! | `/metrics` | GET | counters and gauges for Prometheus |
//! | `/openapi.json` | GET | this table, in full |
//! | `/version`, `/app-version` | GET | what runs here |
//! | `/hardware/info`, `/hardware/stats` | GET | GPUs |
//!
//! Every error is JSON: `{"status":"error","message":…}`.

#![forbid(unsafe_code)]

mod api;
mod app;
mod auth;
mod body;
mod builder;
pub mod client;
mod config;
mod cors;
mod error;
mod extend;
mod metrics;
mod model_gate;
mod openapi;
mod registration;
mod routes;
pub mod shutdown;
mod slots;
mod worker;

pub use app::StreamServer;
pub use builder::StreamServerBuilder;
pub use config::HealthStyle;
pub use cors::CorsOrigins;
pub use error::{BuildError, ServeError};
pub use extend::HookError;
pub use registration::{ByocConfig, LiveRunnerConfig, Price};
pub use worker::{Refused, Worker};
