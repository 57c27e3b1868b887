//! `GET /metrics`: what the worker does, for Prometheus, in the OpenMetrics text form.
//!
//! Nothing is counted twice: sessions count for themselves, and a scrape reads them. Counters add
//! up over all sessions and never fall; gauges of a session carry its id and go with it.

use std::fmt;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use trickle_session::{LATENCY_BOUNDS, LatencyHistogram, SessionStatus};

use crate::app::App;
use crate::error::ApiError;
use crate::model_gate::ModelState;
use crate::registration::RegistrationStatus;
use crate::slots::{Census, PHASES};

mod devices;
pub(crate) mod http_requests;
pub(crate) mod totals;

use devices::Machine;
use totals::{InAndOut, Totals};

/// The text form of OpenMetrics 1.0.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counters and gauges for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "worker",
    responses((
        status = 200,
        description = "OpenMetrics text",
        body = String,
        content_type = "application/openmetrics-text"
    ))
)]
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let mut registry = Registry::default();
    app.http_metrics.register(&mut registry);
    registry.register_collector(Box::new(Scrape::of(&app)));
    registry.register_collector(Box::new(Machine::of(&app).await));
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
        }
    }
}

/// The worker at the moment of a scrape.
#[derive(Debug)]
struct Scrape {
    version: String,
    model: &'static str,
    capacity: usize,
    registered: Vec<(&'static str, bool)>,
    census: Census,
}

impl Scrape {
    fn of(app: &App) -> Self {
        Self {
            version: app.config.identity.version.clone(),
            model: match app.gate.state() {
                ModelState::Loading => "loading",
                ModelState::Ready => "ready",
                ModelState::Failed(_) => "failed",
            },
            capacity: app.slots.capacity(),
            registered: app
                .registrations
                .status()
                .iter()
                .map(RegistrationStatus::registered)
                .collect(),
            census: app.slots.census(),
        }
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Families(encoder);
        self.worker(&mut out)?;
        media(&mut out, &self.census.totals)?;
        faults(&mut out, &self.census.totals)?;
        side(&mut out, &self.census.totals)?;
        latency(&mut out, &self.census.totals)?;
        self.sessions(&mut out)
    }
}

impl Scrape {
    fn worker(&self, out: &mut Families<'_>) -> fmt::Result {
        let mut family = out.family(
            "trickle_build",
            "Version of the worker and of what it is built on",
            None,
            MetricType::Info,
        )?;
        family.encode_info(&[
            ("version", self.version.as_str()),
            ("trickle_version", env!("CARGO_PKG_VERSION")),
        ])?;
        out.gauges(
            "trickle_model_state",
            "1 for the state that the model is in",
            ["loading", "ready", "failed"]
                .map(|state| ([("state", state)], f64::from(u8::from(state == self.model)))),
        )?;
        out.family(
            "trickle_capacity",
            "Sessions that may run at once",
            None,
            MetricType::Gauge,
        )?
        .encode_gauge(&(self.capacity as f64))?;
        out.gauges(
            "trickle_sessions",
            "Sessions that hold a slot, by phase",
            PHASES.map(|phase| {
                let held = self.census.phases.iter().filter(|held| **held == phase);
                ([("phase", phase)], held.count() as f64)
            }),
        )?;
        out.gauges(
            "trickle_registered",
            "1 while an orchestrator knows the worker, by kind of registration",
            self.registered
                .iter()
                .map(|(kind, registered)| ([("kind", *kind)], f64::from(u8::from(*registered)))),
        )?;
        let ended = &self.census.totals.ended;
        out.counters(
            "trickle_sessions_ended",
            "Sessions that have ended, by reason",
            None,
            ended.iter().map(|(reason, n)| ([("reason", *reason)], *n)),
        )
    }

    /// What belongs to one session, and goes with it.
    fn sessions(&self, out: &mut Families<'_>) -> fmt::Result {
        let sessions = &self.census.sessions;
        let each = |read: fn(&SessionStatus) -> f64| {
            let read =
                move |(status, _): &(SessionStatus, _)| ([("session", id(status))], read(status));
            sessions.iter().map(read)
        };
        out.gauges(
            "trickle_session_uptime_seconds",
            "Time since the session started",
            each(|status| status.uptime_s),
        )?;
        let rates = sessions.iter().flat_map(|(status, _)| {
            let (id, fps) = (id(status), status.fps);
            [
                (
                    [("session", id.clone()), ("stage", "in".to_owned())],
                    fps.ingress_video_fps,
                ),
                (
                    [("session", id.clone()), ("stage", "processed".to_owned())],
                    fps.inference_video_fps,
                ),
                (
                    [("session", id), ("stage", "out".to_owned())],
                    fps.egress_video_fps,
                ),
            ]
        });
        out.gauges(
            "trickle_session_stalled",
            "1 while nothing comes from the processor and something stands in for it",
            each(|status| f64::from(u8::from(status.processor.stalled))),
        )?;
        out.gauges(
            "trickle_session_frames_per_second",
            "Pictures per second over the last seconds",
            rates,
        )?;
        out.gauges(
            "trickle_session_latency_p99_seconds",
            "Time from the last byte of a picture in to its bytes out, which 99 of 100 pictures of the last seconds kept",
            each(|status| status.latency_ms.total.p99 / 1e3),
        )?;
        let depths = sessions.iter().flat_map(|(status, depths)| {
            let session = id(status);
            depths.iter().flat_map(move |depth| {
                let labels = |media: &str| {
                    [
                        ("session", session.clone()),
                        ("queue", depth.stage.to_owned()),
                        ("media", media.to_owned()),
                    ]
                };
                [
                    (labels("video"), depth.video as f64),
                    (labels("audio"), depth.audio as f64),
                ]
            })
        });
        out.gauges(
            "trickle_session_queue_items",
            "Pictures and items of sound that wait for a stage",
            depths,
        )?;
        let codecs = sessions.iter().flat_map(|(status, _)| {
            let session = id(status);
            totals::codecs(status).map(move |(codec, _)| {
                let labels = [
                    ("session", session.clone()),
                    ("direction", codec.direction.to_owned()),
                    ("backend", codec.backend),
                    ("codec", codec.name),
                ];
                (labels, 1.0)
            })
        });
        out.gauges(
            "trickle_session_codec",
            "1 for each codec that a session uses",
            codecs,
        )
    }
}

fn media(out: &mut Families<'_>, totals: &Totals) -> fmt::Result {
    out.counters(
        "trickle_video_frames",
        "Pictures that came in, were decoded, were given to the processor, went out",
        None,
        totals
            .frames
            .iter()
            .map(|(stage, n)| ([("stage", *stage)], *n)),
    )?;
    out.counters(
        "trickle_video_frames_dropped",
        "Pictures that were left out, by cause",
        None,
        totals
            .dropped
            .iter()
            .map(|(cause, n)| ([("cause", cause)], *n)),
    )?;
    out.in_and_out(
        "trickle_media_bytes",
        "Bytes of media",
        Some(&Unit::Bytes),
        totals.bytes,
    )?;
    out.in_and_out(
        "trickle_segments",
        "Segments of media",
        None,
        totals.segments,
    )?;
    out.in_and_out(
        "trickle_audio_packets",
        "Packets of sound",
        None,
        totals.audio,
    )?;
    out.counter(
        "trickle_audio_dropped",
        "Items of sound that were left out because a queue was full",
        totals.audio_dropped,
    )
}

fn faults(out: &mut Families<'_>, totals: &Totals) -> fmt::Result {
    out.counters(
        "trickle_faults",
        "What went wrong and was survived, by kind",
        None,
        totals.faults.iter().map(|(kind, n)| ([("kind", kind)], *n)),
    )?;
    out.counter(
        "trickle_audio_errors",
        "Items of sound that could not be decoded, processed or encoded",
        totals.audio_errors,
    )?;
    out.counter(
        "trickle_processor_errors",
        "Frames that the processor failed on, panics included",
        totals.processor_errors,
    )?;
    out.counter(
        "trickle_processor_panics",
        "Frames that the processor panicked on",
        totals.processor_panics,
    )?;
    out.counter(
        "trickle_processor_stalls",
        "Times that nothing came from the processor for longer than the stall timeout",
        totals.processor_stalls,
    )?;
    out.counter(
        "trickle_video_frames_stood_in",
        "Pictures that went out without the processor, which was silent",
        totals.stood_in,
    )?;
    out.counters(
        "trickle_codecs_opened",
        "Codecs that were opened, again after a fault or a change of size included",
        None,
        totals.codecs.iter().map(|(codec, opened)| {
            let labels = [
                ("direction", codec.direction),
                ("backend", &codec.backend),
                ("codec", &codec.name),
            ];
            (labels, *opened)
        }),
    )
}

/// What passes beside the media.
fn side(out: &mut Families<'_>, totals: &Totals) -> fmt::Result {
    out.counters(
        "trickle_processor_emitted",
        "Data items and events of the processor, and those that were not taken",
        None,
        totals
            .emitted
            .iter()
            .map(|(kind, n)| ([("kind", *kind)], *n)),
    )?;
    let messages = totals.messages.iter();
    out.counters(
        "trickle_channel_messages",
        "Messages of the control, events and data channels, by what became of them",
        None,
        messages
            .map(|((channel, outcome), n)| ([("channel", *channel), ("outcome", *outcome)], *n)),
    )
}

fn latency(out: &mut Families<'_>, totals: &Totals) -> fmt::Result {
    let mut family = out.family(
        "trickle_stage_latency_seconds",
        "Time that pictures which went out spent in a stage; `total` from the last byte in to the bytes out",
        Some(&Unit::Seconds),
        MetricType::Histogram,
    )?;
    for (stage, histogram) in totals.latency.by_stage() {
        let labels = [("stage", stage)];
        family
            .encode_family(&labels)?
            .encode_histogram::<NoLabelSet>(
                histogram.sum.as_secs_f64(),
                histogram.count(),
                &buckets(histogram),
                None,
            )?;
    }
    Ok(())
}

fn buckets(histogram: &LatencyHistogram) -> Vec<(f64, u64)> {
    let bounds = LATENCY_BOUNDS.into_iter().chain([f64::INFINITY]);
    bounds.zip(histogram.counts).collect()
}

/// The label of a session. Ids come from callers: a long one is cut, as labels are kept for long.
fn id(status: &SessionStatus) -> String {
    const LONGEST: usize = 64;
    status.gateway_request_id.chars().take(LONGEST).collect()
}

/// Writes families of metrics.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'s Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        // The unit is the name's last word, which the encoder adds by itself.
        let bare = unit.and_then(|unit| name.strip_suffix(unit.as_str())?.strip_suffix('_'));
        self.0
            .encode_descriptor(bare.unwrap_or(name), help, unit, kind)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.family(name, help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, u64, u64>(&value, None)
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, unit, MetricType::Counter)?;
        for (labels, value) in values {
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, u64, u64>(&value, None)?;
        }
        Ok(())
    }

    fn in_and_out(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        counts: InAndOut,
    ) -> fmt::Result {
        let values = [
            ([("direction", "in")], counts.received),
            ([("direction", "out")], counts.sent),
        ];
        self.counters(name, help, unit, values)
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let units = [Unit::Seconds, Unit::Bytes, Unit::Celsius];
        let unit = units.iter().find(|unit| name.ends_with(unit.as_str()));
        let mut family = self.family(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}
