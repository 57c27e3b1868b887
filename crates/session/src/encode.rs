//! The encoding stage: one thread that owns the video and the audio encoder.

use std::sync::Arc;

use bytes::Bytes;
use trickle_media::access_unit::{Codec, TrackId};
use trickle_media::audio::OPUS_SAMPLE_RATE;
use trickle_media::audio::aac_config::AudioSpecificConfig;
use trickle_media::backend::{Backends, Chosen};
use trickle_media::codec::{AacEncoder, AacEncoderSettings, OpusEncoder, OpusEncoderSettings};
use trickle_media::coder::{AudioEncoder, VideoEncoder, VideoEncoderSettings};
use trickle_media::error::{CodecError, Unsupported};
use trickle_media::frame::{FramePool, StageTimes};
use trickle_media::stream::{ColorDescription, Rational, StreamParams};
use trickle_media::{AudioFrame, AudioParams, FrameError, StreamInfo, Timestamp, VideoFrame};

use crate::config::{AudioMode, EncodeConfig};
use crate::error::EndReason;
use crate::item::{Coded, Encoded, Frame, Item, Streams};
use crate::open_video::OpenVideo;
use crate::overlaid::overlaid;
use crate::queue::Push;
use crate::scale::Scaler;
use crate::shared::Shared;
use crate::side::BackendLost;
use crate::stats::Facts;

/// Times that an encoder may break without a unit between them before the session gives up.
const MAX_BREAKS: u32 = 8;
/// Of these, the times after which the next backend takes its place for this session.
const GIVE_UP: u32 = 3;
/// Frame rate for rate control until one is known.
const USUAL_RATE: Rational = Rational { num: 30, den: 1 };

/// The encoding stage.
pub(crate) struct EncodeStage {
    shared: Arc<Shared>,
    backends: Backends,
    config: EncodeConfig,
    /// Nothing is published: frames end here.
    sink: bool,
    video: Option<OpenVideo>,
    sound: Option<OpenSound>,
    /// What the input consists of.
    input: Option<Arc<Streams>>,
    /// The output began with the promise of stereo, before more was known of the sound.
    stereo_promised: bool,
    scaler: Scaler,
    pool: FramePool,
    breaks: u32,
    /// The backend of the encoder that broke, and how, until another is open.
    broke: Option<(String, String)>,
    last_pts: Option<Timestamp>,
}

struct OpenSound {
    encoder: AudioEncoder,
    stream: Arc<StreamInfo>,
}

/// The session is over for this stage.
struct Over;

impl EncodeStage {
    pub(crate) fn new(
        shared: Arc<Shared>,
        backends: Backends,
        config: EncodeConfig,
        sink: bool,
    ) -> Self {
        Self {
            shared,
            backends,
            config,
            sink,
            video: None,
            sound: None,
            input: None,
            stereo_promised: false,
            scaler: Scaler::default(),
            pool: FramePool::new(),
            breaks: 0,
            broke: None,
            last_pts: None,
        }
    }

    /// Works until the input is closed or the session is over.
    pub(crate) fn run(mut self) {
        let result = loop {
            let Some(item) = self.shared.queues.encode.pop() else {
                break self.finish();
            };
            let result = match item {
                Item::Frame(frame) => self.frame(frame),
                Item::Streams(streams) => self.streams(streams),
                Item::Sound(sound) => self.sound(sound),
                other => self.send(other),
            };
            if result.is_err() {
                break result;
            }
        };
        if result.is_err() {
            tracing::debug!("encoding is cut off");
        }
        self.shared.queues.egress.close();
    }

    fn frame(
        &mut self,
        Frame {
            frame,
            rate,
            fit,
            overlay,
        }: Frame,
    ) -> Result<(), Over> {
        let stats = &self.shared.stats;
        if self.last_pts.is_some_and(|last| frame.pts() <= last) {
            stats.dropped.out_of_order.add(1);
            return Ok(());
        }
        if self.last_pts.is_none() {
            let input = self.input.as_ref();
            self.stereo_promised = input.is_some_and(|streams| streams.is_sound_unknown());
        }
        self.last_pts = Some(frame.pts());
        if self.sink {
            stats.video_out.add(1);
            if let Some(now) = self.shared.now() {
                stats.video_out_rate.tick(now);
                stats.sent(frame.times(), now);
            }
            return Ok(());
        }
        let frame = match fit {
            Some(size) if (frame.width(), frame.height()) != size => {
                match self.scaler.fit(&frame, size) {
                    Ok(image) => frame.replace_image(image),
                    Err(error) => return self.refused(&CodecError::Frame(error)),
                }
            }
            _ => frame,
        };
        let frame = match overlay {
            Some(overlay) => match overlaid(frame, &overlay) {
                Ok(frame) => frame,
                Err(error) => return self.refused(&CodecError::Frame(error)),
            },
            None => frame,
        };
        self.open_for(&frame, rate)?;
        let forced = self.shared.take_keyframe_request();
        let Some(open) = &mut self.video else {
            self.shared.stats.dropped.encoder_error.add(1);
            return Ok(());
        };
        if forced {
            open.encoder.force_keyframe();
        }
        if let Err(error) = open.push(frame) {
            return self.failed(&error);
        }
        self.pull_video()
    }

    /// Makes sure that there is an encoder for frames like this one.
    fn open_for(&mut self, frame: &VideoFrame, stated: Option<Rational>) -> Result<(), Over> {
        let pts = frame.pts();
        let rate = match &self.video {
            None => self.expected_rate(stated),
            Some(open) => {
                let settings = &open.settings;
                // Rate control wants the rate that frames really come at. A keyframe is due, so a
                // new encoder costs nothing.
                let measured = open.other_rate(pts);
                let same = frame.width() == settings.width as usize
                    && frame.height() == settings.height as usize
                    && frame.color() == settings.color;
                if same && measured.is_none() {
                    return Ok(());
                }
                measured.unwrap_or(settings.frame_rate)
            }
        };
        // No frame is larger than `MAX_SIDE`, which fits.
        let size = (frame.width() as u32, frame.height() as u32);
        let settings = self.settings(size, frame.color(), rate);
        if self.reconfigured(&settings)? {
            return Ok(());
        }
        self.close_video()?;
        let chosen = match self.backends.open_encoder(&settings) {
            Ok(chosen) => chosen,
            Err(refused) => {
                self.shared
                    .fail(EndReason::EncoderFailed(refused.to_string()));
                return Err(Over);
            }
        };
        self.opened(chosen, settings);
        Ok(())
    }

    fn settings(
        &self,
        (width, height): (u32, u32),
        color: ColorDescription,
        rate: Rational,
    ) -> VideoEncoderSettings {
        VideoEncoderSettings {
            codec: self.config.codec,
            width,
            height,
            bitrate: self
                .config
                .bitrate
                .unwrap_or_else(|| VideoEncoderSettings::default_bitrate(width, height, rate)),
            rate_control: self.config.rate_control,
            frame_rate: rate,
            gop: self.config.gop,
            color,
            threads: self.config.threads,
        }
    }

    fn opened(&mut self, chosen: Chosen<VideoEncoder>, settings: VideoEncoderSettings) {
        let name = chosen.codec.name();
        self.shared
            .set_encoder_takes_planes(chosen.codec.takes_planes());
        tracing::info!(
            encoder = name,
            backend = chosen.backend,
            width = settings.width,
            height = settings.height,
            bitrate = settings.bitrate,
            frame_rate = settings.frame_rate.as_f64(),
            "encoder opened"
        );
        if let Some((from, detail)) = self.broke.take() {
            BackendLost::note("encode", from, detail, &chosen, &self.shared);
        }
        let mut facts = self.shared.stats.facts();
        Facts::opened(&mut facts.encoder, &chosen, name);
        drop(facts);
        self.state_output(&settings);
        self.video = Some(OpenVideo::new(chosen.codec, chosen.backend, settings));
    }

    fn state_output(&self, settings: &VideoEncoderSettings) {
        let mut facts = self.shared.stats.facts();
        facts.output.width = Some(settings.width);
        facts.output.height = Some(settings.height);
        facts.output.bitrate = Some(settings.bitrate);
    }

    /// Notes what the input consists of, and opens an encoder for what the stream says that its
    /// pictures are: the first of them is being decoded meanwhile, which takes as long. What it
    /// needs in the end, the picture itself decides.
    fn streams(&mut self, streams: Arc<Streams>) -> Result<(), Over> {
        if streams.changes_sound(self.input.as_deref())
            && let Some(open) = &mut self.video
        {
            // The output's tables can speak of it from the next keyframe on.
            open.encoder.force_keyframe();
        }
        self.input = Some(Arc::clone(&streams));
        let video = streams.video.as_ref().map(|stream| &stream.params);
        if let Some(StreamParams::Video(params)) = video
            && params.width.min(params.height) > 0
            && !self.sink
            && self.video.is_none()
        {
            let size = params.orientation.size(params.width, params.height);
            let asked = self.shared.standin.size();
            let wanted = asked.map_or(size, |(width, height)| (width as u32, height as u32));
            // Pictures that are scaled or turned keep the colour that was guessed from the size they
            // had.
            let color = match wanted == (params.width, params.height) {
                true => params.color,
                false => params.color.resolved(params.width, params.height),
            };
            let rate = self.expected_rate(params.frame_rate);
            let settings = self.settings(wanted, color, rate);
            match self.backends.open_encoder(&settings) {
                Ok(chosen) => self.opened(chosen, settings),
                Err(refused) => tracing::debug!(%refused, "no encoder before the first picture"),
            }
        }
        self.send(Item::Streams(streams))
    }

    /// Whether the open encoder goes on with other settings, from the next picture on.
    fn reconfigured(&mut self, settings: &VideoEncoderSettings) -> Result<bool, Over> {
        let Some(open) = &mut self.video else {
            return Ok(false);
        };
        if let Err(reason) = open.encoder.reconfigure(settings) {
            tracing::debug!(%reason, "a new encoder");
            return Ok(false);
        }
        // What it had been given before.
        self.pull_video()?;
        if let Some(open) = &mut self.video {
            open.reconfigured(settings);
        }
        self.state_output(settings);
        Ok(true)
    }

    /// The frame rate that the input states, held to `max_framerate`.
    fn expected_rate(&self, stated: Option<Rational>) -> Rational {
        let rate = stated.unwrap_or(USUAL_RATE);
        match self.shared.max_framerate() {
            Some(max) if max < rate.as_f64() => {
                Rational::new((max * 1000.0).round() as u32, 1000).unwrap_or(rate)
            }
            _ => rate,
        }
    }

    /// Hands on every unit that the encoder has ready.
    fn pull_video(&mut self) -> Result<(), Over> {
        while let Some((unit, times)) = self.video.as_mut().and_then(OpenVideo::pull) {
            self.breaks = 0;
            let times = StageTimes {
                encoded: self.shared.now(),
                ..times
            };
            self.send(Item::Encoded(Encoded { unit, times }))?;
        }
        Ok(())
    }

    /// The encoder failed on a frame.
    fn failed(&mut self, error: &CodecError) -> Result<(), Over> {
        if !matches!(error, CodecError::Broken { .. }) {
            return self.refused(error);
        }
        // What it had finished before.
        self.pull_video()?;
        let from = self.video.take().map(|open| open.backend);
        self.breaks += 1;
        if let Some(from) = from {
            if self.breaks == GIVE_UP {
                let reason = format!("it broke {GIVE_UP} times: {error}");
                self.backends.without_encoder(&from, &reason);
            }
            self.broke = Some((from, error.to_string()));
        }
        let stats = &self.shared.stats;
        stats.encoder_restarts.add(1);
        stats.dropped.encoder_error.add(1);
        if self.breaks >= MAX_BREAKS {
            self.shared
                .fail(EndReason::EncoderFailed(error.to_string()));
            return Err(Over);
        }
        tracing::warn!(%error, "the encoder broke and is opened anew");
        Ok(())
    }

    /// A frame cannot be encoded; others may.
    fn refused(&self, error: &CodecError) -> Result<(), Over> {
        if let CodecError::Frame(error @ FrameError::Device { .. }) = error {
            self.shared.lost_on_device(error);
            return Ok(());
        }
        let dropped = &self.shared.stats.dropped.encoder_error;
        dropped.add(1);
        if dropped.get().is_power_of_two() {
            tracing::warn!(%error, count = dropped.get(), "a frame is left out");
        }
        Ok(())
    }

    fn close_video(&mut self) -> Result<(), Over> {
        if let Some(open) = &mut self.video
            && let Err(error) = open.encoder.flush()
        {
            tracing::debug!(%error, "at the end of the coded stream");
        }
        let result = self.pull_video();
        self.video = None;
        result
    }

    fn sound(&mut self, sound: AudioFrame) -> Result<(), Over> {
        if self.sink {
            self.shared.stats.audio_out.add(1);
            return Ok(());
        }
        if self.sound.is_none() {
            // One channel or two; encoders mix what has more, now and later.
            let mono = sound.channels() == 1 && !self.stereo_promised;
            let channels = if mono { 1 } else { 2 };
            let mode = self.shared.stats.facts().audio.mode;
            match open_sound(mode, channels, &self.pool) {
                Ok(open) => self.sound = Some(open),
                Err(error) => {
                    self.shared
                        .fail(EndReason::EncoderFailed(error.to_string()));
                    return Err(Over);
                }
            }
        }
        if let Some(open) = &mut self.sound
            && let Err(error) = open.encoder.push(sound)
        {
            let stats = &self.shared.stats;
            stats.audio_errors.add(1);
            if stats.audio_errors.get().is_power_of_two() {
                tracing::warn!(%error, "sound is left out");
            }
        }
        self.pull_sound()
    }

    fn pull_sound(&mut self) -> Result<(), Over> {
        let Some(open) = &mut self.sound else {
            return Ok(());
        };
        let stream = Arc::clone(&open.stream);
        while let Some(unit) = self.sound.as_mut().and_then(|open| open.encoder.pull()) {
            let stream = Arc::clone(&stream);
            self.send(Item::Packet(Coded { unit, stream }))?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Over> {
        self.close_video()?;
        if let Some(Err(error)) = self.sound.as_mut().map(|open| open.encoder.flush()) {
            tracing::debug!(%error, "at the end of the sound");
        }
        self.pull_sound()
    }

    fn send(&self, item: Item) -> Result<(), Over> {
        let stats = &self.shared.stats;
        let video = matches!(item, Item::Encoded(_));
        match self.shared.queues.egress.push(item) {
            Push::Done { dropped, skipping } if video => {
                stats.dropped.publisher_busy.add(dropped);
                if skipping {
                    self.shared.request_keyframe();
                }
            }
            Push::Done { dropped, .. } => stats.audio_dropped.add(dropped),
            Push::Closed(_) => {
                stats.dropped.stopped.add(u64::from(video));
                return Err(Over);
            }
        }
        Ok(())
    }
}

/// An encoder of what the output carries, and its stream.
fn open_sound(mode: AudioMode, channels: u8, pool: &FramePool) -> Result<OpenSound, Unsupported> {
    let encoder: AudioEncoder = match mode {
        AudioMode::Aac => Box::new(AacEncoder::new(AacEncoderSettings::new(channels), pool)?),
        _ => Box::new(OpusEncoder::new(OpusEncoderSettings::new(channels), pool)?),
    };
    Ok(OpenSound {
        encoder,
        stream: Arc::new(coded_stream(mode, channels)),
    })
}

/// The output's audio stream, where it is encoded here. Its track is the muxer's to choose.
pub(crate) fn coded_stream(mode: AudioMode, channels: u8) -> StreamInfo {
    let (codec, config) = match mode {
        AudioMode::Aac => {
            let config = AudioSpecificConfig::lc(OPUS_SAMPLE_RATE, channels);
            (Codec::Aac, config.to_bytes().into())
        }
        _ => (Codec::Opus, Bytes::new()),
    };
    StreamInfo {
        track: TrackId(0),
        codec,
        language: None,
        params: StreamParams::Audio(AudioParams {
            codec,
            sample_rate: OPUS_SAMPLE_RATE,
            channels,
            config,
        }),
    }
}

#[cfg(test)]
#[path = "encode_test.rs"]
mod tests;
