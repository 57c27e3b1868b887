//! The parser of H.264 streams: pictures out of packets, callbacks in the order of the interface.

use std::ffi::{c_int, c_void};
use std::ptr;

use nvidia_video_codec_sdk::sys::cuviddec::{
    CUVIDPICPARAMS, cudaVideoChromaFormat, cudaVideoCodec,
};
use nvidia_video_codec_sdk::sys::nvcuvid::{
    CUVIDEOFORMAT, CUVIDPARSERDISPINFO, PFNVIDDECODECALLBACK, PFNVIDDISPLAYCALLBACK,
    PFNVIDSEQUENCECALLBACK,
};
use trickle_media::h264::sps::Sps;
use trickle_media::h264::{NalKind, annexb};

/// Pictures that a stream holds back where it does not say how many.
const UNSTATED_REORDER: usize = 4;
/// More surfaces than any sequence needs.
const MAX_SURFACES: usize = 32;

/// What the program wants to be called with.
#[derive(Clone, Copy)]
pub(crate) struct Callbacks {
    pub(crate) user: *mut c_void,
    pub(crate) sequence: PFNVIDSEQUENCECALLBACK,
    pub(crate) decode: PFNVIDDECODECALLBACK,
    pub(crate) display: PFNVIDDISPLAYCALLBACK,
}

/// A parser between two packets.
pub(crate) struct Parser {
    callbacks: Callbacks,
    /// A packet that did not say that its picture ends: it may go on in the next.
    open: Option<(Vec<u8>, i64)>,
    sequence: Option<Sps>,
    /// The parameter sets that came last: the decoder is told what is in them.
    sets: Vec<u8>,
    surfaces: usize,
    reorder: usize,
    /// Decoded and not shown, by time.
    waiting: Vec<Picture>,
}

// SAFETY: the program promises that its pointer may be used in its own calls, on any thread.
unsafe impl Send for Parser {}

struct Picture {
    surface: usize,
    timestamp: i64,
}

impl Parser {
    pub(crate) fn new(callbacks: Callbacks, surfaces: usize) -> Self {
        Self {
            callbacks,
            open: None,
            sequence: None,
            sets: Vec::new(),
            surfaces: surfaces.clamp(1, MAX_SURFACES),
            reorder: 0,
            waiting: Vec::new(),
        }
    }

    /// Takes a packet. Without `whole` its picture waits for the next packet, or the end.
    pub(crate) fn parse(&mut self, data: &[u8], timestamp: i64, whole: bool) {
        if let Some((open, timestamp)) = self.open.take() {
            self.unit(&open, timestamp);
        }
        if whole {
            self.unit(data, timestamp);
        } else if !data.is_empty() {
            self.open = Some((data.to_vec(), timestamp));
        }
    }

    /// Shows everything that is left.
    pub(crate) fn end(&mut self) {
        if let Some((open, timestamp)) = self.open.take() {
            self.unit(&open, timestamp);
        }
        self.show_until(0);
        // The next stream starts with a sequence of its own.
        self.sequence = None;
    }

    /// One access unit.
    fn unit(&mut self, data: &[u8], timestamp: i64) {
        let (mut slices, mut idr, mut headed) = (0, false, false);
        for nal in annexb::nal_units(data) {
            if nal.kind() == NalKind::SPS {
                self.sets.clear();
                headed = true;
            }
            if matches!(nal.kind(), NalKind::SPS | NalKind::PPS) {
                self.sets.extend(annexb::START_CODE);
                self.sets.extend(nal.bytes);
            }
            if nal.kind() == NalKind::SPS
                && let Ok(sps) = Sps::parse(nal.bytes)
                && self.sequence.as_ref() != Some(&sps)
            {
                self.start_sequence(sps);
            }
            slices += u32::from(nal.kind().is_slice());
            idr |= nal.kind() == NalKind::IDR;
        }
        if slices == 0 {
            return;
        }
        let Some(sps) = self.sequence.clone() else {
            return;
        };
        if idr {
            self.show_until(0);
        }
        // A surface that no picture waits in; the pictures kept to refer to are the decoder's.
        let free = |surface: &usize| {
            self.waiting
                .iter()
                .all(|picture| picture.surface != *surface)
        };
        let Some(surface) = (0..self.surfaces).find(free) else {
            self.show_until(self.waiting.len() - 1);
            return self.unit(data, timestamp);
        };
        let whole;
        let coded = if idr && !headed {
            whole = [&self.sets, data].concat();
            &whole
        } else {
            data
        };
        // SAFETY: integers, pointers and unions of them: all zeroes is a value of it.
        let mut params: CUVIDPICPARAMS = unsafe { std::mem::zeroed() };
        params.PicWidthInMbs = (sps.coded_width / 16) as c_int;
        params.FrameHeightInMbs = (sps.coded_height / 16) as c_int;
        params.CurrPicIdx = surface as c_int;
        params.nBitstreamDataLen = coded.len() as u32;
        params.pBitstreamData = coded.as_ptr();
        params.nNumSlices = slices;
        params.intra_pic_flag = idr.into();
        if let Some(decode) = self.callbacks.decode {
            // SAFETY: the program's function with the program's pointer; `params` outlives it.
            let kept = unsafe { decode(self.callbacks.user, &raw mut params) };
            if kept == 0 {
                return;
            }
        }
        let at = self
            .waiting
            .partition_point(|picture| picture.timestamp <= timestamp);
        self.waiting.insert(at, Picture { surface, timestamp });
        self.show_until(self.reorder);
    }

    fn start_sequence(&mut self, sps: Sps) {
        // What is left of the old sequence comes first.
        self.show_until(0);
        let params = sps.video_params();
        self.reorder = match (params.profile, params.reorder) {
            (66, _) => 0,
            (_, Some(reorder)) => reorder as usize,
            (_, None) => UNSTATED_REORDER,
        };
        let needed = sps.max_num_ref_frames as usize + 1 + self.reorder;
        // SAFETY: integers and enums that have a zero: all zeroes is a value of it.
        let mut format: CUVIDEOFORMAT = unsafe { std::mem::zeroed() };
        format.codec = cudaVideoCodec::cudaVideoCodec_H264;
        format.chroma_format = match sps.chroma_format {
            0 => cudaVideoChromaFormat::cudaVideoChromaFormat_Monochrome,
            1 => cudaVideoChromaFormat::cudaVideoChromaFormat_420,
            2 => cudaVideoChromaFormat::cudaVideoChromaFormat_422,
            _ => cudaVideoChromaFormat::cudaVideoChromaFormat_444,
        };
        format.progressive_sequence = sps.frame_mbs_only.into();
        format.bit_depth_luma_minus8 = sps.bit_depth_luma - 8;
        format.bit_depth_chroma_minus8 = sps.bit_depth_chroma - 8;
        format.min_num_decode_surfaces = needed.min(MAX_SURFACES) as u8;
        (format.coded_width, format.coded_height) = (sps.coded_width, sps.coded_height);
        // Cropping is on the right and below in every stream that encoders make.
        format.display_area.right = sps.width as c_int;
        format.display_area.bottom = sps.height as c_int;
        let signal = &mut format.video_signal_description;
        signal.color_primaries = params.color.primaries;
        signal.transfer_characteristics = params.color.transfer;
        signal.matrix_coefficients = params.color.matrix;
        signal.set_video_full_range_flag(params.color.full_range.into());
        self.sequence = Some(sps);
        if let Some(sequence) = self.callbacks.sequence {
            // SAFETY: the program's function with the program's pointer; `format` outlives it.
            let answer = unsafe { sequence(self.callbacks.user, &raw mut format) };
            // 0 means failure, 1 "as I said before"; neither stops the parser.
            if let Ok(surfaces @ 2..) = usize::try_from(answer) {
                self.surfaces = surfaces.min(MAX_SURFACES);
            }
        }
    }

    /// Shows the earliest pictures until no more than `left` wait.
    fn show_until(&mut self, left: usize) {
        let progressive = self.sequence.as_ref().is_none_or(|sps| sps.frame_mbs_only);
        while self.waiting.len() > left {
            let picture = self.waiting.remove(0);
            let mut shown = CUVIDPARSERDISPINFO {
                picture_index: picture.surface as c_int,
                progressive_frame: progressive.into(),
                top_field_first: 0,
                repeat_first_field: 0,
                timestamp: picture.timestamp,
            };
            if let Some(display) = self.callbacks.display {
                // SAFETY: the program's function with the program's pointer; `shown` outlives it.
                unsafe { display(self.callbacks.user, ptr::from_mut(&mut shown)) };
            }
        }
    }
}
