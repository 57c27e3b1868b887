//! What the counters of a session tell from one look to the next: errors, and how it does.

use trickle_processor::Params;

use super::event::{Condition, Event, Pulse};
use crate::stats::Snapshot;

/// Silence after which the input, or the output, counts as stalled, in milliseconds.
const STALL_MS: u64 = 2_000;

/// What was seen so far. Times are in milliseconds since 1970.
#[derive(Debug)]
pub(crate) struct Watch {
    started: u64,
    bytes_in: u64,
    frames_out: u64,
    last_input: Option<u64>,
    last_output: Option<u64>,
    params_updated: u64,
    /// The parameters in force have not been told yet.
    params_untold: bool,
    processor_errors: u64,
    decoder_restarts: u64,
    encoder_restarts: u64,
    input_gaps: u64,
    output_lost: u64,
    last_error: Option<(String, u64)>,
    last_restart: Option<u64>,
}

impl Watch {
    /// Of a session that starts at `now`.
    pub(crate) fn new(now: u64) -> Self {
        Self {
            started: now,
            bytes_in: 0,
            frames_out: 0,
            last_input: None,
            last_output: None,
            params_updated: now,
            params_untold: true,
            processor_errors: 0,
            decoder_restarts: 0,
            encoder_restarts: 0,
            input_gaps: 0,
            output_lost: 0,
            last_error: None,
            last_restart: None,
        }
    }

    /// New parameters came into force at `at`.
    pub(crate) fn params_updated(&mut self, at: u64) {
        self.params_updated = at;
        self.params_untold = true;
    }

    /// Notes what has changed since the last look; gives an event for every kind of error that has
    /// come up, however many of them there were.
    pub(crate) fn look(&mut self, snapshot: &Snapshot, now: u64) -> Vec<Event> {
        let Snapshot {
            frames,
            faults,
            facts,
            ..
        } = snapshot;
        if changed(&mut self.bytes_in, facts.input.bytes) > 0 {
            self.last_input = Some(now);
        }
        if changed(&mut self.frames_out, frames.out + facts.audio.out) > 0 {
            self.last_output = Some(now);
        }
        let processor = facts.processor.last_error.as_deref();
        let restarts = [
            changed(&mut self.decoder_restarts, faults.decoder_restarts),
            changed(&mut self.encoder_restarts, faults.encoder_restarts),
        ];
        if restarts.iter().any(|count| *count > 0) {
            self.last_restart = Some(now);
        }
        let errors = [
            (
                "processor",
                changed(&mut self.processor_errors, facts.processor.errors),
                processor.unwrap_or("the processor failed"),
            ),
            ("decoder", restarts[0], "it broke and was opened anew"),
            ("encoder", restarts[1], "it broke and was opened anew"),
            (
                "input",
                changed(&mut self.input_gaps, faults.input_gaps),
                "segments were missed",
            ),
            (
                "output",
                changed(&mut self.output_lost, faults.output_segments_lost),
                "segments could not be finished",
            ),
        ];
        let mut events = Vec::new();
        for (source, count, message) in errors {
            if count > 0 {
                self.last_error = Some((format!("{source}: {message}"), now));
                events.push(Event::Error {
                    source,
                    message: message.to_owned(),
                    count,
                });
            }
        }
        events
    }

    /// The heartbeat's part.
    pub(crate) fn pulse(&self, snapshot: &Snapshot) -> Pulse {
        let (input, output) = (&snapshot.facts.input, &snapshot.facts.output);
        Pulse {
            width: output.width.or(input.width).unwrap_or(0),
            height: output.height.or(input.height).unwrap_or(0),
            fps: snapshot.fps,
        }
    }

    /// How the session does at `now`. `params` are those in force, asked for when they have
    /// changed.
    pub(crate) fn condition(
        &mut self,
        snapshot: &Snapshot,
        now: u64,
        params: impl FnOnce() -> Params,
    ) -> Condition {
        let untold = std::mem::take(&mut self.params_untold);
        let (error, error_time) = self.last_error.clone().unzip();
        Condition {
            start_time: self.started,
            state: self.state(snapshot.facts.input.generative, now),
            input_fps: snapshot.fps.ingress_video_fps,
            last_input_time: self.last_input,
            output_fps: snapshot.fps.egress_video_fps,
            last_output_time: self.last_output,
            last_params_update_time: self.params_updated,
            last_params: untold.then(params),
            last_error: error,
            last_error_time: error_time,
            last_restart_time: self.last_restart,
            restart_count: self.decoder_restarts + self.encoder_restarts,
        }
    }

    /// go-livepeer's word.
    fn state(&self, generative: bool, now: u64) -> &'static str {
        let stalled = |last: Option<u64>| last.is_none_or(|at| now.saturating_sub(at) > STALL_MS);
        if generative {
            // It has no input to be away.
            match self.last_output {
                None if now.saturating_sub(self.started) <= STALL_MS => "OFFLINE",
                last if stalled(last) => "DEGRADED_INFERENCE",
                _ => "ONLINE",
            }
        } else if self.last_input.is_none() {
            "OFFLINE"
        } else if stalled(self.last_input) {
            "DEGRADED_INPUT"
        } else if stalled(self.last_output) {
            "DEGRADED_INFERENCE"
        } else {
            "ONLINE"
        }
    }
}

/// By how much a counter has grown since it was `seen`.
fn changed(seen: &mut u64, count: u64) -> u64 {
    count - std::mem::replace(seen, count).min(count)
}

#[cfg(test)]
#[path = "watch_test.rs"]
mod tests;
