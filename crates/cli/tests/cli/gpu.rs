//! The binary on machines with a GPU, which is the emulated driver: what it says of devices, and
//! streams that go through them.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Background, Dir, clip, http, trickle};

/// Names under which the emulator is opened.
const LIBRARIES: [&str; 4] = [
    "libcuda.so.1",
    "libnvcuvid.so.1",
    "libnvidia-encode.so.1",
    "libnvidia-ml.so.1",
];
const NAME: &str = "trickle emulator (no hardware)";
const NO_ENCODER: &str = "the device has no encoder";
/// Longest wait for what happens by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine with the emulated driver.
struct Machine {
    libraries: Dir,
    settings: &'static str,
}

impl Machine {
    fn new(test: &str, settings: &'static str) -> Self {
        // Cargo built it beside this test.
        let emulator = std::env::current_exe().unwrap();
        let emulator = emulator.with_file_name("libtrickle_gpu_emu.so");
        assert!(emulator.exists(), "{} is missing", emulator.display());
        let libraries = Dir::new(test);
        for name in LIBRARIES {
            symlink(&emulator, libraries.file(name)).unwrap();
        }
        Self {
            libraries,
            settings,
        }
    }

    fn trickle(&self, arguments: &[&str]) -> Command {
        let mut command = trickle(arguments);
        command
            .env("LD_LIBRARY_PATH", self.libraries.file(""))
            .env("TRICKLE_EMULATOR", self.settings);
        command
    }

    /// Status and what was said, on either stream.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.trickle(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }
}

fn call(method: &str, url: &str, body: &str) -> String {
    let answer = http(method, url, "Content-Type: application/json\r\n", body);
    assert!(answer.starts_with("HTTP/1.1 200"), "{url}: {answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn get(url: &str) -> Value {
    serde_json::from_str(&call("GET", url, "")).unwrap()
}

/// Starts a session that `relay` feeds, and waits until pictures come out; its status then.
fn start(worker: &str, relay: &str, id: &str) -> Value {
    let start = json!({
        "gateway_request_id": id,
        "subscribe_url": format!("{relay}in"),
        "publish_url": format!("{relay}out-{id}"),
    });
    call(
        "POST",
        &format!("{worker}/api/stream/start"),
        &start.to_string(),
    );
    let begun = Instant::now();
    loop {
        let status = get(&format!("{worker}/api/stream/status"));
        let sessions = status["sessions"].as_array().unwrap();
        let ours = sessions.iter().find(|one| one["gateway_request_id"] == id);
        if let Some(session) = ours
            && session["frames"]["out"].as_u64().is_some_and(|out| out > 0)
        {
            return session.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "no picture comes out: {status}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn streams_go_through_the_gpu_and_every_route_tells_of_it() {
    // Its card encodes one stream at a time.
    let machine = Machine::new("gpu_routes", "one-session,report-at-exit");
    let (_relay, relay) = Background::server(&["relay", "--addr", "127.0.0.1:0", "--autocreate"]);
    let input = format!("{relay}in");
    http("POST", &input, "Expect-Content: video/mp2t\r\n", "");
    let _publisher = Background::start(&["publish", &clip("ptswrap_180p30.ts"), &input, "--loop"]);
    let log = machine.libraries.file("log");
    let mut serve = machine.trickle(&[
        "serve",
        "--addr",
        "127.0.0.1:0",
        "--backend",
        "cuda",
        "--capacity",
        "2",
    ]);
    serve.stderr(Stdio::from(File::create(&log).unwrap()));
    let (worker, url) = Background::spawn(serve);

    let first = start(&url, &relay, "first");
    assert_eq!(first["decoder"]["backend"], "cuda:0");
    assert_eq!(first["encoder"]["backend"], "cuda:0");
    assert_eq!(first["encoder"]["passed_over"], json!([]));
    // There is no second session of the card's: the CPU's encoder goes on, and it is told why.
    let second = start(&url, &relay, "second");
    assert_eq!(second["decoder"]["backend"], "cuda:0");
    assert_eq!(second["encoder"]["backend"], "cpu");
    let why = second["encoder"]["passed_over"][0].as_str().unwrap();
    assert!(why.contains("sessions may be taken"), "{why}");

    let status = get(&format!("{url}/api/stream/status"));
    let backend = &status["backends"][0];
    assert_eq!(backend["name"], "cuda:0");
    assert_eq!(backend["decoder"], "NVDEC (h264, hevc)");
    assert_eq!(backend["encoder"], "NVENC (h264, hevc)");
    let info = get(&format!("{url}/hardware/info"));
    assert_eq!(info["gpu_info"]["0"]["name"], NAME);
    assert_eq!(info["gpu_info"]["0"]["major"], 8);
    assert_eq!(info["driver"], "535.000.00");
    assert_eq!(info["backends"], status["backends"]);
    let stats = get(&format!("{url}/hardware/stats"));
    assert_eq!(stats["gpu_stats"]["0"]["utilization_decoder"], 11);
    let metrics = call("GET", &format!("{url}/metrics"), "");
    let gpu = r#"gpu="0",id="GPU-00000000-0000-0000-0000-000000000000""#;
    for line in [
        r#"trickle_backend{backend="cuda:0",decoder="NVDEC (h264, hevc)",encoder="NVENC (h264, hevc)"} 1.0"#,
        &format!(
            r#"trickle_gpu_info{{name="{NAME}",pci_bus_id="00000000:00:00.0",driver="535.000.00",{gpu}}} 1"#
        ),
        &format!(r#"trickle_gpu_memory_bytes{{{gpu},of="total"}} 1073741824.0"#),
        &format!(r#"trickle_gpu_busy_ratio{{{gpu},of="encoder"}} 0.13"#),
        r#"trickle_session_codec{session="first",direction="encode",backend="cuda:0",codec="nvenc"} 1.0"#,
        r#"trickle_session_codec{session="second",direction="encode",backend="cpu",codec="openh264"} 1.0"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }

    assert!(worker.terminate().success());
    let log = std::fs::read_to_string(&log).unwrap();
    assert_eq!(log.matches("sessions may be taken").count(), 1, "{log}");
    // With the process everything of the driver's was let go of.
    assert!(log.contains("emulated device: nothing is alive"), "{log}");
}

#[test]
fn a_card_that_only_decodes_says_so_everywhere() {
    let machine = Machine::new("gpu_decodes", "no-encoder");
    let (status, said) = machine.run(&["devices"]);
    assert_eq!(status, Some(0));
    for words in [
        NAME,
        "driver 535.000.00, CUDA 12.2",
        "h264 from 48×16",
        NO_ENCODER,
    ] {
        assert!(said.contains(words), "{words} is not in {said}");
    }
    let (_, said) = machine.run(&["devices", "--json"]);
    let devices: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        devices["nvidia"]["devices"][0]["decode"]["reason"],
        Value::Null
    );
    let reason = devices["nvidia"]["devices"][0]["encode"]["reason"].as_str();
    assert!(reason.unwrap().starts_with(NO_ENCODER), "{said}");

    let (status, said) = machine.run(&["serve", "--addr", "127.0.0.1:0", "--backend", "cuda"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(
        said.contains(&format!("cuda cannot encode: {NO_ENCODER}")),
        "{said}"
    );

    let mut serve =
        machine.trickle(&["serve", "--addr", "127.0.0.1:0", "--decode-backend", "cuda"]);
    serve.stderr(Stdio::null());
    let (_worker, url) = Background::spawn(serve);
    let info = get(&format!("{url}/hardware/info"));
    assert_eq!(info["backends"][0]["decoder"], "NVDEC (h264, hevc)");
    let encoder = info["backends"][0]["encoder"].as_str().unwrap();
    assert!(encoder.starts_with(NO_ENCODER), "{encoder}");
    let metrics = call("GET", &format!("{url}/metrics"), "");
    assert!(metrics.contains(NO_ENCODER), "{metrics}");
}

#[test]
fn a_bench_hands_its_backend_to_the_worker_that_it_starts() {
    let machine = Machine::new("gpu_bench", "");
    let bench = ["bench", "pipeline", "--input", &clip("ptswrap_180p30.ts")];
    let (status, said) = machine.run(&[&bench[..], &["--encode-backend", "cuda:7"]].concat());
    assert_ne!(status, Some(0));
    let reason = "cuda:7 cannot encode: there is no such device";
    assert!(said.contains(reason), "{said}");
    let worker = ["--worker", "http://127.0.0.1:9", "--backend", "cuda"];
    let (status, said) = machine.run(&[&bench[..], &worker[..]].concat());
    assert_eq!(
        status,
        Some(2),
        "it says nothing of a worker that runs: {said}"
    );
}
