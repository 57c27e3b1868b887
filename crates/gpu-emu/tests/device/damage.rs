//! NVDEC, emulated, on streams that are not whole: what is shown, what is not, and until when.

use std::time::Duration;

use trickle_gpu::CudaBackend;
use trickle_media::backend::Backend;
use trickle_media::coder::VideoDecoder;
use trickle_media::frame::FramePool;
use trickle_media::h264::{NalKind, annexb};
use trickle_media::{AccessUnit, CodecError, Timestamp, VideoFrame, VideoParams};

use crate::decode::{facts, video};
use crate::emulated::{MACHINE, Machine};

const CLIP: &str = "ptswrap_180p30.ts";

fn decoder(params: &VideoParams) -> VideoDecoder {
    let backend = CudaBackend::open(0).unwrap();
    backend.open_decoder(params, &FramePool::new()).unwrap()
}

/// What a unit gives: its frames, or why it is damaged.
fn push(decoder: &mut VideoDecoder, unit: &AccessUnit) -> Result<Vec<VideoFrame>, String> {
    match decoder.push(unit) {
        Ok(()) => Ok(std::iter::from_fn(|| decoder.pull()).collect()),
        Err(CodecError::Damaged { detail, .. }) => {
            assert!(decoder.pull().is_none());
            Err(detail)
        }
        Err(error) => panic!("{error}"),
    }
}

fn keyframes(units: &[AccessUnit]) -> Vec<usize> {
    (0..units.len()).filter(|&at| units[at].keyframe).collect()
}

/// Without the second half of its slices.
fn cut(unit: &mut AccessUnit) {
    unit.data.truncate(unit.data.len() / 2);
}

fn times(frames: &[VideoFrame]) -> Vec<Timestamp> {
    frames.iter().map(VideoFrame::pts).collect()
}

#[test]
fn a_picture_that_the_hardware_refuses_is_not_shown_nor_those_after_it() {
    let machine = Machine {
        settings: "third-picture-refused",
        ..MACHINE
    };
    machine.run(|| {
        let (params, units) = video(CLIP, usize::MAX);
        let mut decoder = decoder(&params);
        for unit in &units[..2] {
            assert_eq!(push(&mut decoder, unit).unwrap().len(), 1);
        }
        let error = push(&mut decoder, &units[2]).unwrap_err();
        assert!(error.contains("cuvidDecodePicture"), "{error}");
        let next = keyframes(&units)[1];
        for unit in &units[3..next] {
            assert!(push(&mut decoder, unit).is_err());
        }
        let frames = push(&mut decoder, &units[next]).unwrap();
        assert_eq!(times(&frames), [units[next].pts]);
    });
}

#[test]
fn pictures_shown_before_the_keyframe_that_decoding_began_with_are_left_out() {
    MACHINE.run(|| {
        let (params, mut units) = video(CLIP, usize::MAX);
        let next = keyframes(&units)[1];
        let mut decoder = decoder(&params);
        assert!(push(&mut decoder, &units[0]).is_ok());
        units[1].flags.damaged = true;
        assert!(push(&mut decoder, &units[1]).is_err());
        // After the gap an open group of pictures: what is shown before its keyframe refers to
        // what is lost. NVIDIA's parser has it decoded.
        assert_eq!(push(&mut decoder, &units[next]).unwrap().len(), 1);
        let mut leading = units[next + 1].clone();
        leading.pts = units[next - 1].pts;
        let error = push(&mut decoder, &leading).unwrap_err();
        assert!(error.contains("refers to pictures of before"), "{error}");
        // It goes on without waiting for a keyframe.
        let frames = push(&mut decoder, &units[next + 1]).unwrap();
        assert_eq!(times(&frames), [units[next + 1].pts]);
    });
}

#[test]
fn pictures_shown_before_a_keyframe_in_a_whole_stream_are_shown() {
    MACHINE.run(|| {
        let (params, units) = video("h264_open_gop.ts", 20);
        let open = keyframes(&units)[1];
        let mut decoder = decoder(&params);
        let mut shown = Vec::new();
        for unit in &units {
            shown.extend(times(&push(&mut decoder, unit).unwrap()));
        }
        let leading = units[open + 1].pts;
        assert!(leading < units[open].pts, "the clip has open groups");
        assert!(shown.contains(&leading));
        assert!(shown.is_sorted());
    });
}

#[test]
fn parameter_sets_may_come_in_a_unit_of_their_own() {
    MACHINE.run(|| {
        let (params, units) = video(CLIP, 1);
        let is_set = |kind: NalKind| matches!(kind, NalKind::SPS | NalKind::PPS);
        let part = |sets: bool| {
            let nals = annexb::nal_units(&units[0].data);
            let kept = nals.filter(|nal| is_set(nal.kind()) == sets);
            let mut unit = units[0].clone();
            unit.data = kept
                .flat_map(|nal| [&annexb::START_CODE[..], nal.bytes].concat())
                .collect::<Vec<u8>>()
                .into();
            unit.keyframe = !sets;
            unit
        };
        let mut decoder = decoder(&params);
        assert!(push(&mut decoder, &part(true)).unwrap().is_empty());
        assert_eq!(push(&mut decoder, &part(false)).unwrap().len(), 1);
    });
}

#[test]
fn when_no_intact_keyframe_comes_for_two_seconds_a_damaged_one_is_made_do_with() {
    MACHINE.run(|| {
        let (params, mut units) = video(CLIP, usize::MAX);
        let keyframes = keyframes(&units);
        keyframes.iter().for_each(|&at| cut(&mut units[at]));
        let waited = |at: &&usize| {
            let since = units[**at].dts.since(units[0].dts);
            since.is_some_and(|since| since >= Duration::from_secs(2))
        };
        let first = *keyframes.iter().find(waited).unwrap();
        let mut decoder = decoder(&params);
        for unit in &units[..first] {
            assert!(push(&mut decoder, unit).is_err());
        }
        // From here on every picture comes out at its time, though the hardware says that they
        // are damaged.
        for unit in &units[first..] {
            let frames = push(&mut decoder, unit).unwrap();
            assert_eq!(times(&frames), [unit.pts]);
            let (.., samples) = facts(&frames[0]);
            assert!(samples.iter().all(|&sample| sample == 128), "concealed");
        }
    });
}

#[test]
fn an_intact_idr_picture_ends_making_do() {
    MACHINE.run(|| {
        let (params, mut units) = video(CLIP, usize::MAX);
        let keyframes = keyframes(&units);
        // Units in which bytes are missing are made do with as well.
        let end = *keyframes.last().unwrap();
        for &at in &keyframes[..keyframes.len() - 1] {
            units[at].flags.damaged = true;
        }
        let mut decoder = decoder(&params);
        let mut shown = 0;
        for unit in &units[..end] {
            shown += push(&mut decoder, unit).map_or(0, |frames| frames.len());
        }
        assert!(shown > 0, "there was no intact keyframe for long");
        assert_eq!(push(&mut decoder, &units[end]).unwrap().len(), 1);
        // All is well again: the next damage is waited out.
        cut(&mut units[end + 1]);
        assert!(push(&mut decoder, &units[end + 1]).is_err());
        assert!(push(&mut decoder, &units[end + 2]).is_err());
    });
}
