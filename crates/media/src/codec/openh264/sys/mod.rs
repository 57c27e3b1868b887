//! The calls into OpenH264, a C++ library, made safe: the only unsafe code of the CPU codecs.
//!
//! What the library does not check, this module does: sizes, strides and pointers of what it
//! hands out, lengths of what it is given. One thing is the caller's: sequence parameter sets
//! must have gone through [`sps`](super::sps) first (the library adds up cropping offsets without
//! looking for overflow, and would point outside its picture).

mod decoder;
mod encoder;

use std::ffi::{c_int, c_long};
use std::fmt;

use openh264_sys2 as sys;
use sys::source::APILoader;

pub(super) use decoder::{MAX_UNIT_BYTES, Picture, RawDecoder, State};
pub(super) use encoder::{Layout, RawEncoder, Source};

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
unsafe extern "C" {
    /// Features of the CPU that the library's assembler code may use; 0 when it was built
    /// without assembler. Defined in `codec/common/src/cpu.cpp` with C linkage.
    fn WelsCPUFeatureDetect(cores: *mut c_int) -> u32;
}

/// What the library was built with of its assembler code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assembler {
    /// Nothing.
    None,
    /// All but what this CPU's AVX2 instructions are for.
    WithoutAvx2,
    /// All that this CPU can use.
    Full,
}

/// What there is of the assembler code.
///
/// The library is asked which instructions it may use: a build without assembler answers "none",
/// one without AVX2 code leaves that out. This holds for the library that is linked in, however
/// and wherever that was built.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
pub(super) fn assembler() -> Assembler {
    /// `WELS_CPU_AVX2` of `codec/common/inc/cpu_core.h`, where it was built with `HAVE_AVX2`.
    const AVX2: u32 = 0x0004_0000;
    let mut cores = 0;
    // SAFETY: the function writes one int through the pointer, or nothing, and has no state.
    let features = unsafe { WelsCPUFeatureDetect(&raw mut cores) };
    if features == 0 {
        Assembler::None
    } else if features & AVX2 == 0 && std::arch::is_x86_feature_detected!("avx2") {
        Assembler::WithoutAvx2
    } else {
        Assembler::Full
    }
}

/// Elsewhere the compiler assembles what there is: no other tool can be missing.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
pub(super) fn assembler() -> Assembler {
    Assembler::Full
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
unsafe extern "C" {
    /// Of glibc, `malloc.h`.
    fn mallopt(parameter: c_int, value: c_int) -> c_int;
}

/// Has the C library's allocator map every block of `bytes` and more, from now on and for the
/// whole process, and so give it back as soon as it is free. `false` where that cannot be asked for.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn map_blocks_from(bytes: c_int) -> bool {
    /// `M_MMAP_THRESHOLD` of `malloc.h`.
    const MMAP_THRESHOLD: c_int = -3;
    // SAFETY: the function takes plain values, and takes the allocator's locks itself.
    unsafe { mallopt(MMAP_THRESHOLD, bytes) == 1 }
}

/// Elsewhere there is nothing to ask for.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn map_blocks_from(_: c_int) -> bool {
    false
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
