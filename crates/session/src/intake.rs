//! From a container's streams and units to the stages: choice of streams, session time, routing.

use std::sync::Arc;

use trickle_media::StreamInfo;
use trickle_media::access_unit::{AccessUnit, Codec, MediaKind};

use crate::config::AudioMode;
use crate::error::EndReason;
use crate::item::{Coded, Item, Streams};
use crate::queue::Push;
use crate::shared::Shared;
use crate::status::AudioRoute;
use crate::timeline::Timeline;

/// Where every unit of the input enters the session.
pub(crate) struct Intake {
    shared: Arc<Shared>,
    audio: AudioMode,
    /// The processor wants sound; a model that was still loading may come to say so.
    takes_audio: bool,
    timeline: Timeline,
    streams: Streams,
    /// What the container held last.
    found: Vec<StreamInfo>,
    /// Sound that is left out, and why.
    refused: Option<(Codec, &'static str)>,
}

/// The session is over for this stage.
pub(crate) struct Over;

impl Intake {
    pub(crate) fn new(shared: Arc<Shared>, audio: AudioMode) -> Self {
        Self {
            audio,
            takes_audio: shared.takes_audio(),
            shared,
            timeline: Timeline::new(),
            streams: Streams {
                video: None,
                audio: None,
                route: AudioRoute::None,
            },
            found: Vec::new(),
            refused: None,
        }
    }

    /// The container holds these streams from here on. The first of each kind is used, and kept
    /// for as long as it is there.
    pub(crate) fn streams(&mut self, found: &[StreamInfo]) -> Result<(), Over> {
        self.found = found.to_vec();
        let pick = |kind: MediaKind, now: &Option<Arc<StreamInfo>>| {
            let current = now.as_ref().map(|now| now.track);
            let stream = StreamInfo::choose(found, kind, current)?;
            match now {
                Some(now) if **now == *stream => Some(Arc::clone(now)),
                _ => Some(Arc::new(stream.clone())),
            }
        };
        let video = pick(MediaKind::Video, &self.streams.video);
        let audio = pick(MediaKind::Audio, &self.streams.audio);
        let refused = audio
            .as_ref()
            .and_then(|audio| Some((audio.codec, self.refusal(audio.codec)?)));
        let route = match &audio {
            Some(audio) if refused.is_none() => self.route(audio.codec),
            _ => AudioRoute::None,
        };
        let mut facts = self.shared.stats.facts();
        facts.input.video_codec = video.as_ref().map(|stream| stream.codec);
        facts.input.audio_codec = audio.as_ref().map(|stream| stream.codec);
        facts.audio.route = route;
        facts.audio.note = refused.map(|(codec, reason)| format!("{codec} {reason}"));
        if refused != self.refused
            && let Some(reason) = &facts.audio.note
        {
            tracing::error!(reason, "sound is left out");
        }
        drop(facts);
        self.refused = refused;
        let streams = Streams {
            video,
            audio: audio.filter(|_| route != AudioRoute::None),
            route,
        };
        if streams == self.streams {
            return Ok(());
        }
        // What else is known of them comes bit by bit, and is nothing to be told each time.
        let codec = |stream: &Option<Arc<StreamInfo>>| Some(stream.as_ref()?.codec.name());
        let told = |of: &Streams| (codec(&of.video), codec(&of.audio), of.route);
        let (video, audio, _) = told(&streams);
        if told(&streams) != told(&self.streams) {
            tracing::info!(video, audio, ?route, "input streams");
        }
        self.streams = streams.clone();
        self.send(Item::Streams(Arc::new(streams)))
    }

    /// Why nothing can be done with sound in this coding, where that is known by its name.
    fn refusal(&self, codec: Codec) -> Option<&'static str> {
        let decoded = !matches!(self.route(codec), AudioRoute::Copied | AudioRoute::None);
        match codec {
            _ if self.audio == AudioMode::None => None,
            Codec::UNDETERMINED_AUDIO => None,
            _ if !codec.is_used() => Some("is not read here"),
            Codec::Aac | Codec::Opus => None,
            _ if decoded => Some("cannot be decoded, only passed on with --audio copy"),
            _ => None,
        }
    }

    fn route(&self, codec: Codec) -> AudioRoute {
        match (self.audio, codec) {
            (AudioMode::None, _) => AudioRoute::None,
            _ if self.takes_audio => AudioRoute::Processed,
            (AudioMode::Copy, _)
            | (AudioMode::Opus, Codec::Opus)
            | (AudioMode::Aac, Codec::Aac) => AudioRoute::Copied,
            (AudioMode::Opus | AudioMode::Aac, _) => AudioRoute::Transcoded,
        }
    }

    /// A unit of the container.
    pub(crate) fn unit(&mut self, mut unit: AccessUnit) -> Result<(), Over> {
        if self.takes_audio != self.shared.takes_audio() {
            self.takes_audio = self.shared.takes_audio();
            let found = self.found.clone();
            self.streams(&found)?;
        }
        let of = |stream: &Option<Arc<StreamInfo>>| {
            stream
                .as_ref()
                .filter(|stream| stream.track == unit.track)
                .cloned()
        };
        let stats = &self.shared.stats;
        let (video, stream) = match (of(&self.streams.video), of(&self.streams.audio)) {
            (Some(stream), _) => {
                // The same picture again, whole this time, is none more; nor is one that is not shown.
                if !unit.flags.replaces_previous && !unit.flags.hidden {
                    stats.video_in.add(1);
                    if let Some(now) = unit.received {
                        stats.video_in_rate.tick(now);
                    }
                }
                (true, stream)
            }
            (None, Some(stream)) => {
                stats.audio_in.add(1);
                if let Some(now) = unit.received {
                    stats.audio_in_rate.tick(now);
                }
                (false, stream)
            }
            (None, None) => return Ok(()),
        };
        let rebases = self.timeline.rebases();
        self.timeline.map(&mut unit);
        if self.timeline.rebases() != rebases {
            stats.timeline_rebases.add(1);
            tracing::warn!(track = %unit.track, at = %unit.dts, "the input's clock jumped");
        }
        let coded = Coded { unit, stream };
        self.send(if video {
            Item::Picture(coded)
        } else {
            Item::Packet(coded)
        })
    }

    /// The input has ended: the stages finish what they have. An input without anything of use
    /// is a failure.
    pub(crate) fn finish(&self) {
        if self.streams.video.is_none() && self.streams.audio.is_none() {
            let seen: Vec<&str> = self
                .found
                .iter()
                .map(|stream| stream.codec.name())
                .collect();
            self.shared.fail(EndReason::NoStreams(if seen.is_empty() {
                "no streams were found".to_owned()
            } else {
                format!("it holds {}", seen.join(", "))
            }));
        }
        self.shared.queues.decode.close();
    }

    /// To the decoder; live, packets that are copied go straight to the output, as neither the
    /// decoder nor a slow model may hold them up. Files keep their order instead.
    fn send(&self, item: Item) -> Result<(), Over> {
        let queues = &self.shared.queues;
        let stats = &self.shared.stats;
        let video = matches!(item, Item::Picture(_));
        let past = self.shared.live
            && self.streams.route == AudioRoute::Copied
            && matches!(item, Item::Packet(_));
        let queue = if past { &queues.egress } else { &queues.decode };
        match queue.push(item) {
            Push::Done { dropped, .. } if video => stats.dropped.decoder_busy.add(dropped),
            Push::Done { dropped, .. } => stats.audio_dropped.add(dropped),
            Push::Closed(_) => {
                stats.dropped.stopped.add(u64::from(video));
                return Err(Over);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "intake_test.rs"]
mod tests;
