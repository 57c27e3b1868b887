//! Commands on channels: publish, subscribe, probe, demo.

use std::time::Duration;

use crate::support::{Background, Dir, clip, fail, http, post, probe, stream, succeed};

/// The beginning of a clip, cut at a packet.
fn beginning(dir: &Dir, name: &str, packets: usize) -> String {
    let bytes = std::fs::read(clip(name)).unwrap();
    let path = dir.file("beginning.ts");
    std::fs::write(&path, &bytes[..packets * 188]).unwrap();
    path
}

#[test]
fn what_is_published_is_what_a_subscriber_writes_down() {
    let dir = Dir::new("live");
    let input = beginning(&dir, "ptswrap_180p30.ts", 300);
    let output = dir.file("out.ts");
    let (_relay, url) = Background::server(&["relay", "--addr", "127.0.0.1:0", "--autocreate"]);
    let channel = format!("{url}in");
    let created = http("POST", &channel, "Expect-Content: video/mp2t\r\n", "");
    assert!(created.starts_with("HTTP/1.1 200"), "{created}");

    let subscriber = Background::start(&["subscribe", &channel, "-o", &output]);
    succeed(&["publish", &input, &channel]);
    // It ends with the channel.
    assert!(subscriber.wait().success());
    let (before, after) = (probe(&input), probe(&output));
    let (before, after_video) = (stream(&before, "video"), stream(&after, "video"));
    assert_eq!(after_video["units"], before["units"]);
    assert_eq!(after_video["duration_s"], before["duration_s"]);
    assert_eq!(after["faults"], 0);
}

#[test]
fn one_program_of_a_channel_is_recorded() {
    let dir = Dir::new("program");
    let (_relay, url) = Background::server(&["relay", "--addr", "127.0.0.1:0", "--autocreate"]);
    let channel = format!("{url}in");
    http("POST", &channel, "Expect-Content: video/mp2t\r\n", "");
    let plain = dir.file("plain.ts");
    let message = fail(2, &["subscribe", &channel, "-o", &plain, "--program", "8"]);
    assert!(message.contains("--program"), "{message}");

    let output = dir.file("eight.mp4");
    let recorder = Background::start(&["subscribe", &channel, "-o", &output, "--program", "8"]);
    // The whole multiplex, as it is: `publish` would pick one program of it.
    let clip = std::fs::read(clip("two_programs.ts")).unwrap();
    let recorded = || std::fs::metadata(&output).is_ok_and(|file| file.len() > 0);
    for segment in 0.. {
        assert!(segment < 500, "nothing is recorded");
        post(&format!("{channel}/{segment}"), &clip);
        if recorded() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(recorder.terminate().success());
    let report = probe(&output);
    assert_eq!(stream(&report, "video")["video"]["width"], 96);
}

#[test]
fn a_live_channel_is_probed() {
    let (_relay, url) = Background::server(&["relay", "--addr", "127.0.0.1:0", "--autocreate"]);
    let channel = format!("{url}in");
    http("POST", &channel, "Expect-Content: video/mp2t\r\n", "");
    let publisher = Background::start(&["publish", &clip("ptswrap_180p30.ts"), &channel, "--loop"]);
    let json = succeed(&["probe", &channel, "--seconds", "1s", "--json"]);
    let report = serde_json::from_str(&json).unwrap();
    assert_eq!(stream(&report, "video")["video"]["height"], 180);
    assert!(publisher.terminate().success());
    // Its end closed the channel.
    let next = http("GET", &format!("{channel}/next"), "", "");
    assert!(next.to_lowercase().contains("lp-trickle-closed"), "{next}");
}

#[test]
fn a_channel_that_is_not_there_is_explained() {
    let (_relay, url) = Background::server(&["relay", "--addr", "127.0.0.1:0"]);
    let channel = format!("{url}nothing");
    let message = fail(1, &["subscribe", &channel]);
    assert!(
        message.contains(&channel) && message.contains("hint:"),
        "{message}"
    );
    let message = fail(1, &["publish", &clip("ptswrap_180p30.ts"), &channel]);
    assert!(message.contains("--autocreate"), "{message}");
    let message = fail(1, &["subscribe", "http://127.0.0.1:1/x", "--retry", "0s"]);
    assert!(message.contains("127.0.0.1:1"), "{message}");
}

#[test]
fn the_demo_records_the_processed_clip() {
    let dir = Dir::new("demo");
    let output = dir.file("demo.ts");
    let input = clip("portrait_360x640_aac44k_mono.ts");
    let arguments = ["demo", "--input", &input, "--seconds", "2s", "-o", &output];
    let summary = succeed(&arguments);
    assert!(summary.contains("demo.ts"), "{summary}");
    let report = probe(&output);
    let video = stream(&report, "video");
    assert!(video["units"].as_u64().unwrap() > 0);
    assert_eq!(video["times"]["backwards"], 0);
    assert_eq!(stream(&report, "audio")["codec"], "opus");
}

/// FFmpeg decodes what nothing else here does.
#[cfg(not(feature = "ffmpeg"))]
#[test]
fn a_demo_without_output_fails_and_says_why() {
    let dir = Dir::new("demo_refused");
    let output = dir.file("demo.ts");
    let input = clip("hevc_240p25.ts");
    let arguments = ["demo", "--input", &input, "--seconds", "1s", "-o", &output];
    let message = fail(1, &arguments);
    assert!(message.contains("hevc"), "{message}");
}
