//! What a processor can say beside its frames: data items and events.

use serde_json::Value;
use tokio::sync::mpsc;

/// Items that wait for a session to publish them; later ones are dropped.
const QUEUE: usize = 256;

/// Handed to [`Model::open`](crate::Model::open): a processor's way to its session. Clones reach
/// the same session.
#[derive(Clone, Debug)]
pub struct StreamContext {
    session: String,
    out: Option<mpsc::Sender<Emitted>>,
}

/// Something that a processor emitted.
#[derive(Clone, Debug, PartialEq)]
pub enum Emitted {
    /// An item for the data channel.
    Data(Value),
    /// An event for the events channel: its type and its other fields.
    Event(String, Value),
}

/// The session's end of a [`StreamContext`].
#[derive(Debug)]
pub struct DataSink(mpsc::Receiver<Emitted>);

impl StreamContext {
    /// A context for the session `session`, and the end its items come out of.
    pub fn new(session: impl Into<String>) -> (Self, DataSink) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (
            Self {
                session: session.into(),
                out: Some(sender),
            },
            DataSink(receiver),
        )
    }

    /// A context that leads nowhere, for tests and offline use.
    pub fn detached() -> Self {
        Self {
            session: String::new(),
            out: None,
        }
    }

    /// Id of the session (`gateway_request_id`).
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Queues an item for the data channel. Never waits: `false` when it was dropped because the
    /// session's queue is full or the session is gone.
    pub fn emit_data(&self, item: Value) -> bool {
        self.emit(Emitted::Data(item))
    }

    /// Queues an event for the events channel; `fields` should be an object. Never waits, as for
    /// [`emit_data`](Self::emit_data).
    pub fn emit_event(&self, kind: impl Into<String>, fields: Value) -> bool {
        self.emit(Emitted::Event(kind.into(), fields))
    }

    fn emit(&self, item: Emitted) -> bool {
        self.out
            .as_ref()
            .is_some_and(|out| out.try_send(item).is_ok())
    }
}

impl DataSink {
    /// The next item; `None` when the processor and all its contexts are gone.
    pub async fn next(&mut self) -> Option<Emitted> {
        self.0.recv().await
    }
}
