//! What the demo tells: progress while it runs, and how its output compares with its input.

use std::collections::HashSet;
use std::fmt::Write;
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::Value;

use trickle_session::AudioMode;

use super::recording::Recording;
use super::{Plan, Published};
use crate::error::CliError;
use crate::ui::Ui;

/// Frames at the start of the output that may be missing when the two clocks are aligned.
const ALIGN: usize = 250;

/// A line that follows the session.
pub(super) struct Progress {
    ui: Ui,
    bar: ProgressBar,
    length: Option<Duration>,
}

impl Progress {
    pub(super) fn new(ui: &Ui, length: Option<Duration>) -> Self {
        Self {
            ui: ui.clone(),
            bar: match length {
                Some(length) => ui.millis(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)),
                None => ui.spinner(),
            },
            length,
        }
    }

    /// Shows the worker's status.
    pub(super) fn show(&self, status: &Value) {
        let session = &status["sessions"][0];
        if session.is_null() {
            return;
        }
        let line = one_line(session);
        if !self.ui.is_live() {
            self.ui.say(&line);
        }
        if self.length.is_some() {
            let seconds = number(&session["uptime_s"]);
            self.bar.set_position((seconds * 1000.0) as u64);
        }
        self.bar.set_message(line);
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn one_line(session: &Value) -> String {
    let (fps, latency) = (&session["fps"], &session["latency_ms"]["total"]);
    format!(
        "{:.1} fps in, {:.1} fps out, latency p50 {:.1} ms p99 {:.1} ms, dropped {}",
        number(&fps["ingress_video_fps"]),
        number(&fps["egress_video_fps"]),
        number(&latency["p50"]),
        number(&latency["p99"]),
        dropped(session).0,
    )
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

/// Frames that were left out, and a text of the causes.
fn dropped(session: &Value) -> (u64, String) {
    let causes = session["frames"]["dropped"].as_object();
    let counted: Vec<(&String, u64)> = causes
        .into_iter()
        .flatten()
        .filter_map(|(cause, count)| Some((cause, count.as_u64().filter(|count| *count > 0)?)))
        .collect();
    let text: Vec<String> = counted
        .iter()
        .map(|(cause, count)| format!("{cause} {count}"))
        .collect();
    let total = counted.iter().map(|(_, count)| count).sum();
    (total, text.join(", "))
}

/// How a recording compares with what was published.
pub(super) struct Comparison {
    recording: Recording,
    published: usize,
    /// Output time less input time, in ticks of 90 kHz, for the most frames.
    offset: i64,
    /// Published frames that were recorded with this offset.
    matching: usize,
}

impl Comparison {
    pub(super) fn new(published: &Published, recording: Recording) -> Self {
        let recorded: HashSet<i64> = recording.video.iter().copied().collect();
        let matching = |offset: i64| {
            let shifted = published.video.iter().map(|pts| pts.wrapping_add(offset));
            shifted.filter(|pts| recorded.contains(pts)).count()
        };
        let first = recording.video.iter().min();
        let candidates = first.into_iter().flat_map(|first| {
            let inputs = published.video.iter().take(ALIGN);
            inputs.map(move |input| first.wrapping_sub(*input))
        });
        let best = candidates
            .map(|offset| (matching(offset), offset))
            .max_by_key(|(matching, _)| *matching);
        let (matching, offset) = best.unwrap_or_default();
        Self {
            recording,
            published: published.video.len(),
            offset,
            matching,
        }
    }

    /// The summary, for a person.
    pub(super) fn summary(&self, plan: &Plan, session: &Value) -> String {
        let status = &session["status"];
        let frames = &status["frames"];
        let latency = &status["latency_ms"]["total"];
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<11}{value}");
        };
        row("processor", plan.processor.clone());
        row(
            "frames",
            format!(
                "{} in, {} out, in {:.1} s",
                number(&frames["in"]),
                number(&frames["out"]),
                number(&status["uptime_s"]),
            ),
        );
        let (count, causes) = dropped(status);
        row("dropped", if count == 0 { "none".into() } else { causes });
        row(
            "latency",
            format!(
                "p50 {:.1} ms, p99 {:.1} ms in the worker, from a frame's last byte in to its \
                 bytes out",
                number(&latency["p50"]),
                number(&latency["p99"]),
            ),
        );
        let video = self.recording.video_params.as_ref().map_or_else(
            || "no video".to_owned(),
            |video| format!("{} {}×{}", video.codec, video.width, video.height),
        );
        let audio = match self.recording.audio {
            Some(codec) => format!("{codec}, {} packets", self.recording.audio_units),
            None => "no audio".into(),
        };
        row(
            "recorded",
            format!("{} frames of {video}; {audio}", self.recording.video.len()),
        );
        if self.published > 0 {
            row("timestamps", self.timestamps());
        }
        row("recording", plan.output.display().to_string());
        text.truncate(text.trim_end().len());
        text
    }

    fn timestamps(&self) -> String {
        let missing = self.published - self.matching;
        let same = if missing == 0 {
            format!("all {} frames are there", self.published)
        } else {
            format!("{missing} of {} frames are missing", self.published)
        };
        format!("{same}, shifted by {:+.3} s", self.offset as f64 / 90_000.0)
    }

    /// Whether the demo shows what it should: video, audio where there was some, and the input's
    /// own times. Frames that a slow machine dropped are no failure.
    pub(super) fn verdict(
        &self,
        plan: &Plan,
        published: &Published,
        session: &Value,
    ) -> Result<(), CliError> {
        let recording = &self.recording;
        let ended = || format!("the session ended because {}", reason(session));
        if recording.video.is_empty() {
            return Err(CliError::new(format!(
                "no video came out of the worker: {}",
                ended()
            )));
        }
        if published.audio && plan.audio != AudioMode::None && recording.audio_units == 0 {
            return Err(CliError::new("the input has audio and the output has none"));
        }
        if !recording.monotonic {
            return Err(CliError::new("timestamps of the output run backwards"));
        }
        if let Some(fault) = recording.faults.first() {
            return Err(CliError::new(format!("the output is damaged: {fault}")));
        }
        let strangers = recording.video.len().saturating_sub(self.matching);
        if self.published > 0 && strangers > 0 {
            return Err(CliError::new(format!(
                "{strangers} frames of the output have times that the input does not have"
            )));
        }
        match session["reason"]["reason"].as_str() {
            Some("input_ended" | "stopped") => Ok(()),
            _ => Err(CliError::new(ended())),
        }
    }
}

fn reason(session: &Value) -> String {
    let reason = &session["reason"];
    let kind = reason["reason"].as_str().unwrap_or("unknown");
    match reason["detail"].as_str() {
        Some(detail) => format!("{kind}: {detail}"),
        None => kind.to_owned(),
    }
}
