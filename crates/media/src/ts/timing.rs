//! The time of each unit: as stated, or counted on from the unit before.

use std::time::Duration;

use super::clock::MAX_STEP;
use super::fault::FaultKind;
use super::output::Output;
use super::packet::Pid;
use super::track::PesTimes;
use crate::access_unit::TrackId;
use crate::stream::Rational;
use crate::time::{TimeBase, Timestamp};

/// Decoding times may step back by so much where encoders write them wrongly; more is a jump.
const MAX_BACK: i64 = 90_000 / 2;
/// Time between units where nothing tells it: 30 per second.
const DEFAULT_STEP: i64 = 3_000;
/// Steps longer than this say nothing about the rate of a stream: 1 s.
const LONGEST_STEP: i64 = 90_000;

/// How long a picture lasts.
pub(super) fn ticks_of_frame(rate: Rational) -> i64 {
    let (num, den) = (i64::from(rate.num), i64::from(rate.den));
    (90_000 * den + num / 2) / num
}

/// Places the units of one stream in time.
#[derive(Debug)]
pub(super) struct UnitClock {
    track: TrackId,
    last: Option<i64>,
    // The step between the last two units that stated their times.
    step: Option<i64>,
}

/// Where a unit stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) pts: Timestamp,
    pub(super) dts: Timestamp,
    pub(super) discontinuity: bool,
}

impl UnitClock {
    pub(super) fn new(track: TrackId) -> Self {
        Self {
            track,
            last: None,
            step: None,
        }
    }

    /// The time of the next unit. `step`: ticks from the unit before, where the stream states
    /// it. `again`: the unit before is placed once more. `None` when nothing at all tells a
    /// time; the unit cannot be used.
    pub(super) fn place(
        &mut self,
        times: Option<PesTimes>,
        step: Option<i64>,
        again: bool,
        out: &mut Output,
    ) -> Option<Placed> {
        let times = times.unwrap_or_default();
        let stated = times.dts.or(times.pts);
        let next = |last: i64| last.saturating_add(step.or(self.step).unwrap_or(DEFAULT_STEP));
        let dts = match (stated, self.last) {
            (Some(stated), _) => stated,
            (None, Some(last)) if again => last,
            (None, Some(last)) => next(last),
            (None, None) => out.clock.latest()?,
        };
        let mut jump = false;
        if let Some(last) = self.last
            && !again
        {
            let moved = dts.saturating_sub(last);
            jump = !(-MAX_BACK..=MAX_STEP).contains(&moved);
            if jump {
                out.fault(
                    Pid::of(self.track),
                    FaultKind::Jump {
                        from: last,
                        to: dts,
                    },
                );
            } else if stated.is_some() && (1..=LONGEST_STEP).contains(&moved) {
                self.step = Some(moved);
            }
        }
        self.last = Some(dts);
        Some(Placed {
            pts: Timestamp::mpeg(times.pts.unwrap_or(dts)),
            dts: Timestamp::mpeg(dts),
            discontinuity: jump || times.discontinuity,
        })
    }

    /// Time between units, as far as known.
    pub(super) fn unit_time(&self) -> Option<Duration> {
        let micros = Timestamp::mpeg(self.step?).in_base(TimeBase::MICROS);
        u64::try_from(micros).ok().map(Duration::from_micros)
    }
}
