//! The calls into OpenH264, a C++ library, made safe: the only unsafe code of the CPU codecs.
//!
//! What the library does not check, this module does: sizes, strides and pointers of the pictures
//! it hands out, lengths of what it is given. Two things are the caller's: sequence parameter sets
//! must have gone through [`sps`](super::sps) first (the library adds up cropping offsets without
//! looking for overflow and would point outside its picture), and a unit is at most
//! [`MAX_UNIT_BYTES`] long.

use std::ffi::{c_int, c_long, c_uchar, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;

use openh264_sys2 as sys;
use sys::source::APILoader;

/// Longest access unit that the decoder takes (`MAX_ACCESS_UNIT_CAPACITY`): one more byte and it
/// forgets its parameter sets.
pub(super) const MAX_UNIT_BYTES: usize = 7_077_888;

/// Longest side of a coded picture that is believed: that of level 6.2, as for all frames.
const MAX_SIDE: c_int = crate::frame::MAX_SIDE as c_int;

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
unsafe extern "C" {
    /// Features of the CPU that the library's assembler code may use; 0 when it was built
    /// without assembler. Defined in `codec/common/src/cpu.cpp` with C linkage.
    fn WelsCPUFeatureDetect(cores: *mut c_int) -> u32;
}

/// Whether the library was built with its assembler code, two to three times as fast.
///
/// It is asked which instructions it may use: a build without assembler answers "none". This
/// holds for the library that is linked in, however and wherever that was built.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
pub(super) fn has_assembler() -> bool {
    let mut cores = 0;
    // SAFETY: the function writes one int through the pointer, or nothing, and has no state.
    unsafe { WelsCPUFeatureDetect(&raw mut cores) != 0 }
}

/// Elsewhere the compiler assembles what there is: no other tool can be missing.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
pub(super) fn has_assembler() -> bool {
    true
}

/// Version of the library, such as `2.6.0`.
pub(super) fn version() -> String {
    let mut version = sys::OpenH264Version::default();
    // SAFETY: the function fills in the struct it is given.
    unsafe { APILoader::WelsGetCodecVersionEx(&raw mut version) };
    let sys::OpenH264Version {
        uMajor,
        uMinor,
        uRevision,
        ..
    } = version;
    format!("{uMajor}.{uMinor}.{uRevision}")
}

/// A call failed with this code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// Which call.
    pub(super) call: &'static str,
    /// What it returned.
    pub(super) code: c_long,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} returned {:#x}", self.call, self.code)
    }
}

fn check(call: &'static str, code: impl Into<c_long>) -> Result<(), Failed> {
    match code.into() {
        0 => Ok(()),
        code => Err(Failed { call, code }),
    }
}

/// What the decoder says after a call: a set of `DECODING_STATE` flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State(c_int);

impl State {
    /// Nothing was wrong.
    pub(super) const OK: Self = Self(sys::dsErrorFree);

    /// The flags of both.
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (sys::dsFramePending, "the picture is not complete"),
            (sys::dsRefLost, "a reference picture is missing"),
            (sys::dsBitstreamError, "the bitstream has errors"),
            (
                sys::dsNoParamSets,
                "parameter sets or a keyframe are missing",
            ),
            (sys::dsDataErrorConcealed, "a reference picture is damaged"),
            (sys::dsRefListNullPtrs, "the reference list has gaps"),
            (
                sys::dsOutOfMemory,
                "the decoder ran out of memory or pictures",
            ),
        ];
        let mut said = false;
        for (flag, name) in names {
            if self.0 & flag != 0 {
                write!(f, "{}{name}", if said { ", " } else { "" })?;
                said = true;
            }
        }
        if said {
            Ok(())
        } else {
            write!(f, "decoder state {:#x}", self.0)
        }
    }
}

/// A decoded picture in the decoder's own memory, cropped, I420.
pub(super) struct Picture<'decoder> {
    /// Columns of luma.
    pub(super) width: usize,
    /// Rows of luma.
    pub(super) height: usize,
    planes: [NonNull<u8>; 3],
    strides: [usize; 2],
    decoder: PhantomData<&'decoder RawDecoder>,
}

impl Picture<'_> {
    /// Rows of plane 0, 1 or 2 (Y, U, V), each as long as the plane is wide.
    pub(super) fn rows(&self, plane: usize) -> impl Iterator<Item = &[u8]> {
        let (width, height, stride) = match plane {
            0 => (self.width, self.height, self.strides[0]),
            _ => (
                self.width.div_ceil(2),
                self.height.div_ceil(2),
                self.strides[1],
            ),
        };
        let first = self.planes[plane.min(2)];
        (0..height).map(move |row| {
            // SAFETY: `RawDecoder::picture` has checked that rows are no longer than the stride
            // and that sides are sane. The library allocates each plane for the coded size, with
            // a margin around it, and crops by moving the first pixel; `sps` lets only cropping
            // through that stays inside the coded size. So every shown row lies in the plane.
            // The decoder does not write to it while `self` borrows the decoder.
            unsafe { slice::from_raw_parts(first.as_ptr().add(row * stride), width) }
        })
    }
}

/// The decoder: one thread, no error concealment, no log on standard error.
pub(super) struct RawDecoder {
    codec: NonNull<sys::ISVCDecoder>,
}

// SAFETY: an instance has no ties to the thread that made it (no thread-local state), and `&mut`
// on every call keeps two threads from being inside it at once.
#[allow(clippy::non_send_fields_in_send_ty)]
unsafe impl Send for RawDecoder {}

impl RawDecoder {
    /// An instance that is ready for its first unit.
    pub(super) fn new() -> Result<Self, Failed> {
        let mut codec = ptr::null_mut();
        // SAFETY: the function writes a pointer to a new instance, or returns an error.
        check("WelsCreateDecoder", unsafe {
            APILoader::WelsCreateDecoder(&raw mut codec)
        })?;
        let codec = NonNull::new(codec).ok_or(Failed {
            call: "WelsCreateDecoder",
            code: 0,
        })?;
        let decoder = Self { codec };
        let mut level = sys::WELS_LOG_QUIET as c_int;
        decoder.call("SetOption", |table, this| {
            // SAFETY: this option reads an int, which outlives the call.
            table.SetOption.map(|set| unsafe {
                set(
                    this,
                    sys::DECODER_OPTION_TRACE_LEVEL,
                    (&raw mut level).cast::<c_void>(),
                )
            })
        })?;
        let params = sys::SDecodingParam {
            uiTargetDqLayer: c_uchar::MAX,
            // A picture with errors is not shown at all: see `decoder`.
            eEcActiveIdc: sys::ERROR_CON_DISABLE,
            sVideoProperty: sys::SVideoProperty {
                size: size_of::<sys::SVideoProperty>() as u32,
                eVideoBsType: sys::VIDEO_BITSTREAM_AVC,
            },
            ..Default::default()
        };
        decoder.call("Initialize", |table, this| {
            // SAFETY: the parameters are copied during the call; null for the debug file name is
            // what the library's own callers pass.
            table
                .Initialize
                .map(|initialize| unsafe { initialize(this, &raw const params) })
        })?;
        Ok(decoder)
    }

    fn call(
        &self,
        name: &'static str,
        call: impl FnOnce(&sys::ISVCDecoderVtbl, *mut sys::ISVCDecoder) -> Option<c_long>,
    ) -> Result<(), Failed> {
        let code = call(self.table(), self.codec.as_ptr());
        check(name, code.unwrap_or(c_long::MIN))
    }

    fn table(&self) -> &sys::ISVCDecoderVtbl {
        // SAFETY: the instance lives until `drop`; as a C++ object with virtual functions it
        // starts with the pointer to their table, which is static.
        unsafe { &**self.codec.as_ptr() }
    }

    /// Takes the NAL units of one access unit. The picture that comes back, if one does, belongs
    /// to an access unit before it.
    ///
    /// Nothing is decoded when `unit` is longer than [`MAX_UNIT_BYTES`].
    pub(super) fn feed(&mut self, unit: &[u8]) -> (State, Option<Picture<'_>>) {
        match c_int::try_from(unit.len()) {
            Ok(len) if (1..=MAX_UNIT_BYTES).contains(&unit.len()) => {
                self.decode(unit.as_ptr(), len)
            }
            _ => (State(sys::dsInvalidArgument), None),
        }
    }

    /// Says that the access unit is complete: its picture is decoded now rather than when the
    /// next unit starts.
    pub(super) fn finish_unit(&mut self) -> (State, Option<Picture<'_>>) {
        self.decode(ptr::null(), 0)
    }

    fn decode(&mut self, data: *const u8, len: c_int) -> (State, Option<Picture<'_>>) {
        let mut planes = [ptr::null_mut(); 3];
        let mut info = sys::SBufferInfo::default();
        let this = self.codec.as_ptr();
        let state = self.table().DecodeFrame2.map(|decode| {
            // SAFETY: `data` is readable for `len` bytes, or null with 0, and copied during the
            // call; `planes` and `info` are written during the call.
            unsafe { decode(this, data, len, planes.as_mut_ptr(), &raw mut info) }
        });
        let state = State(state.unwrap_or(sys::dsInitialOptExpected));
        (state, self.picture(&info, planes))
    }

    fn picture(&mut self, info: &sys::SBufferInfo, planes: [*mut u8; 3]) -> Option<Picture<'_>> {
        if info.iBufferStatus != 1 {
            return None;
        }
        // SAFETY: the union has this one field, of plain integers.
        let buffer = unsafe { info.UsrData.sSystemBuffer };
        let (width, height) = (buffer.iWidth, buffer.iHeight);
        let [luma, chroma] = buffer.iStride;
        let sane = (1..=MAX_SIDE).contains(&width)
            && (1..=MAX_SIDE).contains(&height)
            && luma >= width
            && chroma >= (width + 1) / 2;
        if !sane {
            return None;
        }
        let side = |value: c_int| usize::try_from(value).ok();
        Some(Picture {
            width: side(width)?,
            height: side(height)?,
            planes: [
                NonNull::new(planes[0])?,
                NonNull::new(planes[1])?,
                NonNull::new(planes[2])?,
            ],
            strides: [side(luma)?, side(chroma)?],
            decoder: PhantomData,
        })
    }
}

impl Drop for RawDecoder {
    fn drop(&mut self) {
        let this = self.codec.as_ptr();
        if let Some(uninitialize) = self.table().Uninitialize {
            // SAFETY: the instance is alive; nothing of it is used after this but its destructor.
            unsafe { uninitialize(this) };
        }
        // SAFETY: made by `WelsCreateDecoder`, destroyed once, here.
        unsafe { APILoader::WelsDestroyDecoder(this) };
    }
}
