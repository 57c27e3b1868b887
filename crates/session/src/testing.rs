//! For unit tests: codecs that do what the bytes tell them, and items to feed stages with.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use trickle_media::access_unit::{AccessUnit, Codec, TrackId, UnitFlags};
use trickle_media::backend::{Backend, BackendDescription, Backends};
use trickle_media::coder::{Decoder, Encoder, VideoDecoder, VideoEncoder, VideoEncoderSettings};
use trickle_media::error::{CodecError, Unsupported};
use trickle_media::frame::{FramePool, Image, PixelFormat, PlanarImage, StageTimes};
use trickle_media::stream::StreamParams;
use trickle_media::{
    AudioParams, ColorDescription, Orientation, StreamInfo, Timestamp, VideoFrame, VideoParams,
};

use crate::item::{Coded, Encoded, Frame, Item};
use crate::side::{BackendLost, Event};

/// A backend whose codecs do what they are told, and that remembers what it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Obedient {
    pub(crate) decoders: Mutex<Vec<VideoParams>>,
    pub(crate) encoders: Mutex<Vec<VideoEncoderSettings>>,
}

impl Obedient {
    pub(crate) fn backends(self: &Arc<Self>) -> Backends {
        Backends::new(vec![Arc::clone(self) as Arc<dyn Backend>])
    }
}

impl Backend for Obedient {
    fn name(&self) -> &str {
        "obedient"
    }

    fn describe(&self) -> BackendDescription {
        BackendDescription {
            name: "obedient".into(),
            decoder: "by bytes".into(),
            encoder: "by width".into(),
            warnings: Vec::new(),
        }
    }

    /// Interlaced streams are refused.
    fn open_decoder(
        &self,
        params: &VideoParams,
        _: &FramePool,
    ) -> Result<VideoDecoder, Unsupported> {
        if params.interlaced {
            return Err(Unsupported::new(params.codec, "it is interlaced"));
        }
        self.decoders.lock().unwrap().push(params.clone());
        Ok(Box::new(ByBytes {
            later: None,
            size: (params.width as usize, params.height as usize),
            ready: VecDeque::new(),
        }))
    }

    /// Pictures of one column are refused.
    fn open_encoder(&self, settings: &VideoEncoderSettings) -> Result<VideoEncoder, Unsupported> {
        if settings.width == 1 {
            return Err(Unsupported::new(Codec::H264, "it is too narrow"));
        }
        self.encoders.lock().unwrap().push(settings.clone());
        Ok(Box::new(ByWidth {
            settings: settings.clone(),
            key_at: None,
            force: false,
            ready: VecDeque::new(),
        }))
    }
}

/// An obedient backend under a name of its own.
#[derive(Debug)]
pub(crate) struct Named(pub(crate) &'static str, pub(crate) Arc<Obedient>);

impl Backend for Named {
    fn name(&self) -> &str {
        self.0
    }

    fn describe(&self) -> BackendDescription {
        self.1.describe()
    }

    fn open_decoder(
        &self,
        params: &VideoParams,
        pool: &FramePool,
    ) -> Result<VideoDecoder, Unsupported> {
        self.1.open_decoder(params, pool)
    }

    fn open_encoder(&self, settings: &VideoEncoderSettings) -> Result<VideoEncoder, Unsupported> {
        self.1.open_encoder(settings)
    }
}

/// A `card` and a `spare`, asked in this order.
pub(crate) fn card_and_spare(card: &Arc<Obedient>, spare: &Arc<Obedient>) -> Backends {
    Backends::new(vec![
        Arc::new(Named("card", Arc::clone(card))),
        Arc::new(Named("spare", Arc::clone(spare))),
    ])
}

/// What a session is told of a card that was given up.
pub(crate) fn lost_card(direction: &'static str, reason: &str) -> Event {
    Event::BackendLost(BackendLost {
        direction,
        backend: "card".into(),
        next: "spare".into(),
        reason: reason.into(),
    })
}

/// Decodes a unit to a frame, unless its first byte says otherwise: `d` damaged, `b` broken,
/// `u` unsupported, `l` later, with the next.
struct ByBytes {
    size: (usize, usize),
    later: Option<VideoFrame>,
    ready: VecDeque<VideoFrame>,
}

impl Decoder for ByBytes {
    type Frame = VideoFrame;

    fn name(&self) -> &'static str {
        "by-bytes"
    }

    fn push(&mut self, unit: &AccessUnit) -> Result<(), CodecError> {
        match unit.data.first() {
            Some(b'd') => Err(CodecError::Damaged {
                codec: unit.codec,
                pts: unit.pts.to_string(),
                detail: "as told".into(),
            }),
            Some(b'b') => Err(CodecError::Broken {
                backend: "obedient",
                detail: "as told".into(),
            }),
            Some(b'u') => Err(Unsupported::new(unit.codec, "as told").into()),
            Some(b'l') => {
                self.later = Some(picture(unit.pts, self.size));
                Ok(())
            }
            _ => {
                self.ready.extend(self.later.take());
                self.ready.push_back(picture(unit.pts, self.size));
                Ok(())
            }
        }
    }

    fn pull(&mut self) -> Option<VideoFrame> {
        self.ready.pop_front()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        Ok(())
    }
}

/// Encodes a frame to a unit that tells its size, unless it has 13 columns: then it breaks.
struct ByWidth {
    settings: VideoEncoderSettings,
    key_at: Option<Timestamp>,
    force: bool,
    ready: VecDeque<AccessUnit>,
}

impl Encoder for ByWidth {
    type Frame = VideoFrame;

    fn name(&self) -> &'static str {
        "by-width"
    }

    fn push(&mut self, frame: VideoFrame) -> Result<(), CodecError> {
        if frame.width() == 13 {
            return Err(CodecError::Broken {
                backend: "obedient",
                detail: "as told".into(),
            });
        }
        let pts = frame.pts();
        let keyframe = std::mem::take(&mut self.force)
            || self
                .key_at
                .and_then(|at| pts.since(at))
                .is_none_or(|length| length >= self.settings.gop);
        if keyframe {
            self.key_at = Some(pts);
        }
        let mut unit = unit(
            Codec::H264,
            pts,
            format!("{}x{}", frame.width(), frame.height()),
        );
        unit.keyframe = keyframe;
        self.ready.push_back(unit);
        Ok(())
    }

    fn pull(&mut self) -> Option<AccessUnit> {
        self.ready.pop_front()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        Ok(())
    }

    fn force_keyframe(&mut self) {
        self.force = true;
    }
}

pub(crate) fn ms(at: i64) -> Timestamp {
    Timestamp::mpeg(at * 90)
}

pub(crate) fn unit(codec: Codec, at: Timestamp, data: impl Into<Bytes>) -> AccessUnit {
    AccessUnit {
        track: TrackId(1),
        codec,
        data: data.into(),
        pts: at,
        dts: at,
        keyframe: true,
        flags: UnitFlags::default(),
        received: None,
    }
}

/// A video stream of a codec whose every unit may start a sequence.
pub(crate) fn video_stream(width: u32, height: u32) -> Arc<StreamInfo> {
    Arc::new(StreamInfo {
        track: TrackId(1),
        codec: Codec::Hevc,
        language: None,
        params: StreamParams::Video(VideoParams {
            codec: Codec::Hevc,
            width,
            height,
            frame_rate: None,
            color: ColorDescription::UNSPECIFIED,
            profile: 0,
            level: 0,
            bit_depth: 8,
            chroma_format: 1,
            interlaced: false,
            reorder: None,
            orientation: Orientation::UPRIGHT,
        }),
    })
}

pub(crate) fn audio_stream(codec: Codec, channels: u8) -> Arc<StreamInfo> {
    Arc::new(StreamInfo {
        track: TrackId(2),
        codec,
        language: None,
        params: StreamParams::Audio(AudioParams {
            codec,
            sample_rate: 48_000,
            channels,
            config: Bytes::new(),
        }),
    })
}

pub(crate) fn picture_item(at: i64, what: &'static str, stream: &Arc<StreamInfo>) -> Item {
    Item::Picture(Coded {
        unit: unit(stream.codec, ms(at), what),
        stream: Arc::clone(stream),
    })
}

pub(crate) fn packet_item(at: i64, stream: &Arc<StreamInfo>) -> Item {
    let mut unit = unit(stream.codec, ms(at), "packet");
    unit.track = stream.track;
    Item::Packet(Coded {
        unit,
        stream: Arc::clone(stream),
    })
}

pub(crate) fn encoded_item(at: i64, keyframe: bool) -> Item {
    let mut unit = unit(Codec::H264, ms(at), "encoded");
    unit.keyframe = keyframe;
    Item::Encoded(Encoded {
        unit,
        times: StageTimes::default(),
    })
}

pub(crate) fn picture(pts: Timestamp, (width, height): (usize, usize)) -> VideoFrame {
    let pool = FramePool::new();
    let mut image = PlanarImage::new(PixelFormat::I420, width, height, &pool.bytes).unwrap();
    for plane in image.planes_mut() {
        plane.fill(128);
    }
    VideoFrame::new(Image::Planar(image), pts, ColorDescription::default(), pool)
}

pub(crate) fn frame_item(at: i64, size: (usize, usize)) -> Item {
    Item::Frame(Frame {
        frame: picture(ms(at), size),
        rate: None,
        fit: None,
        overlay: None,
    })
}
