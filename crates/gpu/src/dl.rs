//! NVIDIA's libraries, opened at run time, each on its own and only when it is needed.
//!
//! A machine may have any subset of them: an H100 decodes but has no encoder, a container may
//! have been given CUDA without video. So one that is missing takes nothing else with it, and
//! every function is looked up when the library is opened: no call can find it gone later.
//!
//! The tables are our own rather than `cudarc`'s, for three reasons: a code that a newer driver
//! returns must not become an invalid value of a Rust enum; a missing library or function must
//! be an error rather than a panic; and `libcuda.so.1`, the driver's file, must win over a
//! toolkit's stub named `libcuda.so`.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

use libloading::Library;
use nvidia_video_codec_sdk::sys::cuviddec::{
    CUVIDDECODECAPS, CUVIDDECODECREATEINFO, CUVIDGETDECODESTATUS, CUVIDPICPARAMS, CUVIDPROCPARAMS,
    CUvideodecoder,
};
use nvidia_video_codec_sdk::sys::nvEncodeAPI::NV_ENCODE_API_FUNCTION_LIST;
use nvidia_video_codec_sdk::sys::nvcuvid::{
    CUVIDPARSERPARAMS, CUVIDSOURCEDATAPACKET, CUvideoparser,
};

use crate::error::GpuError;

/// `CUresult`: open, because drivers newer than this crate return codes that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct CuResult(pub(crate) c_int);

impl CuResult {
    pub(crate) const SUCCESS: Self = Self(0);
    pub(crate) const NO_DEVICE: Self = Self(100);

    /// Nothing on the device works after it, in the whole process: ECC and NVLink errors,
    /// illegal and misaligned addresses, illegal instructions, timeouts, failed launches, and a
    /// context that another library has reset (CUDA Driver API, `cudaError_enum`).
    pub(crate) fn is_sticky(self) -> bool {
        matches!(self.0, 214 | 220 | 700 | 702 | 709 | 710 | 714..=719)
    }
}

/// `NVENCSTATUS`, open for the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct EncStatus(pub(crate) u32);

/// `CUdevice`.
pub(crate) type CuDevice = c_int;
/// `CUcontext`.
pub(crate) type CuContext = *mut c_void;
/// `CUmodule`.
pub(crate) type CuModule = *mut c_void;
/// `CUfunction`.
pub(crate) type CuFunction = *mut c_void;
/// `CUstream`.
pub(crate) type CuStream = *mut c_void;
/// `CUevent`.
pub(crate) type CuEvent = *mut c_void;

/// One side of a [`Copy2d`].
#[repr(C)]
pub(crate) struct Side {
    pub(crate) x_bytes: usize,
    pub(crate) y: usize,
    pub(crate) memory: MemoryType,
    pub(crate) host: *mut c_void,
    pub(crate) device: u64,
    pub(crate) array: *mut c_void,
    pub(crate) pitch: usize,
}

/// `CUmemorytype`, as far as it is used.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum MemoryType {
    Host = 1,
    Device = 2,
}

/// `CUDA_MEMCPY2D`.
#[repr(C)]
pub(crate) struct Copy2d {
    pub(crate) from: Side,
    pub(crate) to: Side,
    pub(crate) width_bytes: usize,
    pub(crate) height: usize,
}

/// Declares a table of functions of one library and the way to it.
macro_rules! library {
    (
        $(#[$doc:meta])* $table:ident, $opener:ident, $file:literal:
        $($symbol:literal $name:ident($($arg:ty),*) -> $ret:ty;)*
    ) => {
        $(#[$doc])*
        pub(crate) struct $table {
            $(pub(crate) $name: unsafe extern "C" fn($($arg),*) -> $ret,)*
            /// Keeps the functions loaded.
            _library: Library,
        }

        impl $table {
            fn open() -> Result<Self, GpuError> {
                let library = open($file)?;
                Ok(Self {
                    $($name: {
                        // SAFETY: the function has this signature in the library's public header.
                        let symbol = unsafe { library.get($symbol.as_bytes()) };
                        *symbol.map_err(|_| GpuError::Symbol { library: $file, symbol: $symbol })?
                    },)*
                    _library: library,
                })
            }
        }

        /// The library, opened at the first call; the outcome stays for the process.
        pub(crate) fn $opener() -> Result<&'static $table, GpuError> {
            static TABLE: OnceLock<Result<$table, GpuError>> = OnceLock::new();
            TABLE.get_or_init($table::open).as_ref().map_err(Clone::clone)
        }
    };
}

fn open(file: &'static str) -> Result<Library, GpuError> {
    // SAFETY: the driver's libraries may be loaded at any time from any thread; what they run on
    // loading is theirs, as in every program that links to them.
    unsafe { Library::new(file) }.map_err(|error| GpuError::Library {
        library: file,
        detail: error.to_string(),
    })
}

library! {
    /// The CUDA driver.
    Cuda, cuda, "libcuda.so.1":
    "cuInit" init(c_uint) -> CuResult;
    "cuGetErrorName" get_error_name(CuResult, *mut *const c_char) -> CuResult;
    "cuDriverGetVersion" driver_get_version(*mut c_int) -> CuResult;
    "cuDeviceGetCount" device_get_count(*mut c_int) -> CuResult;
    "cuDeviceGet" device_get(*mut CuDevice, c_int) -> CuResult;
    "cuDeviceGetName" device_get_name(*mut c_char, c_int, CuDevice) -> CuResult;
    "cuDeviceGetAttribute" device_get_attribute(*mut c_int, c_int, CuDevice) -> CuResult;
    "cuDeviceGetPCIBusId" device_get_pci_bus_id(*mut c_char, c_int, CuDevice) -> CuResult;
    "cuDeviceTotalMem_v2" device_total_mem(*mut usize, CuDevice) -> CuResult;
    "cuDevicePrimaryCtxRetain" primary_ctx_retain(*mut CuContext, CuDevice) -> CuResult;
    "cuDevicePrimaryCtxRelease_v2" primary_ctx_release(CuDevice) -> CuResult;
    "cuCtxPushCurrent_v2" ctx_push_current(CuContext) -> CuResult;
    "cuCtxPopCurrent_v2" ctx_pop_current(*mut CuContext) -> CuResult;
    "cuCtxSynchronize" ctx_synchronize() -> CuResult;
    "cuModuleLoadData" module_load_data(*mut CuModule, *const c_void) -> CuResult;
    "cuModuleUnload" module_unload(CuModule) -> CuResult;
    "cuModuleGetFunction" module_get_function(*mut CuFunction, CuModule, *const c_char) -> CuResult;
    "cuMemAlloc_v2" mem_alloc(*mut u64, usize) -> CuResult;
    "cuMemFree_v2" mem_free(u64) -> CuResult;
    "cuMemcpy2DAsync_v2" memcpy_2d_async(*const Copy2d, CuStream) -> CuResult;
    "cuStreamCreate" stream_create(*mut CuStream, c_uint) -> CuResult;
    "cuStreamDestroy_v2" stream_destroy(CuStream) -> CuResult;
    "cuStreamSynchronize" stream_synchronize(CuStream) -> CuResult;
    "cuStreamWaitEvent" stream_wait_event(CuStream, CuEvent, c_uint) -> CuResult;
    "cuEventCreate" event_create(*mut CuEvent, c_uint) -> CuResult;
    "cuEventDestroy_v2" event_destroy(CuEvent) -> CuResult;
    "cuEventRecord" event_record(CuEvent, CuStream) -> CuResult;
    "cuEventSynchronize" event_synchronize(CuEvent) -> CuResult;
    "cuLaunchKernel" launch_kernel(
        CuFunction, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, CuStream,
        *mut *mut c_void, *mut *mut c_void) -> CuResult;
}

library! {
    /// The video decoder.
    Cuvid, cuvid, "libnvcuvid.so.1":
    "cuvidGetDecoderCaps" get_decoder_caps(*mut CUVIDDECODECAPS) -> CuResult;
    "cuvidCreateVideoParser" create_video_parser(
        *mut CUvideoparser, *mut CUVIDPARSERPARAMS) -> CuResult;
    "cuvidParseVideoData" parse_video_data(CUvideoparser, *mut CUVIDSOURCEDATAPACKET) -> CuResult;
    "cuvidDestroyVideoParser" destroy_video_parser(CUvideoparser) -> CuResult;
    "cuvidCreateDecoder" create_decoder(
        *mut CUvideodecoder, *mut CUVIDDECODECREATEINFO) -> CuResult;
    "cuvidDestroyDecoder" destroy_decoder(CUvideodecoder) -> CuResult;
    "cuvidDecodePicture" decode_picture(CUvideodecoder, *mut CUVIDPICPARAMS) -> CuResult;
    "cuvidGetDecodeStatus" get_decode_status(
        CUvideodecoder, c_int, *mut CUVIDGETDECODESTATUS) -> CuResult;
    "cuvidMapVideoFrame64" map_video_frame(
        CUvideodecoder, c_int, *mut u64, *mut c_uint, *mut CUVIDPROCPARAMS) -> CuResult;
    "cuvidUnmapVideoFrame64" unmap_video_frame(CUvideodecoder, u64) -> CuResult;
}

library! {
    /// The video encoder. Everything else hangs in the function list.
    Nvenc, nvenc, "libnvidia-encode.so.1":
    "NvEncodeAPIGetMaxSupportedVersion" get_max_supported_version(*mut u32) -> EncStatus;
    "NvEncodeAPICreateInstance" create_instance(*mut NV_ENCODE_API_FUNCTION_LIST) -> EncStatus;
}

impl Cuda {
    /// An error where `result` is one.
    pub(crate) fn check(&self, call: &'static str, result: CuResult) -> Result<(), GpuError> {
        if result == CuResult::SUCCESS {
            return Ok(());
        }
        let mut name = std::ptr::null();
        // SAFETY: `name` is writable; the driver stores a pointer to a constant string, or null
        // for a code that it does not know.
        let known = unsafe { (self.get_error_name)(result, &raw mut name) };
        let name = if known == CuResult::SUCCESS && !name.is_null() {
            // SAFETY: a constant string of the driver, which stays loaded.
            unsafe { std::ffi::CStr::from_ptr(name) }
                .to_string_lossy()
                .into_owned()
        } else {
            "unknown error".to_owned()
        };
        Err(GpuError::Cuda {
            call,
            code: result.0,
            name,
        })
    }
}

#[cfg(test)]
#[path = "dl_test.rs"]
mod tests;
