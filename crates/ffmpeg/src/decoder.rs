//! Decoding: access units in, frames in display order out.

use std::collections::VecDeque;
use std::time::Instant;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::threading;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::util::color;
use trickle_media::access_unit::{AccessUnit, Codec};
use trickle_media::coder::Decoder;
use trickle_media::error::CodecError;
use trickle_media::frame::{Chroma, FramePool, Image, SamplePlane, Samples, VideoFrame};
use trickle_media::{ColorDescription, Timestamp, Unsupported, VideoParams};

/// Threads that share the slices of a picture. (Threads that share pictures would each cost a
/// picture of delay.)
const MAX_THREADS: usize = 4;
/// Units whose pictures are awaited at most: more than any stream reorders.
const MAX_SENT: usize = 64;

/// A decoder over libavcodec.
///
/// A damaged picture is not shown, nor is one that follows it: frames stop until the next keyframe.
pub(crate) struct FfmpegDecoder {
    codec: Codec,
    decoder: ffmpeg::decoder::Video,
    pool: FramePool,
    /// What came with the units whose pictures are not out, by their number.
    sent: VecDeque<(i64, Timestamp, Option<Instant>)>,
    next: i64,
    ready: VecDeque<VideoFrame>,
    /// Nothing is shown before the next keyframe.
    waiting: bool,
}

impl FfmpegDecoder {
    /// A decoder for a stream with these parameters.
    ///
    /// # Errors
    /// [`Unsupported`] for other codecs than H.264 and HEVC, and where this FFmpeg lacks theirs.
    pub(crate) fn open(params: &VideoParams, pool: &FramePool) -> Result<Self, Unsupported> {
        let refuse = |reason: String| Unsupported::new(params.codec, reason);
        let id = match params.codec {
            Codec::H264 => ffmpeg::codec::Id::H264,
            Codec::Hevc => ffmpeg::codec::Id::HEVC,
            _ => return Err(refuse("FFmpeg is asked for H.264 and HEVC only".into())),
        };
        let codec = ffmpeg::decoder::find(id)
            .ok_or_else(|| refuse("this FFmpeg was built without its decoder".into()))?;
        let mut context = ffmpeg::codec::Context::new_with_codec(codec);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        context.set_threading(threading::Config {
            kind: threading::Type::Slice,
            count: threads.min(MAX_THREADS),
            ..threading::Config::default()
        });
        let decoder = context.decoder().video();
        Ok(Self {
            codec: params.codec,
            decoder: decoder.map_err(|error| refuse(error.to_string()))?,
            pool: pool.clone(),
            sent: VecDeque::new(),
            next: 0,
            ready: VecDeque::new(),
            waiting: true,
        })
    }

    /// Takes out what is ready.
    fn receive(&mut self) -> Result<(), String> {
        let mut picture = ffmpeg::frame::Video::empty();
        let mut result = Ok(());
        while self.decoder.receive_frame(&mut picture).is_ok() {
            let number = picture.pts();
            let at = self
                .sent
                .iter()
                .position(|(sent, ..)| Some(*sent) == number);
            // A picture that belongs to no unit cannot be shown at any time.
            let Some((_, pts, received)) = at.and_then(|at| self.sent.remove(at)) else {
                continue;
            };
            if picture.is_corrupt() || picture.has_decode_errors() {
                result = Err("the picture is damaged".into());
                continue;
            }
            match self.frame(&picture, pts) {
                Ok(mut frame) => {
                    frame.times_mut().received = received;
                    self.ready.push_back(frame);
                }
                Err(error) => result = Err(error),
            }
        }
        result
    }

    fn frame(&self, picture: &ffmpeg::frame::Video, pts: Timestamp) -> Result<VideoFrame, String> {
        let (bit_depth, chroma) = layout(picture.format())
            .ok_or_else(|| format!("pixels of the format {:?} are not read", picture.format()))?;
        let plane = |index: usize| match index < picture.planes() {
            true => SamplePlane {
                bytes: picture.data(index),
                stride: picture.stride(index),
            },
            false => SamplePlane {
                bytes: &[],
                stride: 0,
            },
        };
        let samples = Samples {
            width: picture.width() as usize,
            height: picture.height() as usize,
            bit_depth,
            chroma,
            planes: [plane(0), plane(1), plane(2)],
            interlaced: picture.is_interlaced(),
        };
        let image = samples
            .to_i420(&self.pool.bytes)
            .map_err(|error| error.to_string())?;
        let color = ColorDescription {
            primaries: ffmpeg::ffi::AVColorPrimaries::from(picture.color_primaries()) as u8,
            transfer: ffmpeg::ffi::AVColorTransferCharacteristic::from(
                picture.color_transfer_characteristic(),
            ) as u8,
            matrix: ffmpeg::ffi::AVColorSpace::from(picture.color_space()) as u8,
            full_range: picture.color_range() == color::Range::JPEG,
        };
        let image = Image::Planar(image);
        Ok(VideoFrame::new(image, pts, color, self.pool.clone()))
    }

    fn start_over(&mut self) {
        self.decoder.flush();
        self.sent.clear();
        self.waiting = true;
    }

    fn damaged(&self, unit: &AccessUnit, detail: impl Into<String>) -> CodecError {
        CodecError::Damaged {
            codec: self.codec,
            pts: unit.pts.to_string(),
            detail: detail.into(),
        }
    }
}

impl Decoder for FfmpegDecoder {
    type Frame = VideoFrame;

    fn name(&self) -> &'static str {
        "libavcodec"
    }

    fn push(&mut self, unit: &AccessUnit) -> Result<(), CodecError> {
        if unit.codec != self.codec {
            let reason = format!("this decoder is open for {}", self.codec);
            return Err(Unsupported::new(unit.codec, reason).into());
        }
        if unit.keyframe && self.waiting {
            self.decoder.flush();
            self.sent.clear();
        }
        if self.waiting && !unit.keyframe {
            return Err(self.damaged(unit, "skipped until the next keyframe"));
        }
        if unit.flags.replaces_previous && !unit.keyframe {
            // Its beginning was decoded already, and cannot be taken back.
            self.start_over();
            return Err(self.damaged(unit, "bytes of it came late"));
        }
        if unit.flags.damaged {
            self.start_over();
            return Err(self.damaged(unit, "bytes of it are missing"));
        }
        let mut packet = ffmpeg::Packet::copy(&unit.data);
        packet.set_pts(Some(self.next));
        self.sent.push_back((self.next, unit.pts, unit.received));
        if self.sent.len() > MAX_SENT {
            self.sent.pop_front();
        }
        self.next += 1;
        let sent = self.decoder.send_packet(&packet);
        let received = self.receive();
        let result = sent.map_err(|error| error.to_string()).and(received);
        if let Err(detail) = result {
            self.start_over();
            return Err(self.damaged(unit, detail));
        }
        self.waiting = false;
        Ok(())
    }

    fn pull(&mut self) -> Option<VideoFrame> {
        self.ready.pop_front()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        // What it says at the end of a stream adds nothing to what it said before.
        let _ = self.decoder.send_eof();
        let _ = self.receive();
        self.start_over();
        Ok(())
    }
}

/// Bit depth and chroma of a pixel format; `None` for those that no H.264 or HEVC stream has.
fn layout(format: Pixel) -> Option<(u8, Chroma)> {
    Some(match format {
        Pixel::GRAY8 => (8, Chroma::None),
        Pixel::GRAY10LE => (10, Chroma::None),
        Pixel::GRAY12LE => (12, Chroma::None),
        Pixel::YUV420P | Pixel::YUVJ420P => (8, Chroma::C420),
        Pixel::YUV422P | Pixel::YUVJ422P => (8, Chroma::C422),
        Pixel::YUV444P | Pixel::YUVJ444P => (8, Chroma::C444),
        Pixel::YUV420P10LE => (10, Chroma::C420),
        Pixel::YUV422P10LE => (10, Chroma::C422),
        Pixel::YUV444P10LE => (10, Chroma::C444),
        Pixel::YUV420P12LE => (12, Chroma::C420),
        Pixel::YUV422P12LE => (12, Chroma::C422),
        Pixel::YUV444P12LE => (12, Chroma::C444),
        Pixel::YUV420P9LE => (9, Chroma::C420),
        Pixel::YUV422P9LE => (9, Chroma::C422),
        Pixel::YUV420P14LE => (14, Chroma::C420),
        Pixel::YUV422P14LE => (14, Chroma::C422),
        _ => return None,
    })
}
