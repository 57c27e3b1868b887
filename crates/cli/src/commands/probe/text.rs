//! A probe's findings in words.

use std::fmt::Write;

use indicatif::HumanBytes;
use trickle_media::access_unit::Codec;
use trickle_media::probe::{Finding, GopReport, StreamReport, TimeFaults, Weight};
use trickle_media::stream::VideoParams;

use super::Found;

pub(super) fn describe(found: &Found) -> String {
    let mut text = String::new();
    let report = &found.report;
    line(
        &mut text,
        0,
        format!(
            "{}: {}, {:.2} s, {}",
            found.source,
            count(report.streams.len() as u64, "stream"),
            report.duration_s,
            HumanBytes(found.bytes)
        ),
    );
    for stream in &report.streams {
        line(&mut text, 1, headline(stream));
        if stream.units == 0 {
            line(&mut text, 2, "nothing of it was found".into());
            continue;
        }
        line(&mut text, 2, amounts(stream));
        if let Some(gop) = &stream.gop {
            line(&mut text, 2, groups(gop));
        }
        if stream.changes > 0 {
            let changes = format!("its parameters change: {}", count(stream.changes, "time"));
            line(&mut text, 2, changes);
        }
        if stream.damaged > 0 {
            line(
                &mut text,
                2,
                format!("damaged: {}", count(stream.damaged, "unit")),
            );
        }
        line(&mut text, 2, times(&stream.times));
    }
    if !found.findings.is_empty() {
        line(&mut text, 0, "worth knowing:".into());
    }
    for Finding {
        weight,
        track,
        what,
        advice,
    } in &found.findings
    {
        let about = track.map_or_else(String::new, |track| format!("{track}: "));
        let mark = match weight {
            Weight::Problem => "problem: ",
            Weight::Note => "",
        };
        line(&mut text, 1, format!("{mark}{about}{what}"));
        line(&mut text, 2, format!("→ {advice}"));
    }
    if found.faults > 0 {
        line(&mut text, 0, format!("{}:", count(found.faults, "fault")));
        for fault in &found.first_faults {
            line(&mut text, 1, fault.clone());
        }
    }
    text
}

/// A number of things, whose name takes an `s` where there are several.
fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

fn line(text: &mut String, depth: usize, content: String) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{:indent$}{content}", "", indent = depth * 2);
}

fn headline(stream: &StreamReport) -> String {
    let mut text = format!("{}: {}", stream.track, stream.codec);
    if let Some(video) = &stream.video {
        text += &picture(video);
    }
    if let Some(audio) = &stream.audio {
        text += &format!(
            ", {} Hz, {}",
            audio.sample_rate,
            count(audio.channels.into(), "channel")
        );
    }
    if let Some(language) = &stream.language {
        text += &format!(", {language}");
    }
    text
}

fn picture(video: &VideoParams) -> String {
    let rate = match video.frame_rate {
        Some(rate) => format!("{:.3} fps stated", rate.as_f64()),
        None => "no rate stated".into(),
    };
    let scan = if video.interlaced { ", interlaced" } else { "" };
    let mirror = if video.orientation.mirrored {
        ", to be mirrored"
    } else {
        ""
    };
    let turn = match video.orientation.quarter_turns {
        0 => String::new(),
        turns => format!(", to be turned {}° clockwise", 90 * u32::from(turns)),
    };
    format!(
        " {}@{}.{}, {}×{}, {rate}, {} {} bit{scan}{mirror}{turn}",
        profile(video.codec, video.profile),
        video.level / 10,
        video.level % 10,
        video.width,
        video.height,
        chroma(video.chroma_format),
        video.bit_depth,
    )
}

/// Profiles by `profile_idc` (ITU-T H.264, A.2) and `general_profile_idc` (ITU-T H.265, A.3).
fn profile(codec: Codec, number: u8) -> String {
    if codec == Codec::Hevc {
        return match number {
            1 => "Main".into(),
            2 => "Main 10".into(),
            3 => "Main Still Picture".into(),
            4 => "Range Extensions".into(),
            other => format!("profile {other}"),
        };
    }
    match number {
        66 => "Baseline".into(),
        77 => "Main".into(),
        88 => "Extended".into(),
        100 => "High".into(),
        110 => "High 10".into(),
        122 => "High 4:2:2".into(),
        244 => "High 4:4:4".into(),
        other => format!("profile {other}"),
    }
}

fn chroma(format: u8) -> &'static str {
    match format {
        0 => "4:0:0",
        1 => "4:2:0",
        2 => "4:2:2",
        _ => "4:4:4",
    }
}

fn amounts(stream: &StreamReport) -> String {
    let mut text = match stream.rate {
        Some(rate) => format!("{}, {rate:.2} per second", count(stream.units, "unit")),
        None => count(stream.units, "unit"),
    };
    if let Some(bitrate) = stream.bitrate {
        text += &format!(", {:.0} kbit/s", bitrate / 1000.0);
    }
    if let Some(start) = stream.start_s {
        text += &format!(", {:.2} s from {start:.3} s", stream.duration_s);
    }
    text
}

fn groups(gop: &GopReport) -> String {
    let mut text = count(gop.keyframes, "keyframe");
    if let (Some(frames), Some(seconds)) = (gop.longest_frames, gop.longest_s) {
        text += &format!(", at most {frames} frames ({seconds:.2} s) apart");
    }
    if gop.leading > 0 {
        text += &format!(", {} ahead of the first", count(gop.leading, "frame"));
    }
    if gop.reordered {
        text += ", B-frames";
    }
    text
}

fn times(faults: &TimeFaults) -> String {
    let counted = [
        (faults.backwards, "running backwards"),
        (faults.repeated, "repeated"),
        (faults.shown_early, "shown before being decoded"),
        (faults.jumps, "jumping"),
    ];
    let mut said: Vec<String> = counted
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if faults.gaps > 0 {
        said.push(format!(
            "{} of up to {:.2} s",
            count(faults.gaps, "gap"),
            faults.longest_gap_s
        ));
    }
    if said.is_empty() {
        "timestamps: in order".into()
    } else {
        format!("timestamps: {}", said.join(", "))
    }
}
