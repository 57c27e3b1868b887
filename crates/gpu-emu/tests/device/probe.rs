//! What the probe finds on machines of every kind, and the reasons it gives.

use trickle_gpu::{CodecCaps, Coding, probe};
use trickle_media::Codec;

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
