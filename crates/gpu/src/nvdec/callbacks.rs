//! What the parser calls, and the parser.
//!
//! A callback's return value stops nothing, so errors are kept beside and asked for after the
//! call. No panic leaves a callback: it would unwind through NVIDIA's code.

use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;

use nvidia_video_codec_sdk::sys::cuviddec::{
    CUVIDPICPARAMS, cudaVideoChromaFormat, cudaVideoCodec,
};
use nvidia_video_codec_sdk::sys::nvcuvid::{
    CUVIDEOFORMAT, CUVIDPARSERDISPINFO, CUVIDPARSERPARAMS, CUVIDSOURCEDATAPACKET,
    CUvideopacketflags, CUvideoparser,
};
use trickle_media::ColorDescription;

use super::engine::Engine;
use crate::dl::{self, Cuvid};
use crate::error::GpuError;
use crate::image::CudaImage;
use crate::stream::Stream;

/// Surfaces that the parser plans with before the first sequence says how many it needs.
const FIRST_SURFACES: u32 = 1;
/// H.264 and HEVC refer to 16 pictures at most; more than this is no answer of a parser.
const MAX_SURFACES: u32 = 32;

/// A picture that was shown.
pub(super) struct Shown {
    /// Timestamp of its packet.
    pub(super) timestamp: i64,
    pub(super) color: ColorDescription,
    /// It was decoded with errors.
    pub(super) damaged: bool,
    /// `None` for a damaged picture that is not made do with.
    pub(super) image: Option<CudaImage>,
}

/// What callbacks work on.
pub(super) struct State {
    cuvid: &'static Cuvid,
    stream: Stream,
    engine: Option<Engine>,
    color: ColorDescription,
    pub(super) shown: VecDeque<Shown>,
    /// Damaged pictures are made do with.
    pub(super) make_do: bool,
    /// The first thing that went wrong since it was last taken.
    pub(super) error: Option<Failure>,
}

/// Why a picture could not be decoded.
pub(super) enum Failure {
    /// The stream cannot be decoded here.
    Unsupported(String),
    /// The device failed.
    Device(GpuError),
    /// A bug of ours.
    Panic,
}

impl From<GpuError> for Failure {
    fn from(error: GpuError) -> Self {
        Self::Device(error)
    }
}

/// NVIDIA's parser.
pub(super) struct Parser {
    cuvid: &'static Cuvid,
    handle: CUvideoparser,
    /// Owned; a pointer, because the parser holds it too.
    state: *mut State,
}

// SAFETY: the parser is used through `&mut`, from one thread at a time; it calls back within
// those uses only, on that thread.
unsafe impl Send for Parser {}

/// What a packet is to the parser.
#[derive(Clone, Copy)]
pub(super) enum Packet<'a> {
    /// One access unit, whole: the picture is decoded without waiting for the next.
    Unit { data: &'a [u8], timestamp: i64 },
    /// The end of the stream: pictures that wait to be shown are shown.
    End,
}

impl Parser {
    pub(super) fn new(codec: cudaVideoCodec, stream: Stream) -> Result<Self, GpuError> {
        let cuvid = dl::cuvid()?;
        let state = Box::into_raw(Box::new(State {
            cuvid,
            stream,
            engine: None,
            color: ColorDescription::UNSPECIFIED,
            shown: VecDeque::new(),
            make_do: false,
            error: None,
        }));
        let mut parser = Self {
            cuvid,
            handle: ptr::null_mut(),
            state,
        };
        // SAFETY: integers, pointers, optional functions and an enum that has a zero.
        let mut params: CUVIDPARSERPARAMS = unsafe { std::mem::zeroed() };
        params.CodecType = codec;
        params.ulMaxNumDecodeSurfaces = FIRST_SURFACES;
        // Pictures are shown as soon as their order is known.
        params.ulMaxDisplayDelay = 0;
        params.pUserData = state.cast();
        params.pfnSequenceCallback = Some(on_sequence);
        params.pfnDecodePicture = Some(on_decode);
        params.pfnDisplayPicture = Some(on_display);
        let shared = Arc::clone(parser.state().stream.shared());
        let _entered = shared.enter()?;
        // SAFETY: both arguments are ours; `state` lives as long as the parser.
        shared.check("cuvidCreateVideoParser", unsafe {
            (cuvid.create_video_parser)(&raw mut parser.handle, &raw mut params)
        })?;
        Ok(parser)
    }

    /// Feeds a packet; pictures are in [`State::shown`] afterwards.
    pub(super) fn parse(&mut self, packet: Packet<'_>) -> Result<(), GpuError> {
        let (data, timestamp, flags) = match packet {
            Packet::Unit { data, timestamp } => (
                data,
                timestamp,
                CUvideopacketflags::CUVID_PKT_TIMESTAMP as u32
                    | CUvideopacketflags::CUVID_PKT_ENDOFPICTURE as u32,
            ),
            Packet::End => (&[][..], 0, CUvideopacketflags::CUVID_PKT_ENDOFSTREAM as u32),
        };
        let mut packet = CUVIDSOURCEDATAPACKET {
            flags: flags.into(),
            payload_size: data.len() as _,
            payload: if data.is_empty() {
                ptr::null()
            } else {
                data.as_ptr()
            },
            timestamp,
        };
        let shared = Arc::clone(self.state().stream.shared());
        let _entered = shared.enter()?;
        // SAFETY: the parser is open; the packet's bytes outlive the call. Callbacks use `state`
        // during it, and no reference of ours to it is alive.
        shared.check("cuvidParseVideoData", unsafe {
            (self.cuvid.parse_video_data)(self.handle, &raw mut packet)
        })
    }

    /// Outside of [`parse`](Self::parse) nobody else uses it.
    pub(super) fn state(&mut self) -> &mut State {
        // SAFETY: valid until drop; callbacks, the only others, run within `parse` only.
        unsafe { &mut *self.state }
    }
}

impl Drop for Parser {
    fn drop(&mut self) {
        // SAFETY: made by `new`; after `destroy_video_parser` nobody has it.
        let mut state = unsafe { Box::from_raw(self.state) };
        if let Ok(_entered) = state.stream.shared().enter() {
            if !self.handle.is_null() {
                // SAFETY: created by `new`, destroyed once.
                unsafe { (self.cuvid.destroy_video_parser)(self.handle) };
            }
            state.engine = None;
        } else {
            // The device is unusable: its handles are abandoned.
            std::mem::forget(state.engine.take());
        }
    }
}

/// Where a callback's failure is kept.
trait Keeps {
    fn failure(&mut self) -> &mut Option<Failure>;
}

impl Keeps for State {
    fn failure(&mut self) -> &mut Option<Failure> {
        &mut self.error
    }
}

/// Runs a callback on the state that it was given, of type `S`: 0 when it fails.
///
/// # Safety
/// `user` is the pointer given to the parser.
unsafe fn guarded<S: Keeps>(
    user: *mut c_void,
    work: impl FnOnce(&mut S) -> Result<c_int, Failure>,
) -> c_int {
    // SAFETY: by the contract above; it is used by nobody else while the parser calls.
    let state = unsafe { &mut *user.cast::<S>() };
    let failure = match catch_unwind(AssertUnwindSafe(|| work(state))) {
        Ok(Ok(answer)) => return answer,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::Panic,
    };
    state.failure().get_or_insert(failure);
    0
}

/// A new sequence: answers with the surfaces that the parser may count on.
unsafe extern "C" fn on_sequence(user: *mut c_void, format: *mut CUVIDEOFORMAT) -> c_int {
    let work = |state: &mut State| {
        // SAFETY: the parser's, for the time of the call.
        let format = unsafe { &*format };
        // What was shown before has been copied: the old decoder holds nothing of ours.
        state.engine = None;
        refuse(format).map_or(Ok(()), |reason| Err(Failure::Unsupported(reason)))?;
        let surfaces = u32::from(format.min_num_decode_surfaces).clamp(1, MAX_SURFACES);
        state.color = color(format);
        state.engine = Some(Engine::new(state.cuvid, &state.stream, format, surfaces)?);
        Ok(surfaces.cast_signed())
    };
    // SAFETY: the pointer is the parser's.
    unsafe { guarded(user, work) }
}

unsafe extern "C" fn on_decode(user: *mut c_void, params: *mut CUVIDPICPARAMS) -> c_int {
    let work = |state: &mut State| {
        if let Some(engine) = &mut state.engine {
            // SAFETY: the parser's structure, within its callback.
            unsafe { engine.decode(&state.stream, params)? };
        }
        // Without an engine the sequence was refused, which was said.
        Ok(1)
    };
    // SAFETY: the pointer is the parser's.
    unsafe { guarded(user, work) }
}

unsafe extern "C" fn on_display(user: *mut c_void, shown: *mut CUVIDPARSERDISPINFO) -> c_int {
    let work = |state: &mut State| {
        // SAFETY: the parser's, for the time of the call; null is no picture.
        let (Some(shown), Some(engine)) = (unsafe { shown.as_ref() }, &mut state.engine) else {
            return Ok(1);
        };
        let (image, damaged) = engine.take(&state.stream, shown, state.make_do)?;
        state.shown.push_back(Shown {
            timestamp: shown.timestamp,
            color: state.color,
            damaged,
            image,
        });
        Ok(1)
    };
    // SAFETY: the pointer is the parser's.
    unsafe { guarded(user, work) }
}

/// Why the sequence cannot be decoded to NV12, if it cannot.
fn refuse(format: &CUVIDEOFORMAT) -> Option<String> {
    let bits = 8 + format
        .bit_depth_luma_minus8
        .max(format.bit_depth_chroma_minus8);
    let area = &format.display_area;
    if format.chroma_format != cudaVideoChromaFormat::cudaVideoChromaFormat_420 {
        Some("chroma other than 4:2:0".into())
    } else if bits != 8 {
        Some(format!("{bits} bits per sample; 8 are supported"))
    } else if area.right <= area.left || area.bottom <= area.top {
        Some("a picture of no size".into())
    } else {
        None
    }
}

/// As the stream says; 0, which H.273 reserves, is nothing said.
fn color(format: &CUVIDEOFORMAT) -> ColorDescription {
    let signal = &format.video_signal_description;
    let said = |code: u8| if code == 0 { 2 } else { code };
    ColorDescription {
        primaries: said(signal.color_primaries),
        transfer: said(signal.transfer_characteristics),
        matrix: said(signal.matrix_coefficients),
        full_range: signal.video_full_range_flag() != 0,
    }
}

#[cfg(test)]
#[path = "callbacks_test.rs"]
mod tests;
