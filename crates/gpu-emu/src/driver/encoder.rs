//! The video encoder: OpenH264 behind NVENC's rules.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use trickle_media::backend::Backend;
use trickle_media::codec::CpuBackend;
use trickle_media::coder::{RateControl, VideoEncoder, VideoEncoderSettings};
use trickle_media::frame::{FramePool, Image, PixelFormat, PlanarImage};
use trickle_media::h264::{NalKind, annexb};
use trickle_media::{Codec, Timestamp, VideoFrame};

use super::{Allocations, Handle};

/// A status other than success (`NVENCSTATUS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EncodeError(pub(crate) u32);

impl EncodeError {
    pub(crate) const UNSUPPORTED_DEVICE: Self = Self(2);
    pub(crate) const INVALID_ENCODERDEVICE: Self = Self(3);
    pub(crate) const INVALID_DEVICE: Self = Self(4);
    pub(crate) const INVALID_PTR: Self = Self(6);
    pub(crate) const INVALID_PARAM: Self = Self(8);
    pub(crate) const INVALID_CALL: Self = Self(9);
    pub(crate) const OUT_OF_MEMORY: Self = Self(10);
    pub(crate) const ENCODER_NOT_INITIALIZED: Self = Self(11);
    pub(crate) const INVALID_VERSION: Self = Self(15);
    pub(crate) const NEED_MORE_INPUT: Self = Self(17);
    pub(crate) const GENERIC: Self = Self(20);
    pub(crate) const INCOMPATIBLE_CLIENT_KEY: Self = Self(21);
    pub(crate) const RESOURCE_REGISTER_FAILED: Self = Self(23);
    pub(crate) const RESOURCE_NOT_REGISTERED: Self = Self(24);
    pub(crate) const RESOURCE_NOT_MAPPED: Self = Self(25);
}

/// What a session was initialised with.
pub(crate) struct Setup {
    pub(crate) settings: VideoEncoderSettings,
    /// Parameter sets come with every keyframe, unasked.
    pub(crate) repeat_headers: bool,
    /// Columns and rows that it can be changed to.
    pub(crate) largest: (u32, u32),
}

/// A registered input.
#[derive(Clone, Copy)]
pub(crate) struct Input {
    pub(crate) address: u64,
    pub(crate) pitch: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// An output buffer.
#[derive(Default)]
pub(crate) struct Output {
    /// A coded picture that was not read yet.
    pub(crate) coded: Option<Coded>,
    pub(crate) locked: bool,
}

/// A coded picture.
#[derive(Clone)]
pub(crate) struct Coded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) keyframe: bool,
    pub(crate) timestamp: u64,
}

/// How a picture is to be coded.
pub(crate) struct Order {
    /// Mapped input.
    pub(crate) input: Handle,
    pub(crate) output: Handle,
    pub(crate) pitch: usize,
    pub(crate) timestamp: u64,
    pub(crate) keyframe: bool,
    pub(crate) headers: bool,
}

/// What codes pictures.
enum Engine {
    H264(VideoEncoder),
    /// Pictures are not really coded: what comes out says so.
    Hevc,
}

impl Engine {
    fn open(settings: &VideoEncoderSettings) -> Result<Self, EncodeError> {
        match settings.codec {
            Codec::Hevc => Ok(Self::Hevc),
            _ => CpuBackend::new()
                .open_encoder(settings)
                .map(Self::H264)
                .map_err(|_| EncodeError::INVALID_PARAM),
        }
    }
}

/// A picture that was taken and has not come out.
struct Held {
    /// The mapping of its input.
    input: Handle,
    output: Handle,
    coded: Coded,
}

/// An encode session.
#[derive(Default)]
pub(crate) struct EncodeSession {
    engine: Option<(Engine, Setup)>,
    pub(crate) inputs: HashMap<Handle, Input>,
    /// Mapped inputs, by the handle of the mapping.
    pub(crate) mapped: HashMap<Handle, Handle>,
    pub(crate) outputs: HashMap<Handle, Output>,
    /// Output buffers locked so far.
    pub(crate) locks: u32,
    /// Pictures that come out when more have been given, or at the end.
    held: VecDeque<Held>,
    pictures: i64,
}

impl EncodeSession {
    pub(crate) fn initialize(&mut self, setup: Setup) -> Result<(), EncodeError> {
        if self.engine.is_some() {
            return Err(EncodeError::INVALID_CALL);
        }
        self.engine = Some((Engine::open(&setup.settings)?, setup));
        Ok(())
    }

    /// Goes on with other settings: a new sequence.
    pub(crate) fn reconfigure(&mut self, setup: Setup) -> Result<(), EncodeError> {
        let (engine, open) = self
            .engine
            .as_mut()
            .ok_or(EncodeError::ENCODER_NOT_INITIALIZED)?;
        let (old, new) = (&open.settings, &setup.settings);
        let fits = new.codec == old.codec
            && new.width <= open.largest.0
            && new.height <= open.largest.1
            && setup.largest == open.largest;
        if !fits {
            return Err(EncodeError::INVALID_PARAM);
        }
        // Pictures of the old sequence would come out among the new.
        if !self.held.is_empty() {
            return Err(EncodeError::INVALID_CALL);
        }
        *engine = Engine::open(new)?;
        *open = setup;
        // The next picture starts a sequence.
        self.pictures = 0;
        Ok(())
    }

    pub(crate) fn is_initialized(&self) -> bool {
        self.engine.is_some()
    }

    /// Takes an input, if hardware would.
    pub(crate) fn register(
        &mut self,
        handle: Handle,
        input: Input,
        memory: &Allocations,
    ) -> Result<(), EncodeError> {
        let (_, setup) = self
            .engine
            .as_ref()
            .ok_or(EncodeError::ENCODER_NOT_INITIALIZED)?;
        let size = (
            setup.settings.width as usize,
            setup.settings.height as usize,
        );
        let rows = input.height + input.height.div_ceil(2);
        if (input.width, input.height) != size
            || input.pitch < input.width
            || !input.pitch.is_multiple_of(4)
            || !memory.holds(input.address, input.pitch * rows)
            // Memory of CUDA's pools cannot be mapped for the encoder.
            || memory.is_pooled(input.address)
        {
            return Err(EncodeError::RESOURCE_REGISTER_FAILED);
        }
        self.inputs.insert(handle, input);
        Ok(())
    }

    /// Not while it is mapped.
    pub(crate) fn unregister(&mut self, handle: Handle) -> Result<(), EncodeError> {
        if self.mapped.values().any(|&registered| registered == handle) {
            return Err(EncodeError::INVALID_CALL);
        }
        let input = self.inputs.remove(&handle);
        input
            .map(|_| ())
            .ok_or(EncodeError::RESOURCE_NOT_REGISTERED)
    }

    pub(crate) fn map(&mut self, handle: Handle, registered: Handle) -> Result<(), EncodeError> {
        if !self.inputs.contains_key(&registered) {
            return Err(EncodeError::RESOURCE_NOT_REGISTERED);
        }
        if self.mapped.values().any(|&other| other == registered) {
            return Err(EncodeError::INVALID_CALL);
        }
        self.mapped.insert(handle, registered);
        Ok(())
    }

    pub(crate) fn unmap(&mut self, handle: Handle) -> Result<(), EncodeError> {
        // The encoder still reads it.
        if self.held.iter().any(|held| held.input == handle) {
            return Err(EncodeError::INVALID_CALL);
        }
        let mapping = self.mapped.remove(&handle);
        mapping.map(|_| ()).ok_or(EncodeError::RESOURCE_NOT_MAPPED)
    }

    /// Pictures given so far.
    pub(crate) fn pictures(&self) -> i64 {
        self.pictures
    }

    /// Codes what the input holds **now**: work that waits in streams is not waited for. `hold`
    /// pictures are held back until one more brings them out.
    pub(crate) fn encode(
        &mut self,
        order: &Order,
        hold: usize,
        memory: &Allocations,
    ) -> Result<(), EncodeError> {
        let (engine, setup) = self
            .engine
            .as_mut()
            .ok_or(EncodeError::ENCODER_NOT_INITIALIZED)?;
        let registered = self
            .mapped
            .get(&order.input)
            .ok_or(EncodeError::RESOURCE_NOT_MAPPED)?;
        let input = self
            .inputs
            .get(registered)
            .ok_or(EncodeError::RESOURCE_NOT_REGISTERED)?;
        let output = self
            .outputs
            .get(&order.output)
            .ok_or(EncodeError::INVALID_PARAM)?;
        let size = (
            setup.settings.width as usize,
            setup.settings.height as usize,
        );
        let taken = self.held.iter().any(|held| held.output == order.output);
        let free = !output.locked && output.coded.is_none() && !taken;
        if !free || order.pitch != input.pitch || (input.width, input.height) != size {
            return Err(EncodeError::INVALID_PARAM);
        }
        let image = read(input, memory).ok_or(EncodeError::GENERIC)?;
        let rate = setup.settings.frame_rate;
        let ticks = self.pictures * 90_000 * i64::from(rate.den) / i64::from(rate.num);
        self.pictures += 1;
        let first = self.pictures == 1;
        let headers = first || order.headers || setup.repeat_headers;
        let (bytes, keyframe) = match engine {
            Engine::Hevc => {
                let keyframe = first || order.keyframe;
                (hevc_unit(keyframe, headers, self.pictures), keyframe)
            }
            Engine::H264(engine) => {
                if order.keyframe {
                    engine.force_keyframe();
                }
                let frame = VideoFrame::new(
                    Image::Planar(image),
                    Timestamp::mpeg(ticks),
                    setup.settings.color,
                    FramePool::new(),
                );
                engine.push(frame).map_err(|_| EncodeError::GENERIC)?;
                let unit = engine.pull().ok_or(EncodeError::GENERIC)?;
                let bytes = match headers {
                    true => unit.data.to_vec(),
                    false => without_headers(&unit.data),
                };
                (bytes, unit.keyframe)
            }
        };
        self.held.push_back(Held {
            input: order.input,
            output: order.output,
            coded: Coded {
                bytes,
                keyframe,
                timestamp: order.timestamp,
            },
        });
        if self.held.len() <= hold {
            return Err(EncodeError::NEED_MORE_INPUT);
        }
        self.release();
        Ok(())
    }

    /// No picture follows: those held back come out.
    pub(crate) fn end(&mut self) -> Result<(), EncodeError> {
        if self.engine.is_none() {
            return Err(EncodeError::ENCODER_NOT_INITIALIZED);
        }
        self.release();
        Ok(())
    }

    /// What was held back is in its buffers.
    fn release(&mut self) {
        for held in self.held.drain(..) {
            if let Some(output) = self.outputs.get_mut(&held.output) {
                output.coded = Some(held.coded);
            }
        }
    }

    /// What was not given back before the session went.
    pub(crate) fn left(&self) -> Vec<String> {
        let mapped = self
            .mapped
            .keys()
            .map(|handle| format!("mapped input {handle:#x}"));
        let inputs = self
            .inputs
            .keys()
            .map(|handle| format!("registered input {handle:#x}"));
        let outputs = self
            .outputs
            .keys()
            .map(|handle| format!("bitstream buffer {handle:#x}"));
        mapped.chain(inputs).chain(outputs).collect()
    }
}

/// The picture at an input, row by row: chroma follows the last row of luma.
fn read(input: &Input, memory: &Allocations) -> Option<PlanarImage> {
    let pool = FramePool::new();
    let (width, height) = (input.width, input.height);
    let mut image = PlanarImage::new(PixelFormat::Nv12, width, height, &pool.bytes).ok()?;
    let [luma, chroma, _] = image.planes_mut();
    let chroma_rows = chroma.chunks_exact_mut(2 * width.div_ceil(2));
    for (row, to) in luma.chunks_exact_mut(width).chain(chroma_rows).enumerate() {
        let at = input.address + (row * input.pitch) as u64;
        to.copy_from_slice(&memory.read(at, to.len()).ok()?);
    }
    Some(image)
}

/// What stands for an HEVC access unit: NAL units of the right types (ITU-T H.265, table 7-1)
/// whose content is text.
fn hevc_unit(keyframe: bool, headers: bool, picture: i64) -> Vec<u8> {
    const HEADERS: [u8; 3] = [32, 33, 34];
    const IDR_W_RADL: u8 = 19;
    const TRAIL_R: u8 = 1;
    let sets = HEADERS.into_iter().filter(|_| keyframe && headers);
    let slice = if keyframe { IDR_W_RADL } else { TRAIL_R };
    let nal = |kind: u8| {
        let mut nal = annexb::START_CODE.to_vec();
        nal.extend([kind << 1, 1]);
        nal.extend(format!("trickle emulator, no HEVC, picture {picture}").bytes());
        nal
    };
    sets.chain([slice]).flat_map(nal).collect()
}

/// The unit without its parameter sets.
fn without_headers(unit: &[u8]) -> Vec<u8> {
    let kept =
        annexb::nal_units(unit).filter(|nal| !matches!(nal.kind(), NalKind::SPS | NalKind::PPS));
    kept.flat_map(|nal| [&annexb::START_CODE[..], nal.bytes].concat())
        .collect()
}

/// Settings for the engine: keyframes only when they are asked for.
pub(crate) fn settings(
    codec: Codec,
    (width, height): (u32, u32),
    bitrate: u32,
    frame_rate: trickle_media::stream::Rational,
    color: trickle_media::ColorDescription,
) -> VideoEncoderSettings {
    VideoEncoderSettings {
        codec,
        width,
        height,
        bitrate,
        rate_control: RateControl::Constant,
        frame_rate,
        gop: Duration::MAX,
        color,
        threads: 1,
    }
}
