//! Commands on files: probe and process.

use crate::support::{Dir, clip, fail, probe, stream, succeed};

#[test]
fn probe_tells_what_a_clip_is() {
    for name in ["bunny_720p25_main_aac51.mp4", "bunny_720p25_main_aac51.ts"] {
        let report = probe(&clip(name));
        let video = stream(&report, "video");
        assert_eq!(video["codec"], "h264");
        assert_eq!(video["video"]["width"], 1280);
        assert_eq!(video["video"]["height"], 720);
        assert_eq!(video["rate"].as_f64().unwrap().round(), 25.0);
        assert_eq!(video["times"]["backwards"], 0);
        let audio = stream(&report, "audio");
        assert_eq!(audio["codec"], "aac");
        assert_eq!(audio["audio"]["channels"], 6);
        assert_eq!(report["faults"], 0);
    }
    let text = succeed(&["probe", &clip("bunny_720p25_main_aac51.mp4")]);
    assert!(
        text.contains("1280×720") && text.contains("in order"),
        "{text}"
    );
}

#[test]
fn probe_says_what_can_be_done() {
    let report = probe(&clip("interlaced_576i.ts"));
    let findings = report["findings"].as_array().unwrap();
    assert!(
        findings
            .iter()
            .any(|finding| finding["what"].as_str().unwrap().contains("interlaced")),
        "{findings:?}"
    );
    assert_eq!(report["transport"]["packet_len"], 188);
    let text = succeed(&["probe", &clip("damaged_lost_packets.ts")]);
    assert!(text.contains("problem: packets are missing"), "{text}");
}

#[test]
fn probe_counts_damage() {
    let report = probe(&clip("damaged_lost_packets.ts"));
    assert!(report["faults"].as_u64().unwrap() > 0);
    assert!(stream(&report, "video")["damaged"].as_u64().unwrap() > 0);
}

#[test]
fn what_is_no_media_is_refused_by_name() {
    let dir = Dir::new("no_media");
    let path = dir.file("notes.txt");
    std::fs::write(&path, "plain text\n".repeat(100)).unwrap();
    let message = fail(1, &["probe", &path]);
    assert!(
        message.contains("notes.txt") && message.contains("MPEG-TS"),
        "{message}"
    );
    assert!(fail(1, &["probe", &dir.file("missing.ts")]).contains("missing.ts"));
    let out = dir.file("out.ts");
    assert!(fail(1, &["process", &dir.file("missing.ts"), &out]).contains("missing.ts"));
}

#[test]
fn process_keeps_every_frame_and_its_time_and_repeats_itself() {
    let dir = Dir::new("process");
    let input = clip("portrait_360x640_aac44k_mono.ts");
    let outputs = [dir.file("a.ts"), dir.file("b.ts")];
    for output in &outputs {
        succeed(&["process", &input, output]);
    }
    let [first, second] = outputs.each_ref().map(|path| std::fs::read(path).unwrap());
    assert!(first == second, "two runs gave different bytes");

    let (before, after) = (probe(&input), probe(&outputs[0]));
    let (before, video) = (stream(&before, "video"), stream(&after, "video"));
    for key in ["units", "rate", "duration_s"] {
        assert_eq!(video[key], before[key], "{key}");
    }
    assert_eq!(video["video"]["width"], 360);
    assert_eq!(video["video"]["height"], 640);
    assert_eq!(stream(&after, "audio")["codec"], "opus");
    assert_eq!(after["faults"], 0);
}

#[test]
fn process_takes_parameters_and_rejects_wrong_ones() {
    let dir = Dir::new("params");
    let (input, output) = (clip("ptswrap_180p30.ts"), dir.file("out.ts"));
    let size = r#"{"width": 160, "height": 90}"#;
    succeed(&[
        "process", &input, &output, "--params", size, "--audio", "none",
    ]);
    let report = probe(&output);
    assert_eq!(stream(&report, "video")["video"]["width"], 160);
    assert_eq!(report["streams"].as_array().unwrap().len(), 1);

    let wrong = fail(
        1,
        &[
            "process",
            &input,
            &output,
            "--params",
            r#"{"width": 0, "height": 9}"#,
        ],
    );
    assert!(wrong.contains("width"), "{wrong}");
    fail(2, &["process", &input, &output, "--params", "[]"]);
}

#[test]
fn process_overwrites_no_input() {
    let dir = Dir::new("same");
    let path = dir.file("x.ts");
    std::fs::copy(clip("ptswrap_180p30.ts"), &path).unwrap();
    assert!(fail(2, &["process", &path, &path]).contains("same file"));
}

#[test]
fn process_writes_mp4_to_a_file_of_that_name() {
    let dir = Dir::new("mp4_out");
    let (input, output) = (clip("portrait_360x640_aac44k_mono.ts"), dir.file("out.mp4"));
    for (mode, codec) in [("opus", "opus"), ("copy", "aac")] {
        succeed(&["process", &input, &output, "--audio", mode]);
        assert_eq!(&std::fs::read(&output).unwrap()[4..8], b"ftyp");
        let (before, after) = (probe(&input), probe(&output));
        let (before, video) = (stream(&before, "video"), stream(&after, "video"));
        assert_eq!(video["units"], before["units"]);
        assert_eq!(stream(&after, "audio")["codec"], codec);
        assert_eq!(after["faults"], 0);
    }
}

#[test]
fn a_program_that_is_not_there_is_told() {
    let report = succeed(&["probe", &clip("ptswrap_180p30.ts"), "--program", "7"]);
    assert!(report.contains("program"), "{report}");
}

#[test]
fn what_cannot_be_processed_leaves_no_empty_file() {
    let dir = Dir::new("refused");
    let mut file = std::fs::read(clip("bunny_720p25_main_aac51.mp4")).unwrap();
    let entry = file.windows(4).rposition(|found| found == b"avc1").unwrap();
    file[entry..entry + 4].copy_from_slice(b"vp09");
    let input = dir.file("vp9.mp4");
    std::fs::write(&input, file).unwrap();
    for name in ["out.ts", "out.mp4"] {
        let output = dir.file(name);
        let message = fail(1, &["process", &input, &output]);
        assert!(message.contains("vp9 is not read here"), "{message}");
        assert!(!std::path::Path::new(&output).exists(), "{name}");
    }
    let report = probe(&input);
    assert_eq!(stream(&report, "video")["codec"], "vp9");
}
