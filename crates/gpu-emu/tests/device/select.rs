//! Which backends are chosen on machines of every kind.

use trickle_gpu::{Choice, backends};
use trickle_media::backend::Backends;

use crate::emulated::{MACHINE, Machine};

const NO_ENCODER: Machine = Machine {
    settings: "no-encoder",
    ..MACHINE
};

const NO_DRIVER: Machine = Machine {
    libraries: &[],
    ..MACHINE
};

/// Names and descriptions, in order.
fn described(backends: &Backends) -> Vec<(String, String, String)> {
    let described = backends.describe().into_iter();
    described
        .map(|backend| (backend.name, backend.decoder, backend.encoder))
        .collect()
}

fn names(backends: &Backends) -> Vec<String> {
    described(backends)
        .into_iter()
        .map(|backend| backend.0)
        .collect()
}

#[test]
fn a_whole_card_is_used_both_ways_with_the_cpu_behind_it() {
    MACHINE.run(|| {
        for choice in [Choice::Auto, Choice::Cuda(None), Choice::Cuda(Some(0))] {
            let backends = backends(choice, choice).unwrap();
            assert_eq!(names(&backends), ["cuda:0", "cpu"]);
            let (_, decoder, encoder) = &described(&backends)[0];
            assert_eq!(
                (decoder.as_str(), encoder.as_str()),
                ("NVDEC (h264, hevc)", "NVENC (h264, hevc)")
            );
        }
    });
}

#[test]
fn a_device_that_must_be_there_and_is_not_is_refused() {
    MACHINE.run(|| {
        let refusal = backends(Choice::Cuda(Some(3)), Choice::Auto).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "cuda:3 cannot decode: there is no such device"
        );
    });
}

#[test]
fn a_card_without_encoder_decodes_and_the_cpu_encodes() {
    NO_ENCODER.run(|| {
        let reason =
            "the device has no encoder (nvEncOpenEncodeSessionEx: NV_ENC_ERR_UNSUPPORTED_DEVICE)";
        let backends_ = backends(Choice::Auto, Choice::Auto).unwrap();
        assert_eq!(names(&backends_), ["cuda:0", "cpu"]);
        let (_, decoder, encoder) = &described(&backends_)[0];
        assert_eq!(
            (decoder.as_str(), encoder.as_str()),
            ("NVDEC (h264, hevc)", reason)
        );
        let refusal = backends(Choice::Auto, Choice::Cuda(None)).unwrap_err();
        assert_eq!(refusal.to_string(), format!("cuda cannot encode: {reason}"));
        // Said to be the CPU's, it starts.
        assert!(backends(Choice::Cuda(None), Choice::Cpu).is_ok());
    });
}

#[test]
fn a_machine_without_driver_starts_with_the_cpu_and_says_why() {
    NO_DRIVER.run(|| {
        // Where the tests run on a machine with a driver, this is that driver's business.
        if trickle_gpu::probe().reason.is_none() {
            return;
        }
        let backends_ = backends(Choice::Auto, Choice::Auto).unwrap();
        assert_eq!(names(&backends_), ["cuda", "cpu"]);
        let (_, decoder, _) = &described(&backends_)[0];
        assert!(
            decoder.starts_with("libcuda.so.1 cannot be opened"),
            "{decoder}"
        );
        let refusal = backends(Choice::Cuda(None), Choice::Auto)
            .unwrap_err()
            .to_string();
        assert!(
            refusal.starts_with("cuda cannot decode: libcuda.so.1"),
            "{refusal}"
        );
    });
}
