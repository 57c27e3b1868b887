//! `GET /stream/status`: PyTrickle's keys, then what each session does.

use std::borrow::Cow;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use trickle_media::backend::BackendDescription;
use trickle_session::{Fps, SessionStatus, SessionSummary};
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::health::{Condition, Word};
use crate::app::App;
use crate::registration::RegistrationStatus;
use crate::slots::Slot;

/// The worker and its sessions. The keys up to `additional_info` are PyTrickle's; where several
/// sessions run, `fps` and `current_params` are those of the oldest.
#[derive(Serialize, ToSchema)]
pub(crate) struct Status {
    status: Word,
    state: Word,
    /// `state` once more, as PyTrickle's clients look for it in either place.
    pipeline_state: Word,
    error_message: Option<String>,
    pipeline_ready: bool,
    startup_complete: bool,
    active_streams: usize,
    client_active: bool,
    client_running: bool,
    fps: Fps,
    #[schema(value_type = Object)]
    current_params: Map<String, Value>,
    /// Empty: what PyTrickle has room for here, ours tells below.
    #[schema(value_type = Object)]
    additional_info: Map<String, Value>,
    capacity: usize,
    /// What video is decoded and encoded with, in order of preference, and why something is not.
    #[schema(value_type = Vec<Object>)]
    backends: Vec<BackendDescription>,
    sessions: Vec<SlotStatus>,
    last_session: Option<SessionSummary>,
    /// How the worker stands with the orchestrators it registers with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    registrations: Vec<RegistrationStatus>,
}

/// A slot that is taken.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionSlot)]
struct SlotStatus {
    phase: &'static str,
    stream_id: Option<String>,
    #[serde(flatten)]
    session: Shown,
}

/// A session, or all that is known of one that has not started yet.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Session(Box<SessionStatus>),
    Starting { gateway_request_id: String },
}

/// By hand, as a session has all that one has which has not started: `oneOf`, which would be derived,
/// wants it to be one alone.
impl PartialSchema for Shown {
    fn schema() -> RefOr<Schema> {
        let starting = ObjectBuilder::new()
            .property("gateway_request_id", String::schema())
            .required("gateway_request_id");
        AnyOfBuilder::new()
            .item(Ref::from_schema_name(SessionStatus::name()))
            .item(starting)
            .into()
    }
}

impl ToSchema for Shown {
    fn name() -> Cow<'static, str> {
        "Session".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((SessionStatus::name().into(), SessionStatus::schema()));
        SessionStatus::schemas(schemas);
    }
}

impl SlotStatus {
    fn of(slot: &Slot) -> Self {
        let phase = slot.phase();
        Self {
            phase: phase.word(),
            stream_id: slot.stream_id.clone(),
            session: match phase.session() {
                Some(session) => Shown::Session(Box::new(session.status())),
                None => Shown::Starting {
                    gateway_request_id: slot.id.clone(),
                },
            },
        }
    }

    fn session(&self) -> Option<&SessionStatus> {
        match &self.session {
            Shown::Session(session) => Some(session),
            Shown::Starting { .. } => None,
        }
    }
}

/// The worker and its sessions
#[utoipa::path(
    get,
    path = "/stream/status",
    tag = "streams",
    security(("token" = [])),
    responses((status = 200, description = "Now", body = Status))
)]
pub(crate) async fn status(State(app): State<App>) -> Json<Status> {
    let condition = Condition::of(&app);
    let (slots, last_session) = app.slots.snapshot();
    let sessions: Vec<_> = slots.iter().map(|slot| SlotStatus::of(slot)).collect();
    let oldest = sessions.iter().find_map(SlotStatus::session);
    Json(Status {
        status: condition.word,
        state: condition.word,
        pipeline_state: condition.word,
        pipeline_ready: condition.ready(),
        startup_complete: condition.word != Word::Loading,
        error_message: condition.error,
        active_streams: condition.sessions,
        client_active: !sessions.is_empty(),
        client_running: sessions.iter().any(|slot| slot.phase == "running"),
        fps: oldest.map(|session| session.fps).unwrap_or_default(),
        current_params: oldest.map(current_params).unwrap_or_default(),
        additional_info: Map::new(),
        capacity: app.slots.capacity(),
        backends: app.slots.backends().describe(),
        sessions,
        last_session,
        registrations: app.registrations.status(),
    })
}

/// PyTrickle's `current_params`: what the session was started with, and its parameters now.
fn current_params(session: &SessionStatus) -> Map<String, Value> {
    let text = |value: &Option<String>| value.clone().map_or(Value::Null, Value::String);
    let channels = &session.channels;
    let control = channels.control.as_ref().map(|channel| channel.url.clone());
    let events = channels.events.as_ref().map(|channel| channel.url.clone());
    let data = channels.data.as_ref().map(|channel| channel.url.clone());
    Map::from_iter([
        ("subscribe_url".into(), text(&session.subscribe_url)),
        ("publish_url".into(), text(&session.publish_url)),
        ("control_url".into(), text(&control)),
        ("events_url".into(), text(&events)),
        ("data_url".into(), text(&data)),
        (
            "gateway_request_id".into(),
            Value::String(session.gateway_request_id.clone()),
        ),
        (
            "params".into(),
            Value::Object(session.current_params.0.clone()),
        ),
    ])
}
