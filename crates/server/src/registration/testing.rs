//! For tests: an orchestrator in memory, with the rules of go-livepeer's endpoints, and sessions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use trickle_proto::NoAnswer;

use super::{About, Caller, Sessions};

/// The secret that it wants.
pub(crate) const SECRET: &str = "orch-secret";
/// Time after which it forgets a runner that is silent.
const TTL: Duration = Duration::from_secs(20);

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It cannot be reached.
    Unreachable,
    /// It answers this status.
    Status(u16),
    /// It answers after this time, as a client that waits for 10 s sees it.
    Slow(Duration),
}

/// A worker without a token or a GPU.
pub(crate) fn about() -> About {
    About {
        url: "http://localhost:8000".parse().unwrap(),
        name: "custom-processor".into(),
        version: "1.0".into(),
        capacity: 2,
        token: None,
        gpu: None,
    }
}

/// Lets virtual time pass.
pub(crate) async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

/// Clones are the same orchestrator.
#[derive(Clone)]
pub(crate) struct Orchestrator(Arc<Mutex<Inside>>);

struct Inside {
    started: Instant,
    /// Time in ms and a short form of every request.
    log: Vec<(u64, String)>,
    bodies: Vec<Bytes>,
    faults: VecDeque<Fault>,
    capabilities: BTreeMap<String, Value>,
    runners: BTreeMap<String, Runner>,
    next_runner: u32,
    o2r: bool,
}

struct Runner {
    secret: String,
    last: Instant,
    sessions: Vec<String>,
}

impl Orchestrator {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Inside {
            started: Instant::now(),
            log: Vec::new(),
            bodies: Vec::new(),
            faults: VecDeque::new(),
            capabilities: BTreeMap::new(),
            runners: BTreeMap::new(),
            next_runner: 1,
            o2r: true,
        })))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    /// The next requests go wrong, one each.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inside().faults.extend(faults);
    }

    /// It starts anew and knows nobody.
    pub(crate) fn restart(&self) {
        let mut inside = self.inside();
        inside.capabilities.clear();
        inside.runners.clear();
    }

    pub(crate) fn log(&self) -> Vec<(u64, String)> {
        self.inside().log.clone()
    }

    /// Requests without their times, since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = std::mem::take(&mut self.inside().log);
        log.into_iter().map(|(_, request)| request).collect()
    }

    pub(crate) fn body(&self, index: usize) -> Bytes {
        self.inside().bodies[index].clone()
    }

    pub(crate) fn last_body(&self) -> Value {
        serde_json::from_slice(self.inside().bodies.last().unwrap()).unwrap()
    }

    pub(crate) fn capabilities(&self) -> Vec<String> {
        self.inside().capabilities.keys().cloned().collect()
    }

    pub(crate) fn runners(&self) -> Vec<String> {
        self.inside().runners.keys().cloned().collect()
    }

    /// Sessions of the only runner.
    pub(crate) fn set_sessions(&self, ids: &[&str]) {
        let mut inside = self.inside();
        let runner = inside.runners.values_mut().next().unwrap();
        runner.sessions = ids.iter().map(|id| (*id).to_owned()).collect();
    }
}

impl Caller for Orchestrator {
    async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, NoAnswer> {
        let fault = {
            let mut inside = self.inside();
            let at = inside.started.elapsed().as_millis() as u64;
            let short = format!("{} {}", request.method(), request.uri().path());
            inside.log.push((at, short));
            inside.bodies.push(request.body().clone());
            inside.faults.pop_front()
        };
        match fault {
            Some(Fault::Unreachable) => return Err(NoAnswer::new("connection refused")),
            Some(Fault::Status(status)) => return Ok(answer(status, "it is ill")),
            Some(Fault::Slow(time)) if time > Duration::from_secs(10) => {
                sleep(Duration::from_secs(10)).await;
                return Err(NoAnswer::new("no answer within 10s"));
            }
            Some(Fault::Slow(time)) => sleep(time).await,
            None => {}
        }
        Ok(self.inside().answer(&request))
    }
}

fn answer(status: u16, text: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(text.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

impl Inside {
    fn answer(&mut self, request: &Request<Bytes>) -> Response<Bytes> {
        let auth = request.headers().get("authorization");
        let auth = auth.map_or("", |value| value.to_str().unwrap());
        let path: Vec<_> = request.uri().path().split('/').skip(1).collect();
        assert_eq!(request.method(), Method::POST);
        match path.as_slice() {
            ["capability", _] if auth != SECRET => answer(400, "invalid authorization"),
            ["capability", "register"] => {
                let capability: Value = serde_json::from_slice(request.body()).unwrap();
                let name = capability["name"].as_str().unwrap().to_owned();
                self.capabilities.insert(name, capability);
                answer(200, "ok")
            }
            ["capability", "unregister"] => {
                let name = std::str::from_utf8(request.body()).unwrap();
                match self.capabilities.remove(name) {
                    Some(_) => answer(200, "ok"),
                    None => answer(400, "Error removing capability"),
                }
            }
            ["runners", "heartbeat"] => self.heartbeat(auth, request.body()),
            ["runners", id, "unregister"] => match self.runners.get(*id) {
                None => answer(404, "runner not found"),
                Some(runner) if runner.secret != auth => answer(401, "invalid authorization"),
                Some(_) => {
                    self.runners.remove(*id);
                    answer(200, "")
                }
            },
            _ => answer(404, "404 page not found"),
        }
    }

    fn heartbeat(&mut self, auth: &str, body: &Bytes) -> Response<Bytes> {
        let body: Value = serde_json::from_slice(body).unwrap();
        self.runners
            .retain(|_, runner| runner.last.elapsed() <= TTL);
        let id = body["runner_id"]
            .as_str()
            .map_or_else(|| format!("runner_{}", self.next_runner), str::to_owned);
        let mut reply = json!({
            "runner_id": id,
            "orchestrator": "http://elsewhere:8935",
            "heartbeat_interval": "5s",
            "heartbeat_ttl": "20s",
        });
        let runner = match self.runners.get_mut(&id) {
            Some(runner) if runner.secret != auth => {
                return answer(401, "invalid heartbeat authorization");
            }
            Some(runner) => runner,
            None if auth != SECRET => return answer(401, "invalid registration authorization"),
            None => {
                let secret = format!("secret-of-{id}");
                self.next_runner += 1;
                reply["heartbeat_secret"] = secret.clone().into();
                if self.o2r {
                    reply["o2r"] = json!({
                        "name": "o2r",
                        "channel_name": format!("{id}-o2r"),
                        "url": format!("http://orch:8935/ai/trickle/{id}-o2r"),
                        "mime_type": "application/octet-stream",
                    });
                }
                self.runners.entry(id).or_insert(Runner {
                    secret,
                    last: Instant::now(),
                    sessions: Vec::new(),
                })
            }
        };
        runner.last = Instant::now();
        reply["session_ids"] = runner.sessions.clone().into();
        answer(200, reply.to_string())
    }
}

/// Sessions of a worker that has no media.
#[derive(Clone, Default)]
pub(crate) struct FakeSessions(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    busy: bool,
    reserved: Vec<(String, Instant)>,
    released: Vec<String>,
}

impl FakeSessions {
    pub(crate) fn set_busy(&self, busy: bool) {
        self.0.lock().unwrap().busy = busy;
    }

    pub(crate) fn begin(&self, id: &str) {
        let session = (id.to_owned(), Instant::now());
        self.0.lock().unwrap().reserved.push(session);
    }

    pub(crate) fn released(&self) -> Vec<String> {
        self.0.lock().unwrap().released.clone()
    }
}

impl Sessions for FakeSessions {
    fn busy(&self) -> bool {
        self.0.lock().unwrap().busy
    }

    fn reserved(&self) -> Vec<(String, Instant)> {
        self.0.lock().unwrap().reserved.clone()
    }

    fn release(&self, id: &str) {
        let mut held = self.0.lock().unwrap();
        held.reserved.retain(|(held, _)| held != id);
        held.released.push(id.to_owned());
    }
}
