//! A capability and its orchestrator, in virtual time.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinHandle;

use super::super::testing::{FakeSessions, Fault, Orchestrator, SECRET, about, seconds};
use super::*;

fn config(secret: &str) -> ByocConfig {
    ByocConfig::new("http://orch:8935/".parse().unwrap(), secret).unwrap()
}

struct Site {
    orchestrator: Orchestrator,
    sessions: FakeSessions,
    refused: Arc<Notify>,
    stop: CancellationToken,
    report: Report,
    task: JoinHandle<()>,
}

impl Site {
    fn new(config: &ByocConfig, orchestrator: Orchestrator) -> Self {
        let report = Report::new("byoc", &config.orchestrator);
        let registration = Registration::new(config, &about(), report.clone());
        let (sessions, refused) = (FakeSessions::default(), Arc::new(Notify::new()));
        let stop = CancellationToken::new();
        let task = {
            let (orchestrator, sessions) = (orchestrator.clone(), sessions.clone());
            let (refused, stop) = (Arc::clone(&refused), stop.clone());
            tokio::spawn(async move {
                registration
                    .run(&orchestrator, &sessions, &refused, &stop)
                    .await;
            })
        };
        Self {
            orchestrator,
            sessions,
            refused,
            stop,
            report,
            task,
        }
    }

    fn state(&self) -> State {
        self.report.read().state
    }

    async fn stop(self) -> Orchestrator {
        self.stop.cancel();
        self.task.await.unwrap();
        self.orchestrator
    }
}

#[tokio::test(start_paused = true)]
async fn it_registers_and_unregisters() {
    let site = Site::new(&config(SECRET), Orchestrator::new());
    assert_eq!(site.state(), State::Waiting);
    seconds(1).await;
    assert_eq!(site.state(), State::Registered);
    assert_eq!(
        site.orchestrator.body(0),
        r#"{"url":"http://localhost:8000","name":"custom-processor","description":"","capacity":2,"price_per_unit":0,"price_scaling":1}"#
    );
    let report = site.report.clone();
    let orchestrator = site.stop().await;
    assert_eq!(
        orchestrator.requests(),
        ["POST /capability/register", "POST /capability/unregister"]
    );
    assert_eq!(orchestrator.body(1), "custom-processor", "the bare name");
    assert_eq!(orchestrator.capabilities(), Vec::<String>::new());
    assert_eq!(report.read().state, State::Unregistered);
}

#[test]
fn what_is_set_is_told() {
    let mut config = config(SECRET);
    config.url = Some("https://worker.example/base/".parse().unwrap());
    config.name = Some("depth".into());
    config.description = "Depth maps".into();
    config.capacity = Some(5);
    (config.price_per_unit, config.price_scaling) = (7, 1000);
    config.currency = Some("USD".into());
    let report = Report::new("byoc", &config.orchestrator);
    let about = About {
        token: Some("t0ken".into()),
        ..about()
    };
    let registration = Registration::new(&config, &about, report);
    let body: Value = serde_json::from_slice(&registration.body).unwrap();
    assert_eq!(
        body,
        json!({
            "url": "https://worker.example/base",
            "name": "depth",
            "description": "Depth maps",
            "capacity": 5,
            "price_per_unit": 7,
            "price_scaling": 1000,
            "currency": "USD",
            "token": "t0ken",
        })
    );
    assert!(!format!("{config:?}").contains(SECRET));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_is_final() {
    let site = Site::new(&config("wrong"), Orchestrator::new());
    seconds(3600).await;
    assert_eq!(site.orchestrator.requests().len(), 1);
    let status = site.report.read();
    assert_eq!(status.state, State::Refused);
    assert_eq!(
        status.last_error.as_deref(),
        Some("status 400 (invalid authorization)")
    );
    // There is nothing to leave.
    assert_eq!(site.stop().await.requests(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn anything_else_is_tried_again_with_growing_waits() {
    let orchestrator = Orchestrator::new();
    orchestrator.fail([
        Fault::Unreachable,
        Fault::Status(503),
        Fault::Slow(Duration::from_secs(60)),
        Fault::Status(404),
        Fault::Slow(Duration::from_secs(3)),
    ]);
    let site = Site::new(&config(SECRET), orchestrator);
    seconds(60).await;
    assert_eq!(site.state(), State::Registered);
    let times: Vec<_> = site.orchestrator.log().iter().map(|(at, _)| *at).collect();
    assert_eq!(times.len(), 5);
    let waits: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // From half of it to all of it; the third waited 10 s for an answer too.
    for (wait, longest) in waits.iter().zip([1_000, 2_000, 14_000, 8_000]) {
        assert!((longest / 2..=longest).contains(wait), "{waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_orchestrator_that_restarted_learns_of_an_idle_worker() {
    let site = Site::new(&config(SECRET), Orchestrator::new());
    seconds(30).await;
    site.orchestrator.restart();
    seconds(31).await;
    assert_eq!(site.orchestrator.capabilities(), ["custom-processor"]);
}

#[tokio::test(start_paused = true)]
async fn a_busy_worker_does_not_register_again() {
    let site = Site::new(&config(SECRET), Orchestrator::new());
    seconds(1).await;
    site.sessions.set_busy(true);
    seconds(3600).await;
    assert_eq!(site.orchestrator.requests().len(), 1);
    site.sessions.set_busy(false);
    seconds(60).await;
    assert_eq!(site.orchestrator.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_refused_brings_it_back_even_when_busy() {
    let site = Site::new(&config(SECRET), Orchestrator::new());
    seconds(1).await;
    site.sessions.set_busy(true);
    // As the orchestrator does when it is answered 401.
    site.orchestrator.restart();
    for _ in 0..100 {
        site.refused.notify_one();
    }
    seconds(10).await;
    assert_eq!(site.orchestrator.capabilities(), ["custom-processor"]);
    seconds(3600).await;
    assert_eq!(
        site.orchestrator.requests().len(),
        3,
        "the first, one for the refusals, one for those during that one"
    );
}

#[tokio::test(start_paused = true)]
async fn it_leaves_within_3_seconds() {
    let site = Site::new(&config(SECRET), Orchestrator::new());
    seconds(1).await;
    site.orchestrator
        .fail([Fault::Slow(Duration::from_secs(60))]);
    let asked = Instant::now();
    site.stop().await;
    assert_eq!(asked.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_cuts_tries_short() {
    let orchestrator = Orchestrator::new();
    orchestrator.fail(vec![Fault::Unreachable; 100]);
    let site = Site::new(&config(SECRET), orchestrator);
    seconds(100).await;
    let asked = Instant::now();
    let requests = site.stop().await.requests();
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert!(
        requests
            .iter()
            .all(|request| request == "POST /capability/register")
    );
}
