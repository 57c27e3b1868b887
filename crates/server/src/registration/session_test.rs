//! A reserved session and its orchestrator.

use std::collections::VecDeque;

use http::{Request, Response};
use serde_json::Value;
use tokio::time::Instant;
use trickle_proto::NoAnswer;

use super::*;

/// Answers one after the other, and keeps what it was asked.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<(u16, String)>>,
    asked: Mutex<Vec<(String, String)>>,
}

impl Script {
    fn new(answers: &[(u16, &str)]) -> Self {
        let answers = answers
            .iter()
            .map(|(status, text)| (*status, (*text).to_owned()));
        Self {
            answers: Mutex::new(answers.collect()),
            asked: Mutex::default(),
        }
    }

    fn asked(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Caller for Script {
    async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, NoAnswer> {
        assert_eq!(request.headers()["livepeer-session-token"], "token");
        let line = format!("{} {}", request.method(), request.uri());
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        self.asked.lock().unwrap().push((line, body));
        let (status, text) = self.answers.lock().unwrap().pop_front().expect("an answer");
        let mut response = Response::new(text.into());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        Ok(response)
    }
}

const CONTROL: &str = "http://orch:8935/apps/runner_1/session/session_1";

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(SESSION_ID, HeaderValue::from_static("session_1"));
    headers.insert(SESSION_TOKEN, HeaderValue::from_static("token"));
    headers.insert(SESSION_CONTROL, HeaderValue::from_static(CONTROL));
    headers
}

fn reserved() -> Reserved {
    Reserved::read(&headers()).unwrap()
}

fn channel(name: &str, internal: bool) -> Value {
    let mut channel = json!({
        "name": name,
        "channel_name": format!("session_1-{name}"),
        "url": format!("https://public/ai/trickle/session_1-{name}"),
        "mime_type": "video/mp2t",
    });
    if internal {
        channel["internal_url"] = format!("http://orch:8935/ai/trickle/session_1-{name}").into();
    }
    channel
}

#[test]
fn a_session_is_known_by_its_headers() {
    assert_eq!(session_id(&headers()), Some("session_1"));
    let mut without = headers();
    without.remove(SESSION_TOKEN);
    assert!(Reserved::read(&without).is_none());
    assert!(Reserved::read(&HeaderMap::new()).is_none());
    let mut odd = headers();
    odd.insert(SESSION_CONTROL, HeaderValue::from_static("file:///etc"));
    assert_eq!(Reserved::read(&odd).unwrap().control, None);
    assert!(!format!("{:?}", reserved()).contains("\"token\""));
}

#[tokio::test]
async fn the_channels_that_a_start_does_not_name_are_made() {
    let names = ["in", "out", "control", "data"];
    let made: Vec<_> = names.map(|name| channel(name, name != "data")).into();
    let script = Script::new(&[(200, &json!({"channels": made}).to_string())]);
    let mut config = SessionConfig::new("r");
    let events: Url = "http://elsewhere/events".parse().unwrap();
    config.events_url = Some(events.clone());
    let made = reserved()
        .make_channels(&script, &mut config)
        .await
        .unwrap();
    let (line, body) = script.asked().remove(0);
    assert_eq!(line, format!("POST {CONTROL}/channels"));
    assert_eq!(
        body,
        r#"{"channels":[{"name":"in","mime_type":"video/mp2t"},{"name":"out","mime_type":"video/mp2t"},{"name":"control","mime_type":"application/json"},{"name":"data","mime_type":"application/jsonl"}]}"#
    );
    // This worker takes the address meant for it, and tells callers the public one.
    let path = |url: &Option<Url>| url.as_ref().unwrap().to_string();
    assert_eq!(
        path(&config.subscribe_url),
        "http://orch:8935/ai/trickle/session_1-in"
    );
    assert_eq!(
        path(&config.data_url),
        "https://public/ai/trickle/session_1-data"
    );
    assert_eq!(config.events_url, Some(events));
    assert_eq!(
        serde_json::to_value(&made[0]).unwrap(),
        json!({
            "name": "in",
            "url": "https://public/ai/trickle/session_1-in",
            "mime_type": "video/mp2t",
        })
    );

    let script = Script::new(&[(200, r#"{"deleted":["in","out","control","data"]}"#)]);
    reserved().remove_channels(&script, &made).await;
    assert_eq!(
        script.asked(),
        [(
            format!("DELETE {CONTROL}/channels"),
            r#"{"channels":["in","out","control","data"]}"#.to_owned()
        )]
    );
}

#[tokio::test]
async fn an_answer_without_a_channel_is_refused() {
    for (status, text, expected) in [
        (
            401,
            "invalid authorization",
            "status 401 (invalid authorization)",
        ),
        (200, "ok", "the answer cannot be used: expected value"),
        (200, r#"{"channels":[]}"#, "it lacks the channel \"in\""),
        (
            200,
            r#"{"channels":[{"name":"in","url":"nowhere","mime_type":""}]}"#,
            "the URL of channel \"in\", \"nowhere\"",
        ),
    ] {
        let script = Script::new(&[(status, text)]);
        let mut config = SessionConfig::new("r");
        let error = reserved().make_channels(&script, &mut config).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_is_told_three_times_and_again_as_long_as_it_is_listed() {
    let script = Script::new(&[(500, ""), (500, ""), (500, ""), (500, ""), (204, "")]);
    let unreleased = Unreleased::default();
    let began = Instant::now();
    reserved().release(&script, &unreleased).await;
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    assert_eq!(script.asked().len(), 3);
    let listed = ["session_1".to_owned()];
    unreleased.reconcile(&script, &listed).await;
    unreleased.reconcile(&script, &listed).await;
    let stop = (format!("POST {CONTROL}/stop"), String::new());
    assert_eq!(script.asked(), [stop.clone(), stop]);
    unreleased.reconcile(&script, &listed).await;
    assert_eq!(script.asked(), [], "it has been told");
}

#[tokio::test(start_paused = true)]
async fn what_the_orchestrator_has_forgotten_is_left_alone() {
    let script = Script::new(&[(404, "runner session not found")]);
    let unreleased = Unreleased::default();
    reserved().release(&script, &unreleased).await;
    assert_eq!(script.asked().len(), 1);
    unreleased.add(reserved());
    unreleased.reconcile(&script, &["another".to_owned()]).await;
    unreleased
        .reconcile(&script, &["session_1".to_owned()])
        .await;
    assert_eq!(script.asked(), [], "nobody counts it");
}
