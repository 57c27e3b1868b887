//! NVDEC, emulated, gives the pictures that the CPU's decoder gives, at the same times.

use trickle_gpu::{CudaBackend, CudaImage};
use trickle_media::backend::{Backend, Backends};
use trickle_media::codec::CpuBackend;
use trickle_media::coder::VideoDecoder;
use trickle_media::frame::{FramePool, Image, PixelFormat, PlanarImage};
use trickle_media::stream::{StreamParams, VideoParams};
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};
use trickle_media::{AccessUnit, Codec, CodecError, Timestamp, VideoFrame};
use trickle_testkit::clip_bytes;

use crate::emulated::{MACHINE, Machine, current_context};

/// A clip's video: what is known of it before its first unit, and at most `count` units.
pub(crate) fn video(clip: &str, count: usize) -> (VideoParams, Vec<AccessUnit>) {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(&clip_bytes(clip), None);
    demuxer.finish();
    let (mut params, mut units) = (None, Vec::new());
    while let Some(event) = demuxer.next_event() {
        match event {
            DemuxEvent::Streams(streams) if params.is_none() => {
                params = streams.into_iter().find_map(|stream| match stream.params {
                    StreamParams::Video(params) => Some(params),
                    _ => None,
                });
            }
            DemuxEvent::Unit(unit) if unit.codec == Codec::H264 => units.push(unit),
            _ => {}
        }
    }
    units.truncate(count);
    (params.unwrap(), units)
}

fn gpu_decoder(params: &VideoParams) -> VideoDecoder {
    let backend = CudaBackend::open(0).unwrap();
    backend.open_decoder(params, &FramePool::new()).unwrap()
}

fn cpu_decoder(params: &VideoParams) -> VideoDecoder {
    CpuBackend::new()
        .open_decoder(params, &FramePool::new())
        .unwrap()
}

/// Everything that the decoder gives, and how many units it said were damaged.
fn decode(decoder: &mut VideoDecoder, units: &[AccessUnit]) -> (Vec<VideoFrame>, usize) {
    let (mut frames, mut damaged) = (Vec::new(), 0);
    for unit in units {
        match decoder.push(unit) {
            Ok(()) => {}
            Err(CodecError::Damaged { .. }) => damaged += 1,
            Err(error) => panic!("{error}"),
        }
        frames.extend(std::iter::from_fn(|| decoder.pull()));
    }
    decoder.flush().unwrap();
    frames.extend(std::iter::from_fn(|| decoder.pull()));
    (frames, damaged)
}

/// Time, size and samples, the chroma interleaved.
pub(crate) fn facts(frame: &VideoFrame) -> (Timestamp, usize, usize, Vec<u8>) {
    let frame = frame.clone().to_host().unwrap();
    let Image::Planar(image) = frame.image() else {
        panic!("not planes");
    };
    (frame.pts(), frame.width(), frame.height(), samples(image))
}

pub(crate) fn samples(image: &PlanarImage) -> Vec<u8> {
    let mut samples = image.plane(0).to_vec();
    match image.format() {
        PixelFormat::Nv12 => samples.extend(image.plane(1)),
        PixelFormat::I420 => {
            let pairs = image.plane(1).iter().zip(image.plane(2));
            samples.extend(pairs.flat_map(|(&u, &v)| [u, v]));
        }
    }
    samples
}

/// Both decoders on one clip; returns how many frames each gave.
fn same_as_cpu(clip: &str, count: usize) -> usize {
    let (params, units) = video(clip, count);
    let (expected, _) = decode(&mut cpu_decoder(&params), &units);
    let (got, damaged) = decode(&mut gpu_decoder(&params), &units);
    assert_eq!(damaged, 0);
    assert_eq!(got.len(), expected.len());
    for (at, (got, expected)) in got.iter().zip(&expected).enumerate() {
        assert!(
            CudaImage::of_frame(got).is_some(),
            "frame {at} is not on the device"
        );
        assert_eq!(got.color(), expected.color());
        assert!(
            facts(got) == facts(expected),
            "frame {at} differs: {} {}",
            got.pts(),
            expected.pts()
        );
    }
    got.len()
}

#[test]
fn a_stream_in_order_is_decoded_as_on_the_cpu() {
    MACHINE.run(|| assert_eq!(same_as_cpu("ptswrap_180p30.ts", 30), 30));
}

#[test]
fn pictures_that_are_reordered_come_in_order() {
    MACHINE.run(|| assert_eq!(same_as_cpu("bframes_360p30_high_aac.ts", 40), 40));
}

#[test]
fn cropping_is_applied() {
    MACHINE.run(|| {
        assert_eq!(same_as_cpu("crop_854x482_videoonly.ts", 5), 5);
    });
}

#[test]
fn interlaced_streams_are_deinterlaced() {
    // Hardware does it its own way; what is seen here is that it is asked to.
    MACHINE.run(|| {
        assert_eq!(same_as_cpu("interlaced_576i.ts", 6), 6);
        assert_eq!(same_as_cpu("h264_mbaff_bframes.ts", 24), 24);
    });
}

#[test]
fn a_change_of_size_goes_on_in_the_new_size() {
    MACHINE.run(|| {
        let (params, units) = video("reschange_360p_to_240p.ts", usize::MAX);
        let (expected, _) = decode(&mut cpu_decoder(&params), &units);
        let (got, damaged) = decode(&mut gpu_decoder(&params), &units);
        assert_eq!(damaged, 0);
        let sizes = |frames: &[VideoFrame]| -> Vec<(Timestamp, usize)> {
            frames
                .iter()
                .map(|frame| (frame.pts(), frame.height()))
                .collect()
        };
        assert_eq!(sizes(&got), sizes(&expected));
        let heights: Vec<usize> = got.iter().map(VideoFrame::height).collect();
        assert!(heights.contains(&360) && heights.contains(&240));
        // Around the change, and at both ends.
        let change = heights.iter().position(|&height| height == 240).unwrap();
        for at in [0, change - 1, change, change + 1, got.len() - 1] {
            assert!(
                facts(&got[at]) == facts(&expected[at]),
                "frame {at} differs"
            );
        }
    });
}

#[test]
fn each_picture_comes_out_at_the_push_of_its_unit() {
    MACHINE.run(|| {
        let (params, units) = video("ptswrap_180p30.ts", 10);
        let mut decoder = gpu_decoder(&params);
        for unit in &units {
            decoder.push(unit).unwrap();
            assert_eq!(decoder.pull().unwrap().pts(), unit.pts);
            assert!(decoder.pull().is_none());
        }
    });
}

#[test]
fn a_damaged_picture_stops_the_stream_until_the_next_keyframe() {
    MACHINE.run(|| {
        let (params, mut units) = video("ptswrap_180p30.ts", usize::MAX);
        let keyframes: Vec<usize> = (0..units.len()).filter(|&at| units[at].keyframe).collect();
        let next = keyframes[1];
        // Cut in the middle of its slices.
        let broken = next / 2;
        let half = units[broken].data.len() / 2;
        units[broken].data.truncate(half);
        units.truncate(next + 5);
        let (frames, damaged) = decode(&mut gpu_decoder(&params), &units);
        assert_eq!(damaged, next - broken);
        let shown: Vec<Timestamp> = frames.iter().map(VideoFrame::pts).collect();
        let kept = units[..broken].iter().chain(&units[next..]);
        assert_eq!(shown, kept.map(|unit| unit.pts).collect::<Vec<_>>());
    });
}

#[test]
fn garbage_is_no_picture_and_no_end() {
    MACHINE.run(|| {
        let (params, mut units) = video("ptswrap_180p30.ts", 6);
        let garbage: Vec<u8> = (0..997u32).map(|at| ((at * 151) >> 3) as u8).collect();
        units[3].data = garbage.into();
        let mut decoder = gpu_decoder(&params);
        let (frames, _) = decode(&mut decoder, &units);
        assert!(frames.len() >= 3);
        // A keyframe starts again.
        let (again, damaged) = decode(&mut decoder, &units[..3]);
        assert_eq!((again.len(), damaged), (3, 0));
    });
}

#[test]
fn a_decoder_that_could_not_be_made_again_recovers_at_the_next_sequence() {
    let machine = Machine {
        settings: "second-decoder-fails",
        ..MACHINE
    };
    machine.run(|| {
        let (params, units) = video("ptswrap_180p30.ts", 5);
        let mut decoder = gpu_decoder(&params);
        assert_eq!(decode(&mut decoder, &units).0.len(), 5);
        // The stream starts anew, and memory is short.
        let error = decoder.push(&units[0]).unwrap_err();
        assert!(
            error.to_string().contains("CUDA_ERROR_OUT_OF_MEMORY"),
            "{error}"
        );
        assert!(decoder.pull().is_none());
        decoder.flush().unwrap();
        // And anew.
        let (frames, damaged) = decode(&mut decoder, &units);
        assert_eq!((frames.len(), damaged), (5, 0));
    });
}

#[test]
fn frames_outlive_their_decoder_and_its_surfaces() {
    MACHINE.run(|| {
        let (params, units) = video("ptswrap_180p30.ts", 20);
        let (expected, _) = decode(&mut cpu_decoder(&params), &units);
        let frames = {
            let mut decoder = gpu_decoder(&params);
            decode(&mut decoder, &units).0
        };
        assert!(
            facts(&frames[0]) == facts(&expected[0]),
            "overwritten by a later picture"
        );
        assert_eq!(current_context(), 0);
    });
}

#[test]
fn what_the_device_does_not_decode_is_refused_with_a_reason() {
    MACHINE.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        let (params, _) = video("ptswrap_180p30.ts", 1);
        let refused = |params: VideoParams| {
            let opened = backend.open_decoder(&params, &FramePool::new());
            opened.err().unwrap().to_string()
        };
        let reason = refused(VideoParams {
            bit_depth: 10,
            ..params.clone()
        });
        assert_eq!(
            reason,
            "h264 is not supported: 10 bits per sample; 8 are supported"
        );
        let reason = refused(VideoParams {
            width: 5000,
            ..params.clone()
        });
        assert!(
            reason.contains("5000×180 is outside of what the device decodes"),
            "{reason}"
        );
        let reason = refused(VideoParams {
            chroma_format: 2,
            ..params
        });
        assert!(reason.contains("chroma other than 4:2:0"), "{reason}");
    });
}

#[test]
fn backends_fall_back_to_the_cpu_and_say_why() {
    // A container without the video libraries.
    let machine = Machine {
        libraries: &["libcuda.so.1"],
        ..MACHINE
    };
    machine.run(|| {
        let gpu = CudaBackend::open(0).unwrap();
        let description = gpu.describe();
        assert!(
            description
                .decoder
                .starts_with("libnvcuvid.so.1 cannot be opened")
        );
        let backends = Backends::new(vec![
            std::sync::Arc::new(gpu),
            std::sync::Arc::new(CpuBackend::new()),
        ]);
        let (params, units) = video("ptswrap_180p30.ts", 3);
        let mut chosen = backends.open_decoder(&params, &FramePool::new()).unwrap();
        assert_eq!(chosen.backend, "cpu");
        let (name, reason) = &chosen.passed_over[0];
        assert_eq!(name, "cuda:0");
        assert!(reason.to_string().contains("libnvcuvid.so.1"), "{reason}");
        assert_eq!(decode(&mut chosen.codec, &units).0.len(), 3);
    });
}

#[test]
fn a_surface_goes_back_when_there_is_no_memory_for_its_picture() {
    let machine = Machine {
        settings: "little-memory",
        ..MACHINE
    };
    machine.run(|| {
        let (params, units) = video("ptswrap_180p30.ts", usize::MAX);
        let mut decoder = gpu_decoder(&params);
        let mut held = Vec::new();
        let error = units.iter().find_map(|unit| {
            let failed = decoder.push(unit).err();
            held.extend(decoder.pull());
            failed
        });
        let error = error.unwrap().to_string();
        assert!(error.contains("CUDA_ERROR_OUT_OF_MEMORY"), "{error}");
        // A surface still mapped when the decoder goes would be listed at the end.
        drop(held);
        let (frames, damaged) = decode(&mut decoder, &units[..20]);
        assert_eq!((frames.len(), damaged), (20, 0));
    });
}

#[test]
fn when_the_device_dies_the_stream_goes_on_with_the_cpu() {
    let machine = Machine {
        settings: "dies-at-tenth-picture",
        abandons: true,
        ..MACHINE
    };
    machine.run(|| {
        let backends = Backends::new(vec![
            std::sync::Arc::new(CudaBackend::open(0).unwrap()),
            std::sync::Arc::new(CpuBackend::new()),
        ]);
        let (params, units) = video("ptswrap_180p30.ts", usize::MAX);
        let pool = FramePool::new();
        let mut chosen = backends.open_decoder(&params, &pool).unwrap();
        assert_eq!(chosen.backend, "cuda:0");
        for unit in &units[..9] {
            chosen.codec.push(unit).unwrap();
            assert!(chosen.codec.pull().is_some());
        }
        let error = chosen.codec.push(&units[9]).unwrap_err();
        assert!(
            matches!(
                error,
                CodecError::Broken {
                    backend: "nvdec",
                    ..
                }
            ),
            "{error}"
        );

        // The session opens a decoder again, and gets the other.
        let mut chosen = backends.open_decoder(&params, &pool).unwrap();
        assert_eq!(chosen.backend, "cpu");
        let (_, reason) = &chosen.passed_over[0];
        assert!(
            reason
                .to_string()
                .contains("cuda:0 is unusable until the process ends"),
            "{reason}"
        );
        assert!(backends.describe()[0].warnings[0].contains("CUDA_ERROR_LAUNCH_FAILED"));
        let next = units[10..].iter().position(|unit| unit.keyframe).unwrap() + 10;
        let (frames, damaged) = decode(&mut chosen.codec, &units[next..]);
        assert_eq!((frames.len(), damaged), (units.len() - next, 0));
        assert_eq!(current_context(), 0);
    });
}
