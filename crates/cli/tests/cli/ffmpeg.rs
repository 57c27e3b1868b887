//! Live streams through FFmpeg: what comes in as H.264 or H.265, and changes its size on the way.

use serde_json::{Value, json};

use crate::support::{Background, Dir, clip, http, probe, stream, succeed};

/// The report on what comes out of a worker, started with these further flags, of a clip that is
/// published live.
fn live(name: &str, input: &str, flags: &[&str]) -> Value {
    let dir = Dir::new(&format!("ffmpeg_{name}"));
    let output = dir.file("out.ts");
    let (_relay, relay) = Background::server(&["relay", "--addr", "127.0.0.1:0", "--autocreate"]);
    let serve = ["serve", "--addr", "127.0.0.1:0", "--backend", "ffmpeg"];
    let (worker, url) = Background::server(&[&serve[..], flags].concat());
    let [from, to] = ["in", "out"].map(|channel| format!("{relay}{channel}"));
    for channel in [&from, &to] {
        http("POST", channel, "Expect-Content: video/mp2t\r\n", "");
    }
    let subscriber = Background::start(&["subscribe", &to, "-o", &output]);
    let start = json!({
        "gateway_request_id": name,
        "subscribe_url": from,
        "publish_url": to,
    });
    let json = "Content-Type: application/json\r\n";
    let url = format!("{}/api/stream/start", url.trim_end_matches('/'));
    let answer = http("POST", &url, json, &start.to_string());
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    succeed(&["publish", &clip(input), &from]);
    // The output ends with the stream, which ends with its input.
    assert!(subscriber.wait().success());
    assert!(worker.terminate().success());
    let report = probe(&output);
    assert_eq!(report["faults"], 0, "{report}");
    report
}

/// Most of so many pictures came out: a busy machine drops some of a live stream.
fn most(video: &Value, pictures: u64) {
    let units = video["units"].as_u64().unwrap();
    let range = pictures / 2..=pictures;
    assert!(range.contains(&units), "{units} of {pictures}");
}

#[test]
fn a_stream_that_changes_its_size_goes_on_with_another_encoder() {
    let report = live("size", "reschange_360p_to_240p.ts", &[]);
    let video = stream(&report, "video");
    assert_eq!(video["codec"], "h264");
    most(video, 120);
    // The last size; that there was another is a change.
    assert_eq!(video["video"]["height"], 240);
    assert_eq!(video["changes"], 1);
}

#[test]
fn h265_comes_in_and_goes_out() {
    let video = |report: &Value| stream(report, "video").clone();
    let out = video(&live("from_hevc", "hevc_240p25.ts", &[]));
    assert_eq!(out["codec"], "h264");
    most(&out, 50);
    let devices = succeed(&["devices"]);
    // Not every FFmpeg has x265.
    if devices.contains("libx265") {
        let flags = ["--video-codec", "hevc"];
        let out = video(&live("to_hevc", "hevc_240p25.ts", &flags));
        assert_eq!(out["codec"], "hevc");
        most(&out, 50);
        assert_eq!(out["video"]["height"], 240);
    }
}

#[test]
fn a_bit_rate_and_a_gop_are_kept() {
    let flags = ["--bitrate", "300k", "--gop", "1s"];
    let report = live("rate", "live_720p25_baseline_opus.ts", &flags);
    let video = stream(&report, "video");
    let longest = video["gop"]["longest_s"].as_f64().unwrap();
    assert!((0.9..1.2).contains(&longest), "{longest}");
    let rate = video["bitrate"].as_f64().unwrap();
    assert!((150_000.0..450_000.0).contains(&rate), "{rate}");
}
