//! A process that is not alone on its device: libraries that use the same primary context, with
//! contexts of their own pushed, and a machine with two devices.

use std::ffi::{c_int, c_void};
use std::ptr;

use libloading::Library;
use trickle_gpu::kernels::Params;
use trickle_gpu::{
    Choice, Code, CudaBackend, CudaImage, Gpu, Layout, NvidiaHardware, backends, probe,
};
use trickle_media::backend::Backend;
use trickle_media::codec::CpuBackend;
use trickle_media::frame::{
    DeviceImage, FramePool, HostImage, PixelFormat, PlanarImage, Pool, Tensor,
};
use trickle_media::hardware::HardwareProbe;
use trickle_media::{ColorDescription, VideoFrame};

use crate::decode::{facts, video};
use crate::emulated::{MACHINE, Machine, current_context};

const TWO: Machine = Machine {
    settings: "two-devices",
    ..MACHINE
};

/// The driver, as another library in the process uses it.
struct Other(Library);

impl Other {
    fn new() -> Self {
        // SAFETY: the emulator: loading it runs nothing.
        let other = Self(unsafe { Library::new("libcuda.so.1") }.unwrap());
        // SAFETY: the function has this signature.
        let init = unsafe { other.0.get::<unsafe extern "C" fn(u32) -> c_int>(b"cuInit") };
        // SAFETY: as above.
        assert_eq!(unsafe { init.unwrap()(0) }, 0);
        other
    }

    /// Calls a function that takes one argument.
    fn one<A>(&self, name: &str, argument: A) -> c_int {
        type Call<A> = unsafe extern "C" fn(A) -> c_int;
        // SAFETY: the callers name functions of this signature.
        unsafe { self.0.get::<Call<A>>(name.as_bytes()).unwrap()(argument) }
    }

    /// Calls a function that takes two arguments.
    fn two<A, B>(&self, name: &str, first: A, second: B) -> c_int {
        type Call<A, B> = unsafe extern "C" fn(A, B) -> c_int;
        // SAFETY: the callers name functions of this signature.
        unsafe { self.0.get::<Call<A, B>>(name.as_bytes()).unwrap()(first, second) }
    }

    /// Retains a device's primary context, and makes it current on this thread.
    fn enter(&self, device: c_int) -> *mut c_void {
        let mut context: *mut c_void = ptr::null_mut();
        let retained = self.two("cuDevicePrimaryCtxRetain", &raw mut context, device);
        assert_eq!(retained, 0);
        assert_eq!(self.one("cuCtxPushCurrent_v2", context), 0);
        context
    }

    fn leave(&self, device: c_int) {
        let mut popped: *mut c_void = ptr::null_mut();
        assert_eq!(self.one("cuCtxPopCurrent_v2", &raw mut popped), 0);
        assert_eq!(self.one("cuDevicePrimaryCtxRelease_v2", device), 0);
    }
}

fn picture() -> PlanarImage {
    let mut image = PlanarImage::new(PixelFormat::Nv12, 48, 32, &Pool::new()).unwrap();
    for plane in image.planes_mut() {
        for (at, sample) in plane.iter_mut().enumerate() {
            *sample = (at * 11) as u8;
        }
    }
    image
}

/// Up, converted, and down again.
fn work(gpu: &Gpu) -> Tensor {
    let stream = gpu.stream().unwrap();
    let image = stream.upload(&picture()).unwrap();
    let rgb = stream.to_rgb(&image, ColorDescription::BT709).unwrap();
    match rgb.download(&FramePool::new()).unwrap() {
        HostImage::Tensor(tensor) => tensor,
        HostImage::Planar(_) => panic!("planes came down"),
    }
}

#[test]
fn a_context_that_others_have_made_current_stays_so_and_is_not_used() {
    TWO.run(|| {
        let other = Other::new();
        // On this thread the other device's context is current, as another library left it.
        let theirs = other.enter(1);
        let gpu = Gpu::open(0).unwrap();
        let expected = work(&gpu);
        assert_eq!(current_context(), theirs as usize);
        // On a thread that never saw CUDA it is the same.
        let elsewhere = std::thread::scope(|scope| scope.spawn(|| work(&gpu)).join().unwrap());
        assert_eq!(*elsewhere, *expected);
        let (params, units) = video("ptswrap_180p30.ts", 2);
        let backend = CudaBackend::open(0).unwrap();
        let mut decoder = backend.open_decoder(&params, &FramePool::new()).unwrap();
        decoder.push(&units[0]).unwrap();
        assert_eq!(decoder.pull().unwrap().device().unwrap().device(), "cuda:0");
        drop((decoder, backend, gpu));
        assert_eq!(current_context(), theirs as usize);
        other.leave(1);
    });
}

#[test]
fn the_primary_context_and_what_others_have_in_it_outlive_ours() {
    MACHINE.run(|| {
        let other = Other::new();
        other.enter(0);
        let mut memory = 0u64;
        assert_eq!(other.two("cuMemAlloc_v2", &raw mut memory, 256usize), 0);
        let gpu = Gpu::open(0).unwrap();
        work(&gpu);
        drop(gpu);
        // Theirs is as it was.
        assert_eq!(other.one("cuMemFree_v2", memory), 0);
        other.leave(0);
    });
}

#[test]
fn a_device_that_another_library_resets_is_unusable_and_says_so() {
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let stream = gpu.stream().unwrap();
        let image = stream.upload(&picture()).unwrap();
        // `cudaDeviceReset`: everything of ours is gone with it.
        assert_eq!(Other::new().one("cuDevicePrimaryCtxReset_v2", 0), 0);
        let error = image.download(&FramePool::new()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("CUDA_ERROR_CONTEXT_IS_DESTROYED"),
            "{error}"
        );
        assert!(gpu.poison().unwrap().contains("CONTEXT_IS_DESTROYED"));
        assert!(stream.upload(&picture()).is_err());
        drop((image, stream, gpu));
        assert_eq!(current_context(), 0);
    });
}

#[test]
fn code_that_is_let_go_of_has_done_its_work() {
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let stream = gpu.stream().unwrap();
        let code = Code::load(&gpu, crate::unmodified::PTX).unwrap();
        let made = stream.produce(Layout::Tensor { channels: 1 }, 8, 1, |out| {
            let params = Params::new().address(out.address()).ints(&[8]);
            // SAFETY: the kernel writes as many numbers to that address.
            unsafe { code.launch(&stream, c"tens", [1, 1, 1], [32, 1, 1], &params) }
        });
        // Nobody has waited for it.
        drop(code);
        let HostImage::Tensor(made) = made.unwrap().download(&FramePool::new()).unwrap() else {
            panic!("planes came down");
        };
        let numbers: Vec<u32> = made.iter().map(|value| value.to_bits()).collect();
        assert_eq!(numbers, [0, 10, 20, 30, 40, 50, 60, 70]);
    });
}

#[test]
fn two_devices_are_two_backends_and_frames_are_where_they_were_decoded() {
    TWO.run(|| {
        let report = probe();
        let places: Vec<(&str, &str)> = report
            .devices
            .iter()
            .map(|device| (device.backend.as_str(), device.pci_bus_id.as_str()))
            .collect();
        assert_eq!(
            places,
            [("cuda:0", "0000:00:00.0"), ("cuda:1", "0000:01:00.0")]
        );
        let loads = NvidiaHardware.devices();
        assert_eq!(loads.len(), 2);
        assert_ne!(loads[0].id, loads[1].id);

        let (params, units) = video("ptswrap_180p30.ts", 3);
        let second = backends(Choice::Cuda(Some(1)), Choice::Cuda(Some(1))).unwrap();
        let mut on_second = second.open_decoder(&params, &FramePool::new()).unwrap();
        assert_eq!(on_second.backend, "cuda:1");
        let mut on_cpu = CpuBackend::new()
            .open_decoder(&params, &FramePool::new())
            .unwrap();
        for unit in &units {
            on_second.codec.push(unit).unwrap();
            on_cpu.push(unit).unwrap();
            let (got, expected): (VideoFrame, VideoFrame) =
                (on_second.codec.pull().unwrap(), on_cpu.pull().unwrap());
            assert_eq!(CudaImage::of_frame(&got).unwrap().device(), "cuda:1");
            assert!(facts(&got) == facts(&expected));
        }
    });
}

#[test]
fn a_device_that_is_named_has_no_context_made_on_the_others() {
    TWO.run(|| {
        let _backends = backends(Choice::Cuda(Some(1)), Choice::Cuda(Some(1))).unwrap();
        let other = Other::new();
        let made = |device: c_int| other.one("trickleEmulatorContexts", device);
        assert_eq!(made(0), 0);
        assert!(made(1) > 0);
    });
}

#[test]
fn one_device_decodes_and_the_other_encodes_where_the_first_cannot() {
    let machine = Machine {
        settings: "two-devices,first-without-encoder",
        ..MACHINE
    };
    machine.run(|| {
        let backends = backends(Choice::Auto, Choice::Auto).unwrap();
        let (params, units) = video("ptswrap_180p30.ts", 6);
        let mut decoder = backends.open_decoder(&params, &FramePool::new()).unwrap();
        let settings = trickle_media::coder::VideoEncoderSettings {
            width: params.width,
            height: params.height,
            color: params.color,
            ..crate::encode::settings()
        };
        let mut encoder = backends.open_encoder(&settings).unwrap();
        let names = (decoder.backend.as_str(), encoder.backend.as_str());
        assert_eq!(names, ("cuda:0", "cuda:1"));
        let (mut coded, mut expected) = (Vec::new(), Vec::new());
        for unit in &units {
            decoder.codec.push(unit).unwrap();
            let frame = decoder.codec.pull().unwrap();
            let (_, width, height, samples) = facts(&frame);
            expected.push(samples[..width * height].to_vec());
            // By way of the host: an address of one device means nothing to the other.
            encoder.codec.push(frame).unwrap();
            coded.push(encoder.codec.pull().unwrap());
        }
        for (at, (got, expected)) in crate::encode::decoded(&coded)
            .iter()
            .zip(&expected)
            .enumerate()
        {
            assert_eq!(coded[at].pts, units[at].pts);
            let far = crate::encode::distance(got, expected);
            assert!(far < 3.0, "picture {at}: {far}");
        }
    });
}

#[test]
fn what_belongs_to_one_device_is_nothing_to_the_other() {
    TWO.run(|| {
        const INVALID_VALUE: c_int = 1;
        const INVALID_HANDLE: c_int = 400;
        let other = Other::new();
        other.enter(0);
        let mut memory = 0u64;
        assert_eq!(other.two("cuMemAlloc_v2", &raw mut memory, 256usize), 0);
        let mut stream: *mut c_void = ptr::null_mut();
        assert_eq!(other.two("cuStreamCreate", &raw mut stream, 1u32), 0);
        other.enter(1);
        assert_eq!(other.one("cuStreamSynchronize", stream), INVALID_HANDLE);
        assert_eq!(other.one("cuMemFree_v2", memory), INVALID_VALUE);
        other.leave(1);
        assert_eq!(other.one("cuStreamDestroy_v2", stream), 0);
        assert_eq!(other.one("cuMemFree_v2", memory), 0);
        other.leave(0);
    });
}
