//! What of a stream its sender, or its receiver, should know or change, in words.

use serde::Serialize;

use super::{Probe, StreamReport, TimeFaults, Track};
use crate::access_unit::{Codec, MediaKind, TrackId};
use crate::backend::Backends;
use crate::codec::open_audio_decoder;
use crate::frame::FramePool;
use crate::stream::{Orientation, StreamParams, VideoParams};
use crate::ts::TransportReport;

/// A viewer who joins waits for a keyframe; more than this is long, in seconds.
const LONG_GOP: f64 = 4.0;
/// Sound and picture that begin, or end, further apart than this do not belong together, in
/// seconds: well above what lies between an audio packet and its picture.
const APART: f64 = 0.5;
/// Units of a stream below which nothing is said of its keyframes.
const ENOUGH: u64 = 50;

/// One thing worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub weight: Weight,
    /// The stream it is about; `None` for the container.
    pub track: Option<TrackId>,
    /// What is so.
    pub what: String,
    /// What follows from it, or can be done.
    pub advice: String,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Something is lost or will not work.
    Problem,
    /// It works, and there is something to know.
    Note,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        weight: Weight,
        track: Option<TrackId>,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.0.push(Finding {
            weight,
            track,
            what: what.into(),
            advice: advice.into(),
        });
    }
}

impl Probe {
    /// What is worth knowing of the streams so far, problems first. `transport`: what the demuxer
    /// says, for transport streams; `backends`: those that would decode the video.
    pub fn findings(
        &self,
        transport: Option<&TransportReport>,
        backends: &Backends,
    ) -> Vec<Finding> {
        let mut found = Findings::default();
        if let Some(transport) = transport {
            container(transport, &mut found);
        }
        let report = self.report();
        for stream in &report.streams {
            let Some(track) = self.tracks.get(&stream.track) else {
                continue;
            };
            decoding(stream, track, backends, &mut found);
            if stream.kind == MediaKind::Video {
                groups(stream, track, &mut found);
            }
            if stream.kind != MediaKind::Data {
                times(stream.track, &stream.times, &mut found);
            }
            if stream.damaged > 0 {
                found.add(
                    Weight::Problem,
                    Some(stream.track),
                    format!("{} of {} units lack bytes", stream.damaged, stream.units),
                    "packets were lost or damaged before they came here: look at the line",
                );
            }
        }
        together(&report.streams, &mut found);
        found.0.sort_by_key(|finding| finding.weight);
        found.0
    }
}

fn container(transport: &TransportReport, found: &mut Findings) {
    let stats = &transport.stats;
    if let [_, _, ..] = transport.programs.as_slice() {
        let numbers: Vec<String> = transport.programs.iter().map(u16::to_string).collect();
        let read = match transport.program {
            Some(number) => format!("program {number} is read"),
            None => "none of them is read".into(),
        };
        found.add(
            Weight::Note,
            None,
            format!("it holds several programs: {}", numbers.join(", ")),
            format!("{read}; choose another with --program"),
        );
    }
    if stats.packet_len > crate::ts::packet::PACKET_LEN {
        found.add(
            Weight::Note,
            None,
            format!("its packets have {} bytes", stats.packet_len),
            "what stands between the packets is left out; other tools may want 188",
        );
    }
    let faults = &stats.faults;
    let mut tell = |count: u64, what: &str, advice: &str| {
        if count > 0 {
            found.add(
                Weight::Problem,
                None,
                format!("{what}: {count} times"),
                advice,
            );
        }
    };
    tell(
        faults.continuity,
        "packets are missing",
        "they were lost on the way, or by whoever recorded it",
    );
    tell(
        faults.lost_sync,
        "bytes that are no packets",
        "something writes into the stream, or cuts it within packets",
    );
    tell(
        faults.scrambled,
        "scrambled packets",
        "they cannot be read: descramble the stream before it comes here",
    );
    tell(
        faults.tables,
        "tables that cannot be used",
        "PAT or PMT are damaged or missing: nothing can be read before a sound one comes",
    );
    tell(
        faults.no_timestamp,
        "packets without a timestamp",
        "their times are guessed from the packets before",
    );
    if stats.packets > 0 && stats.null_packets * 4 > stats.packets {
        let share = 100 * stats.null_packets / stats.packets;
        found.add(
            Weight::Note,
            None,
            format!("{share} % of its packets are padding"),
            "a constant bit rate is not needed here: padding only costs",
        );
    }
}

/// Who decodes it, and what becomes of it.
fn decoding(stream: &StreamReport, track: &Track, backends: &Backends, found: &mut Findings) {
    let pool = FramePool::new();
    let id = Some(stream.track);
    let codec = stream.codec;
    if stream.kind != MediaKind::Data && !codec.is_used() {
        let advice = match stream.kind {
            MediaKind::Video => "encode it as H.264 first, such as with ffmpeg -c:v libx264",
            _ => "it is left out of every output: encode it as AAC or Opus to keep it",
        };
        let what = format!("its coding is not read here ({codec})");
        return found.add(Weight::Problem, id, what, advice);
    }
    match (stream.kind, &track.params) {
        (MediaKind::Video, params) => {
            let params = match params {
                StreamParams::Video(params) => params.clone(),
                _ => VideoParams::unknown(stream.codec),
            };
            if stream.codec == Codec::H264 && params.width == 0 && stream.units > 0 {
                return found.add(
                    Weight::Problem,
                    id,
                    "no parameter sets (SPS, PPS) came",
                    "nothing can be decoded without: the sender must repeat them with its keyframes",
                );
            }
            match backends.open_decoder(&params, &pool) {
                Err(refused) => found.add(
                    Weight::Problem,
                    id,
                    "nothing here can decode it",
                    refused.to_string(),
                ),
                Ok(_) => changed(stream.track, &params, found),
            }
        }
        (MediaKind::Audio, params) => {
            let refusal = match params {
                StreamParams::Audio(params) => open_audio_decoder(params, &pool).err(),
                _ if stream.units > 0 => open_audio_decoder(
                    &crate::stream::AudioParams {
                        codec: stream.codec,
                        sample_rate: 0,
                        channels: 0,
                        config: bytes::Bytes::new(),
                    },
                    &pool,
                )
                .err(),
                _ => None,
            };
            if let Some(refusal) = refusal {
                found.add(
                    Weight::Problem,
                    id,
                    format!("its sound cannot be decoded: {}", refusal.reason),
                    "--audio copy passes it on as it is, --audio none leaves it out",
                );
            }
        }
        (MediaKind::Data, _) => found.add(
            Weight::Note,
            id,
            format!("{} is neither picture nor sound", stream.codec),
            "it is left out of every output",
        ),
    }
}

/// What becomes of pictures that frames do not carry as they are.
fn changed(track: TrackId, params: &VideoParams, found: &mut Findings) {
    let mut note = |what: &str, advice: &str| found.add(Weight::Note, Some(track), what, advice);
    if params.interlaced {
        note(
            "its pictures may be interlaced",
            "where the two fields of a picture differ, the top one counts; a progressive source \
             looks better",
        );
    }
    if params.bit_depth > 8 {
        note(
            "it has more than 8 bits per sample",
            "it is processed with 8: encode 8 bits to save work",
        );
    }
    if params.chroma_format > 1 {
        note(
            "it has more chroma than 4:2:0",
            "it is processed as 4:2:0: encode that to save work",
        );
    }
}

fn groups(stream: &StreamReport, track: &Track, found: &mut Findings) {
    let Some(gop) = &stream.gop else { return };
    let id = Some(stream.track);
    if gop.keyframes == 0 {
        if stream.units > 0 {
            found.add(
                Weight::Problem,
                id,
                "no keyframe came",
                "decoding cannot begin: have the encoder send IDR pictures, such as every 2 s \
                 (periodic intra refresh does not do)",
            );
        }
        return;
    }
    let seconds = gop.longest_s.unwrap_or_default().max(track.gop.seconds);
    if seconds > LONG_GOP && stream.units >= ENOUGH {
        found.add(
            Weight::Note,
            id,
            format!("keyframes are up to {seconds:.1} s apart"),
            "whoever joins, and every damage, waits so long: 2 s suit live streams",
        );
    }
    if gop.leading > 0 {
        found.add(
            Weight::Note,
            id,
            format!("{} pictures come ahead of the first keyframe", gop.leading),
            "they cannot be decoded: the stream was joined in the middle",
        );
    }
    let upright = |video: &VideoParams| video.orientation == Orientation::UPRIGHT;
    if stream.video.as_ref().is_some_and(|video| !upright(video)) {
        found.add(
            Weight::Note,
            id,
            "its pictures do not stand upright, and the file says how to turn them",
            "`trickle process` turns them; a transport stream cannot say it, so that viewers of \
             what is published see them as they lie",
        );
    }
    if gop.reordered {
        found.add(
            Weight::Note,
            id,
            "it has B-frames",
            "each costs a frame of delay: encode without (x264: --tune zerolatency) where delay \
             matters",
        );
    }
    if stream.changes > 0 {
        found.add(
            Weight::Note,
            id,
            format!("its parameters change {} times", stream.changes),
            "the output changes with it; give width and height to keep its size",
        );
    }
}

fn times(track: TrackId, faults: &TimeFaults, found: &mut Findings) {
    let mut tell = |count: u64, weight: Weight, what: &str, advice: &str| {
        if count > 0 {
            found.add(weight, Some(track), format!("{count} times {what}"), advice);
        }
    };
    tell(
        faults.jumps,
        Weight::Problem,
        "its clock jumps",
        "the output goes on without a gap; a source that restarts looks so",
    );
    tell(
        faults.backwards,
        Weight::Problem,
        "a unit is decoded before the one ahead of it",
        "the muxer writes wrong decoding times: pictures may be lost until their order is learned",
    );
    tell(
        faults.repeated,
        Weight::Problem,
        "a unit has the time of the one ahead of it",
        "of pictures with one time only the first is shown",
    );
    tell(
        faults.shown_early,
        Weight::Problem,
        "a unit is shown before it is decoded",
        "the muxer writes wrong times",
    );
    tell(
        faults.gaps,
        Weight::Note,
        "units are missing",
        "the source pauses, or its units were lost",
    );
}

/// How the first picture stream and the first sound stream lie.
fn together(streams: &[StreamReport], found: &mut Findings) {
    let first = |kind: MediaKind| streams.iter().find(|s| s.kind == kind && s.units > 0);
    let (Some(video), Some(audio)) = (first(MediaKind::Video), first(MediaKind::Audio)) else {
        return;
    };
    let (Some(video_start), Some(audio_start)) = (video.start_s, audio.start_s) else {
        return;
    };
    let later = |seconds: f64| if seconds > 0.0 { "later" } else { "earlier" };
    let start = audio_start - video_start;
    if start.abs() > APART {
        found.add(
            Weight::Note,
            Some(audio.track),
            format!(
                "sound begins {:.2} s {} than the picture",
                start.abs(),
                later(start)
            ),
            "they stay so in the output",
        );
    }
    let end = audio_start + audio.duration_s - video_start - video.duration_s;
    let jumped = video.times.jumps + audio.times.jumps > 0;
    if (end - start).abs() > APART && !jumped {
        found.add(
            Weight::Problem,
            Some(audio.track),
            format!(
                "sound ends {:.2} s {} than the picture",
                end.abs(),
                later(end)
            ),
            "one of the two stops, or their clocks drift apart",
        );
    }
}

#[cfg(test)]
#[path = "findings_test.rs"]
mod tests;
