//! NVDEC: pictures and times of every kind of stream that it is given.

use std::time::{Duration, Instant};

use trickle_gpu::{CudaImage, NvidiaHardware};
use trickle_media::backend::Backend;
use trickle_media::codec::CpuBackend;
use trickle_media::frame::FramePool;
use trickle_media::hardware::HardwareProbe;
use trickle_media::{Codec, CodecError, VideoFrame};

use super::{
    check_gradient, coded, decode, device, gradient_frame, mean_distance, on_cpu, params_of,
    samples, settings, video,
};

/// Memory that may be gone after a while: the driver keeps caches of its own.
const SLACK: u64 = 64 << 20;

/// The pictures are FFmpeg's, bit for bit, at its times.
fn same(clip: &str, frames: &[VideoFrame]) {
    let figures = trickle_testkit::figures(clip).frames.unwrap();
    let on_the_wire = |ticks: i64| ticks.rem_euclid(1 << 33);
    let times: Vec<i64> = frames
        .iter()
        .map(|frame| on_the_wire(frame.pts().ticks))
        .collect();
    let expected: Vec<i64> = figures.pts.into_iter().map(on_the_wire).collect();
    assert_eq!(times, expected, "{clip}");
    for (at, (frame, expected)) in frames.iter().zip(&figures.md5).enumerate() {
        let samples = samples(frame);
        let (luma, chroma) = samples.split_at(frame.width() * frame.height());
        // FFmpeg's figures are of three planes.
        let plane = |first: usize| chroma.iter().skip(first).step_by(2).copied();
        let planes: Vec<u8> = luma
            .iter()
            .copied()
            .chain(plane(0))
            .chain(plane(1))
            .collect();
        let got = format!("{:x}", md5::compute(planes));
        assert_eq!(got, *expected, "{clip}, frame {at}");
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn h264_is_decoded_to_ffmpegs_pictures_and_times() {
    let gpu = device();
    for clip in [
        "ptswrap_180p30.ts",
        "bframes_360p30_high_aac.ts",
        "crop_854x482_videoonly.ts",
        "reschange_360p_to_240p.ts",
        "live_720p25_baseline_opus.ts",
        "portrait_360x640_aac44k_mono.ts",
        "h264_open_gop.ts",
    ] {
        let (params, units) = video(clip, Codec::H264);
        let decoder = gpu.open_decoder(&params, &FramePool::new()).unwrap();
        same(clip, &decode(decoder, &units));
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn hevc_is_decoded_to_ffmpegs_pictures_and_times() {
    let gpu = device();
    let (params, units) = video("hevc_240p25.ts", Codec::Hevc);
    let decoder = gpu.open_decoder(&params, &FramePool::new()).unwrap();
    same("hevc_240p25.ts", &decode(decoder, &units));
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_gradient_clip_comes_out_as_it_went_in() {
    let gpu = device();
    let settings = settings(Codec::H264, 1280, 720);
    let mut encoder = CpuBackend::new().open_encoder(&settings).unwrap();
    let units = coded(&mut *encoder, (1280, 720), 60);
    let params = params_of(&settings);
    let decoder = gpu.open_decoder(&params, &FramePool::new()).unwrap();
    let frames = decode(decoder, &units);
    assert_eq!(frames.len(), 60);
    check_gradient(&frames, 0);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn sizes_change_both_ways() {
    let gpu = device();
    let sizes = [(640, 360), (1280, 720), (320, 180), (1920, 1080)];
    let (mut units, mut first) = (Vec::new(), None);
    for (part, (width, height)) in sizes.into_iter().enumerate() {
        let settings = settings(Codec::H264, width, height);
        let mut encoder = CpuBackend::new().open_encoder(&settings).unwrap();
        for number in 10 * part..10 * part + 10 {
            let frame = gradient_frame(width as usize, height as usize, number);
            encoder.push(frame).unwrap();
            units.extend(std::iter::from_fn(|| encoder.pull()));
        }
        encoder.flush().unwrap();
        units.extend(std::iter::from_fn(|| encoder.pull()));
        first.get_or_insert(params_of(&settings));
    }
    let decoder = gpu
        .open_decoder(&first.unwrap(), &FramePool::new())
        .unwrap();
    let frames = decode(decoder, &units);
    let heights: Vec<usize> = frames.iter().map(VideoFrame::height).collect();
    let expected = sizes.map(|(_, height)| [height as usize; 10]);
    assert_eq!(heights, expected.as_flattened());
    check_gradient(&frames, 0);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn interlaced_pictures_are_deinterlaced_at_their_times() {
    let gpu = device();
    for clip in ["interlaced_576i.ts", "h264_mbaff_bframes.ts"] {
        let (params, units) = video(clip, Codec::H264);
        let decoder = gpu.open_decoder(&params, &FramePool::new()).unwrap();
        let (got, expected) = (decode(decoder, &units), on_cpu(&params, &units));
        assert_eq!(got.len(), expected.len(), "{clip}");
        for (at, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert_eq!(got.pts(), expected.pts(), "{clip}, frame {at}");
            // The hardware's way is not ours.
            let far = mean_distance(&samples(got), &samples(expected));
            assert!(far < 8.0, "{clip}, frame {at}: {far}");
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn damage_is_survived() {
    let gpu = device();
    for clip in [
        "damaged_bitflips.ts",
        "damaged_lost_packets.ts",
        "damaged_garbage_inside.ts",
    ] {
        let (params, units) = video(clip, Codec::H264);
        let mut decoder = gpu.open_decoder(&params, &FramePool::new()).unwrap();
        let (mut shown, mut damaged) = (Vec::new(), 0);
        for unit in &units {
            match decoder.push(unit) {
                Ok(()) => {}
                Err(CodecError::Damaged { .. }) => damaged += 1,
                Err(error) => panic!("{clip}: {error}"),
            }
            shown.extend(std::iter::from_fn(|| decoder.pull()).map(|frame| frame.pts()));
        }
        println!(
            "{clip}: {} units, {} shown, {damaged} damaged",
            units.len(),
            shown.len()
        );
        assert!(!shown.is_empty() && damaged > 0, "{clip}");
        assert!(shown.is_sorted(), "{clip}");
    }
    assert_eq!(gpu.gpu().poison(), None);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn each_picture_comes_out_at_the_push_of_its_unit() {
    let gpu = device();
    let (params, units) = video("live_720p25_baseline_opus.ts", Codec::H264);
    let mut decoder = gpu.open_decoder(&params, &FramePool::new()).unwrap();
    let mut took = Vec::new();
    for unit in &units {
        let begun = Instant::now();
        decoder.push(unit).unwrap();
        let frame = decoder.pull().unwrap();
        took.push(begun.elapsed());
        assert_eq!(frame.pts(), unit.pts);
        assert!(CudaImage::of_frame(&frame).is_some());
        assert!(decoder.pull().is_none());
    }
    took.sort_unstable();
    let (usual, worst) = (took[took.len() / 2], took[took.len() - 1]);
    println!("720p, from unit to frame on the device: {usual:?} median, {worst:?} at most");
    assert!(usual < Duration::from_millis(40), "slower than the stream");
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn streams_beside_each_other_do_not_disturb_each_other() {
    let gpu = device();
    let clips = ["bframes_360p30_high_aac.ts", "crop_854x482_videoonly.ts"];
    std::thread::scope(|scope| {
        for clip in clips.into_iter().cycle().take(6) {
            let gpu = &gpu;
            scope.spawn(move || {
                let (params, units) = video(clip, Codec::H264);
                let decoder = gpu.open_decoder(&params, &FramePool::new()).unwrap();
                same(clip, &decode(decoder, &units));
            });
        }
    });
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn memory_is_given_back() {
    let gpu = device();
    let (params, units) = video("reschange_360p_to_240p.ts", Codec::H264);
    let free = || {
        let pci = gpu.report().pci_bus_id.to_lowercase();
        let devices = NvidiaHardware.devices();
        // NVML writes eight digits where CUDA writes four.
        let ours = devices.iter().find(|device| {
            let other = device.pci_bus_id.to_lowercase();
            other.ends_with(&pci) || pci.ends_with(&other)
        });
        ours.unwrap().memory_free
    };
    let run = || {
        let decoder = gpu.open_decoder(&params, &FramePool::new()).unwrap();
        decode(decoder, &units).len()
    };
    run();
    let before = free();
    for _ in 0..10 {
        assert_eq!(run(), units.len());
    }
    let after = free();
    println!(
        "free after one clip {} MiB, after eleven {} MiB",
        before >> 20,
        after >> 20
    );
    assert!(before.saturating_sub(after) < SLACK);
}
