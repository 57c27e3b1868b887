//! Errors that nothing recovers from, and the emulator's own rules.

use trickle_gpu::{Gpu, GpuError};
use trickle_media::ColorDescription;
use trickle_media::frame::{ColorMap, DeviceImage, FramePool, Tensor};

use crate::emulated::{MACHINE, Machine, call, current_context};

fn tensor() -> Tensor {
    Tensor::from_vec(16, 16, 3, vec![0.5; 768]).unwrap()
}

/// A machine whose kernels fail, as after a hardware fault.
const BROKEN: Machine = Machine {
    settings: "kernels-fail",
    abandons: true,
    ..MACHINE
};

#[test]
fn a_failed_kernel_makes_the_device_unusable_and_says_so() {
    BROKEN.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let stream = gpu.stream().unwrap();
        let image = stream.upload_tensor(&tensor()).unwrap();
        assert_eq!(gpu.poison(), None);
        // The launch itself succeeds; the fault shows where somebody waits.
        let planes = stream.to_nv12(&image, ColorDescription::BT709).unwrap();
        let error = stream.synchronize().unwrap_err();
        assert_eq!(
            error.to_string(),
            "cuStreamSynchronize: CUDA_ERROR_LAUNCH_FAILED (719)"
        );

        let first = gpu.poison().unwrap().to_owned();
        assert_eq!(first, error.to_string());
        let unusable = GpuError::Poisoned {
            device: "cuda:0".into(),
            first,
        };
        assert_eq!(stream.upload_tensor(&tensor()).unwrap_err(), unusable);
        assert_eq!(gpu.stream().unwrap_err(), unusable);
        let error = planes.download(&FramePool::new()).unwrap_err();
        assert_eq!(error.to_string(), format!("cuda:0: {unusable}"));
        // Nothing that is dropped now may hang, panic or leave a context behind.
        drop((planes, image, stream, gpu));
        assert_eq!(current_context(), 0);
    });
}

#[test]
fn calls_need_a_current_context() {
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        // Outside of the operations of the device none is current.
        assert_eq!(call("cuCtxSynchronize"), 201);
        drop(gpu);
    });
}

#[test]
fn what_is_not_let_go_of_is_listed() {
    let machine = Machine {
        abandons: true,
        ..MACHINE
    };
    machine.run(|| {
        let stream = Gpu::open(0).unwrap().stream().unwrap();
        std::mem::forget(stream.upload_tensor(&tensor()).unwrap());
        drop(stream);
        let alive = crate::emulated::alive();
        assert!(alive.contains("3072 bytes of device memory"), "{alive}");
        assert!(
            alive.contains("primary context, retained 1 times"),
            "{alive}"
        );
        assert!(alive.contains("event 0x"), "{alive}");
        // The picture keeps the stream that its own operations are done in.
        assert!(alive.contains("stream 0x"), "{alive}");
    });
}

#[test]
fn the_host_cannot_touch_device_memory() {
    let machine = Machine {
        // SIGSEGV.
        signal: Some(11),
        ..MACHINE
    };
    machine.run(|| {
        let stream = Gpu::open(0).unwrap().stream().unwrap();
        let image = stream.upload_tensor(&tensor()).unwrap();
        let pointer = image.address() as *const f32;
        // SAFETY: none: the emulator stops the process here, and the test expects it to.
        let value = unsafe { pointer.read_volatile() };
        panic!("the host read {value}");
    });
}

#[test]
fn a_stream_that_does_not_wait_reads_what_is_not_there_yet() {
    // What `Stream::read` guards against, done without it.
    MACHINE.run(|| {
        let gpu = Gpu::open(0).unwrap();
        let (writer, reader) = (gpu.stream().unwrap(), gpu.stream().unwrap());
        let uploaded = writer.upload_tensor(&tensor()).unwrap();
        let map = ColorMap {
            weights: [[1.0, 0.0, 0.0]; 3],
            offset: [0.0; 3],
        };
        // Given to the writer, and waited for by nobody.
        let image = writer.map_colors(&uploaded, &map).unwrap();
        let mut value = 0f32;
        let to = (&raw mut value).cast();
        // The guard is on another image: the context is current, the order is not kept.
        let other = reader.upload_tensor(&tensor()).unwrap();
        reader
            .read(&other, || {
                assert_eq!(
                    crate::emulated::download(to, image.address(), 4, reader.handle()),
                    0
                );
                Ok(())
            })
            .unwrap();
        reader.synchronize().unwrap();
        assert_eq!(value.to_bits(), 0xcdcd_cdcd, "never written");
    });
}
