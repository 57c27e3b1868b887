//! The ordered table of video codec backends: who decodes and encodes, and why nobody else does.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;

use crate::coder::{VideoDecoder, VideoEncoder, VideoEncoderSettings};
use crate::error::Unsupported;
use crate::frame::FramePool;
use crate::stream::VideoParams;

/// One way to decode and encode video: the CPU's codecs, one GPU, a system library.
pub trait Backend: fmt::Debug + Send + Sync {
    /// Short name as given on the command line, such as `cpu` or `cuda:0`.
    fn name(&self) -> &str;

    /// What it is and what it can do, for people.
    fn describe(&self) -> BackendDescription;

    /// Opens a decoder for a stream with these parameters.
    ///
    /// # Errors
    /// [`Unsupported`] says what of the stream it cannot decode; the next backend is asked.
    fn open_decoder(
        &self,
        params: &VideoParams,
        pool: &FramePool,
    ) -> Result<VideoDecoder, Unsupported>;

    /// Opens an encoder.
    ///
    /// # Errors
    /// [`Unsupported`] says what of the settings it cannot encode; the next backend is asked.
    fn open_encoder(&self, settings: &VideoEncoderSettings) -> Result<VideoEncoder, Unsupported>;
}

/// A backend, for `trickle devices`, status routes and logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackendDescription {
    /// [`Backend::name`].
    pub name: String,
    /// Decoder implementation, or why there is none.
    pub decoder: String,
    /// Encoder implementation, or why there is none.
    pub encoder: String,
    /// Things that an operator should know, such as a slow build.
    pub warnings: Vec<String>,
}

/// A backend that would have a place in the table and cannot be used: it refuses everything with
/// the reason, so that status and logs tell it.
#[derive(Clone, Debug)]
pub struct Unavailable {
    name: String,
    reason: String,
}

impl Unavailable {
    /// The backend `name` cannot be used because of `reason`, a clause for a person.
    pub fn new(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            reason: reason.into(),
        }
    }
}

impl Backend for Unavailable {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> BackendDescription {
        BackendDescription {
            name: self.name.clone(),
            decoder: self.reason.clone(),
            encoder: self.reason.clone(),
            warnings: Vec::new(),
        }
    }

    fn open_decoder(
        &self,
        params: &VideoParams,
        _pool: &FramePool,
    ) -> Result<VideoDecoder, Unsupported> {
        Err(Unsupported::new(params.codec, self.reason.clone()))
    }

    fn open_encoder(&self, settings: &VideoEncoderSettings) -> Result<VideoEncoder, Unsupported> {
        Err(Unsupported::new(settings.codec, self.reason.clone()))
    }
}

/// What a backend is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To decode.
    Decode,
    /// To encode.
    Encode,
}

/// Backends in order of preference. Decoder and encoder are chosen apart: some GPUs have only
/// one of the two.
#[derive(Clone, Debug)]
pub struct Backends {
    decode: Vec<Arc<dyn Backend>>,
    encode: Vec<Arc<dyn Backend>>,
}

impl Backends {
    /// The same order for both directions.
    pub fn new(order: Vec<Arc<dyn Backend>>) -> Self {
        Self {
            decode: order.clone(),
            encode: order,
        }
    }

    /// An order for each direction.
    pub fn split(decode: Vec<Arc<dyn Backend>>, encode: Vec<Arc<dyn Backend>>) -> Self {
        Self { decode, encode }
    }

    /// Asks `backend` ahead of all others.
    pub fn add_first(&mut self, direction: Direction, backend: Arc<dyn Backend>) {
        self.table(direction).insert(0, backend);
    }

    /// Asks `backend` when all others have refused.
    pub fn add_last(&mut self, direction: Direction, backend: Arc<dyn Backend>) {
        self.table(direction).push(backend);
    }

    fn table(&mut self, direction: Direction) -> &mut Vec<Arc<dyn Backend>> {
        match direction {
            Direction::Decode => &mut self.decode,
            Direction::Encode => &mut self.encode,
        }
    }

    /// The same table, where the decoder of `backend` refuses with `reason`: for a stream that it
    /// failed on again and again.
    pub fn without_decoder(&mut self, backend: &str, reason: &str) {
        replace(&mut self.decode, backend, reason);
    }

    /// As [`without_decoder`](Self::without_decoder), for the encoder.
    pub fn without_encoder(&mut self, backend: &str, reason: &str) {
        replace(&mut self.encode, backend, reason);
    }

    /// All backends, each once, in order of preference for decoding; of each the decoder of the
    /// one table and the encoder of the other.
    pub fn describe(&self) -> Vec<BackendDescription> {
        let mut seen: Vec<BackendDescription> = Vec::new();
        for backend in &self.decode {
            if !seen.iter().any(|known| known.name == backend.name()) {
                seen.push(backend.describe());
            }
        }
        for backend in &self.encode {
            let described = backend.describe();
            match seen.iter_mut().find(|known| known.name == described.name) {
                Some(known) => known.encoder = described.encoder,
                None => seen.push(described),
            }
        }
        seen
    }

    /// The first backend that can decode the stream.
    ///
    /// # Errors
    /// [`Refused`] holds every backend's reason.
    pub fn open_decoder(
        &self,
        params: &VideoParams,
        pool: &FramePool,
    ) -> Result<Chosen<VideoDecoder>, Refused> {
        choose(&self.decode, "decode", |backend| {
            backend.open_decoder(params, pool)
        })
    }

    /// The first backend that can encode with these settings.
    ///
    /// # Errors
    /// [`Refused`] holds every backend's reason.
    pub fn open_encoder(
        &self,
        settings: &VideoEncoderSettings,
    ) -> Result<Chosen<VideoEncoder>, Refused> {
        choose(&self.encode, "encode", |backend| {
            backend.open_encoder(settings)
        })
    }
}

impl Default for Backends {
    /// The CPU's codecs alone.
    fn default() -> Self {
        Self::new(vec![Arc::new(crate::codec::CpuBackend::new())])
    }
}

/// A codec that was opened, and the way to it.
pub struct Chosen<T> {
    /// The codec.
    pub codec: T,
    /// Name of the backend it came from.
    pub backend: String,
    /// Backends asked before, each with the reason it gave.
    pub passed_over: Vec<(String, Unsupported)>,
}

/// No backend can do it.
#[derive(Clone, Debug, Error)]
#[error("no backend can {action} this stream: {}", list(.reasons))]
pub struct Refused {
    /// `decode` or `encode`.
    pub action: &'static str,
    /// Each backend's name and reason, in the order asked.
    pub reasons: Vec<(String, Unsupported)>,
}

fn list(reasons: &[(String, Unsupported)]) -> String {
    if reasons.is_empty() {
        return "none is enabled".into();
    }
    let texts: Vec<String> = reasons
        .iter()
        .map(|(name, reason)| format!("{name}: {reason}"))
        .collect();
    texts.join("; ")
}

/// Puts a refusal in the place of a backend, unless nobody else is left.
fn replace(order: &mut [Arc<dyn Backend>], backend: &str, reason: &str) {
    if order.len() < 2 {
        return;
    }
    for place in order.iter_mut().filter(|place| place.name() == backend) {
        *place = Arc::new(Unavailable::new(backend, reason));
    }
}

fn choose<T>(
    order: &[Arc<dyn Backend>],
    action: &'static str,
    open: impl Fn(&dyn Backend) -> Result<T, Unsupported>,
) -> Result<Chosen<T>, Refused> {
    let mut reasons = Vec::new();
    for backend in order {
        match open(backend.as_ref()) {
            Ok(codec) => {
                return Ok(Chosen {
                    codec,
                    backend: backend.name().to_owned(),
                    passed_over: reasons,
                });
            }
            Err(reason) => reasons.push((backend.name().to_owned(), reason)),
        }
    }
    Err(Refused { action, reasons })
}

#[cfg(test)]
#[path = "backend_test.rs"]
mod tests;
