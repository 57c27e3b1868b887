//! Encoding: frames in, access units out, one for one, through x264, x265 or OpenH264.

use std::collections::VecDeque;

use bytes::Bytes;
use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::threading;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::util::picture;
use trickle_media::access_unit::{AccessUnit, Codec, TrackId, UnitFlags};
use trickle_media::coder::{Encoder, RateControl, VideoEncoderSettings};
use trickle_media::convert::encoder_input;
use trickle_media::error::CodecError;
use trickle_media::frame::PlanarImage;
use trickle_media::{TimeBase, Timestamp, Unsupported, VideoFrame};

/// Encoders in order of preference, by libavcodec's names.
const H264: [&str; 2] = ["libx264", "libopenh264"];
const HEVC: [&str; 1] = ["libx265"];
/// Fast enough for live streams on a few cores.
const PRESET: &str = "veryfast";
/// Keyframes are asked for; this bounds them where nobody does.
const LONGEST_GOP: u32 = 1 << 20;

/// Names of the encoders that this FFmpeg has.
pub(crate) fn available() -> Vec<&'static str> {
    let all = H264.iter().chain(&HEVC).copied();
    all.filter(|name| ffmpeg::encoder::find_by_name(name).is_some())
        .collect()
}

/// An encoder over libavcodec. Every unit comes out at the push of its frame, without B-frames;
/// keyframes bring their parameter sets.
pub(crate) struct FfmpegEncoder {
    name: &'static str,
    settings: VideoEncoderSettings,
    encoder: ffmpeg::encoder::Video,
    ready: VecDeque<AccessUnit>,
    /// What came with the frames that were pushed and whose units are not out.
    pushed: VecDeque<VideoFrame>,
    start: Option<Timestamp>,
    last: Option<i64>,
    keyframe: Option<Timestamp>,
    forced: bool,
}

impl FfmpegEncoder {
    /// An encoder with these settings.
    ///
    /// # Errors
    /// [`Unsupported`] for other codecs than H.264 and HEVC, and where this FFmpeg has no encoder
    /// that takes the settings.
    pub(crate) fn open(settings: &VideoEncoderSettings) -> Result<Self, Unsupported> {
        let refuse = |reason: String| Unsupported::new(settings.codec, reason);
        let names: &[&'static str] = match settings.codec {
            Codec::H264 => &H264,
            Codec::Hevc => &HEVC,
            _ => return Err(refuse("FFmpeg is asked for H.264 and HEVC only".into())),
        };
        let mut reason = format!("this FFmpeg has none of {}", names.join(", "));
        for name in names {
            let Some(codec) = ffmpeg::encoder::find_by_name(name) else {
                continue;
            };
            match open(name, codec, settings) {
                Ok(encoder) => {
                    return Ok(Self {
                        name,
                        settings: settings.clone(),
                        encoder,
                        ready: VecDeque::new(),
                        pushed: VecDeque::new(),
                        start: None,
                        last: None,
                        keyframe: None,
                        forced: false,
                    });
                }
                Err(error) => reason = format!("{name}: {error}"),
            }
        }
        Err(refuse(reason))
    }

    /// Whether the frame shown at `pts` is to be a keyframe.
    fn is_due(&self, pts: Timestamp) -> bool {
        let since = self.keyframe.and_then(|keyframe| pts.since(keyframe));
        self.forced || since.is_none_or(|since| since >= self.settings.gop)
    }

    fn receive(&mut self) {
        let mut packet = ffmpeg::Packet::empty();
        while self.encoder.receive_packet(&mut packet).is_ok() {
            let (Some(data), Some(frame)) = (packet.data(), self.pushed.pop_front()) else {
                continue;
            };
            self.ready.push_back(AccessUnit {
                track: TrackId(0),
                codec: self.settings.codec,
                data: Bytes::copy_from_slice(data),
                pts: frame.pts(),
                dts: frame.pts(),
                keyframe: packet.is_key(),
                flags: UnitFlags::default(),
                received: frame.times().received,
            });
        }
    }

    fn broken(&self, error: ffmpeg::Error) -> CodecError {
        CodecError::Broken {
            backend: self.name,
            detail: error.to_string(),
        }
    }
}

fn open(
    name: &str,
    codec: ffmpeg::Codec,
    settings: &VideoEncoderSettings,
) -> Result<ffmpeg::encoder::Video, ffmpeg::Error> {
    let mut context = ffmpeg::codec::Context::new_with_codec(codec);
    context.set_threading(threading::Config {
        kind: threading::Type::Slice,
        count: usize::from(settings.threads.max(1)),
        ..threading::Config::default()
    });
    let mut encoder = context.encoder().video()?;
    encoder.set_width(settings.width.next_multiple_of(2));
    encoder.set_height(settings.height.next_multiple_of(2));
    encoder.set_format(Pixel::YUV420P);
    encoder.set_time_base((1, TimeBase::MPEG.den().cast_signed()));
    let rate = settings.frame_rate;
    encoder.set_frame_rate(Some((rate.num.cast_signed(), rate.den.cast_signed())));
    encoder.set_bit_rate(settings.bitrate as usize);
    encoder.set_max_b_frames(0);
    encoder.set_gop(LONGEST_GOP);
    let mut options = ffmpeg::Dictionary::new();
    // Code points of ITU-T H.273, as libavcodec numbers them too.
    let color = settings.color;
    options.set("color_primaries", &color.primaries.to_string());
    options.set("color_trc", &color.transfer.to_string());
    options.set("colorspace", &color.matrix.to_string());
    options.set("color_range", if color.full_range { "pc" } else { "tv" });
    let bitrate = settings.bitrate;
    let (most, buffer) = match settings.rate_control {
        // Within half a second.
        RateControl::Constant => (bitrate, bitrate / 2),
        RateControl::Variable => (bitrate.saturating_mul(2), bitrate.saturating_mul(2)),
    };
    options.set("maxrate", &most.to_string());
    options.set("bufsize", &buffer.max(1).to_string());
    if name != "libopenh264" {
        options.set("preset", PRESET);
        options.set("tune", "zerolatency");
        options.set("forced-idr", "1");
    }
    if name == "libx265" {
        // More than one frame at a time would each cost a frame of delay.
        let threads = settings.threads.max(1);
        let params = format!("repeat-headers=1:log-level=none:frame-threads=1:pools={threads}");
        options.set("x265-params", &params);
    }
    encoder.open_as_with(codec, options)
}

impl Encoder for FfmpegEncoder {
    type Frame = VideoFrame;

    fn name(&self) -> &'static str {
        self.name
    }

    fn push(&mut self, frame: VideoFrame) -> Result<(), CodecError> {
        let frame = frame.to_host_planes(self.settings.color)?;
        let picture = encoder_input(&frame, &self.settings)?;
        let pts = frame.pts();
        let start = *self.start.get_or_insert(pts);
        // Times that rise, whatever the frames' do: those of units are the frames' own.
        let ticks = pts.in_base(TimeBase::MPEG) - start.in_base(TimeBase::MPEG);
        let ticks = self.last.map_or(ticks, |last| ticks.max(last + 1));
        self.last = Some(ticks);
        let mut source = to_ffmpeg(&picture);
        source.set_pts(Some(ticks));
        if self.is_due(pts) {
            source.set_kind(picture::Type::I);
            self.keyframe = Some(pts);
            self.forced = false;
        }
        self.encoder
            .send_frame(&source)
            .map_err(|error| self.broken(error))?;
        self.pushed.push_back(frame);
        self.receive();
        Ok(())
    }

    fn takes_planes(&self) -> bool {
        true
    }

    fn pull(&mut self) -> Option<AccessUnit> {
        self.ready.pop_front()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        self.encoder
            .send_eof()
            .map_err(|error| self.broken(error))?;
        self.receive();
        // An encoder that was drained takes nothing more.
        *self = Self {
            ready: std::mem::take(&mut self.ready),
            ..Self::open(&self.settings)?
        };
        Ok(())
    }

    fn force_keyframe(&mut self) {
        self.forced = true;
    }
}

/// The picture in memory of libavcodec's, whose rows are aligned.
fn to_ffmpeg(picture: &PlanarImage) -> ffmpeg::frame::Video {
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    let mut frame = ffmpeg::frame::Video::new(Pixel::YUV420P, width, height);
    for index in 0..3 {
        let stride = frame.stride(index).max(1);
        let row = picture.layout(index).row_bytes.max(1);
        let rows = picture.plane(index).chunks_exact(row);
        for (to, from) in frame.data_mut(index).chunks_mut(stride).zip(rows) {
            if let Some(to) = to.get_mut(..row) {
                to.copy_from_slice(from);
            }
        }
    }
    frame
}
