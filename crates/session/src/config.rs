//! What a session is started with.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use trickle_media::Codec;
use trickle_media::coder::RateControl;
use trickle_processor::Params;
use url::Url;
use utoipa::ToSchema;

use crate::error::ConfigError;

/// What a session is started with.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Its name in logs and status: the `gateway_request_id`.
    pub id: String,
    /// Channel that the input is read from. Without one the session is generative: the processor
    /// is given black frames of `width` × `height` (512×512) at `max_framerate` (24), by a clock
    /// of the session's own, until the session is stopped.
    pub subscribe_url: Option<Url>,
    /// Channel that the output is published to. Without one the session is a sink: frames are
    /// processed and not encoded.
    pub publish_url: Option<Url>,
    /// Program of the input to read, where it holds several, by its number; `None` reads the first
    /// one listed. The parameter `input_program` overrides it.
    pub program: Option<u16>,
    /// The worker's own parameters and the processor's, in one object; see
    /// [`WorkerParams`](crate::WorkerParams).
    pub params: Params,
    /// How video is encoded.
    pub encode: EncodeConfig,
    /// What becomes of audio.
    pub audio: AudioMode,
    /// What viewers see of a frame that the processor failed on.
    pub on_error: OnError,
    /// Longest time that viewers wait for the processor, before they see what `on_stall` says
    /// instead; `None` lets them wait for ever. Upstream ends a stream that shows nothing for
    /// some 30 s.
    pub stall_timeout: Option<Duration>,
    /// What viewers see while the processor is silent for longer than `stall_timeout`.
    pub on_stall: OnStall,
    /// Longest way of a frame, from its last byte in to its bytes out. One that the processor, by
    /// the time it has taken lately, could not get out by then is skipped; `None` skips none.
    pub frame_deadline: Option<Duration>,
    /// The session ends by itself when nobody has shown interest in it for this long: no byte of
    /// input, no update, no message on its control channel; where it has neither input nor control
    /// channel, no segment of the output that its relay took. `None` lets it run for ever.
    pub idle_timeout: Option<Duration>,
    /// Channel that updates are read from.
    pub control_url: Option<Url>,
    /// Channel that events are published to.
    pub events_url: Option<Url>,
    /// Channel that the processor's data items are published to.
    pub data_url: Option<Url>,
    /// How data items are written.
    pub data_format: DataFormat,
}

impl SessionConfig {
    /// The usual [`stall_timeout`](Self::stall_timeout): longer than a slow frame, and well below
    /// what upstream's watchdogs allow.
    pub const STALL_TIMEOUT: Duration = Duration::from_secs(3);
    /// The usual [`frame_deadline`](Self::frame_deadline).
    pub const FRAME_DEADLINE: Duration = Duration::from_secs(1);
    /// The usual [`idle_timeout`](Self::idle_timeout): sources pause for minutes.
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

    /// A session with this id, no channels and all else at its default.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            subscribe_url: None,
            publish_url: None,
            program: None,
            params: Params::new(),
            encode: EncodeConfig::default(),
            audio: AudioMode::default(),
            on_error: OnError::default(),
            stall_timeout: Some(Self::STALL_TIMEOUT),
            on_stall: OnStall::default(),
            frame_deadline: Some(Self::FRAME_DEADLINE),
            idle_timeout: Some(Self::IDLE_TIMEOUT),
            control_url: None,
            events_url: None,
            data_url: None,
            data_format: DataFormat::default(),
        }
    }

    /// Checks what can be checked without the processor and the channels.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.encode.validate()?;
        let limits = [
            ("stall_timeout", self.stall_timeout),
            ("frame_deadline", self.frame_deadline),
            ("idle_timeout", self.idle_timeout),
        ];
        match limits
            .iter()
            .find(|(_, limit)| *limit == Some(Duration::ZERO))
        {
            Some((field, _)) => Err(ConfigError::new(field, "must be longer than nothing")),
            None => Ok(()),
        }
    }
}

/// How the items of the data channel are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataFormat {
    /// Each line is a JSON array of items, as PyTrickle writes it.
    #[default]
    Array,
    /// Each line is one item, for readers of JSON lines.
    Lines,
}

impl FromStr for DataFormat {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "array" => Ok(Self::Array),
            "lines" => Ok(Self::Lines),
            other => Err(ConfigError::new(
                "data_format",
                format!("must be array or lines, got {other:?}"),
            )),
        }
    }
}

/// How video is encoded. Size, colour and frame rate are those of the frames.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodeConfig {
    /// Coding format of the video: H.264, which every backend encodes, or HEVC, which the CPU's
    /// does not.
    pub codec: Codec,
    /// Bits per second; `None` takes what suits the size and the frame rate.
    pub bitrate: Option<u32>,
    /// How strictly it is kept.
    pub rate_control: RateControl,
    /// Longest time between keyframes, and with it the length of a segment.
    pub gop: Duration,
    /// Threads that one picture is coded with at most, one slice each; small pictures are coded
    /// with fewer, and so are all on fewer cores. The number of slices is part of what decides the
    /// output's bytes, so it does not follow the number of cores.
    pub threads: u8,
}

impl EncodeConfig {
    /// Bit rates that can be asked for, in bits per second.
    pub const BITRATES: std::ops::RangeInclusive<u32> = 10_000..=200_000_000;
    /// GOP lengths that can be asked for.
    pub const GOPS: std::ops::RangeInclusive<Duration> =
        Duration::from_millis(100)..=Duration::from_secs(60);
    /// Threads that can be asked for.
    pub const THREADS: std::ops::RangeInclusive<u8> = 1..=16;

    /// Checks that every field is in its range.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !matches!(self.codec, Codec::H264 | Codec::Hevc) {
            return Err(ConfigError::new(
                "codec",
                format!("must be h264 or hevc, got {}", self.codec),
            ));
        }
        if let Some(bitrate) = self.bitrate
            && !Self::BITRATES.contains(&bitrate)
        {
            return Err(ConfigError::new(
                "bitrate",
                format!(
                    "must be from {} to {} bits per second, got {bitrate}",
                    Self::BITRATES.start(),
                    Self::BITRATES.end()
                ),
            ));
        }
        if !Self::GOPS.contains(&self.gop) {
            return Err(ConfigError::new(
                "gop",
                format!(
                    "must be from {:?} to {:?}, got {:?}",
                    Self::GOPS.start(),
                    Self::GOPS.end(),
                    self.gop
                ),
            ));
        }
        if !Self::THREADS.contains(&self.threads) {
            return Err(ConfigError::new(
                "threads",
                format!(
                    "must be from {} to {}, got {}",
                    Self::THREADS.start(),
                    Self::THREADS.end(),
                    self.threads
                ),
            ));
        }
        Ok(())
    }
}

impl Default for EncodeConfig {
    /// H.264 at a constant bit rate that suits the picture, a keyframe every 2 s, up to four slices.
    fn default() -> Self {
        Self {
            codec: Codec::H264,
            bitrate: None,
            rate_control: RateControl::default(),
            gop: Duration::from_secs(2),
            threads: 4,
        }
    }
}

/// What becomes of audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AudioMode {
    /// The output carries Opus: packets that are Opus already are passed on as they came, other
    /// codecs are decoded and encoded.
    #[default]
    Opus,
    /// The output carries AAC, for players that take no Opus: AAC is passed on, other codecs are
    /// decoded and encoded.
    Aac,
    /// Packets are passed on as they came, whatever their codec, unless the processor takes audio:
    /// what it returns is encoded as Opus.
    Copy,
    /// The output has no audio.
    None,
}

impl FromStr for AudioMode {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "opus" => Ok(Self::Opus),
            "aac" => Ok(Self::Aac),
            "copy" => Ok(Self::Copy),
            "none" => Ok(Self::None),
            other => Err(ConfigError::new(
                "audio",
                format!("must be opus, aac, copy or none, got {other:?}"),
            )),
        }
    }
}

/// What viewers see of a frame that the processor failed on, by an error or a panic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The frame as it came.
    #[default]
    Passthrough,
    /// Nothing: the frame is left out.
    Drop,
    /// The last frame that was processed well, again; the frame as it came until there is one.
    Freeze,
    /// The session ends.
    Stop,
}

impl FromStr for OnError {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "passthrough" => Ok(Self::Passthrough),
            "drop" => Ok(Self::Drop),
            "freeze" => Ok(Self::Freeze),
            "stop" => Ok(Self::Stop),
            other => Err(ConfigError::new(
                "on_error",
                format!("must be passthrough, drop, freeze or stop, got {other:?}"),
            )),
        }
    }
}

/// What viewers see while the processor is silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnStall {
    /// The frames as they come, under an overlay that moves.
    #[default]
    Overlay,
    /// The last frame that came out of the processor, again; the overlay until there is one.
    Freeze,
}

impl FromStr for OnStall {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "overlay" => Ok(Self::Overlay),
            "freeze" => Ok(Self::Freeze),
            other => Err(ConfigError::new(
                "on_stall",
                format!("must be overlay or freeze, got {other:?}"),
            )),
        }
    }
}

#[cfg(test)]
#[path = "config_test.rs"]
mod tests;
