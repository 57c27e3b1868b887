//! The decoding stage: one thread that owns the video and the audio decoder.

use std::collections::VecDeque;
use std::sync::Arc;

use trickle_media::access_unit::{AccessUnit, Codec};
use trickle_media::backend::Backends;
use trickle_media::codec::open_audio_decoder;
use trickle_media::coder::{AudioDecoder, VideoDecoder};
use trickle_media::error::CodecError;
use trickle_media::frame::FramePool;
use trickle_media::h264::sps::Sps;
use trickle_media::h264::{NalKind, annexb};
use trickle_media::stream::StreamParams;
use trickle_media::{Orientation, StreamInfo, Timestamp, VideoParams};

use crate::error::EndReason;
use crate::item::{Coded, Frame, Item, Streams};
use crate::pacing::Pacer;
use crate::queue::Push;
use crate::shared::Shared;
use crate::side::BackendLost;
use crate::standin;
use crate::stats::{Facts, Stats};
use crate::status::AudioRoute;

/// Times that a decoder may break without a frame between them before the session gives up.
const MAX_BREAKS: u32 = 8;

/// Of these, the times after which the next backend takes its place for this session.
const GIVE_UP: u32 = 3;

/// Most pictures that are awaited from the decoder and not to be shown.
const MAX_HIDDEN: usize = 64;

/// The decoding stage.
pub(crate) struct DecodeStage {
    shared: Arc<Shared>,
    backends: Backends,
    pool: FramePool,
    streams: Option<Arc<Streams>>,
    video: Option<OpenVideo>,
    audio: Option<OpenAudio>,
    /// Parameters that every backend has refused; the reason was reported.
    refused: Option<VideoParams>,
    breaks: u32,
    /// The backend of the decoder that broke, and how, until another is open.
    broke: Option<(String, String)>,
    pacer: Pacer,
    last_pts: Option<Timestamp>,
    /// Times of pictures that were decoded and are not to be shown.
    hidden: VecDeque<Timestamp>,
    /// The picture before was lost here, and counted so.
    lost_last: bool,
}

struct OpenVideo {
    decoder: VideoDecoder,
    /// Name of the backend that it is of.
    backend: String,
    params: VideoParams,
}

struct OpenAudio {
    /// `None` when the stream cannot be decoded; the reason was reported.
    decoder: Option<AudioDecoder>,
    stream: Arc<StreamInfo>,
}

/// The session is over for this stage.
struct Over;

impl DecodeStage {
    pub(crate) fn new(shared: Arc<Shared>, backends: Backends) -> Self {
        Self {
            shared,
            backends,
            pool: FramePool::new(),
            streams: None,
            video: None,
            audio: None,
            refused: None,
            breaks: 0,
            broke: None,
            pacer: Pacer::new(),
            last_pts: None,
            hidden: VecDeque::new(),
            lost_last: false,
        }
    }

    /// Works until the input is closed or the session is over.
    pub(crate) fn run(mut self) {
        let result = loop {
            let Some(item) = self.shared.queues.decode.pop() else {
                break self.finish();
            };
            let result = match item {
                Item::Streams(streams) => self.set_streams(streams),
                Item::Picture(coded) => self.picture(coded),
                Item::Packet(coded) if self.decodes_audio() => self.packet(coded),
                other => self.send(other),
            };
            if result.is_err() {
                break result;
            }
        };
        if result.is_err() {
            tracing::debug!("decoding is cut off");
        }
        self.shared.queues.process.close();
    }

    fn route(&self) -> AudioRoute {
        self.streams
            .as_ref()
            .map_or(AudioRoute::None, |streams| streams.route)
    }

    fn decodes_audio(&self) -> bool {
        matches!(self.route(), AudioRoute::Transcoded | AudioRoute::Processed)
    }

    fn set_streams(&mut self, streams: Arc<Streams>) -> Result<(), Over> {
        if streams.video.is_none() {
            self.close_video()?;
        }
        self.streams = Some(Arc::clone(&streams));
        let unread = |video: &Arc<StreamInfo>| (!video.codec.is_used()).then_some(video.codec);
        if let Some(codec) = streams.video.as_ref().and_then(unread) {
            let params = VideoParams::unknown(codec);
            if self.refused.as_ref() == Some(&params) && streams.audio.is_some() {
                // That was told.
                return self.send(Item::Streams(Arc::new(streams.without_video())));
            }
            let reason = format!("{codec} is not read here: encode it as H.264 first");
            return self.refuse(params, &reason);
        }
        self.send(Item::Streams(streams))
    }

    fn picture(&mut self, coded: Coded) -> Result<(), Over> {
        let lost = |stats: &Stats| stats.dropped.damaged.get() + stats.dropped.no_keyframe.get();
        if coded.unit.flags.replaces_previous && self.lost_last {
            // What was lost comes again: as many come in as go out or are lost.
            self.shared.stats.video_in.add(1);
        }
        let before = lost(&self.shared.stats);
        let result = self.decode_picture(coded);
        self.lost_last = lost(&self.shared.stats) != before;
        result
    }

    fn decode_picture(&mut self, Coded { unit, stream }: Coded) -> Result<(), Over> {
        // Only of H.264 are keyframes known; other codecs are asked for at once.
        if unit.keyframe || unit.codec != Codec::H264 {
            match picture_params(&unit, &stream) {
                Some(params) => self.open_video(params)?,
                // Its headers are damaged: the decoder that is open may still make sense of it.
                None if self.video.is_none() => {
                    self.shared.stats.damaged_pictures.add(1);
                    self.shared.stats.dropped.damaged.add(1);
                    return Ok(());
                }
                None => {}
            }
        }
        let stats = &self.shared.stats;
        let Some(open) = &mut self.video else {
            stats.dropped.no_keyframe.add(1);
            return Ok(());
        };
        if unit.flags.hidden {
            // Some may never come out, and the oldest has waited longest.
            if self.hidden.len() == MAX_HIDDEN {
                self.hidden.pop_front();
            }
            self.hidden.push_back(unit.pts);
        }
        match open.decoder.push(&unit) {
            Ok(()) => {}
            Err(CodecError::Broken { backend, detail }) => {
                stats.decoder_restarts.add(1);
                stats.dropped.damaged.add(1);
                tracing::warn!(
                    backend,
                    detail,
                    "the decoder broke; going on at the next keyframe"
                );
                let from = std::mem::take(&mut open.backend);
                self.video = None;
                self.breaks += 1;
                if self.breaks == GIVE_UP {
                    self.backends
                        .without_decoder(&from, &format!("it broke {GIVE_UP} times: {detail}"));
                }
                self.broke = Some((from, detail.clone()));
                if self.breaks >= MAX_BREAKS {
                    self.shared
                        .fail(EndReason::DecoderFailed(format!("{backend}: {detail}")));
                    return Err(Over);
                }
                return Ok(());
            }
            Err(CodecError::Unsupported(reason)) => {
                let params = open.params.clone();
                self.video = None;
                return self.refuse(params, &reason.to_string());
            }
            Err(error) => {
                stats.damaged_pictures.add(1);
                stats.dropped.damaged.add(1);
                if stats.damaged_pictures.get().is_power_of_two() {
                    tracing::warn!(%error, count = stats.damaged_pictures.get(), "damaged picture");
                }
            }
        }
        self.pull_video()
    }

    /// Hands on every frame that the decoder has ready.
    fn pull_video(&mut self) -> Result<(), Over> {
        while let Some(frame) = self.video.as_mut().and_then(|open| open.decoder.pull()) {
            self.breaks = 0;
            if let Some(at) = self.hidden.iter().position(|pts| *pts == frame.pts()) {
                self.hidden.remove(at);
                continue;
            }
            let stats = &self.shared.stats;
            stats.decoded.add(1);
            if self.last_pts.is_some_and(|last| frame.pts() <= last) {
                stats.dropped.out_of_order.add(1);
                continue;
            }
            self.last_pts = Some(frame.pts());
            self.pacer.set_rate(self.shared.max_framerate());
            if !self.pacer.admit(frame.pts()) {
                stats.dropped.max_framerate.add(1);
                continue;
            }
            let params = self.video.as_ref().map(|open| &open.params);
            let rate = params.and_then(|params| params.frame_rate);
            let orientation = params.map_or(Orientation::UPRIGHT, |params| params.orientation);
            let mut frame = match frame.upright(orientation) {
                Ok(frame) => frame,
                Err(error) => {
                    let lost = &self.shared.stats.dropped.device_error;
                    lost.add(1);
                    if lost.get().is_power_of_two() {
                        tracing::warn!(%error, count = lost.get(), "a picture could not be turned");
                    }
                    continue;
                }
            };
            frame.times_mut().decoded = self.shared.now();
            self.send(Item::Frame(Frame {
                frame,
                rate,
                fit: None,
                overlay: None,
            }))?;
        }
        Ok(())
    }

    /// Makes sure that the decoder is one for these parameters.
    fn open_video(&mut self, params: VideoParams) -> Result<(), Over> {
        if self
            .video
            .as_ref()
            .is_some_and(|open| open.params == params)
        {
            return Ok(());
        }
        self.close_video()?;
        if self.refused.as_ref() == Some(&params) {
            return Ok(());
        }
        match self.backends.open_decoder(&params, &self.pool) {
            Ok(chosen) => {
                let name = chosen.codec.name();
                tracing::info!(
                    decoder = name,
                    backend = chosen.backend,
                    width = params.width,
                    height = params.height,
                    codec = %params.codec,
                    "decoder opened"
                );
                if let Some((from, detail)) = self.broke.take() {
                    BackendLost::note("decode", from, detail, &chosen, &self.shared);
                }
                let mut facts = self.shared.stats.facts();
                Facts::opened(&mut facts.decoder, &chosen, name);
                facts.input.width = Some(params.width);
                facts.input.height = Some(params.height);
                drop(facts);
                self.refused = None;
                self.video = Some(OpenVideo {
                    decoder: chosen.codec,
                    backend: chosen.backend,
                    params,
                });
                Ok(())
            }
            Err(refused) => self.refuse(params, &refused.to_string()),
        }
    }

    /// Nobody can decode the video: the session ends, or goes on with its sound where it is live.
    fn refuse(&mut self, params: VideoParams, reason: &str) -> Result<(), Over> {
        let sound = self
            .streams
            .as_ref()
            .filter(|streams| self.shared.live && streams.audio.is_some())
            .map(|streams| Arc::new(streams.without_video()));
        let Some(streams) = sound else {
            self.shared.fail(EndReason::VideoRefused(reason.to_owned()));
            return Err(Over);
        };
        tracing::error!(reason, "video is left out, sound goes on");
        self.shared.stats.facts().input.video_refused = Some(reason.to_owned());
        self.refused = Some(params);
        self.send(Item::Streams(streams))
    }

    /// Takes out what the decoder holds back and closes it.
    fn close_video(&mut self) -> Result<(), Over> {
        if let Some(open) = &mut self.video
            && let Err(error) = open.decoder.flush()
        {
            tracing::debug!(%error, "at the end of the coded stream");
        }
        let result = self.pull_video();
        self.video = None;
        result
    }

    fn packet(&mut self, Coded { unit, stream }: Coded) -> Result<(), Over> {
        let same = |open: &OpenAudio| Arc::ptr_eq(&open.stream, &stream) || open.stream == stream;
        if !self.audio.as_ref().is_some_and(same) {
            self.open_audio(&stream)?;
        }
        let Some(decoder) = self.audio.as_mut().and_then(|open| open.decoder.as_mut()) else {
            return Ok(());
        };
        if let Err(error) = decoder.push(&unit) {
            let stats = &self.shared.stats;
            stats.audio_errors.add(1);
            if stats.audio_errors.get().is_power_of_two() {
                tracing::warn!(%error, count = stats.audio_errors.get(), "damaged sound");
            }
        }
        if unit.flags.hidden {
            while decoder.pull().is_some() {}
        }
        self.pull_audio()
    }

    fn pull_audio(&mut self) -> Result<(), Over> {
        while let Some(sound) = self
            .audio
            .as_mut()
            .and_then(|open| open.decoder.as_mut())
            .and_then(|decoder| decoder.pull())
        {
            self.send(Item::Sound(sound))?;
        }
        Ok(())
    }

    fn open_audio(&mut self, stream: &Arc<StreamInfo>) -> Result<(), Over> {
        self.close_audio()?;
        let decoder = match &stream.params {
            StreamParams::Audio(params) => open_audio_decoder(params, &self.pool)
                .map_err(|unsupported| unsupported.to_string()),
            _ => Err(format!("nothing is known of the {} stream", stream.codec)),
        };
        let decoder = match decoder {
            Ok(decoder) => Some(decoder),
            Err(reason) => {
                tracing::error!(reason, "sound is left out");
                let mut facts = self.shared.stats.facts();
                facts.audio.route = AudioRoute::None;
                facts.audio.note = Some(reason);
                drop(facts);
                if let Some(streams) = &self.streams {
                    self.send(Item::Streams(Arc::new(streams.without_audio())))?;
                }
                None
            }
        };
        self.audio = Some(OpenAudio {
            decoder,
            stream: Arc::clone(stream),
        });
        Ok(())
    }

    fn close_audio(&mut self) -> Result<(), Over> {
        if let Some(decoder) = self.audio.as_mut().and_then(|open| open.decoder.as_mut())
            && let Err(error) = decoder.flush()
        {
            tracing::debug!(%error, "at the end of the sound");
        }
        let result = self.pull_audio();
        self.audio = None;
        result
    }

    fn finish(&mut self) -> Result<(), Over> {
        self.close_video()?;
        self.close_audio()
    }

    /// To the processing stage; sound that it does not take goes past it where it must not wait
    /// for a slow model. Files keep their order instead.
    fn send(&self, item: Item) -> Result<(), Over> {
        let queues = &self.shared.queues;
        let stats = &self.shared.stats;
        let video = matches!(item, Item::Frame(_));
        let past = self.shared.live
            && self.route() == AudioRoute::Transcoded
            && matches!(item, Item::Sound(_));
        let queue = if past {
            &queues.encode
        } else {
            &queues.process
        };
        match queue.push(item) {
            Push::Done { dropped, .. } if video => stats.dropped.processor_busy.add(dropped),
            Push::Done { dropped, .. } => stats.audio_dropped.add(dropped),
            Push::Closed(_) => {
                stats.dropped.stopped.add(u64::from(video));
                return Err(Over);
            }
        }
        standin::relieve(&self.shared);
        Ok(())
    }
}

/// Parameters of a coded picture that starts a sequence; `None` when its headers cannot be read.
fn picture_params(unit: &AccessUnit, stream: &StreamInfo) -> Option<VideoParams> {
    if unit.codec == Codec::H264 {
        let sps = annexb::nal_units(&unit.data).find(|nal| nal.kind() == NalKind::SPS)?;
        // How pictures lie, the container alone says.
        return Sps::parse(sps.bytes).ok().map(|sps| VideoParams {
            orientation: stream.orientation(),
            ..sps.video_params()
        });
    }
    match &stream.params {
        StreamParams::Video(params) => Some(params.clone()),
        _ => Some(VideoParams::unknown(unit.codec)),
    }
}

#[cfg(test)]
#[path = "decode_test.rs"]
mod tests;
