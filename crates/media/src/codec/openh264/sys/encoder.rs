//! The encoder's calls.

use std::ffi::{c_int, c_long, c_uint, c_void};
use std::mem;
use std::ptr::{self, NonNull};
use std::slice;

use openh264_sys2 as sys;
use sys::source::APILoader;

use super::{Failed, check};

/// What the encoder is opened for.
#[derive(Clone, Copy, Debug)]
pub(in crate::codec::openh264) struct Layout {
    /// Columns: even, 16 or more.
    pub(in crate::codec::openh264) width: u16,
    /// Rows: even, 16 or more.
    pub(in crate::codec::openh264) height: u16,
    /// Bits per second.
    pub(in crate::codec::openh264) bitrate: i32,
    /// Frames per second.
    pub(in crate::codec::openh264) frame_rate: f32,
    /// Slices of a picture.
    pub(in crate::codec::openh264) slices: u8,
    /// Threads that code slices, where there are several: two or more give the same bytes. The
    /// library has one pool for the process, as large as the first encoder asks for.
    pub(in crate::codec::openh264) threads: u8,
}

/// An I420 picture to be encoded, of the layout's size, with tightly packed rows.
#[derive(Clone, Copy)]
pub(in crate::codec::openh264) struct Source<'a> {
    /// Y, U, V.
    pub(in crate::codec::openh264) planes: [&'a [u8]; 3],
    /// Milliseconds since the first picture, for rate control.
    pub(in crate::codec::openh264) time_ms: i64,
    /// Make it a keyframe.
    pub(in crate::codec::openh264) keyframe: bool,
}

/// `ForceIntraFrame` as the generated binding has it, from the library's C header.
type ForceIntraFrameHeader = unsafe extern "C" fn(*mut sys::ISVCEncoder, bool) -> c_int;
/// `ForceIntraFrame` as the library defines it. The header lacks the last argument: called through
/// that, the library would read the number of the layer that it is to restart from a register
/// that nobody has set.
type ForceIntraFrame = unsafe extern "C" fn(*mut sys::ISVCEncoder, bool, c_int) -> c_int;
/// Every spatial layer; there is one.
const ALL_LAYERS: c_int = -1;

/// The encoder.
pub(in crate::codec::openh264) struct RawEncoder {
    codec: NonNull<sys::ISVCEncoder>,
    layout: Layout,
    /// Written by every call; large, so not on the stack.
    info: Box<sys::SFrameBSInfo>,
    /// After a failure the library may have torn itself down: no call follows.
    failed: Option<Failed>,
}

// SAFETY: an instance has no ties to the thread that made it: its own threads take work from
// queues behind mutexes and are waited for within the call. `&mut` on every call keeps two
// threads from being inside it at once. The pointers in `info` point into the instance.
#[allow(clippy::non_send_fields_in_send_ty)]
unsafe impl Send for RawEncoder {}

impl RawEncoder {
    /// An encoder for `layout`: Main profile, CABAC, keyframes only when asked for.
    pub(in crate::codec::openh264) fn new(layout: Layout) -> Result<Self, Failed> {
        let mut codec = ptr::null_mut();
        // SAFETY: the function writes a pointer to a new instance, or returns an error.
        check("WelsCreateSVCEncoder", unsafe {
            APILoader::WelsCreateSVCEncoder(&raw mut codec)
        })?;
        let codec = NonNull::new(codec).ok_or(Failed {
            call: "WelsCreateSVCEncoder",
            code: 0,
        })?;
        let encoder = Self {
            codec,
            layout,
            info: Box::default(),
            failed: None,
        };
        let mut level = sys::WELS_LOG_QUIET as c_int;
        encoder.call("SetOption", |table, this| {
            // SAFETY: this option reads an int, which outlives the call.
            table.SetOption.map(|set| unsafe {
                set(
                    this,
                    sys::ENCODER_OPTION_TRACE_LEVEL,
                    (&raw mut level).cast::<c_void>(),
                )
            })
        })?;
        let mut params = sys::SEncParamExt::default();
        encoder.call("GetDefaultParams", |table, this| {
            // SAFETY: the function fills in the struct it is given.
            table
                .GetDefaultParams
                .map(|defaults| unsafe { defaults(this, &raw mut params) })
        })?;
        configure(&mut params, layout);
        encoder.call("InitializeExt", |table, this| {
            // SAFETY: the parameters are copied during the call.
            table
                .InitializeExt
                .map(|initialize| unsafe { initialize(this, &raw const params) })
        })?;
        Ok(encoder)
    }

    fn call(
        &self,
        name: &'static str,
        call: impl FnOnce(&sys::ISVCEncoderVtbl, *mut sys::ISVCEncoder) -> Option<c_int>,
    ) -> Result<(), Failed> {
        let code = call(self.table(), self.codec.as_ptr());
        check(name, code.map_or(c_long::MIN, c_long::from))
    }

    fn table(&self) -> &sys::ISVCEncoderVtbl {
        // SAFETY: the instance lives until `drop`; as a C++ object with virtual functions it
        // starts with the pointer to their table, which is static.
        unsafe { &**self.codec.as_ptr() }
    }

    /// Encodes one picture, whose [`nal_units`](Self::nal_units) are there until the next; the
    /// result says whether it became a keyframe.
    pub(in crate::codec::openh264) fn encode(
        &mut self,
        source: Source<'_>,
    ) -> Result<bool, Failed> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let done = self.try_encode(source);
        self.failed = done.err();
        done?;
        Ok(self.info.eFrameType == sys::videoFrameTypeIDR)
    }

    fn try_encode(&mut self, source: Source<'_>) -> Result<(), Failed> {
        let (width, height) = (self.layout.width, self.layout.height);
        let luma = usize::from(width) * usize::from(height);
        let [y, u, v] = source.planes;
        if y.len() != luma || u.len() != luma / 4 || v.len() != luma / 4 {
            return Err(Failed {
                call: "EncodeFrame",
                code: c_long::MIN,
            });
        }
        if source.keyframe {
            self.call("ForceIntraFrame", |table, this| {
                table.ForceIntraFrame.map(|force| {
                    // SAFETY: the function that this table entry points to is
                    // `virtual int ForceIntraFrame (bool, int)`; see `ForceIntraFrame`.
                    let force =
                        unsafe { mem::transmute::<ForceIntraFrameHeader, ForceIntraFrame>(force) };
                    // SAFETY: it takes plain values and sets a flag.
                    unsafe { force(this, true, ALL_LAYERS) }
                })
            })?;
        }
        let strides = [width, width / 2, width / 2, 0].map(c_int::from);
        let picture = sys::SSourcePicture {
            iColorFormat: sys::videoFormatI420 as c_int,
            iStride: strides,
            pData: [
                y.as_ptr().cast_mut(),
                u.as_ptr().cast_mut(),
                v.as_ptr().cast_mut(),
                ptr::null_mut(),
            ],
            iPicWidth: width.into(),
            iPicHeight: height.into(),
            uiTimeStamp: source.time_ms,
            ..Default::default()
        };
        *self.info = sys::SFrameBSInfo::default();
        let info = &raw mut *self.info;
        self.call("EncodeFrame", |table, this| {
            // SAFETY: the planes were checked to hold a picture of this size, are read during the
            // call only and, in spite of the pointers' type, never written to; `info` is written.
            table
                .EncodeFrame
                .map(|encode| unsafe { encode(this, &raw const picture, info) })
        })
    }

    /// Bytes of the picture encoded last.
    pub(in crate::codec::openh264) fn coded_len(&self) -> usize {
        usize::try_from(self.info.iFrameSizeInBytes).unwrap_or(0)
    }

    /// Calls `unit` with each NAL unit of the picture encoded last, in order, each with its start
    /// code.
    pub(in crate::codec::openh264) fn nal_units(&self, mut unit: impl FnMut(&[u8])) {
        let layers = usize::try_from(self.info.iLayerNum).unwrap_or(0);
        for layer in self.info.sLayerInfo.iter().take(layers) {
            let count = usize::try_from(layer.iNalCount).unwrap_or(0);
            if layer.pNalLengthInByte.is_null() || layer.pBsBuf.is_null() {
                continue;
            }
            // SAFETY: the library keeps `iNalCount` lengths there until the next call.
            let lengths = unsafe { slice::from_raw_parts(layer.pNalLengthInByte, count) };
            let mut at = 0;
            for length in lengths.iter().map(|&length| usize::try_from(length)) {
                let Ok(length) = length else { break };
                // SAFETY: the layer's NAL units lie one after another in `pBsBuf`, which the
                // library keeps until the next call.
                unit(unsafe { slice::from_raw_parts(layer.pBsBuf.add(at), length) });
                at += length;
            }
        }
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        let this = self.codec.as_ptr();
        if let Some(uninitialize) = self.table().Uninitialize {
            // SAFETY: the instance is alive; this joins its threads, and is harmless when the
            // library has torn itself down already.
            unsafe { uninitialize(this) };
        }
        // SAFETY: made by `WelsCreateSVCEncoder`, destroyed once, here.
        unsafe { APILoader::WelsDestroySVCEncoder(this) };
    }
}

/// Everything that decides how pictures are coded; see the measurements in `encoder`.
fn configure(params: &mut sys::SEncParamExt, layout: Layout) {
    let (width, height) = (c_int::from(layout.width), c_int::from(layout.height));
    params.iUsageType = sys::CAMERA_VIDEO_REAL_TIME;
    params.iPicWidth = width;
    params.iPicHeight = height;
    params.fMaxFrameRate = layout.frame_rate;
    params.iTargetBitrate = layout.bitrate;
    params.iRCMode = sys::RC_BITRATE_MODE;
    params.bEnableFrameSkip = false;
    params.iEntropyCodingModeFlag = 1;
    params.iComplexityMode = sys::LOW_COMPLEXITY;
    params.eSpsPpsIdStrategy = sys::CONSTANT_ID;
    // Keyframes come when they are asked for, and at no other time: their distance is a matter of
    // presentation time, and a segment starts at each.
    params.uiIntraPeriod = 0;
    params.bEnableSceneChangeDetect = false;
    // It saves time on still backgrounds and costs 0.6 dB.
    params.bEnableBackgroundDetection = false;
    // The same input gives the same bytes: slices of fixed size, by several threads or, where there
    // is one slice, by the caller's.
    params.iMultipleThreadIdc = match layout.slices {
        1 => 1,
        _ => layout.threads.max(2).into(),
    };
    params.bUseLoadBalancing = false;
    let layer = &mut params.sSpatialLayers[0];
    layer.iVideoWidth = width;
    layer.iVideoHeight = height;
    layer.fFrameRate = layout.frame_rate;
    layer.iSpatialBitrate = layout.bitrate;
    layer.uiProfileIdc = sys::PRO_MAIN;
    layer.sSliceArgument.uiSliceMode = sys::SM_FIXEDSLCNUM_SLICE;
    layer.sSliceArgument.uiSliceNum = c_uint::from(layout.slices);
}
