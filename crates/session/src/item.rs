//! What goes from stage to stage.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use trickle_media::access_unit::AccessUnit;
use trickle_media::frame::StageTimes;
use trickle_media::stream::{Rational, StreamParams};
use trickle_media::{AudioFrame, Overlay, StreamInfo, Timestamp, VideoFrame};
use trickle_processor::{Params, ParamsError};

use crate::queue::{Lane, Queued};
use crate::status::AudioRoute;

/// One item between two stages. A stage takes what is its own and hands on everything else.
pub(crate) enum Item {
    /// From here on, the input consists of these streams.
    Streams(Arc<Streams>),
    /// A coded picture to be decoded.
    Picture(Coded),
    /// A picture to be processed or encoded.
    Frame(Frame),
    /// A coded picture to be published.
    Encoded(Encoded),
    /// Coded sound, to be decoded or, where it is copied, to be published.
    Packet(Coded),
    /// Sound to be processed or encoded.
    Sound(AudioFrame),
    /// New parameters.
    Update(Update),
}

/// The streams of the input that the session uses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Streams {
    /// The video stream.
    pub(crate) video: Option<Arc<StreamInfo>>,
    /// The audio stream; present only when something is done with it.
    pub(crate) audio: Option<Arc<StreamInfo>>,
    /// What is done with it.
    pub(crate) route: AudioRoute,
}

impl Streams {
    /// Whether there is sound of which only the coding is known.
    pub(crate) fn is_sound_unknown(&self) -> bool {
        let audio = self.audio.as_ref();
        audio.is_some_and(|audio| audio.params == StreamParams::Unknown)
    }

    /// Whether the output's sound comes, or goes on in another form, where these streams follow
    /// `before`.
    pub(crate) fn changes_sound(&self, before: Option<&Self>) -> bool {
        match (before.and_then(|before| before.audio.as_ref()), &self.audio) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(before), Some(after)) => {
                self.route == AudioRoute::Copied
                    && before.params != StreamParams::Unknown
                    && before.params != after.params
            }
        }
    }

    /// Without video: it cannot be decoded.
    pub(crate) fn without_video(&self) -> Self {
        Self {
            video: None,
            ..self.clone()
        }
    }

    /// Without audio: it cannot be decoded.
    pub(crate) fn without_audio(&self) -> Self {
        Self {
            audio: None,
            route: AudioRoute::None,
            ..self.clone()
        }
    }
}

/// A unit of the input and the stream it belongs to.
pub(crate) struct Coded {
    pub(crate) unit: AccessUnit,
    pub(crate) stream: Arc<StreamInfo>,
}

/// A picture and what goes with it.
pub(crate) struct Frame {
    pub(crate) frame: VideoFrame,
    /// Frames per second, as the input states it.
    pub(crate) rate: Option<Rational>,
    /// The size that the output must have, where it does not follow the processor.
    pub(crate) fit: Option<(usize, usize)>,
    /// What is drawn over it before it is encoded.
    pub(crate) overlay: Option<Arc<Overlay>>,
}

/// A unit of the output, and when its picture passed the stages.
pub(crate) struct Encoded {
    pub(crate) unit: AccessUnit,
    pub(crate) times: StageTimes,
}

/// New parameters, and where the answer goes.
pub(crate) struct Update {
    pub(crate) params: Params,
    pub(crate) answer: oneshot::Sender<Result<(), ParamsError>>,
}

impl Queued for Item {
    fn lane(&self) -> Lane {
        match self {
            Self::Picture(_) | Self::Frame(_) | Self::Encoded(_) => Lane::Video,
            Self::Packet(_) | Self::Sound(_) => Lane::Audio,
            Self::Streams(_) => Lane::Mark,
            Self::Update(_) => Lane::Command,
        }
    }

    fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Picture(coded) | Self::Packet(coded) => Some(coded.unit.dts),
            Self::Frame(frame) => Some(frame.frame.pts()),
            Self::Encoded(encoded) => Some(encoded.unit.dts),
            Self::Sound(sound) => Some(sound.pts()),
            Self::Streams(_) | Self::Update(_) => None,
        }
    }

    fn came(&self) -> Option<Instant> {
        match self {
            Self::Frame(frame) => frame.frame.times().decoded,
            _ => None,
        }
    }

    fn is_entry(&self) -> bool {
        match self {
            Self::Picture(coded) => coded.unit.keyframe,
            Self::Encoded(encoded) => encoded.unit.keyframe,
            _ => true,
        }
    }

    fn replaces_last(&self) -> bool {
        matches!(self, Self::Picture(coded) if coded.unit.flags.replaces_previous)
    }

    fn has_replaced(&mut self) {
        if let Self::Picture(coded) = self {
            coded.unit.flags.replaces_previous = false;
        }
    }
}
