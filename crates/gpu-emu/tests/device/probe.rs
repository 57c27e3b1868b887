//! What the probe finds on machines of every kind, and the reasons it gives.

use trickle_gpu::{CodecCaps, Coding, NvidiaHardware, probe};
use trickle_media::Codec;
use trickle_media::hardware::HardwareProbe;

use crate::emulated::{MACHINE, Machine};

fn codecs(coding: &Coding) -> Vec<Codec> {
    coding.codecs.iter().map(|caps| caps.codec).collect()
}

#[test]
fn a_whole_driver_decodes_and_encodes() {
    MACHINE.run(|| {
        let report = probe();
        assert_eq!(
            (report.cuda.as_deref(), report.reason),
            (Some("12.2"), None)
        );
        let [device] = &report.devices[..] else {
            panic!("{} devices", report.devices.len());
        };
        assert_eq!((device.index, device.backend.as_str()), (0, "cuda:0"));
        assert_eq!(device.name, "trickle emulator (no hardware)");
        assert_eq!((device.compute.as_str(), device.memory), ("8.6", 1 << 30));
        assert_eq!(codecs(&device.decode), [Codec::H264, Codec::Hevc]);
        assert_eq!(
            device.encode.codecs[0],
            CodecCaps {
                codec: Codec::H264,
                min_width: 145,
                min_height: 49,
                max_width: 4096,
                max_height: 4096,
            }
        );
        assert_eq!(
            (&device.decode.reason, &device.encode.reason),
            (&None, &None)
        );
    });
}

#[test]
fn a_probe_can_be_repeated() {
    MACHINE.run(|| assert_eq!(probe(), probe()));
}

#[test]
fn a_card_without_encoder_still_decodes() {
    let machine = Machine {
        settings: "no-encoder",
        ..MACHINE
    };
    machine.run(|| {
        let device = &probe().devices[0];
        assert_eq!(codecs(&device.decode), [Codec::H264, Codec::Hevc]);
        let reason = device.encode.reason.as_deref().unwrap();
        assert_eq!(
            reason,
            "the device has no encoder (nvEncOpenEncodeSessionEx: NV_ENC_ERR_UNSUPPORTED_DEVICE)"
        );
    });
}

#[test]
fn a_driver_without_the_encoders_library_still_decodes() {
    let machine = Machine {
        libraries: &["libcuda.so.1", "libnvcuvid.so.1"],
        ..MACHINE
    };
    machine.run(|| {
        let device = &probe().devices[0];
        assert_eq!(device.decode.codecs.len(), 2);
        let reason = device.encode.reason.as_deref().unwrap();
        assert!(
            reason.starts_with("libnvidia-encode.so.1 cannot be opened"),
            "{reason}"
        );
    });
}

#[test]
fn a_container_without_video_still_has_its_device() {
    let machine = Machine {
        libraries: &["libcuda.so.1"],
        ..MACHINE
    };
    machine.run(|| {
        let device = &probe().devices[0];
        let reason = device.decode.reason.as_deref().unwrap();
        assert!(
            reason.starts_with("libnvcuvid.so.1 cannot be opened"),
            "{reason}"
        );
    });
}

#[test]
fn an_older_encoder_interface_is_refused_with_both_versions() {
    let machine = Machine {
        settings: "old-encoder",
        ..MACHINE
    };
    machine.run(|| {
        let reason = probe().devices[0].encode.reason.clone().unwrap();
        assert_eq!(
            reason,
            "the driver's encoder interface is 11.1; 12.1 is needed: the driver is too old"
        );
    });
}

#[test]
fn an_encoder_whose_sessions_are_taken_says_so() {
    let machine = Machine {
        settings: "encoder-busy",
        ..MACHINE
    };
    machine.run(|| {
        let reason = probe().devices[0].encode.reason.clone().unwrap();
        assert!(reason.contains("NV_ENC_ERR_OUT_OF_MEMORY"), "{reason}");
    });
}

#[test]
fn a_driver_without_device_is_no_error() {
    let machine = Machine {
        settings: "no-device",
        ..MACHINE
    };
    machine.run(|| {
        let report = probe();
        assert!(report.devices.is_empty());
        assert_eq!(report.reason.as_deref(), Some("the driver finds no device"));
    });
}

#[test]
fn a_machine_without_driver_is_told_what_is_missing() {
    let machine = Machine {
        libraries: &[],
        ..MACHINE
    };
    machine.run(|| {
        let report = probe();
        assert!(report.devices.is_empty() && report.cuda.is_none());
        // Where the tests run on a machine with a driver, this is that driver's business.
        if let Some(reason) = report.reason {
            assert!(
                reason.starts_with("libcuda.so.1 cannot be opened"),
                "{reason}"
            );
        }
    });
}

#[test]
fn the_devices_load_is_told() {
    MACHINE.run(|| {
        let devices = NvidiaHardware.devices();
        let [device] = &devices[..] else {
            panic!("{} devices", devices.len());
        };
        assert_eq!(device.name, "trickle emulator (no hardware)");
        assert_eq!(device.id, "GPU-00000000-0000-0000-0000-000000000000");
        assert_eq!(
            (device.compute, device.memory_total),
            (Some((8, 6)), 1 << 30)
        );
        assert_eq!(
            (device.compute_percent, device.memory_percent),
            (Some(7), Some(3))
        );
        assert_eq!(
            (device.decoder_percent, device.encoder_percent),
            (Some(11), Some(13))
        );
        assert_eq!(device.temperature, None, "it has no sensor");
        // Memory in use is seen.
        let gpu = trickle_gpu::Gpu::open(0).unwrap();
        let host = trickle_media::Tensor::from_vec(256, 256, 4, vec![0.0; 1 << 18]).unwrap();
        let image = gpu.stream().unwrap().upload_tensor(&host).unwrap();
        assert_eq!(
            NvidiaHardware.devices()[0].memory_free,
            (1 << 30) - (1 << 20)
        );
        drop(image);
        assert_eq!(probe().driver.as_deref(), Some("535.000.00"));
    });
}

#[test]
fn without_nvml_there_are_no_figures_and_no_error() {
    let machine = Machine {
        libraries: &["libcuda.so.1"],
        ..MACHINE
    };
    machine.run(|| {
        let report = probe();
        assert_eq!((report.devices.len(), report.driver), (1, None));
        assert!(NvidiaHardware.devices().is_empty());
        let error = trickle_gpu::device_loads().unwrap_err().to_string();
        assert!(
            error.starts_with("libnvidia-ml.so.1 cannot be opened"),
            "{error}"
        );
    });
}
