//! A live session: its handle, and the start, update, status and stop of what it owns.
//!
//! The handle, `Session`, is `Send + Sync`; put it into an `Arc` to share it among requests. Its
//! methods, each of which lands here together with what it drives:
//!
//! ```text
//! impl Session {
//!     /// Opens the processor on its thread, gives it its parameters, calls `on_stream_start`, and
//!     /// starts the stages. Dropping the future cancels the start.
//!     pub async fn start(config: SessionConfig, model: &SharedModel, backends: &Backends,
//!                        client: &trickle_proto::Client) -> Result<Session, StartError>;
//!     pub fn id(&self) -> &str;
//!     /// All or nothing; answered once the processor has taken it, between two frames.
//!     pub async fn update(&self, params: Params) -> Result<(), UpdateError>;
//!     pub fn status(&self) -> SessionStatus;
//!     /// Resolves when the session has ended by itself or by `stop`; any number of times.
//!     pub fn ended(&self) -> impl Future<Output = EndReason> + Send + 'static;
//!     /// Ends it, closes the output channel, joins every thread and task. Bounded in time; a
//!     /// processor that does not come back is reported (`SessionSummary::draining`). May be called
//!     /// again, and after the session ended by itself; every call gets the same summary.
//!     pub async fn stop(&self) -> SessionSummary;
//!     /// Resolves when a processor that `stop` left draining has come back; at once if there is none.
//!     pub fn drained(&self) -> impl Future<Output = ()> + Send + 'static;
//! }
//! ```
