//! The stages of a stream, one at a time, on all frames of a clip.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use trickle_media::backend::Backends;
use trickle_media::coder::{RateControl, VideoDecoder, VideoEncoderSettings};
use trickle_media::convert::{CoverScaler, planar_to_tensor, tensor_to_planar};
use trickle_media::frame::{FramePool, Image, PixelFormat, Tensor};
use trickle_media::stream::{Rational, StreamParams};
use trickle_media::ts::{DemuxOptions, Demuxer, MuxOptions, Muxer};
use trickle_media::{AccessUnit, Codec, MediaKind, StreamInfo, VideoFrame, VideoParams};
use trickle_processor::{Driver, ProcessorRunner, Registry, StreamContext};
use trickle_session::EncodeConfig;

use crate::clip_units;

/// Bytes of a piece of a stream: what one read of a socket gives.
const PIECE: usize = 65_536;
/// Frame rate for rate control where the clip states none.
const USUAL_RATE: Rational = Rational { num: 30, den: 1 };

/// One stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Transport stream to access units.
    Demux,
    /// Access units to pictures.
    Decode,
    /// Pictures to half their size; only where it is asked for.
    Scale,
    /// Pictures to RGB f32.
    ToTensor,
    /// The processor `invert`.
    Process,
    /// RGB f32 to pictures.
    FromTensor,
    /// Pictures to access units, as a session encodes.
    Encode,
    /// Access units to a transport stream.
    Mux,
}

impl Stage {
    /// All of them, in the order of the data.
    pub const ALL: [Self; 8] = [
        Self::Demux,
        Self::Decode,
        Self::Scale,
        Self::ToTensor,
        Self::Process,
        Self::FromTensor,
        Self::Encode,
        Self::Mux,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Demux => "demux",
            Self::Decode => "decode",
            Self::Scale => "scale",
            Self::ToTensor => "to_tensor",
            Self::Process => "process",
            Self::FromTensor => "from_tensor",
            Self::Encode => "encode",
            Self::Mux => "mux",
        }
    }

    /// It decodes or encodes: what every session does with a picture.
    pub fn is_codec(self) -> bool {
        matches!(self, Self::Decode | Self::Encode)
    }

    /// It is part of what a session does with a picture whose tensor is asked for.
    pub fn is_for_tensors(self) -> bool {
        self.is_codec() || matches!(self, Self::ToTensor | Self::Process | Self::FromTensor)
    }
}

/// A clip, ready for each stage.
pub struct Stages {
    stream: Vec<u8>,
    streams: Vec<StreamInfo>,
    units: Vec<AccessUnit>,
    video: Vec<AccessUnit>,
    params: VideoParams,
    frames: Vec<VideoFrame>,
    tensor: Tensor,
    settings: VideoEncoderSettings,
    pool: FramePool,
    scaler: CoverScaler,
    processor: Box<dyn ProcessorRunner>,
    driver: Driver,
    /// The driver's, which must outlive it.
    _runtime: Runtime,
}

impl Stages {
    /// Reads and decodes a clip of `testdata/media`.
    ///
    /// # Panics
    /// When it cannot be decoded.
    pub fn new(clip: &str) -> Self {
        let (streams, units) = clip_units(clip);
        let (track, params) = streams
            .iter()
            .find_map(|stream| match &stream.params {
                StreamParams::Video(params) => Some((stream.track, params.clone())),
                _ => None,
            })
            .expect("a clip with video");
        let video: Vec<_> = units
            .iter()
            .filter(|unit| unit.track == track && unit.codec.kind() == MediaKind::Video)
            .cloned()
            .collect();
        let pool = FramePool::new();
        let mut frames = Vec::new();
        decode(&params, &pool, &video, &mut Pace(None), |frame| {
            frames.push(frame);
        });
        let (width, height) = (params.width as usize, params.height as usize);
        let rate = params.frame_rate.unwrap_or(USUAL_RATE);
        let runtime = Runtime::new().expect("a runtime");
        let model = Registry::default().get("invert").expect("a processor");
        Self {
            stream: trickle_testkit::clip_bytes(clip),
            tensor: frames.first().expect("a frame").tensor().expect("a tensor"),
            settings: VideoEncoderSettings {
                codec: Codec::H264,
                rate_control: RateControl::default(),
                width: params.width,
                height: params.height,
                bitrate: VideoEncoderSettings::default_bitrate(params.width, params.height, rate),
                frame_rate: rate,
                gop: Duration::from_secs(2),
                color: params.color,
                threads: EncodeConfig::default().threads,
            },
            scaler: CoverScaler::new(width / 2, height / 2).expect("a size"),
            processor: model
                .open(StreamContext::detached())
                .expect("a processor that opens"),
            driver: Driver::new(runtime.handle().clone(), CancellationToken::new()),
            _runtime: runtime,
            streams,
            units,
            video,
            params,
            frames,
            pool,
        }
    }

    /// Frames of the clip.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    /// Sends all frames through one stage, `rounds` times.
    ///
    /// # Panics
    /// When the stage fails.
    pub fn run(&mut self, stage: Stage, rounds: usize) {
        let mut pace = Pace(None);
        for _ in 0..rounds {
            self.round(stage, &mut pace);
        }
    }

    /// Sends all frames through one stage, one each `interval`, as a live stream does: in between,
    /// the core sleeps and the caches go to others.
    ///
    /// # Panics
    /// When the stage fails.
    pub fn run_live(&mut self, stage: Stage, interval: Duration) {
        self.round(stage, &mut Pace(Some((Instant::now(), interval))));
    }

    fn round(&mut self, stage: Stage, pace: &mut Pace) {
        let pool = &self.pool;
        let images = self.frames.iter().map(|frame| match frame.image() {
            Image::Planar(image) => (image, frame),
            Image::Tensor(_) | Image::Device(_) => unreachable!("the CPU decodes to planes"),
        });
        match stage {
            Stage::Demux => {
                let mut demuxer = Demuxer::new(DemuxOptions::default());
                for piece in self.stream.chunks(PIECE) {
                    pace.wait();
                    demuxer.push(piece, None);
                    while let Some(event) = demuxer.next_event() {
                        black_box(event);
                    }
                }
            }
            Stage::Decode => decode(&self.params, pool, &self.video, pace, |frame| {
                black_box(frame);
            }),
            Stage::Scale => {
                for (image, _) in images {
                    pace.wait();
                    black_box(self.scaler.planar(image, pool).expect("a picture"));
                }
            }
            Stage::ToTensor => {
                for (image, frame) in images {
                    pace.wait();
                    black_box(planar_to_tensor(image, frame.color(), pool).expect("a tensor"));
                }
            }
            Stage::Process => {
                // The one tensor goes round: a copy of it would be no part of the stage.
                for frame in &self.frames {
                    pace.wait();
                    let empty = Tensor::from_vec(1, 1, 1, vec![0.0]).expect("a tensor");
                    let tensor = std::mem::replace(&mut self.tensor, empty);
                    let frame = frame.clone().replace_tensor(tensor);
                    let done = self.processor.process_video(frame, &self.driver);
                    let done = done.expect("no failure").expect("a frame");
                    self.tensor = done.into_tensor().expect("a tensor");
                }
            }
            Stage::FromTensor => {
                for frame in &self.frames {
                    pace.wait();
                    let format = PixelFormat::I420;
                    let image = tensor_to_planar(&self.tensor, format, frame.color(), pool);
                    black_box(image.expect("a picture"));
                }
            }
            Stage::Encode => {
                let opened = Backends::default().open_encoder(&self.settings);
                let mut encoder = opened.expect("an encoder").codec;
                for frame in &self.frames {
                    pace.wait();
                    encoder.push(frame.clone()).expect("a frame that fits");
                    while let Some(unit) = encoder.pull() {
                        black_box(unit);
                    }
                }
            }
            Stage::Mux => {
                let muxer = Muxer::new(&self.streams, &MuxOptions::default());
                let mut muxer = muxer.expect("streams that can be muxed");
                let mut out = BytesMut::new();
                for unit in &self.units {
                    pace.wait();
                    muxer.write(unit, &mut out).expect("a unit of the streams");
                    black_box(out.split());
                }
            }
        }
    }
}

/// When the next frame comes, and how long after that another; `None`: at once.
struct Pace(Option<(Instant, Duration)>);

impl Pace {
    fn wait(&mut self) {
        if let Some((due, interval)) = &mut self.0 {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            *due += *interval;
        }
    }
}

fn decode(
    params: &VideoParams,
    pool: &FramePool,
    units: &[AccessUnit],
    pace: &mut Pace,
    mut take: impl FnMut(VideoFrame),
) {
    let opened = Backends::default().open_decoder(params, pool);
    let mut decoder: VideoDecoder = opened.expect("a decoder").codec;
    let mut pull = |decoder: &mut VideoDecoder| {
        while let Some(frame) = decoder.pull() {
            take(frame);
        }
    };
    for unit in units {
        pace.wait();
        decoder.push(unit).expect("an undamaged unit");
        pull(&mut decoder);
    }
    decoder.flush().expect("a decoder that ends");
    pull(&mut decoder);
}
