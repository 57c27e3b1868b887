//! Sessions that start and stop, one after another: what each held is free again.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Background, clip, first_bytes, http};

/// Sessions, unless the environment asks for more: `just soak` does.
const CYCLES: usize = 8;
/// Sessions before the first look: by then pools and caches are filled.
const WARM_UP: usize = 24;
/// Longest wait for what happens by itself.
const PATIENCE: Duration = Duration::from_secs(30);
/// In which a stop is answered, nearly always; checked where there are enough to say so.
const STOP: Duration = Duration::from_millis(200);
/// What the allocator may keep beyond what the warm-up left, in KiB.
const SLACK_KIB: u64 = 24 << 10;

/// Connections that the worker's client may keep for the next session, beyond those of the warm-up.
const POOLED: usize = 4;

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    threads: usize,
    sockets: usize,
    resident_kib: u64,
}

impl Held {
    fn by(process: u32) -> Self {
        let entries = |what: &str| fs::read_dir(format!("/proc/{process}/{what}")).unwrap();
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        Self {
            threads: entries("task").count(),
            sockets: entries("fd")
                .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
                .filter(|link| link.to_string_lossy().starts_with("socket:"))
                .count(),
            resident_kib: resident
                .and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok())
                .unwrap(),
        }
    }
}

struct Site {
    worker: Background,
    worker_url: String,
    relay_url: String,
    _relay: Background,
    _publisher: Background,
}

impl Site {
    fn new() -> Self {
        let (relay, relay_url) =
            Background::server(&["relay", "--addr", "127.0.0.1:0", "--autocreate"]);
        let input = format!("{relay_url}in");
        http("POST", &input, "Expect-Content: video/mp2t\r\n", "");
        let publisher =
            Background::start(&["publish", &clip("ptswrap_180p30.ts"), &input, "--loop"]);
        let (worker, worker_url) = Background::server(&["serve", "--addr", "127.0.0.1:0"]);
        Self {
            worker,
            worker_url,
            relay_url,
            _relay: relay,
            _publisher: publisher,
        }
    }

    fn call(&self, method: &str, path: &str, body: &str) -> Value {
        let url = format!("{}{path}", self.worker_url);
        let answer = http(method, &url, "Content-Type: application/json\r\n", body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// Starts a session, waits until pictures come out, and stops it; how long that took.
    fn cycle(&self, number: usize) -> Duration {
        let output = format!("{}out-{number}", self.relay_url);
        http("POST", &output, "Expect-Content: video/mp2t\r\n", "");
        let start = json!({
            "gateway_request_id": format!("cycle-{number}"),
            "subscribe_url": format!("{}in", self.relay_url),
            "publish_url": output,
        });
        self.call("POST", "/api/stream/start", &start.to_string());
        // Answered with the segment's first byte.
        let answer = first_bytes(&format!("{output}/0"), PATIENCE);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let stopping = Instant::now();
        self.call("POST", "/api/stream/stop", "");
        stopping.elapsed()
    }

    /// Waits until the worker holds no more threads than `idle`, nor sockets but those of its pool.
    fn settle(&self, idle: Held) -> Held {
        let begun = Instant::now();
        loop {
            let held = Held::by(self.worker.id());
            if held.threads <= idle.threads && held.sockets <= idle.sockets + POOLED {
                return held;
            }
            assert!(begun.elapsed() < PATIENCE, "{held:?} after {idle:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn what_a_session_held_is_free_after_its_stop() {
    let more = std::env::var("TRICKLE_SOAK_CYCLES").ok();
    let cycles = more.map_or(CYCLES, |cycles| cycles.parse().unwrap());
    let site = Site::new();
    for number in 0..WARM_UP {
        site.cycle(number);
    }
    let idle = Held::by(site.worker.id());
    let mut stops: Vec<Duration> = (0..cycles)
        .map(|number| site.cycle(WARM_UP + number))
        .collect();
    let after = site.settle(idle);
    println!("{cycles} cycles: {idle:?}, then {after:?}");
    let grown = after.resident_kib.saturating_sub(idle.resident_kib);
    assert!(grown < SLACK_KIB, "{grown} KiB more");
    if cycles >= 100 {
        stops.sort_unstable();
        let usual = stops[cycles * 95 / 100];
        println!(
            "stops: {:?} median, {usual:?} of 95 in 100",
            stops[cycles / 2]
        );
        assert!(usual < STOP, "{usual:?}");
    }
    let health = site.call("GET", "/health", "");
    assert_eq!(health["state"], "IDLE");
}
