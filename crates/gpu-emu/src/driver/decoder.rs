//! The video decoder: OpenH264 behind NVDEC's rules.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use trickle_media::backend::Backend;
use trickle_media::codec::CpuBackend;
use trickle_media::coder::VideoDecoder;
use trickle_media::frame::{FramePool, Image, PixelFormat, PlanarImage};
use trickle_media::h264::annexb;
use trickle_media::stream::{Orientation, VideoParams};
use trickle_media::{AccessUnit, Codec, ColorDescription, Timestamp, VideoFrame, access_unit};

use super::{Allocations, Handle, Status, Streams, Work};

/// Rows of a surface start at multiples of this: never at the width.
const PITCH: usize = 512;
/// What an unmapped surface is overwritten with: it belongs to the decoder again.
const SCRIBBLE: u8 = 0xdd;

/// What a decoder is made for.
pub(crate) struct Shape {
    /// Columns and rows coded.
    pub(crate) coded: (usize, usize),
    /// Left, top, right and bottom of what is shown.
    pub(crate) shown: [usize; 4],
    /// Pictures that can be kept.
    pub(crate) surfaces: usize,
    /// Pictures that can be mapped at once.
    pub(crate) outputs: usize,
    /// Fields are made frames of.
    pub(crate) deinterlaces: bool,
}

/// What was decoded into a surface.
struct Surface {
    /// An error for a picture that is damaged: which it is told to be.
    picture: Result<PlanarImage, u32>,
    /// Somebody has waited for it.
    finished: bool,
}

/// `cuvidDecodeStatus`.
const INVALID: u32 = 0;
const IN_PROGRESS: u32 = 1;
const SUCCESS: u32 = 2;
const ERROR: u32 = 8;
const CONCEALED: u32 = 9;
/// Samples of a picture that was concealed.
const GRAY: u8 = 128;

/// A hardware decoder.
pub(crate) struct Decoder {
    engine: VideoDecoder,
    shape: Shape,
    /// `None` where nothing was decoded.
    surfaces: Vec<Option<Surface>>,
    /// Memory of output surfaces, and which of it is mapped.
    outputs: Vec<u64>,
    mapped: HashSet<u64>,
    decoded: i64,
}

/// All decoders.
#[derive(Default)]
pub(crate) struct Decoders {
    pub(crate) by_handle: HashMap<Handle, Decoder>,
    pub(crate) created: u32,
}

/// A surface as the program sees it.
pub(crate) struct MappedSurface {
    pub(crate) address: u64,
    pub(crate) pitch: u32,
}

impl Decoder {
    pub(crate) fn new(shape: Shape) -> Result<Self, Status> {
        let [left, top, right, bottom] = shape.shown;
        let params = VideoParams {
            codec: Codec::H264,
            width: (right - left) as u32,
            height: (bottom - top) as u32,
            frame_rate: None,
            color: ColorDescription::UNSPECIFIED,
            profile: 100,
            level: 41,
            bit_depth: 8,
            chroma_format: 1,
            interlaced: shape.deinterlaces,
            reorder: None,
            orientation: Orientation::UPRIGHT,
        };
        let engine = CpuBackend::new()
            .open_decoder(&params, &FramePool::new())
            .map_err(|_| Status::NOT_SUPPORTED)?;
        Ok(Self {
            engine,
            surfaces: (0..shape.surfaces).map(|_| None).collect(),
            shape,
            outputs: Vec::new(),
            mapped: HashSet::new(),
            decoded: 0,
        })
    }

    /// Decodes the picture in `unit` into surface `index`.
    pub(crate) fn decode(
        &mut self,
        index: i32,
        coded: (usize, usize),
        unit: &[u8],
    ) -> Result<(), Status> {
        // Hardware writes beyond its buffers when it is given pictures of another size.
        if coded != self.shape.coded {
            return Err(Status::INVALID_VALUE);
        }
        let index = usize::try_from(index).map_err(|_| Status::INVALID_VALUE)?;
        let surface = self.surfaces.get_mut(index).ok_or(Status::INVALID_VALUE)?;
        self.decoded += 1;
        // Equal times, always rising, and an engine that was told of no reordering: pictures come
        // out at once, in the order of decoding. The order of display is the parser's business.
        let time = Timestamp::mpeg(self.decoded);
        let pushed = self.engine.push(&AccessUnit {
            track: access_unit::TrackId(0),
            codec: Codec::H264,
            data: Bytes::copy_from_slice(unit),
            pts: time,
            dts: time,
            keyframe: annexb::has_idr(unit),
            flags: access_unit::UnitFlags::default(),
            received: None,
        });
        let frame = pushed.ok().and_then(|()| self.engine.pull());
        let picture = match frame.map(VideoFrame::into_image) {
            Some(Image::Planar(image)) => Ok(image),
            _ if annexb::has_idr(unit) => Err(ERROR),
            _ => Err(CONCEALED),
        };
        *surface = Some(Surface {
            picture,
            finished: false,
        });
        Ok(())
    }

    /// A picture that the hardware does not take: its surface stays as it is.
    pub(crate) fn refuse(&mut self) {
        self.decoded += 1;
    }

    /// Pictures decoded so far.
    pub(crate) fn decoded(&self) -> i64 {
        self.decoded
    }

    /// How decoding went, as far as it is known: not before the picture was waited for.
    pub(crate) fn status(&self, index: i32) -> Result<u32, Status> {
        let index = usize::try_from(index).map_err(|_| Status::INVALID_VALUE)?;
        let surface = self.surfaces.get(index).ok_or(Status::INVALID_VALUE)?;
        Ok(match surface {
            None => INVALID,
            Some(surface) if !surface.finished => IN_PROGRESS,
            Some(surface) => surface
                .picture
                .as_ref()
                .map_or_else(|&error| error, |_| SUCCESS),
        })
    }

    /// Lends surface `index`; it is written in `stream`.
    pub(crate) fn map(
        &mut self,
        index: i32,
        stream: Handle,
        memory: &mut Allocations,
        streams: &mut Streams,
    ) -> Result<MappedSurface, Status> {
        if self.mapped.len() >= self.shape.outputs {
            return Err(Status::MAP_FAILED);
        }
        let [left, top, right, bottom] = self.shape.shown;
        let (width, height) = (right - left, bottom - top);
        let index = usize::try_from(index).map_err(|_| Status::INVALID_VALUE)?;
        let surface = self.surfaces.get_mut(index).ok_or(Status::MAP_FAILED)?;
        let surface = surface.as_mut().ok_or(Status::MAP_FAILED)?;
        surface.finished = true;
        let image = match &surface.picture {
            Ok(image) => image.clone(),
            Err(_) => concealed(width, height).ok_or(Status::MAP_FAILED)?,
        };
        // The engine crops by itself, to the same place.
        if (image.width(), image.height()) != (width, height) {
            return Err(Status::MAP_FAILED);
        }
        let pitch = width.next_multiple_of(PITCH);
        let chroma_row = height.next_multiple_of(2);
        let free = self
            .outputs
            .iter()
            .find(|address| !self.mapped.contains(address));
        let address = match free {
            Some(&address) => address,
            None => {
                let bytes = pitch * (chroma_row + height.div_ceil(2));
                let address = memory.allocate(bytes)?;
                self.outputs.push(address);
                address
            }
        };
        let mut upload = |row: usize, bytes: Vec<u8>| {
            let to = address + (row * pitch) as u64;
            streams.push(stream, Work::Write { to, bytes })
        };
        for (row, samples) in image.plane(0).chunks_exact(width).enumerate() {
            upload(row, samples.to_vec())?;
        }
        let columns = width.div_ceil(2);
        let rows = image
            .plane(1)
            .chunks_exact(columns)
            .zip(image.plane(2).chunks_exact(columns));
        for (row, (u, v)) in rows.enumerate() {
            let pairs = u.iter().zip(v).flat_map(|(&u, &v)| [u, v]).collect();
            upload(chroma_row + row, pairs)?;
        }
        self.mapped.insert(address);
        Ok(MappedSurface {
            address,
            pitch: pitch as u32,
        })
    }

    pub(crate) fn unmap(&mut self, address: u64, memory: &mut Allocations) -> Result<(), Status> {
        if !self.mapped.remove(&address) {
            return Err(Status::INVALID_VALUE);
        }
        memory.write(address, &vec![SCRIBBLE; memory.room(address)])
    }

    /// Frees its memory; says what was still on loan.
    pub(crate) fn destroy(self, memory: &mut Allocations) -> Vec<String> {
        for address in &self.outputs {
            // Allocated by `map`: it is there.
            let _ = memory.free(*address);
        }
        let name = |address: &u64| format!("surface {address:#x} of a destroyed decoder");
        self.mapped.iter().map(name).collect()
    }
}

/// What hardware shows where it could decode nothing.
fn concealed(width: usize, height: usize) -> Option<PlanarImage> {
    let pool = FramePool::new();
    let mut image = PlanarImage::new(PixelFormat::I420, width, height, &pool.bytes).ok()?;
    image
        .planes_mut()
        .into_iter()
        .for_each(|plane| plane.fill(GRAY));
    Some(image)
}
