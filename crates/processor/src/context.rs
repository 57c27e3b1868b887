//! What a processor can say beside its frames: data items, events, and the overlay.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use thiserror::Error;
use tokio::sync::mpsc;
use trickle_media::Overlay;

/// Items that wait for a session to publish them; later ones are refused.
const QUEUE: usize = 256;
/// Bytes of the largest item or event, as JSON: with the line's own three bytes around it, a line
/// stays below the 65,536 bytes that readers take at most.
pub const MAX_ITEM: usize = (64 << 10) - 4;

/// Handed to [`Model::open`](crate::Model::open): a processor's way to its session. Clones reach
/// the same session.
#[derive(Clone, Debug)]
pub struct StreamContext {
    session: String,
    out: Option<mpsc::Sender<Emitted>>,
    overlay: OverlaySlot,
    refused: Arc<AtomicU64>,
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
    /// An item for the data channel: JSON on one line, of at most [`MAX_ITEM`] bytes.
    Data(String),
    /// An event for the events channel: its type and its other fields.
    Event(String, Map<String, Value>),
}

/// An item or event was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EmitError {
    /// More is emitted than can be published. It is dropped; later ones may find room.
    #[error("{QUEUE} items wait to be published already")]
    Full,
    /// It is larger than a line of the channel may be.
    #[error("it has {bytes} bytes as JSON, of at most {MAX_ITEM}")]
    TooLarge {
        /// Its bytes as JSON.
        bytes: usize,
    },
    /// The session has ended, or there is none.
    #[error("there is no session to publish it")]
    NoSession,
}

/// The session's end of a [`StreamContext`].
#[derive(Debug)]
pub struct DataSink(mpsc::Receiver<Emitted>);

impl StreamContext {
    /// A context for the session `session`, and the end its items come out of.
    pub fn new(session: impl Into<String>) -> (Self, DataSink) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let context = Self {
            session: session.into(),
            out: Some(sender),
            overlay: OverlaySlot::default(),
            refused: Arc::default(),
        };
        (context, DataSink(receiver))
    }

    /// A context that leads nowhere, for tests and offline use.
    pub fn detached() -> Self {
        Self {
            session: String::new(),
            out: None,
            overlay: OverlaySlot::default(),
            refused: Arc::default(),
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

    /// Queues an item for the data channel. Never waits.
    ///
    /// # Errors
    /// [`EmitError`] says why the item is lost. A processor may ignore it.
    pub fn emit_data(&self, item: Value) -> Result<(), EmitError> {
        let json = item.to_string();
        self.emit(json.len(), Emitted::Data(json))
    }

    /// Queues an event for the events channel: an object of its type, the time, and `fields`.
    /// What is no object becomes the field `value`. Never waits.
    ///
    /// # Errors
    /// As for [`emit_data`](Self::emit_data).
    pub fn emit_event(&self, kind: impl Into<String>, fields: Value) -> Result<(), EmitError> {
        let kind = kind.into();
        let bytes = kind.len() + fields.to_string().len();
        let fields = match fields {
            Value::Object(fields) => fields,
            Value::Null => Map::new(),
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        self.emit(bytes, Emitted::Event(kind, fields))
    }

    /// How many items and events of this session were not taken so far.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn emit(&self, bytes: usize, item: Emitted) -> Result<(), EmitError> {
        let taken = match &self.out {
            None => Err(EmitError::NoSession),
            Some(_) if bytes > MAX_ITEM => Err(EmitError::TooLarge { bytes }),
            Some(out) => out.try_send(item).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => EmitError::Full,
                mpsc::error::TrySendError::Closed(_) => EmitError::NoSession,
            }),
        };
        if taken.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }
}

impl DataSink {
    /// The next item; `None` when the processor and all its contexts are gone.
    pub async fn next(&mut self) -> Option<Emitted> {
        self.0.recv().await
    }

    /// The next item if one waits already.
    pub fn try_next(&mut self) -> Option<Emitted> {
        self.0.try_recv().ok()
    }
}

#[cfg(test)]
#[path = "context_test.rs"]
mod tests;
