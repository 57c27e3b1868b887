//! The messages of the events channel, byte by byte; `docs/events.md` describes each.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use trickle_media::backend::Chosen;
use trickle_processor::Params;
use url::Url;

use crate::shared::Shared;
use crate::status::Fps;

/// `queue_event_type` of everything but heartbeats.
const EVENTS: &str = "ai_stream_events";
/// `queue_event_type` of heartbeats.
const HEARTBEAT: &str = "stream_heartbeat";
/// Longest text in parameters that are told, in bytes: they may hold pictures.
const MAX_TEXT: usize = 1024;
/// Longest parameters that are told, in bytes of JSON.
const MAX_PARAMS: usize = 32 << 10;

/// The channels of a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Urls {
    pub(crate) subscribe: Option<Url>,
    pub(crate) publish: Option<Url>,
    pub(crate) control: Option<Url>,
    pub(crate) events: Option<Url>,
    pub(crate) data: Option<Url>,
}

/// Something that happened, to be told on the events channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    StreamStarted {
        params: Params,
    },
    ReceiveFirstIngestSegment,
    SendFirstProcessedSegment,
    ParamsUpdated {
        params: Params,
    },
    Error {
        /// Stage or channel that it came from.
        source: &'static str,
        message: String,
        /// How many of its kind this stands for.
        count: u64,
    },
    BackendLost(BackendLost),
    StreamStopped {
        reason: String,
    },
    /// A processor's own.
    Custom {
        kind: String,
        fields: Map<String, Value>,
    },
}

/// A codec was given up: its device is lost, or it broke again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackendLost {
    /// `decode` or `encode`.
    pub(crate) direction: &'static str,
    /// Name of the backend that it was of.
    pub(crate) backend: String,
    /// That which goes on.
    pub(crate) next: String,
    pub(crate) reason: String,
}

/// Everything a heartbeat tells beside the channels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Pulse {
    /// Columns and rows of the output, else of the input; zeros while neither is known.
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) fps: Fps,
}

/// A session as a gateway keeps it. Times are in milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Condition {
    pub(crate) start_time: u64,
    pub(crate) state: &'static str,
    pub(crate) input_fps: f64,
    pub(crate) last_input_time: Option<u64>,
    pub(crate) output_fps: f64,
    pub(crate) last_output_time: Option<u64>,
    pub(crate) last_params_update_time: u64,
    /// Told once after each change; gateways remember them.
    pub(crate) last_params: Option<Params>,
    pub(crate) last_error: Option<String>,
    pub(crate) last_error_time: Option<u64>,
    pub(crate) last_restart_time: Option<u64>,
    pub(crate) restart_count: u64,
}

impl BackendLost {
    /// Another codec than that of `backend`, which broke, was `chosen`: counts and reports it. The
    /// same one, opened anew, is nothing new.
    pub(crate) fn note<T>(
        direction: &'static str,
        backend: String,
        detail: String,
        chosen: &Chosen<T>,
        shared: &Shared,
    ) {
        if backend == chosen.backend {
            return;
        }
        let refused = chosen.passed_over.iter().find(|(name, _)| *name == backend);
        let reason = refused.map_or(detail, |(_, refused)| refused.reason.clone());
        let next = chosen.backend.clone();
        tracing::error!(direction, backend, next, reason, "a backend is given up");
        shared.stats.backends_lost.add(1);
        shared.side.events.emit(Event::BackendLost(Self {
            direction,
            backend,
            next,
            reason,
        }));
    }
}

impl Event {
    /// The message, for something that happened at `timestamp` (ms since 1970).
    pub(crate) fn message(&self, timestamp: u64) -> Bytes {
        let (kind, fields) = match self {
            Self::StreamStarted { params } => {
                ("stream_started", json!({"params": abridged(params)}))
            }
            Self::ReceiveFirstIngestSegment => ("receive_first_ingest_segment", json!({})),
            Self::SendFirstProcessedSegment => ("send_first_processed_segment", json!({})),
            Self::ParamsUpdated { params } => {
                ("params_updated", json!({"params": abridged(params)}))
            }
            Self::Error {
                source,
                message,
                count,
            } => (
                "error",
                json!({"source": source, "message": message, "count": count}),
            ),
            Self::BackendLost(lost) => (
                "backend_lost",
                json!({
                    "direction": lost.direction,
                    "backend": lost.backend,
                    "next": lost.next,
                    "reason": lost.reason,
                }),
            ),
            Self::StreamStopped { reason } => ("stream_stopped", json!({"reason": reason})),
            Self::Custom { kind, fields } => (kind.as_str(), Value::Object(fields.clone())),
        };
        envelope(kind, timestamp, fields, EVENTS)
    }
}

impl Pulse {
    /// The heartbeat at `timestamp`.
    pub(crate) fn message(&self, timestamp: u64, urls: &Urls) -> Bytes {
        let url = |url: &Option<Url>| url.as_ref().map_or(String::new(), Url::to_string);
        let fields = json!({
            "urls": {
                "subscribe": url(&urls.subscribe),
                "publish": url(&urls.publish),
                "control": url(&urls.control),
                "events": url(&urls.events),
                "data": url(&urls.data),
            },
            "dimensions": {"width": self.width, "height": self.height},
            "fps": {
                "ingress_video_fps": rounded(self.fps.ingress_video_fps),
                "ingress_audio_fps": rounded(self.fps.ingress_audio_fps),
                "inference_video_fps": rounded(self.fps.inference_video_fps),
                "egress_video_fps": rounded(self.fps.egress_video_fps),
                "egress_audio_fps": rounded(self.fps.egress_audio_fps),
            },
        });
        envelope("heartbeat", timestamp, fields, HEARTBEAT)
    }
}

impl Condition {
    /// The status at `timestamp`, in the form of go-livepeer's AI runner.
    pub(crate) fn message(&self, timestamp: u64) -> Bytes {
        let fields = json!({
            "start_time": self.start_time,
            "state": self.state,
            "input_status": {
                "last_input_time": self.last_input_time,
                "fps": rounded(self.input_fps),
            },
            "inference_status": {
                "last_output_time": self.last_output_time,
                "fps": rounded(self.output_fps),
                "last_params_update_time": self.last_params_update_time,
                "last_params": self.last_params.as_ref().map(abridged),
                "last_error_time": self.last_error_time,
                "last_error": self.last_error,
                "last_restart_time": self.last_restart_time,
                "last_restart_logs": null,
                "restart_count": self.restart_count,
            },
        });
        envelope("status", timestamp, fields, EVENTS)
    }
}

fn envelope(kind: &str, timestamp: u64, fields: Value, queue: &str) -> Bytes {
    let mut event = Map::new();
    event.insert("type".into(), kind.into());
    event.insert("timestamp".into(), timestamp.into());
    if let Value::Object(fields) = fields {
        for (name, value) in fields {
            // A processor's own fields cannot change what and when.
            event.entry(name).or_insert(value);
        }
    }
    json!({"event": event, "queue_event_type": queue})
        .to_string()
        .into()
}

/// Two digits tell enough of a rate.
fn rounded(rate: f64) -> f64 {
    (rate * 100.0).round() / 100.0
}

/// Parameters without what is too long to be told.
fn abridged(params: &Params) -> Value {
    let mut told = Value::Object(params.0.clone());
    shorten(&mut told);
    let bytes = told.to_string().len();
    if bytes > MAX_PARAMS {
        return json!({"omitted": format!("{bytes} bytes of parameters")});
    }
    told
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > MAX_TEXT => {
            *text = format!("({} bytes omitted)", text.len());
        }
        Value::Array(values) => values.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}

#[cfg(test)]
#[path = "event_test.rs"]
mod tests;
