//! Requests to the API: counted by route, method and status, and timed.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Bounds of the times that requests take, in seconds: a stop should take less than 0.2 s, a
/// start may wait for the model.
const BOUNDS: [f64; 9] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 1.0, 5.0, 30.0];
/// The route of what none of the worker's own answers: there is no bound to what paths exist.
const OTHER: &str = "other";

/// Counters of requests. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct HttpMetrics {
    requests: Family<Labels, Counter>,
    durations: Family<RouteLabel, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Labels {
    route: String,
    method: &'static str,
    status: u16,
}

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("route", self.route.as_str()), ("method", self.method)].encode(encoder)?;
        [("status", self.status)].encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RouteLabel {
    route: String,
}

impl EncodeLabelSet for RouteLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("route", self.route.as_str())].encode(encoder)
    }
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BOUNDS)),
        }
    }
}

impl HttpMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "trickle_http_requests",
            "Requests to the API, by route, method and status",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "trickle_http_request_duration",
            "Time from a request's head to its answer",
            Unit::Seconds,
            self.durations.clone(),
        );
    }
}

/// Counts a request and its answer.
pub(crate) async fn count(
    State(metrics): State<HttpMetrics>,
    request: Request,
    next: Next,
) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| OTHER.to_owned(), |path| path.as_str().to_owned());
    let method = known(request.method());
    let began = Instant::now();
    let response = next.run(request).await;
    let duration = began.elapsed().as_secs_f64();
    let status = response.status().as_u16();
    let timed = RouteLabel {
        route: route.clone(),
    };
    metrics.durations.get_or_create(&timed).observe(duration);
    let labels = Labels {
        route,
        method,
        status,
    };
    metrics.requests.get_or_create(&labels).inc();
    response
}

/// Methods are open to invention by callers; labels must not be.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => OTHER,
    }
}
