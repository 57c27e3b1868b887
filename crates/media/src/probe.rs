//! What a stream is, gathered from its units: rates, sizes, GOPs and what is wrong with its times.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::access_unit::{AccessUnit, Codec, MediaKind, TrackId};
use crate::stream::{AudioParams, StreamInfo, StreamParams, VideoParams};
use crate::time::Timestamp;

mod findings;

pub use findings::{Finding, Weight};

/// A step of decoding time beyond this is a jump of the clock, not a pause.
const JUMP: Duration = Duration::from_secs(10);
/// So is one backwards of more than this, which no wrong decoding time explains.
const JUMP_BACK: Duration = Duration::from_millis(500);
/// A step so many times the usual one is a gap.
const GAP_STEPS: f64 = 3.0;
/// Shorter steps are no gap, whatever is usual.
const SHORTEST_GAP: f64 = 0.1;

/// Gathers facts about the streams of one source. Its memory does not grow with time, so that a
/// live stream can be watched for as long as one likes.
#[derive(Debug, Default)]
pub struct Probe {
    tracks: BTreeMap<TrackId, Track>,
}

/// The facts about one source so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeReport {
    /// Time from the first unit to the end of the last, of the longest stream, in seconds; jumps
    /// of the clock are left out.
    pub duration_s: f64,
    /// Its streams, by their ids.
    pub streams: Vec<StreamReport>,
}

/// The facts about one stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamReport {
    /// Its id: the PID, or the MP4 track.
    pub track: TrackId,
    /// Coding format.
    pub codec: Codec,
    /// What it is.
    pub kind: MediaKind,
    /// ISO 639-2 language.
    pub language: Option<String>,
    /// Coding parameters of a video stream, the last ones.
    pub video: Option<VideoParams>,
    /// Coding parameters of an audio stream, the last ones.
    pub audio: Option<AudioReport>,
    /// Times that the coding parameters changed.
    pub changes: u64,
    /// Pictures or audio packets.
    pub units: u64,
    /// Units known to be damaged.
    pub damaged: u64,
    /// Coded bytes, without the container's.
    pub bytes: u64,
    /// Coded bits per second.
    pub bitrate: Option<f64>,
    /// Units per second, measured.
    pub rate: Option<f64>,
    /// Presentation time of the first unit, in seconds.
    pub start_s: Option<f64>,
    /// Time from the first unit to the end of the last, in seconds; jumps are left out.
    pub duration_s: f64,
    /// Groups of pictures, of a video stream.
    pub gop: Option<GopReport>,
    /// What is wrong with its times.
    pub times: TimeFaults,
}

/// An audio stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AudioReport {
    /// Samples per second and channel.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u8,
}

/// Groups of pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct GopReport {
    /// Keyframes.
    pub keyframes: u64,
    /// Pictures ahead of the first keyframe, which nobody can decode.
    pub leading: u64,
    /// Pictures from one keyframe to the next, at most; `None` with fewer than two keyframes.
    pub longest_frames: Option<u64>,
    /// Time from one keyframe to the next, at most, in seconds.
    pub longest_s: Option<f64>,
    /// Pictures are shown in another order than they are coded: there are B-frames.
    pub reordered: bool,
}

/// How often the times of a stream are not as they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TimeFaults {
    /// A unit is decoded before the one ahead of it.
    pub backwards: u64,
    /// A unit is decoded at the same time as the one ahead of it.
    pub repeated: u64,
    /// A unit is shown before it is decoded.
    pub shown_early: u64,
    /// Units are missing: a step of more than three times the usual one.
    pub gaps: u64,
    /// The longest of them, in seconds.
    pub longest_gap_s: f64,
    /// The clock jumps: by more than 10 s, or back by more than half a second.
    pub jumps: u64,
}

impl TimeFaults {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.backwards + self.repeated + self.shown_early + self.gaps + self.jumps
    }
}

#[derive(Debug)]
struct Track {
    codec: Codec,
    language: Option<String>,
    params: StreamParams,
    changes: u64,
    units: u64,
    damaged: u64,
    bytes: u64,
    /// Of the unit before.
    last_bytes: u64,
    last_damaged: bool,
    start: Option<Timestamp>,
    last: Option<Timestamp>,
    /// Sum and number of the steps between units, jumps and gaps left out.
    stepped: f64,
    steps: u64,
    /// Time in gaps.
    paused: f64,
    gop: Gops,
    times: TimeFaults,
}

#[derive(Debug, Default)]
struct Gops {
    keyframes: u64,
    leading: u64,
    reordered: bool,
    /// Pictures and time since the last keyframe.
    frames: u64,
    seconds: f64,
    longest_frames: u64,
    longest_s: f64,
}

impl Probe {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what a container says of its streams; again when that changes.
    pub fn streams(&mut self, streams: &[StreamInfo]) {
        for stream in streams {
            let track = self
                .tracks
                .entry(stream.track)
                .or_insert_with(|| Track::new(stream.codec));
            track.codec = stream.codec;
            track.language.clone_from(&stream.language);
            if track.params != stream.params {
                track.changes += u64::from(track.params != StreamParams::Unknown);
                track.params = stream.params.clone();
            }
        }
    }

    /// Takes a unit, in the order of its container.
    pub fn unit(&mut self, unit: &AccessUnit) {
        self.tracks
            .entry(unit.track)
            .or_insert_with(|| Track::new(unit.codec))
            .add(unit);
    }

    /// What is known so far.
    pub fn report(&self) -> ProbeReport {
        let streams: Vec<StreamReport> = self
            .tracks
            .iter()
            .map(|(id, track)| track.report(*id))
            .collect();
        ProbeReport {
            duration_s: streams
                .iter()
                .map(|stream| stream.duration_s)
                .fold(0.0, f64::max),
            streams,
        }
    }
}

impl Track {
    fn new(codec: Codec) -> Self {
        Self {
            codec,
            language: None,
            params: StreamParams::Unknown,
            changes: 0,
            units: 0,
            damaged: 0,
            bytes: 0,
            last_bytes: 0,
            last_damaged: false,
            start: None,
            last: None,
            stepped: 0.0,
            steps: 0,
            paused: 0.0,
            gop: Gops::default(),
            times: TimeFaults::default(),
        }
    }

    fn add(&mut self, unit: &AccessUnit) {
        let bytes = unit.data.len() as u64;
        let (before, was_damaged) = (self.last_bytes, self.last_damaged);
        self.last_bytes = bytes;
        self.last_damaged = unit.flags.damaged;
        if unit.flags.replaces_previous {
            // The unit before, whole this time.
            self.bytes = self.bytes - before + bytes;
            self.damaged = self.damaged - u64::from(was_damaged) + u64::from(unit.flags.damaged);
            return;
        }
        self.units += 1;
        self.damaged += u64::from(unit.flags.damaged);
        self.bytes += bytes;
        self.times.shown_early += u64::from(unit.pts < unit.dts);
        self.start.get_or_insert(unit.pts);
        let step = match self.last.replace(unit.dts) {
            Some(last) => self.step(last, unit.dts),
            None => 0.0,
        };
        if self.codec.kind() == MediaKind::Video {
            self.gop.add(unit, step);
        }
    }

    /// Judges a step of decoding time, and gives its length as far as it counts as time.
    fn step(&mut self, last: Timestamp, now: Timestamp) -> f64 {
        let times = &mut self.times;
        let Some(step) = now.since(last) else {
            if last.since(now).is_some_and(|back| back > JUMP_BACK) {
                times.jumps += 1;
            } else {
                times.backwards += 1;
            }
            return 0.0;
        };
        if step > JUMP {
            times.jumps += 1;
            return 0.0;
        }
        let seconds = step.as_secs_f64();
        if step.is_zero() {
            times.repeated += 1;
        } else if self.steps > 0
            && seconds > SHORTEST_GAP
            && seconds > GAP_STEPS * self.stepped / self.steps as f64
        {
            times.gaps += 1;
            times.longest_gap_s = times.longest_gap_s.max(seconds);
            self.paused += seconds;
        } else {
            self.stepped += seconds;
            self.steps += 1;
        }
        seconds
    }

    fn report(&self, track: TrackId) -> StreamReport {
        let usual = (self.steps > 0).then(|| self.stepped / self.steps as f64);
        // The last unit lasts as long as the others.
        let duration_s = self.stepped + self.paused + usual.unwrap_or_default();
        StreamReport {
            track,
            codec: self.codec,
            kind: self.codec.kind(),
            language: self.language.clone(),
            video: match &self.params {
                StreamParams::Video(params) => Some(params.clone()),
                _ => None,
            },
            audio: match &self.params {
                StreamParams::Audio(params) => Some(AudioReport::of(params)),
                _ => None,
            },
            changes: self.changes,
            units: self.units,
            damaged: self.damaged,
            bytes: self.bytes,
            bitrate: (usual.is_some() && duration_s > 0.0)
                .then(|| self.bytes as f64 * 8.0 / duration_s),
            rate: usual.filter(|step| *step > 0.0).map(|step| 1.0 / step),
            start_s: self.start.map(Timestamp::as_secs_f64),
            duration_s,
            gop: (self.codec.kind() == MediaKind::Video).then(|| self.gop.report()),
            times: self.times,
        }
    }
}

impl Gops {
    fn add(&mut self, unit: &AccessUnit, step: f64) {
        self.reordered |= unit.pts != unit.dts;
        self.frames += 1;
        self.seconds += step;
        if unit.keyframe {
            if self.keyframes == 0 {
                self.leading = self.frames - 1;
            } else {
                // The keyframe itself begins the next group.
                self.longest_frames = self.longest_frames.max(self.frames - 1);
                self.longest_s = self.longest_s.max(self.seconds);
            }
            self.keyframes += 1;
            self.frames = 1;
            self.seconds = 0.0;
        }
    }

    fn report(&self) -> GopReport {
        let several = self.keyframes > 1;
        GopReport {
            keyframes: self.keyframes,
            leading: match self.keyframes {
                0 => self.frames,
                _ => self.leading,
            },
            longest_frames: several.then_some(self.longest_frames),
            longest_s: several.then_some(self.longest_s),
            reordered: self.reordered,
        }
    }
}

impl AudioReport {
    fn of(params: &AudioParams) -> Self {
        Self {
            sample_rate: params.sample_rate,
            channels: params.channels,
        }
    }
}

#[cfg(test)]
#[path = "probe_test.rs"]
mod tests;
