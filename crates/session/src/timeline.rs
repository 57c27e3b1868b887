//! The session's clock: input times mapped to output times that never jump.

use std::time::Duration;

use trickle_media::access_unit::{AccessUnit, MediaKind};
use trickle_media::{TimeBase, Timestamp};

/// Output time of the first unit, in whole seconds: room below it for what comes late or is
/// shown before it, and far from the wrap of 33-bit timestamps for a day.
pub(crate) const START_SECONDS: i64 = 10;
/// A step forward that is longer is a jump of the input's clock.
const FORWARD: i64 = 10 * MPEG;
/// A step backward that is longer is one too; a shorter is a source's jitter.
const BACKWARD: i64 = MPEG / 2;
/// How far from each other the tracks may be.
const APART: i64 = 10 * MPEG;
/// How near a track must land to where it was to be back on its own clock of before a jump, and
/// how far back it may land when it follows the other one's.
const NEAR: i64 = MPEG;
/// Step after a jump where none was seen before.
const USUAL_STEP: i64 = MPEG / 30;
/// Longest step taken for the usual one.
const LONGEST_STEP: Duration = Duration::from_secs(1);

const MPEG: i64 = 90_000;

/// Maps audio and video alike: output = input + one offset, which changes only when the input's
/// clock jumps. All numbers are ticks of 90 kHz.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// Offset of the track that jumped last; `None` before the first unit.
    offset: Option<i64>,
    video: Track,
    audio: Track,
    rebases: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Track {
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    /// Input time of the last unit.
    input: i64,
    /// Output time of the last unit.
    output: i64,
    /// Time between units.
    step: i64,
    offset: i64,
    /// Offset before the last jump.
    before: i64,
}

impl Timeline {
    /// A timeline for a new session.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Jumps so far.
    pub(crate) fn rebases(&self) -> u64 {
        self.rebases
    }

    /// Moves the unit to output time, and flags it when the clock jumped before it.
    pub(crate) fn map(&mut self, unit: &mut AccessUnit) {
        let input = unit.dts.in_base(TimeBase::MPEG);
        let (track, other) = match unit.codec.kind() {
            MediaKind::Video => (self.video, self.audio),
            _ => (self.audio, self.video),
        };
        let (offset, jumped) = self.offset_for(input, &track, &other);
        let output = input.saturating_add(offset);
        let step = track.last.map_or(USUAL_STEP, |last| {
            let step = output.saturating_sub(last.output);
            let longest = TimeBase::MPEG.ticks(LONGEST_STEP);
            if (1..=longest).contains(&step) {
                step
            } else {
                last.step
            }
        });
        let moved = Track {
            last: Some(Last {
                input,
                output,
                step,
                offset,
                before: match track.last {
                    Some(last) if jumped => last.offset,
                    Some(last) => last.before,
                    None => offset,
                },
            }),
        };
        match unit.codec.kind() {
            MediaKind::Video => self.video = moved,
            _ => self.audio = moved,
        }
        unit.flags.discontinuity |= jumped;
        unit.pts = shifted(unit.pts, offset);
        unit.dts = shifted(unit.dts, offset);
    }

    /// The offset for a unit of `track`, and whether it is another than the track's last.
    fn offset_for(&mut self, input: i64, track: &Track, other: &Track) -> (i64, bool) {
        let Some(current) = self.offset else {
            let offset = (START_SECONDS - input.div_euclid(MPEG)) * MPEG;
            self.offset = Some(offset);
            return (offset, false);
        };
        let Some(last) = track.last else {
            // The track's first unit: near the other track, or on a clock of its own.
            let near = other
                .last
                .is_none_or(|other| (input.saturating_add(current) - other.output).abs() <= APART);
            return if near {
                (current, false)
            } else {
                (self.rebase(input, track, other), true)
            };
        };
        let step = input.saturating_sub(last.input);
        if (-BACKWARD..=FORWARD).contains(&step) {
            return (last.offset, false);
        }
        let landing = |offset: i64| input.saturating_add(offset).saturating_sub(last.output);
        if current != last.offset && (-NEAR..=APART).contains(&landing(current)) {
            return (current, true);
        }
        if last.before != last.offset && (0..=NEAR).contains(&landing(last.before)) {
            self.offset = Some(last.before);
            return (last.before, true);
        }
        (self.rebase(input, track, other), true)
    }

    /// A new offset, by which this unit follows the later track.
    fn rebase(&mut self, input: i64, track: &Track, other: &Track) -> i64 {
        let after = |track: &Track| Some(track.last?.output.saturating_add(track.last?.step));
        let next = match (after(track), after(other)) {
            (Some(own), Some(other)) if (own..=own + APART).contains(&other) => other,
            (Some(own), _) => own,
            (None, other) => other.unwrap_or(START_SECONDS * MPEG),
        };
        let offset = next.saturating_sub(input);
        self.offset = Some(offset);
        self.rebases += 1;
        offset
    }
}

/// `time` moved by `offset` ticks of 90 kHz, in its own base.
fn shifted(time: Timestamp, offset: i64) -> Timestamp {
    time.offset(Timestamp::mpeg(offset).in_base(time.base))
}

#[cfg(test)]
#[path = "timeline_test.rs"]
mod tests;
