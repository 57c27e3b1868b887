//! Flags that several commands share, and what they resolve to.

use std::time::Duration;

use clap::{Args, ValueEnum};
use trickle_media::coder::RateControl;
use trickle_media::{Backends, Codec};
use trickle_processor::{Params, Registry, SharedModel, checked};
use trickle_server::StreamServerBuilder;
use trickle_session::{AudioMode, EncodeConfig, OnError, OnStall};

use crate::backends::{self, Choice};
use crate::error::CliError;

/// Which processor.
#[derive(Args, Debug)]
pub(crate) struct ProcessorFlags {
    /// What is done to the frames
    #[arg(
        long,
        value_name = "NAME",
        env = "TRICKLE_PROCESSOR",
        default_value = "passthrough"
    )]
    pub(crate) processor: String,
}

impl ProcessorFlags {
    pub(crate) fn model(&self, registry: &Registry) -> Result<SharedModel, CliError> {
        let model = registry
            .get(&self.processor)
            .map_err(|error| CliError::usage(error.to_string()))?;
        checked(model).map_err(|error| CliError::new(error.to_string()))
    }
}

/// How the output is encoded.
#[derive(Args, Debug)]
#[command(next_help_heading = "Encoding")]
pub(crate) struct EncodeFlags {
    /// Coding format of the video; hevc needs a GPU that encodes it, or FFmpeg
    #[arg(
        long,
        value_enum,
        value_name = "CODEC",
        env = "TRICKLE_VIDEO_CODEC",
        default_value = "h264"
    )]
    video_codec: VideoCodec,
    /// How strictly the bit rate is kept, by a GPU's encoder: constant (within two frames) or
    /// variable (on average)
    #[arg(
        long,
        value_enum,
        value_name = "MODE",
        env = "TRICKLE_RATE_CONTROL",
        default_value = "constant"
    )]
    rate_control: RateMode,
    /// Video bit rate, in bits per second: 2500000, 2500k or 2.5M [default: by size and rate]
    #[arg(long, value_name = "RATE", env = "TRICKLE_BITRATE", value_parser = bitrate)]
    bitrate: Option<u32>,
    /// Longest time between keyframes, which is the length of a segment: 2s, 500ms
    #[arg(long, value_name = "TIME", env = "TRICKLE_GOP", default_value = "2s", value_parser = duration)]
    gop: Duration,
    /// Threads that one picture is encoded with at most; part of what decides the output's bytes
    #[arg(long, value_name = "N", env = "TRICKLE_ENCODE_THREADS", default_value_t = EncodeConfig::default().threads)]
    encode_threads: u8,
    /// Audio of the output: opus or aac (other codecs are converted), copy (as it came) or none
    #[arg(
        long,
        value_name = "MODE",
        env = "TRICKLE_AUDIO",
        default_value = "opus"
    )]
    pub(crate) audio: AudioMode,
    /// What viewers see of a frame that the processor failed on: passthrough (the frame as it
    /// came), drop, freeze (the last good one) or stop (the stream ends)
    #[arg(
        long,
        value_name = "POLICY",
        env = "TRICKLE_ON_ERROR",
        default_value = "passthrough"
    )]
    pub(crate) on_error: OnError,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum VideoCodec {
    H264,
    Hevc,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RateMode {
    Constant,
    Variable,
}

impl EncodeFlags {
    pub(crate) fn resolve(&self) -> Result<EncodeConfig, CliError> {
        let config = EncodeConfig {
            codec: match self.video_codec {
                VideoCodec::H264 => Codec::H264,
                VideoCodec::Hevc => Codec::Hevc,
            },
            bitrate: self.bitrate,
            rate_control: match self.rate_control {
                RateMode::Constant => RateControl::Constant,
                RateMode::Variable => RateControl::Variable,
            },
            gop: self.gop,
            threads: self.encode_threads,
        };
        config
            .validate()
            .map_err(|error| CliError::usage(error.to_string()))?;
        Ok(config)
    }
}

/// What decodes and encodes video.
#[derive(Args, Debug)]
#[command(next_help_heading = "Backends")]
pub(crate) struct BackendFlags {
    /// What decodes and encodes video: auto (a GPU where one is usable, else the CPU), cpu, cuda
    /// or cuda:N (a GPU that must be there); ffmpeg in builds with that feature
    #[arg(
        long,
        value_name = "BACKEND",
        env = "TRICKLE_BACKEND",
        default_value = "auto"
    )]
    backend: Choice,
    /// What decodes it, where that is not what encodes it
    #[arg(long, value_name = "BACKEND", env = "TRICKLE_DECODE_BACKEND")]
    decode_backend: Option<Choice>,
    /// What encodes it, where that is not what decodes it
    #[arg(long, value_name = "BACKEND", env = "TRICKLE_ENCODE_BACKEND")]
    encode_backend: Option<Choice>,
}

impl BackendFlags {
    /// The table of backends. What is in it, and why something is not, is logged once.
    pub(crate) async fn open(&self) -> Result<Backends, CliError> {
        let decode = self.decode_backend.unwrap_or(self.backend);
        let encode = self.encode_backend.unwrap_or(self.backend);
        // Opening devices blocks.
        let opened = tokio::task::spawn_blocking(move || backends::open(decode, encode))
            .await
            .map_err(|error| CliError::caused("looking for devices", &error))?;
        let backends = opened.map_err(|refusal| {
            CliError::usage(refusal).hint(
                "`trickle devices` shows what there is; auto takes the CPU where a GPU is missing",
            )
        })?;
        for backend in backends.describe() {
            tracing::info!(
                backend = backend.name,
                decoder = backend.decoder,
                encoder = backend.encoder,
                "backend"
            );
        }
        Ok(backends)
    }
}

/// What a live stream does when its processor, or everybody else, is silent.
#[derive(Args, Debug)]
#[command(next_help_heading = "Live")]
pub(crate) struct LiveFlags {
    /// Longest time that viewers wait for the processor, before they see what --on-stall says;
    /// 0 lets them wait for ever (upstream ends a stream that shows nothing for 30 s)
    #[arg(long, value_name = "TIME", env = "TRICKLE_STALL_TIMEOUT", default_value = "3s", value_parser = duration)]
    stall_timeout: Duration,
    /// What viewers see then: overlay (the frames as they come, under a message that moves) or
    /// freeze (the last processed frame)
    #[arg(
        long,
        value_name = "POLICY",
        env = "TRICKLE_ON_STALL",
        default_value = "overlay"
    )]
    on_stall: OnStall,
    /// Longest way of a frame: one that the processor, by the time it takes lately, could not
    /// get out by then is skipped; 0 skips none for its age
    #[arg(long, value_name = "TIME", env = "TRICKLE_FRAME_DEADLINE", default_value = "1s", value_parser = duration)]
    frame_deadline: Duration,
    /// A stream that nobody has shown interest in for this long ends by itself: no input, no
    /// update, no control message; 0 lets it run for ever
    #[arg(long, value_name = "TIME", env = "TRICKLE_SESSION_IDLE_TIMEOUT", default_value = "600s", value_parser = duration)]
    session_idle_timeout: Duration,
    /// Program that is read of inputs that hold several, by its number; a stream's parameter
    /// input_program overrides it [default: the first]
    #[arg(long, value_name = "NUMBER", env = "TRICKLE_INPUT_PROGRAM")]
    input_program: Option<u16>,
    /// Streams run while the model still loads, under the loading overlay, instead of waiting
    #[arg(long, env = "TRICKLE_ACCEPT_WHILE_LOADING")]
    accept_while_loading: bool,
}

impl LiveFlags {
    pub(crate) fn apply(&self, server: StreamServerBuilder) -> StreamServerBuilder {
        let limit = |time: Duration| (!time.is_zero()).then_some(time);
        server
            .stall_timeout(limit(self.stall_timeout))
            .on_stall(self.on_stall)
            .frame_deadline(limit(self.frame_deadline))
            .session_idle_timeout(limit(self.session_idle_timeout))
            .input_program(self.input_program)
            .accept_while_loading(self.accept_while_loading)
    }
}

/// Parameters on the command line: one JSON object.
pub(crate) fn params(text: &str) -> Result<Params, String> {
    serde_json::from_str(text).map_err(|error| format!("must be a JSON object: {error}"))
}

/// A bit rate with an optional `k` or `M`.
pub(crate) fn bitrate(text: &str) -> Result<u32, String> {
    let wanted = || format!("{text:?} is no bit rate; write 2500000, 2500k or 2.5M");
    let (number, unit) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1e3),
        None => match text.strip_suffix(['m', 'M']) {
            Some(number) => (number, 1e6),
            None => (text, 1.0),
        },
    };
    let rate = number.trim().parse::<f64>().map_err(|_| wanted())? * unit;
    let valid = rate.is_finite() && (1.0..=f64::from(u32::MAX)).contains(&rate);
    valid.then_some(rate.round() as u32).ok_or_else(wanted)
}

/// A time with its unit; plain numbers are seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || format!("{text:?} is no time; write 2s, 500ms or 1.5");
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let seconds = number.trim().parse::<f64>().map_err(|_| wanted())? * unit;
    Duration::try_from_secs_f64(seconds).map_err(|_| wanted())
}

#[cfg(test)]
#[path = "settings_test.rs"]
mod tests;
