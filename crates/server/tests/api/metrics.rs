//! `/metrics`: the text's form, and that its values follow what the worker does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::header;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use trickle_processor::builtin::Passthrough;
use trickle_processor::{FrameProcessor, ProcessorError, VideoFrame};
use trickle_proto::Start;
use trickle_server::StreamServer;

use crate::sessions::{Site, feed};
use crate::support::{get, post, post_json, raw};

/// A scrape, taken apart.
struct Metrics {
    /// Type by family.
    families: BTreeMap<String, String>,
    /// Value by name and labels, as they are written.
    samples: BTreeMap<String, f64>,
}

/// Reads the OpenMetrics text form and checks its rules on the way: every family has HELP and
/// TYPE before its samples, names end as their type wants, nothing is said twice.
fn parse(text: &str) -> Metrics {
    let mut families = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut units = BTreeMap::new();
    let mut samples = BTreeMap::new();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut family = String::new();
    for line in text.trim_end().lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (kind, name) = (words.next().unwrap(), words.next().unwrap_or(""));
            let value = words.next().unwrap_or("").to_owned();
            match kind {
                "HELP" => assert!(helped.insert(name.to_owned()) && value.len() > 10, "{line}"),
                "TYPE" => {
                    family = name.to_owned();
                    assert!(families.insert(family.clone(), value).is_none(), "{line}");
                }
                "UNIT" => {
                    assert!(name.ends_with(&format!("_{value}")), "{line}");
                    units.insert(name.to_owned(), value);
                }
                other => assert_eq!(other, "EOF"),
            }
            continue;
        }
        let (key, value) = line.rsplit_once(' ').unwrap();
        let name = key.split('{').next().unwrap();
        let suffixes: &[&str] = match families[&family].as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_sum", "_count", "_bucket"],
            other => panic!("{other}"),
        };
        assert!(helped.contains(&family), "{line}");
        let suffix = name.strip_prefix(family.as_str()).unwrap();
        assert!(suffixes.contains(&suffix), "{line}");
        let value = value.parse().unwrap();
        assert!(samples.insert(key.to_owned(), value).is_none(), "{line}");
    }
    for name in families.keys() {
        assert!(name.starts_with("trickle_"), "{name}");
        let measured = ["seconds", "bytes", "celsius"]
            .iter()
            .any(|unit| name.ends_with(unit));
        assert_eq!(measured, units.contains_key(name), "{name} and its unit");
    }
    Metrics { families, samples }
}

async fn scrape(router: &Router) -> Metrics {
    let (parts, text) = raw(router, "/metrics").await;
    assert_eq!(parts.status, 200);
    let kind = parts.headers[header::CONTENT_TYPE].to_str().unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    parse(&text)
}

impl Metrics {
    #[track_caller]
    fn value(&self, key: &str) -> f64 {
        *self.samples.get(key).unwrap_or_else(|| {
            let known: Vec<_> = self.samples.keys().collect();
            panic!("no {key} in {known:#?}")
        })
    }

    fn mentions(&self, text: &str) -> bool {
        self.samples.keys().any(|key| key.contains(text))
    }
}

#[tokio::test]
async fn an_idle_worker_is_described() {
    let server = StreamServer::builder(Passthrough)
        .version("1.2.3")
        .build()
        .unwrap();
    let router = server.router();
    let metrics = scrape(&router).await;
    assert_eq!(metrics.value("trickle_model_state{state=\"loading\"}"), 1.0);
    server.initialize().await.unwrap();
    let metrics = scrape(&router).await;
    assert_eq!(metrics.value("trickle_model_state{state=\"loading\"}"), 0.0);
    assert_eq!(metrics.value("trickle_model_state{state=\"ready\"}"), 1.0);
    assert_eq!(metrics.value("trickle_capacity"), 1.0);
    assert_eq!(metrics.value("trickle_sessions{phase=\"running\"}"), 0.0);
    assert!(metrics.mentions("trickle_build_info{version=\"1.2.3\""));
}

#[tokio::test]
async fn requests_are_counted_by_route_and_what_has_none_is_not_named() {
    let router = StreamServer::builder(Passthrough).build().unwrap().router();
    get(&router, "/livez").await.ok();
    get(&router, "/livez").await.ok();
    post(&router, "/api/stream/stop", "").await.error(400);
    for path in ["/a", "/b", "/c"] {
        get(&router, path).await.error(404);
    }
    let metrics = scrape(&router).await;
    let requests =
        |labels: &str| metrics.value(&format!("trickle_http_requests_total{{{labels}}}"));
    assert_eq!(requests(r#"route="/livez",method="GET",status="200""#), 2.0);
    assert_eq!(
        requests(r#"route="/api/stream/stop",method="POST",status="400""#),
        1.0
    );
    assert_eq!(requests(r#"route="other",method="GET",status="404""#), 3.0);
    assert!(!metrics.mentions("\"/a\""));
    let timed = r#"trickle_http_request_duration_seconds_count{route="/livez"}"#;
    assert_eq!(metrics.value(timed), 2.0);
}

#[tokio::test]
async fn a_sessions_frames_are_counted_and_stay_counted_after_its_end() {
    let site = Site::new().await;
    // A label must survive what a caller may write into an id.
    let id = "a\"b\\c";
    site.start_named(id, "channel").await.ok();
    site.publish("channel", "ptswrap_180p30.ts").await;
    let running = site.ended_by_itself().await;
    let received = running["status"]["frames"]["in"].as_f64().unwrap();
    assert!(received > 0.0, "{running}");

    let metrics = scrape(&site.router).await;
    let totals = |name: &str| metrics.value(name);
    assert_eq!(totals("trickle_video_frames_total{stage=\"in\"}"), received);
    let out = totals("trickle_video_frames_total{stage=\"out\"}");
    let dropped: f64 = metrics
        .samples
        .iter()
        .filter(|(key, _)| key.starts_with("trickle_video_frames_dropped_total"))
        .map(|(_, value)| value)
        .sum();
    assert_eq!(received, out + dropped);
    let bytes = totals("trickle_media_bytes_total{direction=\"in\"}");
    assert_eq!(bytes, running["status"]["input"]["bytes"].as_f64().unwrap());
    assert!(totals("trickle_media_bytes_total{direction=\"out\"}") > 0.0);
    let latency = |suffix: &str| totals(&format!("trickle_stage_latency_seconds_{suffix}"));
    assert_eq!(latency("count{stage=\"total\"}"), out);
    assert_eq!(latency("bucket{le=\"+Inf\",stage=\"total\"}"), out);
    assert!(latency("sum{stage=\"total\"}") >= latency("sum{stage=\"process\"}"));
    assert_eq!(
        totals("trickle_sessions_ended_total{reason=\"input_ended\"}"),
        1.0
    );
    let decoder =
        r#"trickle_codecs_opened_total{direction="decode",backend="cpu",codec="openh264"}"#;
    assert_eq!(totals(decoder), 1.0);
    // Nothing is left of the session itself.
    assert!(!metrics.mentions("session="));
}

#[tokio::test]
async fn a_session_that_runs_has_gauges_that_go_with_it() {
    let site = Site::new().await;
    let id = "a\"b\\c";
    site.start_named(id, "channel").await.ok();
    let metrics = scrape(&site.router).await;
    assert_eq!(metrics.value("trickle_sessions{phase=\"running\"}"), 1.0);
    let session = r#"session="a\"b\\c""#;
    assert!(metrics.value(&format!("trickle_session_uptime_seconds{{{session}}}")) >= 0.0);
    let waiting =
        format!(r#"trickle_session_queue_items{{{session},queue="process",media="video"}}"#);
    assert_eq!(metrics.value(&waiting), 0.0);
    site.stop("").await.ok();
    assert!(!scrape(&site.router).await.mentions("session="));
}

/// Panics at the first picture, fails on the second, and is silent from the third on until it is told
/// otherwise.
#[derive(Clone)]
struct Moody {
    pictures: watch::Sender<usize>,
    release: Arc<Notify>,
}

impl FrameProcessor for Moody {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        self.pictures.send_modify(|pictures| *pictures += 1);
        let pictures = *self.pictures.borrow();
        match pictures {
            1 => panic!("a bad mood"),
            2 => return Err(ProcessorError::new("no")),
            _ => self.release.notified().await,
        }
        Ok(Some(frame))
    }
}

#[tokio::test]
async fn what_a_processor_does_wrong_is_counted() {
    let (pictures, mut seen) = watch::channel(0);
    let release = Arc::new(Notify::new());
    let moody = Moody {
        pictures,
        release: release.clone(),
    };
    let at_once = Some(Duration::from_micros(1));
    let site = Site::of(StreamServer::builder(moody).stall_timeout(at_once)).await;
    site.start_named("r1", "r1").await.ok();
    let mut input = site.publisher("r1").await;
    // However busy the machine is, the processor is given the last picture of each segment.
    while *seen.borrow_and_update() < 3 {
        feed(&mut input, "ptswrap_180p30.ts").await;
        seen.changed().await.unwrap();
    }
    // It is silent, so that two further segments can only be of pictures without it.
    let mut output = site.subscriber("r1-out", Start::Next);
    for _ in 0..2 {
        feed(&mut input, "ptswrap_180p30.ts").await;
    }
    for _ in 0..2 {
        output.next_segment().await.unwrap().unwrap();
    }
    release.notify_one();
    site.stop("").await.ok();
    let metrics = scrape(&site.router).await;
    assert_eq!(metrics.value("trickle_processor_errors_total"), 2.0);
    assert_eq!(metrics.value("trickle_processor_panics_total"), 1.0);
    assert!(metrics.value("trickle_processor_stalls_total") >= 1.0);
    assert!(metrics.value("trickle_video_frames_stood_in_total") >= 1.0);
}

#[tokio::test]
async fn messages_of_side_channels_are_counted_by_what_became_of_them() {
    let site = Site::new().await;
    let mut body = site.body("r1");
    for name in ["control", "events", "data"] {
        body[format!("{name}_url")] = site.channel(name).into();
    }
    post_json(&site.router, "/stream/start", body).await.ok();
    let mut control = site.publisher("control").await;
    let mut events = site.subscriber("events", Start::At(0.into()));
    for update in [r#"{"strength":0.75}"#, r#"{"strength":7}"#] {
        let mut segment = control.next_segment().await.unwrap();
        segment.write(update.into()).await.unwrap();
        segment.finish().await.unwrap();
    }
    // The second is rejected, which is told.
    loop {
        let event = events.next_segment().await.unwrap().unwrap();
        let event = event.collect(1 << 16).await.unwrap().unwrap();
        let event: Value = serde_json::from_slice(&event).unwrap();
        if event["event"]["source"] == "control" {
            break;
        }
    }
    site.stop("").await.ok();
    let metrics = scrape(&site.router).await;
    let messages = |channel: &str, outcome: &str| {
        let labels = format!(r#"{{channel="{channel}",outcome="{outcome}"}}"#);
        metrics.value(&format!("trickle_channel_messages_total{labels}"))
    };
    assert_eq!(messages("control", "received"), 2.0);
    assert_eq!(messages("control", "rejected"), 1.0);
    assert!(messages("events", "published") >= 3.0);
    assert_eq!(messages("events", "dropped"), 0.0);
    assert_eq!(messages("data", "dropped"), 0.0);
}

/// The dashboard, the autoscaler and the documentation name nothing that is not there, and the
/// documentation leaves nothing out.
#[tokio::test]
async fn what_is_said_of_metrics_holds() {
    let site = Site::new().await;
    site.start_named("s", "channel").await.ok();
    let families = scrape(&site.router).await.families;
    let sampled = |name: &str| {
        families.iter().any(|(family, kind)| match kind.as_str() {
            "counter" => *name == format!("{family}_total"),
            "info" => *name == format!("{family}_info"),
            "histogram" => *name == format!("{family}_bucket"),
            _ => name == family,
        })
    };
    let dashboard = include_str!("../../../../docs/grafana-dashboard.json");
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    let mut expressions = Vec::new();
    collect(&dashboard, "expr", &mut expressions);
    collect(&dashboard, "definition", &mut expressions);
    let mut used = names(&expressions.join(" "));
    assert!(used.len() > 10, "{used:?}");
    let adapter = include_str!("../../../../deploy/kubernetes/prometheus-adapter.yaml");
    used.extend(names(adapter));
    // What the adapter makes of them.
    assert!(used.remove("trickle_slots_in_use"));
    for name in &used {
        assert!(sampled(name), "{name} is no metric");
    }
    let page = include_str!("../../../../docs/operations.md");
    for name in names(page) {
        let histogram = families.get(&name).is_some_and(|kind| kind == "histogram");
        assert!(histogram || sampled(&name), "{name} is no metric");
    }
    for family in families.keys() {
        let ends = family
            .match_indices('_')
            .map(|(at, _)| format!("…{}", &family[at..]));
        let told =
            page.contains(family.as_str()) || ends.into_iter().any(|end| page.contains(&end));
        assert!(told, "{family} is documented nowhere");
    }
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("trickle_"))
        .map(str::to_owned)
        .collect()
}

/// All texts under `key`, however deep.
fn collect(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::String(text) if name == key => found.push(text.clone()),
                    other => collect(other, key, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, key, found)),
        _ => {}
    }
}
