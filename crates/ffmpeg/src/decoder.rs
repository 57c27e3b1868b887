//! Decoding: access units in, frames in display order out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::threading;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::util::color;
use trickle_media::access_unit::{AccessUnit, Codec};
use trickle_media::coder::Decoder;
use trickle_media::error::CodecError;
use trickle_media::frame::{Chroma, FramePool, Image, SamplePlane, Samples, VideoFrame};
use trickle_media::h264::FrameNumbers;
use trickle_media::h264::annexb::{has_idr, nal_units};
use trickle_media::{ColorDescription, Timestamp, Unsupported, VideoParams};

/// Threads that share the slices of a picture. (Threads that share pictures would each cost a
/// picture of delay.)
const MAX_THREADS: usize = 4;
/// Units whose pictures are awaited at most: more than any stream reorders.
const MAX_SENT: usize = 64;

/// How long, in the stream's time, an intact keyframe is waited for, as the CPU's decoder waits.
const INTACT_WAIT: Duration = Duration::from_secs(2);
/// Most units, and bytes of them, that are kept to be decoded again from the keyframe on.
const MAX_REPLAY_UNITS: usize = 300;
const MAX_REPLAY_BYTES: usize = 32 << 20;

/// A decoder over libavcodec.
///
/// A damaged picture is not shown, nor is one that follows it: frames stop until the next keyframe.
/// When no intact one has come for 2 s, libavcodec's concealment is shown instead, until one comes.
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
    /// Since when no intact keyframe has come, where one is missing.
    broken_since: Option<Timestamp>,
    /// Damage is shown as libavcodec conceals it, as there was no intact keyframe for too long.
    concealing: bool,
    /// The unit before was damaged, and all was well before it.
    broke: bool,
    /// The units since the keyframe, for when the last of them comes again.
    replay: Vec<(i64, AccessUnit)>,
    replay_bytes: usize,
    /// Finds missing pictures of H.264, which libavcodec makes up silently.
    numbers: FrameNumbers,
    /// Decoding began here, in an open group of pictures: pictures shown earlier cannot be decoded.
    /// (Of H.265 they are marked, and libavcodec leaves them out.)
    began: Option<Timestamp>,
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
        // What it takes for such are also pictures at the end of a stream that began shortly before
        // without an IDR picture.
        context.set_flags(ffmpeg::codec::Flags::OUTPUT_CORRUPT);
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
            broken_since: None,
            concealing: false,
            broke: false,
            replay: Vec::new(),
            replay_bytes: 0,
            numbers: FrameNumbers::new(),
            began: None,
        })
    }

    /// Decodes a unit, the one with this number.
    fn decode(&mut self, number: i64, unit: &AccessUnit) -> Result<(), String> {
        let h264 = self.codec == Codec::H264;
        if h264 && !self.concealing && self.numbers.follow_a_gap(&unit.data) {
            return Err("pictures that it may refer to are missing".into());
        }
        let mut packet = ffmpeg::Packet::copy(&unit.data);
        packet.set_pts(Some(number));
        let sent = self.decoder.send_packet(&packet);
        let received = self.receive();
        if self.concealing {
            return Ok(());
        }
        sent.map_err(|error| error.to_string()).and(received)
    }

    /// Whether a keyframe that is damaged is to be made do with.
    fn must_conceal(&mut self, unit: &AccessUnit) -> bool {
        let waited = self.broken_since.and_then(|since| unit.dts.since(since));
        if waited.is_none() {
            // The clock has jumped back.
            self.broken_since = Some(unit.dts);
        }
        unit.keyframe && waited.is_some_and(|waited| waited >= INTACT_WAIT)
    }

    /// Takes out what is ready.
    fn receive(&mut self) -> Result<(), String> {
        let mut picture = ffmpeg::frame::Video::empty();
        loop {
            match self.decoder.receive_frame(&mut picture) {
                Ok(()) => {}
                Err(ffmpeg::Error::Eof) => return Ok(()),
                Err(ffmpeg::Error::Other { errno }) if errno == ffmpeg::error::EAGAIN => {
                    return Ok(());
                }
                Err(error) => return Err(error.to_string()),
            }
            if picture.has_decode_errors() && !self.concealing {
                // Those that are still in the decoder may refer to it.
                self.sent.clear();
                return Err("the picture is damaged".into());
            }
            let number = picture.pts();
            let mut sent = self.sent.iter();
            // Of a unit that is decoded again, the picture may be out.
            let Some(at) = sent.position(|(sent, ..)| Some(*sent) == number) else {
                continue;
            };
            if let Some((_, pts, received)) = self.sent.remove(at) {
                let mut frame = self.frame(&picture, pts)?;
                frame.times_mut().received = received;
                self.ready.push_back(frame);
            }
        }
    }

    /// Whether the picture of this unit came out.
    fn is_shown(&self, number: i64) -> bool {
        self.sent.iter().all(|(sent, ..)| *sent != number)
    }

    /// Brings the decoder back to where it was before the last unit: decodes again from the
    /// keyframe on. True on success.
    fn rewind(&mut self) -> bool {
        let last = self.next - 1;
        self.replay.retain(|(number, _)| *number != last);
        self.sent.retain(|(number, ..)| *number != last);
        self.decoder.flush();
        self.numbers.start_over();
        let units = std::mem::take(&mut self.replay);
        let mut well = !units.is_empty();
        for (number, unit) in &units {
            well = well && self.decode(*number, unit).is_ok();
        }
        self.replay = units;
        self.waiting = !well;
        well
    }

    fn remember(&mut self, number: i64, unit: &AccessUnit) {
        if unit.keyframe {
            self.replay.clear();
            self.replay_bytes = 0;
        } else if self.replay.is_empty() {
            return;
        }
        self.replay_bytes += unit.data.len();
        self.replay.push((number, unit.clone()));
        if self.replay.len() > MAX_REPLAY_UNITS || self.replay_bytes > MAX_REPLAY_BYTES {
            // The memory stays: the next keyframe begins again.
            self.replay.clear();
        }
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

    /// Hands out the pictures that are held to be reordered, but not that of the unit with this
    /// number; then waits for a keyframe.
    fn start_over(&mut self, but: Option<i64>) {
        self.sent.retain(|(number, ..)| Some(*number) != but);
        // What it says at the end of a stream adds nothing to what it said before.
        let _ = self.decoder.send_eof();
        let _ = self.receive();
        self.decoder.flush();
        self.sent.clear();
        self.waiting = true;
        self.concealing = false;
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
        let broke = std::mem::take(&mut self.broke);
        if unit.flags.replaces_previous {
            if !broke && !self.waiting && self.is_shown(self.next - 1) {
                // The bytes that came late were not needed.
                return Ok(());
            }
            if !unit.keyframe && (broke || !self.waiting) {
                self.rewind();
            }
        }
        if self.waiting && !unit.keyframe {
            return Err(self.damaged(unit, "skipped until the next keyframe"));
        }
        let h264 = self.codec == Codec::H264;
        if unit.keyframe && self.waiting {
            self.decoder.flush();
            self.sent.clear();
            self.numbers.start_over();
            self.began = (h264 && !has_idr(&unit.data)).then_some(unit.pts);
        } else if h264 && unit.keyframe && has_idr(&unit.data) {
            self.began = None;
        }
        if !unit.keyframe && self.began.is_some_and(|began| unit.pts < began) {
            self.numbers.follow_a_gap(&unit.data);
            let why = "it refers to pictures of before the one that decoding began with";
            return Err(self.damaged(unit, why));
        }
        let was_well = !self.waiting;
        if self.concealing && unit.keyframe && !unit.flags.damaged {
            // Whether this one is intact will be seen.
            self.start_over(None);
        }
        if unit.flags.damaged && was_well && h264 && !is_reference(&unit.data) {
            return Err(self.damaged(unit, "bytes of it are missing"));
        }
        let number = self.next;
        self.next += 1;
        if self.sent.len() == MAX_SENT {
            self.sent.pop_front();
        }
        self.sent.push_back((number, unit.pts, unit.received));
        let decoded = match unit.flags.damaged && !self.concealing {
            true => Err("bytes of it are missing".into()),
            false => self.decode(number, unit),
        };
        if let Err(detail) = decoded {
            self.start_over(Some(number));
            if !self.must_conceal(unit) {
                self.broke = was_well;
                return Err(self.damaged(unit, detail));
            }
            self.concealing = true;
            self.sent.push_back((number, unit.pts, unit.received));
            // Does not fail then.
            let _ = self.decode(number, unit);
        } else if unit.keyframe && !self.concealing {
            self.broken_since = None;
        }
        self.waiting = false;
        self.remember(number, unit);
        Ok(())
    }

    fn pull(&mut self) -> Option<VideoFrame> {
        self.ready.pop_front()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        self.start_over(None);
        self.replay.clear();
        self.broken_since = None;
        Ok(())
    }
}

/// Whether other pictures may refer to the H.264 picture in `unit`.
fn is_reference(unit: &[u8]) -> bool {
    nal_units(unit).any(|nal| nal.kind().is_slice() && nal.ref_idc() != 0)
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
