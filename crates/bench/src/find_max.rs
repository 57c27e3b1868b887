//! The highest pace that a worker sustains.

use serde::Serialize;
use trickle_proto::Client;

use crate::pipeline::{self, PipelineConfig, PipelineError, PipelineReport};
use crate::source::Clip;

/// Share of the frames that may be lost at a pace that is called sustained.
const MAX_LOST: f64 = 0.01;
/// Growth of the latency, in milliseconds, up to which a pace is called sustained. A worker that
/// is 5 % too slow falls behind by 250 ms in 5 s.
const MAX_GROWTH_MS: f64 = 100.0;
/// Paces are told apart down to this ratio.
const PRECISION: f64 = 1.05;
/// Fastest pace tried, times normal speed.
const FASTEST: f64 = 64.0;
/// Slowest pace tried.
const SLOWEST: f64 = 1.0 / 16.0;

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct MaxReport {
    /// Most frames per second that went in and came out at a pace that was sustained, of all
    /// streams together.
    pub fps_max: f64,
    /// The measurement at that pace.
    pub at_max: PipelineReport,
    /// Every pace tried, in order.
    pub tried: Vec<Trial>,
}

/// A pace that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// Times normal speed.
    pub speed: f64,
    /// Frames per second sent.
    pub fps_in: f64,
    /// Frames per second that came out.
    pub fps_out: f64,
    /// The worker kept up.
    pub sustained: bool,
}

/// Tries paces from `config.speed` on: doubles while the worker keeps up, halves while it does
/// not, then closes in.
///
/// # Errors
/// [`PipelineError`]; [`PipelineError::TooSlow`] when no pace at all is sustained.
pub async fn run(
    client: &Client,
    clip: &Clip,
    config: &PipelineConfig,
    mut progress: impl FnMut(&Trial),
) -> Result<MaxReport, PipelineError> {
    let mut search = Search::new(config.speed);
    let mut best: Option<PipelineReport> = None;
    let mut tried = Vec::new();
    while let Some(speed) = search.next() {
        let config = PipelineConfig {
            speed,
            ..config.clone()
        };
        let report = match pipeline::run(client, clip, &config).await {
            Ok(report) => report,
            // So far behind that nothing came out in time.
            Err(PipelineError::NoOutput(_)) if best.is_some() => {
                search.tell(false);
                continue;
            }
            Err(error) => return Err(error),
        };
        let trial = Trial {
            speed,
            fps_in: report.fps.sent,
            fps_out: report.fps.out,
            sustained: keeps_up(&report),
        };
        progress(&trial);
        tried.push(trial);
        search.tell(trial.sustained);
        if trial.sustained && best.as_ref().is_none_or(|best| fps(best) < fps(&report)) {
            best = Some(report);
        }
    }
    let at_max = best.ok_or(PipelineError::TooSlow(SLOWEST))?;
    Ok(MaxReport {
        fps_max: fps(&at_max),
        at_max,
        tried,
    })
}

/// What was kept up with: a worker that catches up on a slow start gives more than it gets.
fn fps(report: &PipelineReport) -> f64 {
    report.fps.sent.min(report.fps.out)
}

fn keeps_up(report: &PipelineReport) -> bool {
    report.frames_lost as f64 <= MAX_LOST * report.frames_sent as f64
        && report.latency_growth_ms <= MAX_GROWTH_MS
}

/// The paces to try, one after another.
#[derive(Debug)]
struct Search {
    speed: f64,
    /// The fastest pace that was sustained.
    good: Option<f64>,
    /// The slowest pace that was not.
    bad: Option<f64>,
}

impl Search {
    fn new(speed: f64) -> Self {
        Self {
            speed,
            good: None,
            bad: None,
        }
    }

    /// The next pace; `None` once the answer is known.
    fn next(&mut self) -> Option<f64> {
        self.speed = match (self.good, self.bad) {
            (None, None) => self.speed,
            (Some(good), None) => 2.0 * good,
            (None, Some(bad)) => bad / 2.0,
            (Some(good), Some(bad)) if bad / good > PRECISION => (good * bad).sqrt(),
            (Some(_), Some(_)) => return None,
        };
        (SLOWEST..=FASTEST)
            .contains(&self.speed)
            .then_some(self.speed)
    }

    /// Whether the worker kept up with the pace given last.
    fn tell(&mut self, kept_up: bool) {
        let side = if kept_up {
            &mut self.good
        } else {
            &mut self.bad
        };
        *side = Some(self.speed);
    }
}

#[cfg(test)]
#[path = "find_max_test.rs"]
mod tests;
