//! From coded units to the bytes of the output: order, streams, segments.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use trickle_media::access_unit::{AccessUnit, Codec, TrackId};
use trickle_media::frame::StageTimes;
use trickle_media::stream::StreamParams;
use trickle_media::ts::{MuxError, MuxOptions, Placed, Segmenter, SegmenterOptions};
use trickle_media::{StreamInfo, Timestamp};

use crate::config::AudioMode;
use crate::encode::coded_stream;
use crate::error::EndReason;
use crate::interleave::Interleaver;
use crate::item::{Coded, Encoded, Item, Streams};
use crate::shared::Shared;
use crate::status::AudioRoute;

/// How long sound waits for the first picture before the output begins without one.
const START_WAIT: Duration = Duration::from_secs(10);

/// Pictures that wait at most until it is known what the sound beside them is.
const MAX_EARLY: usize = 30;
/// So many of a file, where waiting delays nobody.
const MAX_EARLY_OFFLINE: usize = 256;

/// Tracks of the output's streams.
const VIDEO: TrackId = TrackId(1);
const SOUND: TrackId = TrackId(2);

/// Bytes of the output.
pub(crate) struct Chunk {
    /// A new segment begins with them.
    pub(crate) starts_segment: bool,
    pub(crate) bytes: Bytes,
    /// They hold a picture, which passed the stages at these times; else they hold sound.
    pub(crate) video: Option<StageTimes>,
}

/// Orders, muxes and cuts the output.
///
/// It begins with a keyframe, or with sound where there are no pictures. Streams that come or go
/// later do so at the next keyframe: a new segment begins there, with tables that say so.
pub(crate) struct Output {
    live: bool,
    interleaver: Interleaver,
    /// The streams to be expected, once known.
    expected: Option<Arc<Streams>>,
    /// The stream of the last packet of sound, as it came and as it is muxed.
    sound: Option<(Arc<StreamInfo>, StreamInfo)>,
    /// Whether it was known what the sound is when the first picture came: if not, it is encoded
    /// as stereo.
    sound_known: Option<bool>,
    /// Sound that cannot be muxed; the reason was reported.
    refused: Option<StreamInfo>,
    mux: Option<Mux>,
    /// Length of a segment.
    target: Duration,
    /// When the first packet of sound came, before the output began.
    waiting_since: Option<Instant>,
    last_sound: Option<Timestamp>,
    /// Pictures that came before it was known what the sound beside them is.
    early: VecDeque<Encoded>,
    ready: VecDeque<Chunk>,
}

struct Mux {
    segmenter: Segmenter,
    streams: Vec<StreamInfo>,
    bytes: BytesMut,
}

impl Mux {
    fn has_video(&self) -> bool {
        self.streams.iter().any(|stream| stream.track == VIDEO)
    }

    /// Whether the sound is what is muxed, or can be without the tables saying so.
    fn goes_on_as(&mut self, sound: &StreamInfo) -> bool {
        let of_sound = |stream: &&mut StreamInfo| stream.track == SOUND;
        let Some(now) = self.streams.iter_mut().find(of_sound) else {
            return false;
        };
        if now == sound {
            return true;
        }
        let goes_on = matches!(self.segmenter.set_params(sound), Ok(true));
        if goes_on {
            sound.clone_into(now);
        }
        goes_on
    }

    fn write(&mut self, unit: &AccessUnit) -> Result<(Placed, Bytes), MuxError> {
        let placed = self.segmenter.write(unit, &mut self.bytes)?;
        Ok((placed, self.bytes.split().freeze()))
    }
}

impl Output {
    /// Segments are about `target` long: as long as a GOP.
    pub(crate) fn new(live: bool, target: Duration) -> Self {
        Self {
            live,
            target,
            interleaver: Interleaver::new(live),
            expected: None,
            sound: None,
            sound_known: None,
            refused: None,
            mux: None,
            waiting_since: None,
            last_sound: None,
            early: VecDeque::new(),
            ready: VecDeque::new(),
        }
    }

    /// Takes what came out of the stages at `now`, which is `None` offline.
    pub(crate) fn push(&mut self, item: Item, now: Option<Instant>, shared: &Shared) {
        match item {
            Item::Streams(streams) => {
                self.interleaver.expect_video(streams.video.is_some());
                self.expected = Some(streams);
                self.release_early(now, shared);
            }
            Item::Encoded(encoded) => {
                if self.sound_known.is_none() {
                    self.sound_known = Some(!self.is_sound_unknown());
                }
                self.early.push_back(encoded);
                self.release_early(now, shared);
            }
            Item::Packet(packet) => {
                self.waiting_since = self.waiting_since.or(now);
                let dropped = self.interleaver.audio(packet, now);
                shared.stats.audio_dropped.add(dropped);
                self.release_early(now, shared);
            }
            // All else ends in an earlier stage.
            Item::Picture(_) | Item::Frame(_) | Item::Sound(_) | Item::Update(_) => {}
        }
        self.release(now, shared);
    }

    /// Takes the next bytes that are ready.
    pub(crate) fn pop(&mut self) -> Option<Chunk> {
        self.ready.pop_front()
    }

    /// When [`release`](Self::release) finds something to do, if nothing comes before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.mux {
            Some(_) => self.interleaver.deadline(),
            None => Some(self.waiting_since? + START_WAIT),
        }
    }

    /// The stages have ended: nothing is waited for any more.
    pub(crate) fn finish(&mut self, shared: &Shared) {
        if self.mux.is_none() && self.interleaver.first().is_none() {
            // What is still waited for never came.
            let expected = self.expected.take();
            self.expected = expected.map(|streams| Arc::new(streams.without_audio()));
        }
        while let Some(encoded) = self.early.pop_front() {
            self.picture(encoded, None, shared);
        }
        self.interleaver.expect_video(false);
        if self.mux.is_none() {
            self.begin_with_sound(shared);
        }
        self.release(None, shared);
    }

    /// Lets out the sound that is due at `now`.
    pub(crate) fn release(&mut self, now: Option<Instant>, shared: &Shared) {
        if self.mux.is_none() {
            let waited = match (now, self.waiting_since) {
                (Some(now), Some(since)) => now.saturating_duration_since(since) >= START_WAIT,
                _ => false,
            };
            let alone = self
                .expected
                .as_ref()
                .is_some_and(|streams| streams.video.is_none());
            if !alone && !waited {
                return;
            }
            self.begin_with_sound(shared);
        }
        while self.mux.is_some() {
            let Some(packet) = self.interleaver.pop(now) else {
                break;
            };
            self.packet(packet, shared);
        }
    }

    /// The segment that was being written is lost: the next keyframe begins a new one.
    pub(crate) fn cut(&mut self) {
        if let Some(mux) = &mut self.mux
            && let Err(error) = mux.segmenter.set_streams(&mux.streams)
        {
            tracing::error!(%error, "streams that were muxed before cannot be muxed again");
        }
    }

    /// Begins without pictures, if there is sound to begin with.
    fn begin_with_sound(&mut self, shared: &Shared) {
        if let Some(first) = self.interleaver.first() {
            let stream = Arc::clone(&first.stream);
            let sound = self.muxed_as(&stream);
            self.carry(None, Some(sound), shared);
        }
    }

    /// Takes the pictures that waited, unless the output would begin without its sound: what is
    /// copied is known by its first packet only; of a file, nothing is promised that may not come.
    fn release_early(&mut self, now: Option<Instant>, shared: &Shared) {
        let most = if self.live {
            MAX_EARLY
        } else {
            MAX_EARLY_OFFLINE
        };
        while self.early.len() > most || !self.awaits_sound() {
            let Some(encoded) = self.early.pop_front() else {
                break;
            };
            self.picture(encoded, now, shared);
        }
    }

    fn is_sound_unknown(&self) -> bool {
        let expected = self.expected.as_ref();
        expected.is_some_and(|streams| streams.is_sound_unknown())
    }

    fn awaits_sound(&self) -> bool {
        let promised = self.expected.as_ref().filter(|streams| {
            let copied = streams.route == AudioRoute::Copied;
            !self.live && streams.audio.is_some() || copied && streams.is_sound_unknown()
        });
        self.mux.is_none() && promised.is_some() && self.interleaver.first().is_none()
    }

    fn picture(
        &mut self,
        Encoded { mut unit, times }: Encoded,
        now: Option<Instant>,
        shared: &Shared,
    ) {
        if unit.keyframe {
            if self.mux.is_none() {
                // The first segment begins with the picture.
                let dropped = self.interleaver.drop_before(unit.dts);
                shared.stats.audio_dropped.add(dropped);
            }
            let mode = shared.stats.facts().audio.mode;
            let sound = self.expected_sound(mode);
            self.carry(Some(unit.codec), sound, shared);
        }
        // Sound of before the picture goes before it, that of its very time with it.
        let dts = unit.dts;
        self.interleaver.video(dts.offset(-1));
        self.release(now, shared);
        unit.track = VIDEO;
        let dropped = &shared.stats.dropped;
        let written = self.mux.as_mut().filter(|mux| mux.has_video());
        match written.map(|mux| mux.write(&unit)) {
            None | Some(Ok((Placed::BeforeKeyframe, _))) => dropped.no_keyframe.add(1),
            Some(Ok((placed, bytes))) => self.ready.push_back(Chunk {
                starts_segment: placed == Placed::NewSegment,
                bytes,
                video: Some(times),
            }),
            Some(Err(error)) => {
                dropped.encoder_error.add(1);
                tracing::warn!(%error, "a picture cannot be muxed");
            }
        }
        self.interleaver.video(dts);
    }

    fn packet(&mut self, Coded { mut unit, stream }: Coded, shared: &Shared) {
        let stats = &shared.stats;
        let sound = self.muxed_as(&stream);
        let Some(mux) = &mut self.mux else { return };
        if !mux.goes_on_as(&sound) {
            if self.refused.as_ref() == Some(&sound) {
                return stats.audio_dropped.add(1);
            }
            if mux.has_video() {
                // The tables do not speak of it yet; they will at the next keyframe.
                if shared.live {
                    shared.request_keyframe();
                }
                return stats.audio_dropped.add(1);
            }
            self.carry(None, Some(sound), shared);
        }
        // A source that jitters may step back; its packets keep their order.
        if let Some(last) = self.last_sound
            && unit.pts <= last
        {
            unit.pts = last.rescale(unit.pts.base).offset(1);
            unit.dts = unit.pts;
        }
        self.last_sound = Some(unit.pts);
        unit.track = SOUND;
        match self.mux.as_mut().map(|mux| mux.write(&unit)) {
            None | Some(Ok((Placed::BeforeKeyframe, _))) => stats.audio_dropped.add(1),
            Some(Ok((placed, bytes))) => self.ready.push_back(Chunk {
                starts_segment: placed == Placed::NewSegment,
                bytes,
                video: None,
            }),
            Some(Err(error)) => {
                stats.audio_errors.add(1);
                if stats.audio_errors.get().is_power_of_two() {
                    tracing::warn!(%error, "a packet of sound cannot be muxed");
                }
            }
        }
    }

    /// Makes sure that the output consists of these streams from here on. Sound that cannot be
    /// muxed is left out, which is reported.
    fn carry(&mut self, video: Option<Codec>, sound: Option<StreamInfo>, shared: &Shared) {
        let sound = sound.filter(|sound| self.refused.as_ref() != Some(sound));
        let video = video.map(|codec| StreamInfo {
            track: VIDEO,
            codec,
            language: None,
            params: StreamParams::Unknown,
        });
        let mut streams: Vec<StreamInfo> = video.into_iter().chain(sound).collect();
        while !streams.is_empty() {
            let error = match &mut self.mux {
                Some(mux) if mux.streams == streams => return,
                Some(mux) => mux.segmenter.set_streams(&streams).err(),
                None => {
                    let options = SegmenterOptions {
                        target: self.target,
                        mux: MuxOptions::default(),
                    };
                    match Segmenter::new(&streams, &options) {
                        Ok(segmenter) => {
                            self.mux = Some(Mux {
                                segmenter,
                                streams: Vec::new(),
                                bytes: BytesMut::new(),
                            });
                            None
                        }
                        Err(error) => Some(error),
                    }
                }
            };
            let Some(error) = error else {
                let codecs: Vec<&str> = streams.iter().map(|s| s.codec.name()).collect();
                tracing::info!(streams = codecs.join(", "), "output streams");
                if let Some(mux) = &mut self.mux {
                    mux.streams = streams;
                }
                return;
            };
            match streams.pop() {
                Some(sound) if sound.track == SOUND => {
                    tracing::error!(%error, "sound is left out");
                    shared.stats.facts().audio.note = Some(error.to_string());
                    self.refused = Some(sound);
                }
                _ => return shared.fail(EndReason::OutputFailed(error.to_string())),
            }
        }
    }

    /// What the output's sound is, or will be: what came last, else what is to be expected.
    fn expected_sound(&mut self, mode: AudioMode) -> Option<StreamInfo> {
        let streams = self.expected.clone()?;
        let promised = streams.audio.as_ref()?;
        if let Some(first) = self.interleaver.first() {
            let stream = Arc::clone(&first.stream);
            return Some(self.muxed_as(&stream));
        }
        if let Some((_, muxed)) = &self.sound {
            return Some(muxed.clone());
        }
        let coded = match (&promised.params, streams.route) {
            (_, AudioRoute::Copied) => StreamInfo::clone(promised),
            (StreamParams::Audio(params), _) if self.sound_known != Some(false) => {
                coded_stream(mode, params.channels.min(2))
            }
            _ => coded_stream(mode, 2),
        };
        Some(StreamInfo {
            track: SOUND,
            ..coded
        })
    }

    /// The stream of a packet, as it is muxed.
    fn muxed_as(&mut self, stream: &Arc<StreamInfo>) -> StreamInfo {
        if let Some((known, muxed)) = &self.sound
            && (Arc::ptr_eq(known, stream) || known == stream)
        {
            return muxed.clone();
        }
        let muxed = StreamInfo {
            track: SOUND,
            ..StreamInfo::clone(stream)
        };
        self.sound = Some((Arc::clone(stream), muxed.clone()));
        muxed
    }
}

#[cfg(test)]
#[path = "output_test.rs"]
mod tests;
