//! What a processor can say beside its frames: data items, events, and the overlay.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc;
use trickle_media::Overlay;

/// Items that wait for a session to publish them; later ones are dropped.
const QUEUE: usize = 256;

/// Handed to [`Model::open`](crate::Model::open): a processor's way to its session. Clones reach
/// the same session.
#[derive(Clone, Debug)]
pub struct StreamContext {
    session: String,
    out: Option<mpsc::Sender<Emitted>>,
    overlay: OverlaySlot,
}

/// What a processor lays over its session's pictures at this moment. Clones are the same slot.
#[derive(Clone, Debug, Default)]
pub struct OverlaySlot(Arc<Mutex<Option<Arc<Overlay>>>>);

impl OverlaySlot {
    /// What is shown now.
    pub fn get(&self) -> Option<Arc<Overlay>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, overlay: Option<Arc<Overlay>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = overlay;
    }
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
                overlay: OverlaySlot::default(),
            },
            DataSink(receiver),
        )
    }

    /// A context that leads nowhere, for tests and offline use.
    pub fn detached() -> Self {
        Self {
            session: String::new(),
            out: None,
            overlay: OverlaySlot::default(),
        }
    }

    /// Id of the session (`gateway_request_id`).
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Lays a message, and how far it is, over the session's pictures from the next one on, until
    /// [`clear_overlay`](Self::clear_overlay). It is also what viewers see while a call of the
    /// processor takes long, so that one that loads or compiles says so before it begins:
    ///
    /// ```
    /// # use trickle_processor::{Overlay, StreamContext};
    /// # let context = StreamContext::detached();
    /// context.overlay(Overlay::new("Compiling the model").progress(0.25));
    /// ```
    pub fn overlay(&self, overlay: Overlay) {
        self.overlay.set(Some(Arc::new(overlay)));
    }

    /// Takes the overlay away.
    pub fn clear_overlay(&self) {
        self.overlay.set(None);
    }

    /// The session's end of the overlay.
    pub fn overlay_slot(&self) -> OverlaySlot {
        self.overlay.clone()
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
