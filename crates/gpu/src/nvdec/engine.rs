//! The hardware decoder of one sequence.

use std::mem::MaybeUninit;
use std::ptr;

use nvidia_video_codec_sdk::sys::cuviddec::{
    CUVIDDECODECREATEINFO, CUVIDGETDECODESTATUS, CUVIDPICPARAMS, CUVIDPROCPARAMS, CUvideodecoder,
    cudaVideoCreateFlags, cudaVideoDeinterlaceMode, cudaVideoSurfaceFormat,
};
use nvidia_video_codec_sdk::sys::nvcuvid::{CUVIDEOFORMAT, CUVIDPARSERDISPINFO};

use crate::dl::{CuResult, Cuvid, MemoryType, Side};
use crate::error::GpuError;
use crate::image::{CudaImage, Layout};
use crate::stream::Stream;

/// Surfaces that may be mapped at once; we hold one, for the time of a copy.
const OUTPUT_SURFACES: u32 = 2;

/// `cuvidDecodeStatus_Error` and `cuvidDecodeStatus_Error_Concealed`.
const DAMAGED: [u32; 2] = [8, 9];

/// A decoder for pictures of one size. Every call needs the current context.
pub(super) struct Engine {
    cuvid: &'static Cuvid,
    handle: CUvideodecoder,
    /// Columns and rows shown.
    size: (usize, usize),
    progressive: bool,
}

// SAFETY: the decoder may be used from any thread, one at a time (NVDEC Programming Guide,
// "Writing an Efficient Decode Application").
unsafe impl Send for Engine {}

impl Engine {
    /// A decoder for the sequence, with `surfaces` pictures to refer to.
    pub(super) fn new(
        cuvid: &'static Cuvid,
        stream: &Stream,
        format: &CUVIDEOFORMAT,
        surfaces: u32,
    ) -> Result<Self, GpuError> {
        let area = &format.display_area;
        let width = u32::try_from(area.right - area.left).unwrap_or(0);
        let height = u32::try_from(area.bottom - area.top).unwrap_or(0);
        // SAFETY: integers, pointers and enums that have a zero: all zeroes is a value of it.
        let mut info: CUVIDDECODECREATEINFO = unsafe { std::mem::zeroed() };
        info.CodecType = format.codec;
        info.ChromaFormat = format.chroma_format;
        info.ulWidth = format.coded_width.into();
        info.ulHeight = format.coded_height.into();
        info.ulNumDecodeSurfaces = surfaces.into();
        info.ulCreationFlags = cudaVideoCreateFlags::cudaVideoCreate_PreferCUVID as _;
        // Sides are at most 8192: they fit.
        info.display_area.left = area.left as i16;
        info.display_area.top = area.top as i16;
        info.display_area.right = area.right as i16;
        info.display_area.bottom = area.bottom as i16;
        info.OutputFormat = cudaVideoSurfaceFormat::cudaVideoSurfaceFormat_NV12;
        info.DeinterlaceMode = if format.progressive_sequence != 0 {
            cudaVideoDeinterlaceMode::cudaVideoDeinterlaceMode_Weave
        } else {
            cudaVideoDeinterlaceMode::cudaVideoDeinterlaceMode_Adaptive
        };
        info.ulTargetWidth = width.into();
        info.ulTargetHeight = height.into();
        info.ulNumOutputSurfaces = OUTPUT_SURFACES.into();
        let mut handle = ptr::null_mut();
        // SAFETY: a context is current; both arguments are ours.
        stream.shared().check("cuvidCreateDecoder", unsafe {
            (cuvid.create_decoder)(&raw mut handle, &raw mut info)
        })?;
        Ok(Self {
            cuvid,
            handle,
            size: (width as usize, height as usize),
            progressive: format.progressive_sequence != 0,
        })
    }

    /// Starts decoding a picture.
    ///
    /// # Safety
    /// `params` comes from the parser, within its callback.
    pub(super) unsafe fn decode(
        &mut self,
        stream: &Stream,
        params: *mut CUVIDPICPARAMS,
    ) -> Result<(), GpuError> {
        // SAFETY: the decoder is open; the parser's structure is complete, by the contract above.
        stream.shared().check("cuvidDecodePicture", unsafe {
            (self.cuvid.decode_picture)(self.handle, params)
        })
    }

    /// Whether the picture was decoded with errors, as far as the hardware tells. It is mapped:
    /// before that, it may still be being decoded, and nothing is known of it.
    fn is_damaged(&self, index: i32) -> bool {
        // Never a value: newer drivers may know more statuses than the enum in it.
        let mut status = MaybeUninit::<CUVIDGETDECODESTATUS>::zeroed();
        // SAFETY: the decoder is open, `status` ours. Hardware without this answer fails here.
        let result =
            unsafe { (self.cuvid.get_decode_status)(self.handle, index, status.as_mut_ptr()) };
        // SAFETY: the status is the structure's first field, 32 bits, initialised.
        let status = unsafe { status.as_ptr().cast::<u32>().read() };
        result == CuResult::SUCCESS && DAMAGED.contains(&status)
    }

    /// The picture to be shown, copied into memory of ours, and whether it was decoded with errors:
    /// then it is copied only where it is to be made do with.
    pub(super) fn take(
        &mut self,
        stream: &Stream,
        shown: &CUVIDPARSERDISPINFO,
        make_do: bool,
    ) -> Result<(Option<CudaImage>, bool), GpuError> {
        let (width, height) = self.size;
        // SAFETY: integers and pointers: all zeroes is a value of it.
        let mut params: CUVIDPROCPARAMS = unsafe { std::mem::zeroed() };
        params.progressive_frame = i32::from(self.progressive || shown.progressive_frame != 0);
        params.top_field_first = shown.top_field_first;
        params.unpaired_field = i32::from(shown.repeat_first_field < 0);
        // The hardware's last step is done in this stream, before the copy.
        params.output_stream = stream.handle().cast();
        let (mut address, mut pitch) = (0, 0);
        // SAFETY: the decoder is open, the index one that the parser shows now; the rest is ours.
        stream.shared().check("cuvidMapVideoFrame64", unsafe {
            (self.cuvid.map_video_frame)(
                self.handle,
                shown.picture_index,
                &raw mut address,
                &raw mut pitch,
                &raw mut params,
            )
        })?;
        let mapped = Mapped {
            engine: self,
            address,
        };
        let damaged = self.is_damaged(shown.picture_index);
        if damaged && !make_do {
            // The hardware's last step is to be over before the surface is given back.
            return stream.synchronize().map(|()| (None, true));
        }
        // Rows are `pitch` bytes apart, and chroma starts after an even number of rows.
        let rows = |first: usize| Side {
            x_bytes: 0,
            y: first,
            memory: MemoryType::Device,
            host: ptr::null_mut(),
            device: address,
            array: ptr::null_mut(),
            pitch: pitch as usize,
        };
        let chroma_row = height.next_multiple_of(2);
        let image = stream.produce(Layout::nv12(width), width, height, |image| {
            stream.copy(rows(0), image.rows(0), width, height)?;
            let pairs = 2 * width.div_ceil(2);
            stream.copy(
                rows(chroma_row),
                image.rows(image.chroma_row()),
                pairs,
                height.div_ceil(2),
            )
        });
        // The surface is the decoder's again once it is unmapped: not before the copy is done.
        let copied = stream.synchronize();
        drop(mapped);
        let image = image?;
        copied.map(|()| (Some(image), damaged))
    }
}

/// A surface on loan, given back on every way out.
struct Mapped<'a> {
    engine: &'a Engine,
    address: u64,
}

impl Drop for Mapped<'_> {
    fn drop(&mut self) {
        // SAFETY: mapped by `take`, unmapped once, in the same context.
        unsafe { (self.engine.cuvid.unmap_video_frame)(self.engine.handle, self.address) };
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: created by `new`, with no surface mapped: `take` borrows the engine.
        unsafe { (self.cuvid.destroy_decoder)(self.handle) };
    }
}
