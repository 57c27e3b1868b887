//! NVENC, where the card has one: pictures, times, keyframes, changes, and its limit.

use trickle_gpu::CudaBackend;
use trickle_media::backend::Backend;
use trickle_media::coder::{RateControl, VideoEncoderSettings};
use trickle_media::frame::FramePool;
use trickle_media::{AccessUnit, Codec, VideoFrame};

use super::{
    check_gradient, coded, decode, encoding_device, gradient_frame, on_cpu, params_of, settings,
    video,
};

/// More than any card codes at once.
const MANY: usize = 64;

fn keyframes(units: &[AccessUnit]) -> Vec<usize> {
    (0..units.len()).filter(|&at| units[at].keyframe).collect()
}

#[test]
#[ignore = "needs an NVIDIA GPU with an encoder"]
fn an_h264_gradient_comes_out_as_it_went_in() {
    let Some(gpu) = encoding_device(Codec::H264) else {
        return;
    };
    for rate_control in [RateControl::Constant, RateControl::Variable] {
        let settings = VideoEncoderSettings {
            rate_control,
            ..settings(Codec::H264, 1280, 720)
        };
        let mut encoder = gpu.open_encoder(&settings).unwrap();
        let units = coded(&mut *encoder, (1280, 720), 90);
        assert_eq!(keyframes(&units), [0, 60]);
        let frames = on_cpu(&params_of(&settings), &units);
        assert_eq!(frames.len(), 90);
        assert!(frames.iter().all(|frame| frame.color() == settings.color));
        check_gradient(&frames, 0);
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU with an encoder"]
fn each_frame_gives_its_unit_at_once() {
    let Some(gpu) = encoding_device(Codec::H264) else {
        return;
    };
    let settings = settings(Codec::H264, 1280, 720);
    let mut encoder = gpu.open_encoder(&settings).unwrap();
    let mut took = Vec::new();
    for number in 0..30 {
        let frame = gradient_frame(1280, 720, number);
        let begun = std::time::Instant::now();
        encoder.push(frame).unwrap();
        let unit = encoder.pull();
        took.push(begun.elapsed());
        assert!(unit.is_some(), "the driver holds pictures back");
    }
    took.sort_unstable();
    println!(
        "720p, from a frame on the host to its unit: {:?} median",
        took[15]
    );
}

#[test]
#[ignore = "needs an NVIDIA GPU with an encoder"]
fn hevc_goes_through_the_devices_codecs_and_changes_its_size() {
    let Some(gpu) = encoding_device(Codec::Hevc) else {
        return;
    };
    let mut settings = settings(Codec::Hevc, 1280, 720);
    let mut encoder = gpu.open_encoder(&settings).unwrap();
    let mut units = Vec::new();
    for number in 0..45 {
        // Smaller, then larger than at first.
        let size = [(1280, 720), (640, 360), (1920, 1080)][number / 15];
        if number % 15 == 0 && number > 0 {
            (settings.width, settings.height) = size;
            encoder.reconfigure(&settings).unwrap();
        }
        let (width, height) = (size.0 as usize, size.1 as usize);
        encoder.push(gradient_frame(width, height, number)).unwrap();
        units.extend(encoder.pull());
    }
    assert_eq!(keyframes(&units), [0, 15, 30]);
    let params = params_of(&settings);
    let decoder = gpu.open_decoder(&params, &FramePool::new()).unwrap();
    let frames = decode(decoder, &units);
    let heights: Vec<usize> = frames.iter().map(VideoFrame::height).collect();
    let expected = [[720; 15], [360; 15], [1080; 15]];
    assert_eq!(heights, expected.as_flattened());
    check_gradient(&frames, 0);
}

#[test]
#[ignore = "needs an NVIDIA GPU with an encoder"]
fn the_rate_follows_a_change() {
    let Some(gpu) = encoding_device(Codec::H264) else {
        return;
    };
    let (params, units) = video("live_720p25_baseline_opus.ts", Codec::H264);
    let mut decoder = gpu.open_decoder(&params, &FramePool::new()).unwrap();
    let mut settings = VideoEncoderSettings {
        color: params.color,
        ..settings(Codec::H264, params.width, params.height)
    };
    let mut encoder = gpu.open_encoder(&settings).unwrap();
    let mut bytes = [0, 0];
    for (at, unit) in units.iter().take(100).enumerate() {
        if at == 50 {
            settings.bitrate /= 8;
            encoder.reconfigure(&settings).unwrap();
            assert!(encoder.pull().is_none());
        }
        decoder.push(unit).unwrap();
        encoder.push(decoder.pull().unwrap()).unwrap();
        let coded = encoder.pull().unwrap();
        assert!(coded.keyframe || (at != 0 && at != 50));
        bytes[at / 50] += coded.data.len();
    }
    println!(
        "50 frames at 6 Mbit/s: {} bytes; at an eighth: {}",
        bytes[0], bytes[1]
    );
    assert!(bytes[0] > 3 * bytes[1]);
}

#[test]
#[ignore = "needs an NVIDIA GPU with an encoder"]
fn a_card_whose_sessions_are_taken_says_so_and_recovers() {
    let Some(gpu) = encoding_device(Codec::H264) else {
        return;
    };
    let settings = settings(Codec::H264, 640, 360);
    let open = |gpu: &CudaBackend| gpu.open_encoder(&settings);
    let mut held = Vec::new();
    let refused = loop {
        match open(&gpu) {
            Ok(encoder) => held.push(encoder),
            Err(reason) => break Some(reason.to_string()),
        }
        if held.len() == MANY {
            break None;
        }
    };
    println!("{} encoders at once; then: {refused:?}", held.len());
    if let Some(reason) = refused {
        assert!(reason.contains("sessions may be taken"), "{reason}");
    }
    held.clear();
    open(&gpu).unwrap();
}
