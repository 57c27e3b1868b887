//! What a session shows of itself: plain values, ready to be serialised.

use serde::Serialize;
use trickle_media::access_unit::Codec;
use trickle_processor::Params;
use utoipa::ToSchema;

use crate::config::{AudioMode, OnError, OnStall};
use crate::error::EndReason;

/// A session at one moment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionStatus {
    /// Its id.
    pub gateway_request_id: String,
    /// How far it is.
    pub state: SessionState,
    /// Why it ended; `null` while it runs.
    pub ended: Option<EndReason>,
    /// Seconds since the start.
    pub uptime_s: f64,
    /// The input channel.
    pub subscribe_url: Option<String>,
    /// The output channel.
    pub publish_url: Option<String>,
    /// Parameters in force: those of the start, overlaid with every update taken.
    #[schema(value_type = Object)]
    pub current_params: Params,
    /// Rates over the last seconds, by the names of PyTrickle.
    pub fps: Fps,
    /// Frames so far.
    pub frames: FrameCounts,
    /// Time that frames of the last seconds took.
    pub latency_ms: LatencyStatus,
    /// What comes in.
    pub input: InputStatus,
    /// What goes out.
    pub output: OutputStatus,
    /// The video decoder, once there is one.
    pub decoder: Option<CodecStatus>,
    /// The video encoder, once there is one.
    pub encoder: Option<CodecStatus>,
    /// Sound.
    pub audio: AudioStatus,
    /// The processor.
    pub processor: ProcessorStatus,
    /// What went wrong and was survived.
    pub faults: Faults,
    /// Control, events and data.
    pub channels: ChannelsStatus,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// It runs and no media has come in yet.
    Waiting,
    /// Media comes in, and nothing has gone out yet.
    Starting,
    /// Media goes out.
    Running,
    /// It winds down.
    Stopping,
    /// It has ended.
    Ended,
}

/// Rates over the last seconds, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Fps {
    /// Pictures that came in.
    pub ingress_video_fps: f64,
    /// Audio packets that came in.
    pub ingress_audio_fps: f64,
    /// Frames that the processor was given.
    pub inference_video_fps: f64,
    /// Pictures that went out.
    pub egress_video_fps: f64,
    /// Audio packets that went out.
    pub egress_audio_fps: f64,
}

/// Video frames since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct FrameCounts {
    /// Coded pictures that came in.
    #[serde(rename = "in")]
    pub received: u64,
    /// Blank frames that the clock of a generative session made.
    pub generated: u64,
    /// Frames that the decoder gave.
    pub decoded: u64,
    /// Frames that the processor was given.
    pub processed: u64,
    /// Coded pictures that went out; for a sink, frames that reached its end.
    pub out: u64,
    /// Those that did not, by cause.
    pub dropped: Dropped,
}

/// Video frames that were left out, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Dropped {
    /// No keyframe had come yet, at the start or after a fault.
    pub no_keyframe: u64,
    /// The decoder could not keep up: skipped to the next keyframe.
    pub decoder_busy: u64,
    /// The coded picture was damaged and gave no frame.
    pub damaged: u64,
    /// Above `max_framerate`.
    pub max_framerate: u64,
    /// The processor could not keep up: a newer frame took its place.
    pub processor_busy: u64,
    /// The processor returned nothing.
    pub by_processor: u64,
    /// The processor failed, and the policy left the frame out.
    pub processor_error: u64,
    /// The processor stalled on it: when it was done, later ones had gone out already.
    pub processor_late: u64,
    /// It could not have been out in time: a newer one waited, or it was too old.
    pub deadline: u64,
    /// Its time was not after the frame before it.
    pub out_of_order: u64,
    /// The encoder refused it or failed on it.
    pub encoder_error: u64,
    /// The network could not keep up: skipped to the next keyframe.
    pub publisher_busy: u64,
    /// It was on a device that failed.
    pub device_error: u64,
    /// Still on its way when the session was stopped.
    pub stopped: u64,
}

impl Dropped {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.no_keyframe
            + self.decoder_busy
            + self.damaged
            + self.max_framerate
            + self.processor_busy
            + self.by_processor
            + self.processor_error
            + self.processor_late
            + self.deadline
            + self.out_of_order
            + self.encoder_error
            + self.publisher_busy
            + self.device_error
            + self.stopped
    }
}

/// Time spent per stage by the frames that went out in the last seconds, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct LatencyStatus {
    /// From the last byte of the coded picture to the decoded frame, queueing included.
    pub decode: Percentiles,
    /// From decoded to the processor's call: waiting for the processor.
    pub wait: Percentiles,
    /// In the processor, scaling included.
    pub process: Percentiles,
    /// From processed to encoded, queueing included.
    pub encode: Percentiles,
    /// From encoded to handed to the network.
    pub publish: Percentiles,
    /// From the last byte in to the bytes out.
    pub total: Percentiles,
}

/// The spread of a latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Percentiles {
    /// Half took at most this, in milliseconds.
    pub p50: f64,
    /// 99 of 100 took at most this, in milliseconds.
    pub p99: f64,
    /// The longest, in milliseconds.
    pub max: f64,
    /// How many were measured.
    pub count: u64,
}

/// What comes in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct InputStatus {
    /// The session has no input channel: a clock of its own makes its frames.
    pub generative: bool,
    /// Bytes.
    pub bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Video codec.
    #[schema(value_type = Option<String>)]
    pub video_codec: Option<Codec>,
    /// Columns of the picture.
    pub width: Option<u32>,
    /// Rows of the picture.
    pub height: Option<u32>,
    /// Why the video is left out and only sound goes on, where it is so.
    pub video_refused: Option<String>,
    /// Audio codec.
    #[schema(value_type = Option<String>)]
    pub audio_codec: Option<Codec>,
}

/// What goes out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct OutputStatus {
    /// Bytes.
    pub bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Columns of the picture.
    pub width: Option<u32>,
    /// Rows of the picture.
    pub height: Option<u32>,
    /// Target bit rate of the video, in bits per second.
    pub bitrate: Option<u32>,
}

/// A codec in use and the way to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CodecStatus {
    /// Implementation, such as `openh264`.
    pub name: String,
    /// Backend it belongs to, such as `cpu`.
    pub backend: String,
    /// Backends asked before, each as `name: reason`.
    pub passed_over: Vec<String>,
    /// Times that it was opened.
    pub opened: u64,
}

/// Sound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct AudioStatus {
    /// What was asked for.
    pub mode: AudioMode,
    /// What is done with it.
    pub route: AudioRoute,
    /// Why there is none, or something else than asked for.
    pub note: Option<String>,
    /// Packets that came in.
    #[serde(rename = "in")]
    pub received: u64,
    /// Packets that went out.
    pub out: u64,
    /// Packets and frames that were left out because a queue was full.
    pub dropped: u64,
    /// Packets that could not be decoded, or frames that could not be processed or encoded.
    pub errors: u64,
}

/// What is done with the input's audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AudioRoute {
    /// There is none, or it is left out.
    #[default]
    None,
    /// Packets are passed on as they came.
    Copied,
    /// Decoded and encoded again.
    Transcoded,
    /// Decoded, given to the processor, and encoded again.
    Processed,
}

/// The processor's record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProcessorStatus {
    /// Frames, of video or audio, that it failed on.
    pub errors: u64,
    /// Of these, panics.
    pub panics: u64,
    /// The last error's message.
    pub last_error: Option<String>,
    /// Times that nothing came from it for longer than the stall timeout.
    pub stalls: u64,
    /// Nothing comes from it at this moment: viewers see what stands in for it.
    pub stalled: bool,
    /// Frames that went out without it: under the overlay, or as its last one again.
    pub stood_in: u64,
    /// The policy for frames that it fails on.
    pub on_error: OnError,
    /// What viewers see while it is silent.
    pub on_stall: OnStall,
    /// Items it emitted for the data channel.
    pub data_items: u64,
    /// Events it emitted.
    pub events: u64,
    /// Items and events that it emitted and that were not taken.
    pub refused: u64,
    /// It was told to stop and has not come back.
    pub draining: bool,
}

/// What went wrong and was survived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Faults {
    /// Faults of the transport stream: lost packets, bad sections, lost sync.
    pub transport: u64,
    /// Jumps of the input's clock that the output does not show.
    pub timeline_rebases: u64,
    /// Segments of the input that were missed.
    pub input_gaps: u64,
    /// Times that nothing of the input came for 2 s, after it had begun.
    pub input_stalls: u64,
    /// Times that the input's relay was found again, after it could not be reached or refused.
    pub input_reconnects: u64,
    /// Times that the input began anew, because its publisher or the relay did.
    pub input_restarts: u64,
    /// Coded pictures that were damaged.
    pub damaged_pictures: u64,
    /// Times that the decoder broke and was opened anew.
    pub decoder_restarts: u64,
    /// Times that the encoder broke and was opened anew.
    pub encoder_restarts: u64,
    /// Times that a codec was given up for the next backend's, because it broke again and again
    /// or its device was lost.
    pub backends_lost: u64,
    /// Segments of the output that could not be finished.
    pub output_segments_lost: u64,
    /// Times that the output's relay was found again, after it could not be reached or refused.
    pub output_reconnects: u64,
}

/// The channels beside the media; `null` for those that the session was not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChannelsStatus {
    /// Where updates come from.
    pub control: Option<ControlStatus>,
    /// Where events go to.
    pub events: Option<PublishedStatus>,
    /// Where the processor's data items go to.
    pub data: Option<PublishedStatus>,
}

/// The control channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ControlStatus {
    /// Its address.
    pub url: String,
    /// Updates that came, without keepalives.
    pub received: u64,
    /// Messages that changed nothing: not readable, too large, or rejected.
    pub rejected: u64,
    /// What was wrong last, with a message or with the channel.
    pub last_error: Option<String>,
}

/// A channel of messages that is published to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PublishedStatus {
    /// Its address.
    pub url: String,
    /// Messages that the relay has.
    pub published: u64,
    /// Messages for which there was no room, as the relay was away or slow.
    pub dropped: u64,
    /// The channel's last error.
    pub last_error: Option<String>,
}

/// What is left to say of a session that has ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionSummary {
    /// Why it ended.
    pub reason: EndReason,
    /// Its last status.
    pub status: SessionStatus,
    /// The processor did not come back within the time allowed: its thread still runs, and with
    /// it whatever it holds, such as a device.
    pub draining: bool,
}
