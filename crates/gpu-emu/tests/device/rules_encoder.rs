//! The rules of the encoder's interface, as those of the others in `rules`.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::ptr::addr_of_mut;

use libloading::Library;
use nvidia_video_codec_sdk::sys::nvEncodeAPI::*;

use crate::emulated::{MACHINE, Machine, alive};
use crate::rules::{Call3, Driver, SUCCESS};

/// A library whose encoder is called directly.
struct Encoder {
    api: NV_ENCODE_API_FUNCTION_LIST,
    session: *mut c_void,
}

/// A call of the encoder, as the number of its status.
macro_rules! nvenc {
    ($encoder:expr, $function:ident, $($argument:expr),*) => {
        // SAFETY: the session is open and every structure is ours.
        unsafe { $encoder.api.$function.unwrap()($encoder.session, $($argument),*) as u32 }
    };
}

const OK: u32 = 0;
const BAD_PARAM: u32 = 8;
const BAD_CALL: u32 = 9;
const NOT_INITIALIZED: u32 = 11;
const BAD_VERSION: u32 = 15;
const REGISTER_FAILED: u32 = 23;
const NOT_MAPPED: u32 = 25;

impl Encoder {
    fn open(context: *mut c_void) -> Self {
        // SAFETY: integers, optional functions and pointers: all zeroes is a value of it.
        let mut api: NV_ENCODE_API_FUNCTION_LIST = unsafe { std::mem::zeroed() };
        // SAFETY: the emulator; the function has this signature.
        unsafe {
            let library = Library::new("libnvidia-encode.so.1").unwrap();
            type Create = unsafe extern "C" fn(*mut NV_ENCODE_API_FUNCTION_LIST) -> u32;
            let create = library.get::<Create>(b"NvEncodeAPICreateInstance").unwrap();
            assert_eq!(create(&raw mut api), BAD_VERSION);
            api.version = NV_ENCODE_API_FUNCTION_LIST_VER;
            assert_eq!(create(&raw mut api), OK);
            // Its functions stay.
            std::mem::forget(library);
        }
        let mut params = NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS {
            version: NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER - 1,
            deviceType: NV_ENC_DEVICE_TYPE::NV_ENC_DEVICE_TYPE_CUDA,
            device: context,
            reserved: ptr::null_mut(),
            apiVersion: NVENCAPI_VERSION,
            reserved1: [0; 253],
            reserved2: [ptr::null_mut(); 64],
        };
        let mut session = ptr::null_mut();
        let open = api.nvEncOpenEncodeSessionEx.unwrap();
        // SAFETY: both are ours.
        unsafe {
            assert_eq!(open(&raw mut params, &raw mut session) as u32, BAD_VERSION);
            params.version = NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER;
            assert_eq!(open(&raw mut params, &raw mut session) as u32, OK);
        }
        Self { api, session }
    }

    fn register(&self, address: u64, pitch: u32, version: u32) -> (u32, *mut c_void) {
        // SAFETY: integers, pointers and enums that have a zero: all zeroes is a value of it.
        let mut input: NV_ENC_REGISTER_RESOURCE = unsafe { std::mem::zeroed() };
        input.version = version;
        input.resourceType = NV_ENC_INPUT_RESOURCE_TYPE::NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR;
        (input.width, input.height, input.pitch) = (320, 180, pitch);
        input.resourceToRegister = ptr::without_provenance_mut(address as usize);
        input.bufferFormat = NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12;
        let status = nvenc!(self, nvEncRegisterResource, &raw mut input);
        (status, input.registeredResource)
    }

    fn map(&self, registered: *mut c_void) -> (u32, *mut c_void) {
        // SAFETY: integers, pointers and enums that have a zero: all zeroes is a value of it.
        let mut map: NV_ENC_MAP_INPUT_RESOURCE = unsafe { std::mem::zeroed() };
        map.version = NV_ENC_MAP_INPUT_RESOURCE_VER;
        map.registeredResource = registered;
        let status = nvenc!(self, nvEncMapInputResource, &raw mut map);
        (status, map.mappedResource)
    }
}

#[test]
fn an_encoder_is_used_in_its_own_context() {
    const INVALID_DEVICE: u32 = 4;
    MACHINE.run(|| {
        let (driver, context) = Driver::new();
        let encoder = Encoder::open(context);
        let mut popped: *mut c_void = ptr::null_mut();
        // SAFETY: the function has this signature.
        let left = unsafe { driver.one("cuCtxPopCurrent_v2", &raw mut popped) };
        assert_eq!(left, SUCCESS);
        let mut count = 0;
        let asked = nvenc!(encoder, nvEncGetEncodeGUIDCount, &raw mut count);
        assert_eq!(asked, INVALID_DEVICE);
        // SAFETY: as above.
        let entered = unsafe { driver.one("cuCtxPushCurrent_v2", context) };
        assert_eq!(entered, SUCCESS);
        assert_eq!(nvenc!(encoder, nvEncDestroyEncoder,), OK);
        driver.close();
    });
}

#[test]
fn an_encoder_that_is_not_set_up_takes_nothing() {
    MACHINE.run(|| {
        let (driver, context) = Driver::new();
        let encoder = Encoder::open(context);
        let mut address = 0u64;
        // SAFETY: the functions have these signatures.
        unsafe {
            assert_eq!(
                driver.two("cuMemAlloc_v2", &raw mut address, 384 * 270usize),
                SUCCESS
            );
        }
        let refused = encoder
            .register(address, 384, NV_ENC_REGISTER_RESOURCE_VER)
            .0;
        assert_eq!(refused, NOT_INITIALIZED);
        assert_eq!(encoder.register(address, 384, 7).0, BAD_VERSION);
        assert_eq!(
            encoder.map(ptr::without_provenance_mut(16)).0,
            24,
            "never registered"
        );
        let unmapped = nvenc!(
            encoder,
            nvEncUnmapInputResource,
            ptr::without_provenance_mut(16)
        );
        assert_eq!(unmapped, NOT_MAPPED);
        let destroyed = nvenc!(encoder, nvEncDestroyEncoder,);
        assert_eq!(destroyed, OK);
        // SAFETY: as above.
        assert_eq!(unsafe { driver.one("cuMemFree_v2", address) }, SUCCESS);
        driver.close();
    });
}

/// Structures of an encoder's setup, kept in place.
struct Setup {
    preset: Box<MaybeUninit<NV_ENC_PRESET_CONFIG>>,
    params: Box<MaybeUninit<NV_ENC_INITIALIZE_PARAMS>>,
}

impl Encoder {
    /// A setup that the encoder takes: H.264 of 320×180.
    fn setup(&self) -> Setup {
        let mut setup = Setup {
            preset: Box::new(MaybeUninit::zeroed()),
            params: Box::new(MaybeUninit::zeroed()),
        };
        let (preset, params) = (setup.preset.as_mut_ptr(), setup.params.as_mut_ptr());
        let tuning = NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY;
        // SAFETY: zeroed memory of their types; fields are written through pointers.
        unsafe {
            addr_of_mut!((*preset).version).write(NV_ENC_PRESET_CONFIG_VER);
            addr_of_mut!((*preset).presetCfg.version).write(NV_ENC_CONFIG_VER);
        }
        let filled = nvenc!(
            self,
            nvEncGetEncodePresetConfigEx,
            NV_ENC_CODEC_H264_GUID,
            NV_ENC_PRESET_P4_GUID,
            tuning,
            preset
        );
        assert_eq!(filled, OK);
        // SAFETY: as above.
        unsafe {
            let config = addr_of_mut!((*preset).presetCfg);
            addr_of_mut!((*config).profileGUID).write(NV_ENC_H264_PROFILE_MAIN_GUID);
            addr_of_mut!((*config).gopLength).write(NVENC_INFINITE_GOPLENGTH);
            addr_of_mut!((*config).frameIntervalP).write(1);
            let rate = addr_of_mut!((*config).rcParams);
            addr_of_mut!((*rate).rateControlMode)
                .write(NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_CBR);
            for bits in [
                addr_of_mut!((*rate).averageBitRate),
                addr_of_mut!((*rate).maxBitRate),
                addr_of_mut!((*rate).vbvBufferSize),
            ] {
                bits.write(1_000_000);
            }
            let h264 = addr_of_mut!((*config).encodeCodecConfig.h264Config);
            addr_of_mut!((*h264).idrPeriod).write(NVENC_INFINITE_GOPLENGTH);
            addr_of_mut!((*params).version).write(NV_ENC_INITIALIZE_PARAMS_VER);
            addr_of_mut!((*params).encodeGUID).write(NV_ENC_CODEC_H264_GUID);
            addr_of_mut!((*params).presetGUID).write(NV_ENC_PRESET_P4_GUID);
            addr_of_mut!((*params).tuningInfo).write(tuning);
            addr_of_mut!((*params).encodeWidth).write(320);
            addr_of_mut!((*params).encodeHeight).write(180);
            addr_of_mut!((*params).maxEncodeWidth).write(320);
            addr_of_mut!((*params).maxEncodeHeight).write(180);
            addr_of_mut!((*params).frameRateNum).write(30);
            addr_of_mut!((*params).frameRateDen).write(1);
            addr_of_mut!((*params).enablePTD).write(1);
            addr_of_mut!((*params).encodeConfig).write(config);
        }
        setup
    }

    fn initialize(&self, setup: &mut Setup) -> u32 {
        nvenc!(self, nvEncInitializeEncoder, setup.params.as_mut_ptr())
    }

    fn reconfigure(&self, setup: &mut Setup, flags: u64) -> u32 {
        let mut params = Box::new(MaybeUninit::<NV_ENC_RECONFIGURE_PARAMS>::zeroed());
        let params = params.as_mut_ptr();
        // SAFETY: zeroed memory of its type; fields are written through pointers.
        unsafe {
            addr_of_mut!((*params).version).write(NV_ENC_RECONFIGURE_PARAMS_VER);
            addr_of_mut!((*params).reInitEncodeParams)
                .copy_from_nonoverlapping(setup.params.as_mut_ptr(), 1);
            (*addr_of_mut!((*params)._bitfield_1)).set(0, 2, flags);
        }
        nvenc!(self, nvEncReconfigureEncoder, params)
    }

    fn bitstream(&self) -> *mut c_void {
        // SAFETY: integers, pointers and an enum that has a zero: all zeroes is a value of it.
        let mut output: NV_ENC_CREATE_BITSTREAM_BUFFER = unsafe { std::mem::zeroed() };
        output.version = NV_ENC_CREATE_BITSTREAM_BUFFER_VER;
        assert_eq!(
            nvenc!(self, nvEncCreateBitstreamBuffer, &raw mut output),
            OK
        );
        output.bitstreamBuffer
    }

    fn encode(&self, input: *mut c_void, output: *mut c_void, pitch: u32, flags: u32) -> u32 {
        let mut picture = Box::new(MaybeUninit::<NV_ENC_PIC_PARAMS>::zeroed());
        let picture = picture.as_mut_ptr();
        // SAFETY: zeroed memory of its type; fields are written through pointers.
        unsafe {
            addr_of_mut!((*picture).version).write(NV_ENC_PIC_PARAMS_VER);
            addr_of_mut!((*picture).inputPitch).write(pitch);
            addr_of_mut!((*picture).encodePicFlags).write(flags);
            addr_of_mut!((*picture).inputBuffer).write(input);
            addr_of_mut!((*picture).outputBitstream).write(output);
            addr_of_mut!((*picture).pictureStruct)
                .write(NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME);
        }
        nvenc!(self, nvEncEncodePicture, picture)
    }

    fn lock(&self, output: *mut c_void) -> u32 {
        let mut lock = Box::new(MaybeUninit::<NV_ENC_LOCK_BITSTREAM>::zeroed());
        let lock = lock.as_mut_ptr();
        // SAFETY: zeroed memory of its type; fields are written through pointers.
        unsafe {
            addr_of_mut!((*lock).version).write(NV_ENC_LOCK_BITSTREAM_VER);
            addr_of_mut!((*lock).outputBitstream).write(output);
        }
        nvenc!(self, nvEncLockBitstream, lock)
    }
}

/// Bytes of an input of 320×180 with rows of 384.
const INPUT: usize = 384 * 270;
const NEED_MORE_INPUT: u32 = 17;
const EOS: u32 = 8;

/// Device memory for an input.
fn memory(driver: &Driver) -> u64 {
    let mut address = 0u64;
    // SAFETY: the function has this signature.
    let status = unsafe { driver.two("cuMemAlloc_v2", &raw mut address, INPUT) };
    assert_eq!(status, SUCCESS);
    address
}

fn free(driver: &Driver, address: u64) {
    // SAFETY: the function has this signature.
    assert_eq!(unsafe { driver.one("cuMemFree_v2", address) }, SUCCESS);
}

#[test]
fn inputs_have_a_pitch_and_memory_that_the_encoder_can_map() {
    let machine = Machine {
        settings: "memory-pools",
        ..MACHINE
    };
    machine.run(|| {
        let (driver, context) = Driver::new();
        let encoder = Encoder::open(context);
        assert_eq!(encoder.initialize(&mut encoder.setup()), OK);
        assert_eq!(encoder.initialize(&mut encoder.setup()), BAD_CALL, "twice");
        let address = memory(&driver);
        let register = |address, pitch| {
            encoder
                .register(address, pitch, NV_ENC_REGISTER_RESOURCE_VER)
                .0
        };
        assert_eq!(
            register(address, 316),
            REGISTER_FAILED,
            "shorter than a row"
        );
        assert_eq!(
            register(address, 383),
            REGISTER_FAILED,
            "no multiple of four"
        );
        assert_eq!(
            register(address, 388),
            REGISTER_FAILED,
            "more than there is"
        );
        let mut pooled = 0u64;
        // SAFETY: the functions have these signatures; null is the default stream.
        unsafe {
            let allocate = driver
                .0
                .get::<Call3<*mut u64, usize, *mut c_void>>(b"cuMemAllocAsync");
            assert_eq!(
                allocate.unwrap()(&raw mut pooled, INPUT, ptr::null_mut()),
                SUCCESS
            );
            assert_eq!(register(pooled, 384), REGISTER_FAILED, "of a pool");
            assert_eq!(
                driver.two("cuMemFreeAsync", pooled, ptr::null_mut::<c_void>()),
                SUCCESS
            );
            let stream: *mut c_void = ptr::null_mut();
            assert_eq!(driver.one("cuStreamSynchronize", stream), SUCCESS);
        }
        assert_eq!(nvenc!(encoder, nvEncDestroyEncoder,), OK);
        free(&driver, address);
        driver.close();
    });
}

#[test]
fn inputs_and_outputs_are_used_one_at_a_time() {
    MACHINE.run(|| {
        let (driver, context) = Driver::new();
        let encoder = Encoder::open(context);
        assert_eq!(encoder.initialize(&mut encoder.setup()), OK);
        let address = memory(&driver);
        let (status, registered) = encoder.register(address, 384, NV_ENC_REGISTER_RESOURCE_VER);
        assert_eq!(status, OK);
        let output = encoder.bitstream();
        assert_eq!(encoder.encode(registered, output, 384, 0), NOT_MAPPED);
        let (status, mapped) = encoder.map(registered);
        assert_eq!(status, OK);
        assert_eq!(encoder.map(registered).0, BAD_CALL, "mapped twice");
        let unregistered = nvenc!(encoder, nvEncUnregisterResource, registered);
        assert_eq!(unregistered, BAD_CALL, "while it is mapped");
        assert_eq!(encoder.lock(output), BAD_CALL, "nothing was given to it");
        assert_eq!(
            encoder.encode(mapped, output, 320, 0),
            BAD_PARAM,
            "another pitch"
        );
        assert_eq!(encoder.encode(mapped, output, 384, 0), OK);
        assert_eq!(
            encoder.encode(mapped, output, 384, 0),
            BAD_PARAM,
            "not read yet"
        );
        assert_eq!(encoder.lock(output), OK);
        assert_eq!(encoder.lock(output), BAD_CALL, "locked twice");
        assert_eq!(nvenc!(encoder, nvEncUnlockBitstream, output), OK);
        assert_eq!(
            nvenc!(encoder, nvEncUnlockBitstream, output),
            BAD_CALL,
            "twice"
        );
        assert_eq!(nvenc!(encoder, nvEncUnmapInputResource, mapped), OK);
        assert_eq!(
            nvenc!(encoder, nvEncUnmapInputResource, mapped),
            NOT_MAPPED,
            "twice"
        );
        assert_eq!(nvenc!(encoder, nvEncUnregisterResource, registered), OK);
        assert_eq!(nvenc!(encoder, nvEncDestroyBitstreamBuffer, output), OK);
        assert_eq!(nvenc!(encoder, nvEncDestroyEncoder,), OK);
        free(&driver, address);
        driver.close();
    });
}

#[test]
fn a_picture_that_is_held_back_can_neither_be_read_nor_taken_away() {
    let machine = Machine {
        settings: "holds-pictures",
        ..MACHINE
    };
    machine.run(|| {
        let (driver, context) = Driver::new();
        let encoder = Encoder::open(context);
        let mut setup = encoder.setup();
        assert_eq!(encoder.initialize(&mut setup), OK);
        let address = memory(&driver);
        let (_, registered) = encoder.register(address, 384, NV_ENC_REGISTER_RESOURCE_VER);
        let output = encoder.bitstream();
        let (_, mapped) = encoder.map(registered);
        assert_eq!(encoder.encode(mapped, output, 384, 0), NEED_MORE_INPUT);
        assert_eq!(encoder.lock(output), BAD_CALL, "it has not come out");
        let unmapped = nvenc!(encoder, nvEncUnmapInputResource, mapped);
        assert_eq!(unmapped, BAD_CALL, "the encoder reads it");
        assert_eq!(
            encoder.reconfigure(&mut setup, 3),
            BAD_CALL,
            "pictures are held back"
        );
        assert_eq!(encoder.encode(ptr::null_mut(), ptr::null_mut(), 0, EOS), OK);
        assert_eq!(encoder.lock(output), OK);
        assert_eq!(nvenc!(encoder, nvEncUnlockBitstream, output), OK);
        assert_eq!(nvenc!(encoder, nvEncUnmapInputResource, mapped), OK);
        assert_eq!(nvenc!(encoder, nvEncUnregisterResource, registered), OK);
        assert_eq!(nvenc!(encoder, nvEncDestroyBitstreamBuffer, output), OK);
        assert_eq!(nvenc!(encoder, nvEncDestroyEncoder,), OK);
        free(&driver, address);
        driver.close();
    });
}

#[test]
fn a_change_is_within_what_the_encoder_was_opened_for_and_starts_with_a_keyframe() {
    MACHINE.run(|| {
        let (driver, context) = Driver::new();
        let encoder = Encoder::open(context);
        let mut setup = encoder.setup();
        assert_eq!(encoder.reconfigure(&mut setup, 3), NOT_INITIALIZED);
        assert_eq!(encoder.initialize(&mut setup), OK);
        assert_eq!(
            encoder.reconfigure(&mut setup, 0),
            BAD_PARAM,
            "without a keyframe"
        );
        assert_eq!(encoder.reconfigure(&mut setup, 3), OK);
        let params = setup.params.as_mut_ptr();
        // SAFETY: the structure is ours.
        unsafe { addr_of_mut!((*params).encodeWidth).write(640) };
        assert_eq!(encoder.reconfigure(&mut setup, 3), BAD_PARAM, "too large");
        assert_eq!(nvenc!(encoder, nvEncDestroyEncoder,), OK);
        driver.close();
    });
}

#[test]
fn what_an_encoder_left_behind_is_listed() {
    let machine = Machine {
        abandons: true,
        ..MACHINE
    };
    machine.run(|| {
        let (driver, context) = Driver::new();
        let encoder = Encoder::open(context);
        assert!(alive().contains("encoder 0x"));
        assert_eq!(encoder.initialize(&mut encoder.setup()), OK);
        let address = memory(&driver);
        let (_, registered) = encoder.register(address, 384, NV_ENC_REGISTER_RESOURCE_VER);
        let _ = encoder.bitstream();
        assert_eq!(encoder.map(registered).0, OK);
        assert_eq!(nvenc!(encoder, nvEncDestroyEncoder,), OK);
        let alive = alive();
        for left in ["mapped input", "registered input", "bitstream buffer"] {
            assert!(alive.contains(left), "{alive}");
        }
    });
}
