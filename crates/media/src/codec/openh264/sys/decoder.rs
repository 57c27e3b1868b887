//! The decoder's calls.

use std::ffi::{c_int, c_long, c_uchar, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;

use openh264_sys2 as sys;
use sys::source::APILoader;

use super::{Failed, check};

/// Longest access unit that the decoder takes (`MAX_ACCESS_UNIT_CAPACITY`): one more byte and it
/// forgets its parameter sets.
pub(in crate::codec::openh264) const MAX_UNIT_BYTES: usize = 7_077_888;

/// Longest side of a coded picture that is believed: that of level 6.2, as for all frames.
const MAX_SIDE: c_int = crate::frame::MAX_SIDE as c_int;

/// What the decoder says after a call: a set of `DECODING_STATE` flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::codec::openh264) struct State(c_int);

impl State {
    /// Nothing was wrong.
    pub(in crate::codec::openh264) const OK: Self = Self(sys::dsErrorFree);

    /// The flags of both.
    pub(in crate::codec::openh264) fn and(self, other: Self) -> Self {
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
pub(in crate::codec::openh264) struct Picture<'decoder> {
    /// Columns of luma.
    pub(in crate::codec::openh264) width: usize,
    /// Rows of luma.
    pub(in crate::codec::openh264) height: usize,
    planes: [NonNull<u8>; 3],
    strides: [usize; 2],
    decoder: PhantomData<&'decoder RawDecoder>,
}

impl Picture<'_> {
    /// Rows of plane 0, 1 or 2 (Y, U, V), each as long as the plane is wide.
    pub(in crate::codec::openh264) fn rows(&self, plane: usize) -> impl Iterator<Item = &[u8]> {
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

/// The decoder: one thread, no log on standard error.
pub(in crate::codec::openh264) struct RawDecoder {
    codec: NonNull<sys::ISVCDecoder>,
}

// SAFETY: an instance has no ties to the thread that made it (no thread-local state), and `&mut`
// on every call keeps two threads from being inside it at once.
#[allow(clippy::non_send_fields_in_send_ty)]
unsafe impl Send for RawDecoder {}

impl RawDecoder {
    /// An instance that is ready for its first unit. A picture with errors does not come out.
    pub(in crate::codec::openh264) fn new() -> Result<Self, Failed> {
        Self::open(sys::ERROR_CON_DISABLE)
    }

    /// An instance that fills what is missing with what was shown there before.
    pub(in crate::codec::openh264) fn concealing() -> Result<Self, Failed> {
        Self::open(sys::ERROR_CON_SLICE_COPY_CROSS_IDR)
    }

    fn open(concealment: sys::ERROR_CON_IDC) -> Result<Self, Failed> {
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
            eEcActiveIdc: concealment,
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
    pub(in crate::codec::openh264) fn feed(&mut self, unit: &[u8]) -> (State, Option<Picture<'_>>) {
        match c_int::try_from(unit.len()) {
            Ok(len) if (1..=MAX_UNIT_BYTES).contains(&unit.len()) => {
                self.decode(unit.as_ptr(), len)
            }
            _ => (State(sys::dsInvalidArgument), None),
        }
    }

    /// Says that the access unit is complete: its picture is decoded now rather than when the
    /// next unit starts.
    pub(in crate::codec::openh264) fn finish_unit(&mut self) -> (State, Option<Picture<'_>>) {
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
