//! The rules of NVIDIA's interfaces, each broken once: the emulator says no as hardware would, or
//! where hardware would go on and write somewhere. What our own code does to keep to them is
//! tested beside; here nothing of it stands between.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr;

use libloading::Library;
use nvidia_video_codec_sdk::sys::cuviddec::*;

use crate::decode::video;
use crate::emulated::{MACHINE, Machine, alive};

/// The driver, called directly, with its primary context current.
pub(crate) struct Driver(pub(crate) Library);

type Call1<A> = unsafe extern "C" fn(A) -> c_int;
type Call2<A, B> = unsafe extern "C" fn(A, B) -> c_int;
pub(crate) type Call3<A, B, C> = unsafe extern "C" fn(A, B, C) -> c_int;

pub(crate) const SUCCESS: c_int = 0;
const INVALID_VALUE: c_int = 1;
const INVALID_CONTEXT: c_int = 201;
const MAP_FAILED: c_int = 205;
const INVALID_HANDLE: c_int = 400;
const NOT_SUPPORTED: c_int = 801;

impl Driver {
    pub(crate) fn new() -> (Self, *mut c_void) {
        // SAFETY: the emulator: loading it runs nothing.
        let driver = Self(unsafe { Library::new("libcuda.so.1") }.unwrap());
        let mut context = ptr::null_mut();
        // SAFETY: the functions have these signatures.
        unsafe {
            let init = driver.0.get::<Call1<c_uint>>(b"cuInit").unwrap();
            assert_eq!(init(0), SUCCESS);
            let retain = driver
                .0
                .get::<Call2<*mut *mut c_void, c_int>>(b"cuDevicePrimaryCtxRetain")
                .unwrap();
            assert_eq!(retain(&raw mut context, 0), SUCCESS);
            assert_eq!(driver.one("cuCtxPushCurrent_v2", context), SUCCESS);
        }
        (driver, context)
    }

    /// Calls a function that takes one argument.
    ///
    /// # Safety
    /// It has this signature.
    pub(crate) unsafe fn one<A>(&self, name: &str, argument: A) -> c_int {
        // SAFETY: by the contract above.
        unsafe { self.0.get::<Call1<A>>(name.as_bytes()).unwrap()(argument) }
    }

    /// Calls a function that takes two arguments.
    ///
    /// # Safety
    /// It has this signature.
    pub(crate) unsafe fn two<A, B>(&self, name: &str, first: A, second: B) -> c_int {
        // SAFETY: by the contract above.
        unsafe { self.0.get::<Call2<A, B>>(name.as_bytes()).unwrap()(first, second) }
    }

    /// Lets go of the context.
    pub(crate) fn close(self) {
        // SAFETY: the functions have these signatures.
        unsafe {
            let mut popped: *mut c_void = ptr::null_mut();
            assert_eq!(self.one("cuCtxPopCurrent_v2", &raw mut popped), SUCCESS);
            assert_eq!(self.one("cuDevicePrimaryCtxRelease_v2", 0), SUCCESS);
        }
    }
}

/// A hardware decoder for the clip's pictures, of which one can be mapped.
fn decoder(driver: &Driver) -> *mut c_void {
    // SAFETY: integers, pointers and enums that have a zero: all zeroes is a value of it.
    let mut info: CUVIDDECODECREATEINFO = unsafe { std::mem::zeroed() };
    info.CodecType = cudaVideoCodec::cudaVideoCodec_H264;
    info.ChromaFormat = cudaVideoChromaFormat::cudaVideoChromaFormat_420;
    (info.ulWidth, info.ulHeight) = (320, 192);
    (info.ulTargetWidth, info.ulTargetHeight) = (320, 180);
    (info.display_area.right, info.display_area.bottom) = (320, 180);
    info.ulNumDecodeSurfaces = 4;
    info.ulNumOutputSurfaces = 1;
    let mut decoder = ptr::null_mut();
    // SAFETY: both are ours.
    let made = unsafe { driver.two("cuvidCreateDecoder", &raw mut decoder, &raw mut info) };
    assert_eq!(made, SUCCESS);
    decoder
}

/// Decodes the clip's first picture into surface `index`, said to be of `rows` macroblock rows.
fn decode(driver: &Driver, decoder: *mut c_void, index: c_int, rows: c_int) -> c_int {
    let (_, units) = video("ptswrap_180p30.ts", 1);
    // SAFETY: integers, pointers and unions of them: all zeroes is a value of it.
    let mut params: CUVIDPICPARAMS = unsafe { std::mem::zeroed() };
    (params.PicWidthInMbs, params.FrameHeightInMbs) = (20, rows);
    params.CurrPicIdx = index;
    params.nBitstreamDataLen = units[0].data.len() as u32;
    params.pBitstreamData = units[0].data.as_ptr();
    // SAFETY: the structure is complete, its bytes outlive the call.
    unsafe { driver.two("cuvidDecodePicture", decoder, &raw mut params) }
}

fn map(driver: &Driver, decoder: *mut c_void, index: c_int) -> (c_int, u64) {
    type Map = unsafe extern "C" fn(
        *mut c_void,
        c_int,
        *mut u64,
        *mut c_uint,
        *mut CUVIDPROCPARAMS,
    ) -> c_int;
    // SAFETY: integers and pointers: all zeroes is a value of it.
    let mut params: CUVIDPROCPARAMS = unsafe { std::mem::zeroed() };
    let (mut address, mut pitch) = (0, 0);
    // SAFETY: the function's signature; everything is ours.
    let mapped = unsafe {
        driver.0.get::<Map>(b"cuvidMapVideoFrame64").unwrap()(
            decoder,
            index,
            &raw mut address,
            &raw mut pitch,
            &raw mut params,
        )
    };
    (mapped, address)
}

#[test]
fn without_a_current_context_nothing_is_done() {
    MACHINE.run(|| {
        let (driver, context) = Driver::new();
        // SAFETY: the functions have these signatures.
        unsafe {
            let mut popped: *mut c_void = ptr::null_mut();
            assert_eq!(driver.one("cuCtxPopCurrent_v2", &raw mut popped), SUCCESS);
            assert_eq!(popped, context);
            let mut address = 0u64;
            let allocated = driver.two("cuMemAlloc_v2", &raw mut address, 256usize);
            assert_eq!(allocated, INVALID_CONTEXT);
            assert_eq!(
                driver.one("cuCtxPopCurrent_v2", &raw mut popped),
                INVALID_CONTEXT
            );
            assert_eq!(driver.one("cuCtxPushCurrent_v2", context), SUCCESS);
        }
        driver.close();
    });
}

#[test]
fn surfaces_are_lent_as_many_as_were_asked_for_and_taken_back_once() {
    MACHINE.run(|| {
        let (driver, _) = Driver::new();
        let decoder = decoder(&driver);
        assert_eq!(
            map(&driver, decoder, 0).0,
            MAP_FAILED,
            "nothing was decoded"
        );
        assert_eq!(decode(&driver, decoder, 0, 12), SUCCESS);
        assert_eq!(decode(&driver, decoder, 1, 12), SUCCESS);
        let (mapped, address) = map(&driver, decoder, 0);
        assert_eq!(mapped, SUCCESS);
        assert_eq!(map(&driver, decoder, 1).0, MAP_FAILED, "too many");
        assert_eq!(map(&driver, decoder, 9).0, MAP_FAILED, "no such surface");
        // SAFETY: the functions have these signatures.
        unsafe {
            assert_eq!(
                driver.two("cuvidUnmapVideoFrame64", decoder, address),
                SUCCESS
            );
            assert_eq!(
                driver.two("cuvidUnmapVideoFrame64", decoder, address),
                INVALID_VALUE,
                "twice"
            );
            assert_eq!(driver.one("cuvidDestroyDecoder", decoder), SUCCESS);
            assert_eq!(driver.one("cuvidDestroyDecoder", decoder), INVALID_HANDLE);
        }
        driver.close();
    });
}

/// What is known of how the picture in a surface was decoded.
fn decode_status(driver: &Driver, decoder: *mut c_void, index: c_int) -> c_uint {
    let mut status = [0 as c_uint; 16];
    type Ask = unsafe extern "C" fn(*mut c_void, c_int, *mut c_uint) -> c_int;
    // SAFETY: the function's signature; the status is its structure's first field.
    let asked = unsafe {
        let ask = driver.0.get::<Ask>(b"cuvidGetDecodeStatus").unwrap();
        ask(decoder, index, status.as_mut_ptr())
    };
    assert_eq!(asked, SUCCESS);
    status[0]
}

#[test]
fn nothing_is_known_of_a_picture_before_it_was_waited_for() {
    MACHINE.run(|| {
        let (driver, _) = Driver::new();
        let decoder = decoder(&driver);
        assert_eq!(decode_status(&driver, decoder, 0), 0, "nothing was decoded");
        assert_eq!(decode(&driver, decoder, 0, 12), SUCCESS);
        assert_eq!(decode_status(&driver, decoder, 0), 1, "in progress");
        let (mapped, address) = map(&driver, decoder, 0);
        assert_eq!(mapped, SUCCESS);
        assert_eq!(decode_status(&driver, decoder, 0), 2, "a success");
        // SAFETY: the functions have these signatures.
        unsafe {
            let unmapped = driver.two("cuvidUnmapVideoFrame64", decoder, address);
            assert_eq!(unmapped, SUCCESS);
            assert_eq!(driver.one("cuvidDestroyDecoder", decoder), SUCCESS);
        }
        driver.close();
    });
}

#[test]
fn a_picture_that_is_larger_than_its_decoder_is_refused() {
    MACHINE.run(|| {
        let (driver, _) = Driver::new();
        let decoder = decoder(&driver);
        assert_eq!(decode(&driver, decoder, 0, 24), INVALID_VALUE);
        assert_eq!(
            decode(&driver, decoder, 4, 12),
            INVALID_VALUE,
            "no such surface"
        );
        // SAFETY: the function has this signature.
        let destroyed = unsafe { driver.one("cuvidDestroyDecoder", decoder) };
        assert_eq!(destroyed, SUCCESS);
        driver.close();
    });
}

#[test]
fn a_surface_that_is_not_given_back_is_listed_and_so_is_a_decoder() {
    let machine = Machine {
        abandons: true,
        ..MACHINE
    };
    machine.run(|| {
        let (driver, _) = Driver::new();
        let lost = decoder(&driver);
        assert!(alive().contains("decoder 0x"));
        assert_eq!(decode(&driver, lost, 0, 12), SUCCESS);
        assert_eq!(map(&driver, lost, 0).0, SUCCESS);
        // SAFETY: the function has this signature.
        assert_eq!(unsafe { driver.one("cuvidDestroyDecoder", lost) }, SUCCESS);
        assert!(alive().contains("of a destroyed decoder"), "{}", alive());
    });
}

#[test]
fn memory_pools_are_there_only_where_the_machine_has_them() {
    MACHINE.run(|| {
        let (driver, _) = Driver::new();
        let mut address = 0u64;
        // SAFETY: the function has this signature.
        let allocated = unsafe {
            driver
                .0
                .get::<Call3<*mut u64, usize, *mut c_void>>(b"cuMemAllocAsync")
                .unwrap()(&raw mut address, 256, ptr::null_mut())
        };
        assert_eq!(allocated, NOT_SUPPORTED);
        driver.close();
    });
}
