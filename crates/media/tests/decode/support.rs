//! What tests of decoders share: the video of clips, decoded by `crate::backend()`.

use serde_json::Value;
use trickle_media::coder::VideoDecoder;
use trickle_media::error::CodecError;
use trickle_media::frame::{FramePool, Image};
use trickle_media::stream::StreamParams;
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};
use trickle_media::{AccessUnit, Backend, MediaKind, Unsupported, VideoFrame, VideoParams};
use trickle_testkit::{clip, clip_bytes};

/// The live clip at a size that is quick to decode: 150 pictures, a keyframe every 30.
pub(crate) const SMALL: &str = "ptswrap_180p30.ts";

/// The video of a clip.
pub(crate) struct Clip {
    pub(crate) params: VideoParams,
    pub(crate) units: Vec<AccessUnit>,
}

impl Clip {
    pub(crate) fn read(name: &str) -> Self {
        let mut demuxer = Demuxer::new(DemuxOptions::default());
        demuxer.push(&clip_bytes(name), None);
        demuxer.finish();
        let (mut params, mut units) = (None, Vec::new());
        while let Some(event) = demuxer.next_event() {
            match event {
                DemuxEvent::Streams(streams) => {
                    let found = streams.into_iter().find_map(|stream| match stream.params {
                        StreamParams::Video(params) => Some(params),
                        _ => None,
                    });
                    params = params.or(found);
                }
                DemuxEvent::Unit(unit) if unit.codec.kind() == MediaKind::Video => {
                    units.push(unit);
                }
                _ => {}
            }
        }
        Self {
            params: params.expect("a video stream"),
            units,
        }
    }

    pub(crate) fn open(&self) -> Result<VideoDecoder, Unsupported> {
        crate::backend().open_decoder(&self.params, &FramePool::new())
    }

    pub(crate) fn decode(&self) -> Vec<Shown> {
        decode(&mut self.open().unwrap(), &self.units).shown
    }
}

/// One picture that came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) pts: i64,
    pub(crate) size: (usize, usize),
    pub(crate) md5: String,
}

impl From<VideoFrame> for Shown {
    fn from(frame: VideoFrame) -> Self {
        let Image::Planar(image) = frame.image() else {
            panic!("{:?}", frame.image())
        };
        Self {
            pts: frame.pts().ticks,
            size: (frame.width(), frame.height()),
            md5: format!("{:x}", md5::compute(image.as_bytes())),
        }
    }
}

impl Shown {
    /// As in the figures.
    pub(crate) fn wrapped(self) -> (i64, String) {
        (wrapped(self.pts), self.md5)
    }
}

pub(crate) fn wrapped(pts: i64) -> i64 {
    pts.rem_euclid(1 << 33)
}

#[derive(Default)]
pub(crate) struct Decoded {
    pub(crate) shown: Vec<Shown>,
    pub(crate) errors: Vec<(usize, CodecError)>,
    /// Most pictures that were ever held back.
    pub(crate) lag: usize,
}

pub(crate) fn decode(decoder: &mut VideoDecoder, units: &[AccessUnit]) -> Decoded {
    let mut decoded = Decoded::default();
    for (index, unit) in units.iter().enumerate() {
        if let Err(error) = decoder.push(unit) {
            decoded.errors.push((index, error));
        }
        decoded
            .shown
            .extend(std::iter::from_fn(|| decoder.pull()).map(Shown::from));
        let out = decoded.shown.len() + decoded.errors.len();
        decoded.lag = decoded.lag.max((index + 1).saturating_sub(out));
    }
    decoder.flush().unwrap();
    decoded
        .shown
        .extend(std::iter::from_fn(|| decoder.pull()).map(Shown::from));
    decoded
}

/// Time and MD5 of each picture that ffmpeg shows. Times are modulo 2³³: ffmpeg does not unwrap.
pub(crate) fn figures(name: &str) -> Vec<(i64, String)> {
    let path = clip(&format!("../figures/{name}.json"));
    let json: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let frames = &json["frames"];
    let times = frames["pts"].as_array().unwrap().iter();
    times
        .zip(frames["md5"].as_array().unwrap())
        .map(|(pts, md5)| {
            (
                wrapped(pts.as_i64().unwrap()),
                md5.as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

pub(crate) fn keyframes(units: &[AccessUnit]) -> Vec<usize> {
    let keyframes = units.iter().enumerate().filter(|(_, unit)| unit.keyframe);
    keyframes.map(|(index, _)| index).collect()
}

/// `unit` with the second half of its bytes missing.
pub(crate) fn cut(unit: &AccessUnit) -> AccessUnit {
    let mut unit = unit.clone();
    unit.data.truncate(unit.data.len() / 2);
    unit
}
