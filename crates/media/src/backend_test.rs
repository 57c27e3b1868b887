//! What stands in the table and why it is not used.

use super::*;
use crate::access_unit::Codec;
use crate::codec::CpuBackend;
use crate::stream::{ColorDescription, Orientation};

fn params() -> VideoParams {
    VideoParams {
        codec: Codec::H264,
        width: 320,
        height: 180,
        frame_rate: None,
        color: ColorDescription::UNSPECIFIED,
        profile: 77,
        level: 30,
        bit_depth: 8,
        chroma_format: 1,
        interlaced: false,
        reorder: None,
        orientation: Orientation::UPRIGHT,
    }
}

fn table() -> Backends {
    Backends::new(vec![
        Arc::new(Unavailable::new("cuda", "there is no driver")),
        Arc::new(CpuBackend::new()),
    ])
}

#[test]
fn one_that_cannot_be_used_is_passed_over_with_its_reason() {
    let chosen = table().open_decoder(&params(), &FramePool::new()).unwrap();
    assert_eq!(chosen.backend, "cpu");
    let (name, reason) = &chosen.passed_over[0];
    assert_eq!(
        (name.as_str(), reason.reason.as_str()),
        ("cuda", "there is no driver")
    );
    let described = table().describe();
    assert_eq!(described[0].decoder, "there is no driver");
    assert_eq!(described[0].encoder, "there is no driver");
}

#[test]
fn one_that_a_stream_gave_up_on_refuses_one_way_only() {
    let mut backends = Backends::new(vec![
        Arc::new(CpuBackend::new()),
        Arc::new(Unavailable::new("other", "is no codec")),
    ]);
    backends.without_decoder("cpu", "it broke");
    let refused = backends
        .open_decoder(&params(), &FramePool::new())
        .err()
        .unwrap();
    let reasons: Vec<&str> = refused
        .reasons
        .iter()
        .map(|(_, reason)| reason.reason.as_str())
        .collect();
    assert_eq!(reasons, ["it broke", "is no codec"]);
    assert!(
        backends
            .describe()
            .iter()
            .any(|known| known.encoder.contains("OpenH264"))
    );
}

#[test]
fn the_last_one_is_kept() {
    let mut backends = Backends::default();
    backends.without_decoder("cpu", "it broke");
    assert!(backends.open_decoder(&params(), &FramePool::new()).is_ok());
}
