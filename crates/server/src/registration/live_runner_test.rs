//! A runner and its orchestrator, in virtual time.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::task::JoinHandle;

use super::super::testing::{FakeSessions, Fault, Orchestrator, SECRET, about, seconds};
use super::*;

fn config(secret: &str) -> LiveRunnerConfig {
    LiveRunnerConfig::new("http://orch:8935".parse().unwrap(), secret).unwrap()
}

struct Site {
    orchestrator: Orchestrator,
    sessions: FakeSessions,
    /// Channels that were listened to.
    channels: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
    report: Report,
    task: JoinHandle<()>,
}

impl Site {
    fn new(config: &LiveRunnerConfig, orchestrator: Orchestrator) -> Self {
        let report = Report::new("live_runner", &config.orchestrator);
        let about = About {
            gpu: Some(Gpu {
                id: "GPU-1".into(),
                name: "NVIDIA L4".into(),
                vram_mb: 23034,
            }),
            ..about()
        };
        let runner = Runner::new(config, &about, report.clone());
        let sessions = FakeSessions::default();
        let channels = Arc::<Mutex<Vec<String>>>::default();
        let stop = CancellationToken::new();
        let task = {
            let (orchestrator, sessions) = (orchestrator.clone(), sessions.clone());
            let (channels, stop) = (Arc::clone(&channels), stop.clone());
            tokio::spawn(async move {
                let listen = move |url: Url| {
                    channels.lock().unwrap().push(url.path().to_owned());
                    AbortOnDropHandle::new(tokio::spawn(std::future::pending()))
                };
                let unreleased = Unreleased::default();
                runner
                    .run(&orchestrator, &sessions, &unreleased, listen, &stop)
                    .await;
            })
        };
        Self {
            orchestrator,
            sessions,
            channels,
            stop,
            report,
            task,
        }
    }

    async fn stop(self) -> Orchestrator {
        self.stop.cancel();
        self.task.await.unwrap();
        self.orchestrator
    }
}

#[tokio::test(start_paused = true)]
async fn it_registers_beats_and_leaves() {
    let mut config = config(SECRET);
    config.metadata = Some(r#"{"region":"eu"}"#.into());
    config.price = Some(Price {
        price: 0.5,
        currency: "usd".into(),
        unit: "hour".into(),
    });
    let site = Site::new(&config, Orchestrator::new());
    seconds(1).await;
    assert_eq!(
        site.orchestrator.body(0),
        concat!(
            r#"{"runner_url":"http://localhost:8000","app":"custom-processor","#,
            r#""mode":"persistent","capacity":2,"version":"1.0","#,
            r#""metadata":"{\"region\":\"eu\"}","status":"ready","#,
            r#""gpu":{"id":"GPU-1","name":"NVIDIA L4","vram_mb":23034},"#,
            r#""price_info":{"price":0.5,"currency":"usd","unit":"hour"},"session_ids":[]}"#,
        )
    );
    site.sessions.begin("session_a");
    site.orchestrator.set_sessions(&["session_a"]);
    seconds(10).await;
    let times: Vec<_> = site.orchestrator.log().iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 5_000, 10_000]);
    let body = site.orchestrator.last_body();
    assert_eq!(body["runner_id"], "runner_1");
    assert_eq!(body["session_ids"], json!(["session_a"]));
    assert_eq!(*site.channels.lock().unwrap(), ["/ai/trickle/runner_1-o2r"]);
    let status = site.report.read();
    assert_eq!(status.state, State::Registered);
    assert_eq!(status.runner_id.as_deref(), Some("runner_1"));
    let orchestrator = site.stop().await;
    assert_eq!(
        orchestrator.requests().last().unwrap(),
        "POST /runners/runner_1/unregister"
    );
    assert_eq!(orchestrator.runners(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn sessions_that_the_orchestrator_does_not_list_are_ended() {
    let site = Site::new(&config(SECRET), Orchestrator::new());
    seconds(1).await;
    for id in ["kept", "gone"] {
        site.sessions.begin(id);
    }
    site.orchestrator.set_sessions(&["kept", "only-reserved"]);
    seconds(5).await;
    assert_eq!(site.sessions.released(), ["gone"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_began_during_the_heartbeat_is_spared() {
    let site = Site::new(&config(SECRET), Orchestrator::new());
    seconds(1).await;
    site.orchestrator
        .fail([Fault::Slow(Duration::from_secs(2))]);
    seconds(5).await;
    site.sessions.begin("new");
    seconds(2).await;
    assert_eq!(site.sessions.released(), Vec::<String>::new());
    // The next heartbeat is younger than it.
    seconds(5).await;
    assert_eq!(site.sessions.released(), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn an_orchestrator_that_restarted_is_registered_with_anew() {
    let site = Site::new(&config(SECRET), Orchestrator::new());
    seconds(1).await;
    site.orchestrator.restart();
    seconds(6).await;
    assert_eq!(site.orchestrator.runners(), ["runner_2"]);
    let body = site.orchestrator.last_body();
    assert_eq!(body.get("runner_id"), None, "the old id is not asked for");
    assert_eq!(
        *site.channels.lock().unwrap(),
        ["/ai/trickle/runner_1-o2r", "/ai/trickle/runner_2-o2r"]
    );
}

#[tokio::test(start_paused = true)]
async fn passing_faults_cost_no_registration() {
    let site = Site::new(&config(SECRET), Orchestrator::new());
    seconds(1).await;
    site.orchestrator
        .fail([Fault::Status(500), Fault::Unreachable, Fault::Status(502)]);
    seconds(30).await;
    assert_eq!(site.orchestrator.runners(), ["runner_1"]);
    assert_eq!(site.report.read().state, State::Registered);
}

#[tokio::test(start_paused = true)]
async fn after_a_long_outage_it_registers_anew() {
    let site = Site::new(&config(SECRET), Orchestrator::new());
    seconds(1).await;
    site.orchestrator.fail(vec![Fault::Unreachable; 8]);
    seconds(120).await;
    assert_eq!(site.orchestrator.runners(), ["runner_2"]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_is_told_and_tried_again_slowly() {
    let site = Site::new(&config("wrong"), Orchestrator::new());
    seconds(600).await;
    let tries = site.orchestrator.requests().len();
    assert!((20..=50).contains(&tries), "{tries}");
    let status = site.report.read();
    assert_eq!(status.state, State::Retrying);
    assert_eq!(
        status.last_error.as_deref(),
        Some("status 401 (invalid registration authorization)")
    );
    assert_eq!(site.stop().await.requests(), Vec::<String>::new());
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

#[test]
fn what_the_orchestrator_says_is_obeyed() {
    let sessions = FakeSessions::default();
    for message in [
        r#"{"keep":"alive"}"#,
        r#"{"event":"reserved","session":"a","timestamp":"2026-01-01T00:00:00Z"}"#,
        r#"{"event":"released","session":"b","timestamp":"2026-01-01T00:00:00Z"}"#,
        r#"{"event":"released"}"#,
        "garbage",
        "7",
    ] {
        obey(&sessions, message.as_bytes());
    }
    assert_eq!(sessions.released(), ["b"]);
}

#[test]
fn what_would_be_refused_is_refused_here() {
    let mut config = config(SECRET);
    config.metadata = Some("x".repeat(1025));
    let error = config.validate().unwrap_err().to_string();
    assert!(error.contains("at most 1024 bytes, got 1025"), "{error}");
    config.metadata = None;
    config.price = Some(Price {
        price: -1.0,
        currency: "usd".into(),
        unit: "hour".into(),
    });
    assert!(config.validate().is_err());
    assert!(LiveRunnerConfig::new("ftp://orch".parse().unwrap(), SECRET).is_err());
    assert!(LiveRunnerConfig::new("http://orch".parse().unwrap(), "a\nb").is_err());
}
