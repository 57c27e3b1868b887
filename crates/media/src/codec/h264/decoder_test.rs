//! Decoding: what is refused, and what any bytes can do.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::access_unit::{TrackId, UnitFlags};
use crate::codec::openh264::OpenH264;
use crate::codec::rust_h264::RustH264;
use crate::time::Timestamp;

fn params() -> VideoParams {
    VideoParams {
        codec: Codec::H264,
        width: 1280,
        height: 720,
        frame_rate: None,
        color: ColorDescription::BT709,
        profile: 77,
        level: 31,
        bit_depth: 8,
        chroma_format: 1,
        interlaced: false,
        reorder: None,
        orientation: crate::stream::Orientation::UPRIGHT,
    }
}

fn decoder<E: Engine>() -> H264Decoder<E> {
    H264Decoder::open(&params(), &FramePool::new()).unwrap()
}

fn unit(data: impl Into<Bytes>, keyframe: bool) -> AccessUnit {
    AccessUnit {
        track: TrackId(256),
        codec: Codec::H264,
        data: data.into(),
        pts: Timestamp::mpeg(0),
        dts: Timestamp::mpeg(0),
        keyframe,
        flags: UnitFlags::default(),
        received: None,
    }
}

fn refused(change: impl FnOnce(&mut VideoParams)) -> String {
    let mut params = params();
    change(&mut params);
    match H264Decoder::<OpenH264>::open(&params, &FramePool::new()) {
        Ok(_) => panic!("{params:?} was taken"),
        Err(unsupported) => unsupported.to_string(),
    }
}

#[test]
fn streams_that_cannot_be_decoded_are_refused_with_what_and_why() {
    let hevc = refused(|params| params.codec = Codec::Hevc);
    assert_eq!(hevc, "hevc is not supported: openh264 decodes H.264 only");
    assert!(refused(|params| params.interlaced = true).contains("interlaced"));
    assert!(refused(|params| params.bit_depth = 10).contains("10 bits"));
    assert!(refused(|params| params.chroma_format = 2).contains("4:2:2"));
}

#[test]
fn a_unit_of_another_codec_is_refused() {
    let mut unit = unit(vec![1], true);
    unit.codec = Codec::Hevc;
    let error = decoder::<OpenH264>().push(&unit).unwrap_err();
    assert!(matches!(error, CodecError::Unsupported(_)), "{error}");
}

#[test]
fn pictures_before_the_first_keyframe_are_skipped() {
    let error = decoder::<OpenH264>().push(&unit(vec![0, 0, 1, 0x41, 0x9a], false));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("until the next keyframe"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_give_no_frame_and_no_panic(
        units in prop::collection::vec(
            (prop::collection::vec(prop_oneof![3 => 0u8..2, 1 => any::<u8>()], 0..200), any::<bool>()),
            1..6,
        ),
    ) {
        survives::<OpenH264>(&units)?;
        survives::<RustH264>(&units)?;
    }
}

fn survives<E: Engine>(units: &[(Vec<u8>, bool)]) -> Result<(), TestCaseError> {
    let mut decoder = decoder::<E>();
    for (data, keyframe) in units {
        let _ = decoder.push(&unit(data.clone(), *keyframe));
    }
    prop_assert!(decoder.pull().is_none());
    prop_assert!(decoder.flush().is_ok());
    Ok(())
}
