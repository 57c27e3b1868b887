//! Encoding: one unit for each frame, keyframes when they are due, the same bytes every time.

use super::super::testing::{frame, planes, psnr};
use super::*;
use crate::codec::h264::H264Decoder;
use crate::codec::openh264::OpenH264;
use crate::coder::{Decoder, RateControl};
use crate::frame::{FramePool, Image, PixelFormat, PlanarImage, Tensor};
use crate::h264::sps::Sps;
use crate::stream::{ColorDescription, Rational};

fn settings(width: u32, height: u32) -> VideoEncoderSettings {
    VideoEncoderSettings {
        codec: Codec::H264,
        width,
        height,
        bitrate: 2_000_000,
        rate_control: RateControl::Constant,
        frame_rate: Rational::new(25, 1).unwrap(),
        gop: Duration::from_secs(2),
        color: ColorDescription::BT709,
        threads: 2,
    }
}

fn open(settings: &VideoEncoderSettings) -> H264Encoder {
    H264Encoder::open(settings).unwrap()
}

/// Encodes frames, each of which must come out at once.
fn encode(
    encoder: &mut H264Encoder,
    frames: impl IntoIterator<Item = VideoFrame>,
) -> Vec<AccessUnit> {
    let push = |frame| {
        encoder.push(frame).unwrap();
        let unit = encoder.pull().expect("a unit for each frame");
        assert!(encoder.pull().is_none());
        unit
    };
    frames.into_iter().map(push).collect()
}

fn clip(width: usize, height: usize, frames: usize) -> Vec<VideoFrame> {
    let pool = FramePool::new();
    (0..frames)
        .map(|index| frame(width, height, index, &pool))
        .collect()
}

fn kinds(unit: &AccessUnit) -> Vec<NalKind> {
    nal_units(&unit.data).map(|nal| nal.kind()).collect()
}

fn sps(unit: &AccessUnit) -> Sps {
    let nal = nal_units(&unit.data).find(|nal| nal.kind() == NalKind::SPS);
    Sps::parse(nal.unwrap().bytes).unwrap()
}

fn keyframes(units: &[AccessUnit]) -> Vec<usize> {
    let keyframes = units.iter().enumerate().filter(|(_, unit)| unit.keyframe);
    keyframes.map(|(index, _)| index).collect()
}

#[test]
fn what_is_decoded_is_what_was_encoded() {
    let frames = clip(320, 180, 30);
    let mut encoder = open(&settings(320, 180));
    let units = encode(&mut encoder, frames.clone());
    let params = sps(&units[0]).video_params();
    let mut decoder = H264Decoder::<OpenH264>::open(&params, &FramePool::new()).unwrap();
    for (unit, frame) in units.iter().zip(&frames) {
        assert_eq!((unit.pts, unit.dts), (frame.pts(), frame.pts()));
        decoder.push(unit).unwrap();
        let decoded = decoder.pull().expect("a frame for each unit, at once");
        assert_eq!(decoded.pts(), frame.pts());
        assert_eq!(decoded.color(), ColorDescription::BT709);
        let psnr = psnr(planes(&decoded), planes(frame));
        assert!(psnr >= 35.0, "{psnr:.1} dB at {}", frame.pts());
    }
}

#[test]
fn keyframes_bring_their_parameter_sets_and_nothing_else_is_added() {
    let units = encode(&mut open(&settings(320, 360)), clip(320, 360, 3));
    let idr = [NalKind::SPS, NalKind::PPS, NalKind::IDR, NalKind::IDR];
    assert_eq!(kinds(&units[0]), idr, "a slice for each thread");
    for unit in &units[1..] {
        assert_eq!(kinds(unit), [NalKind::SLICE, NalKind::SLICE]);
    }
}

#[test]
fn the_parameter_set_states_what_players_ask_for() {
    let mut settings = settings(1280, 720);
    settings.color.full_range = true;
    settings.frame_rate = Rational::new(60_000, 1001).unwrap();
    let units = encode(&mut open(&settings), clip(1280, 720, 1));
    let sps = sps(&units[0]);
    assert_eq!((sps.profile, sps.level), (77, 32), "720p59.94 is level 3.2");
    assert_eq!((sps.width, sps.height), (1280, 720));
    let params = sps.video_params();
    assert_eq!(params.color, settings.color);
    assert_eq!(params.frame_rate, Some(settings.frame_rate));
    assert_eq!(params.reorder, Some(0));
    assert!(!params.interlaced);
}

#[test]
fn an_unspecified_colour_stays_unspecified() {
    let mut settings = settings(64, 64);
    settings.color = ColorDescription::UNSPECIFIED;
    let units = encode(&mut open(&settings), clip(64, 64, 1));
    let color = sps(&units[0]).video_params().color;
    assert_eq!(color, ColorDescription::UNSPECIFIED);
}

#[test]
fn keyframes_come_by_presentation_time() {
    let mut encoder = open(&settings(64, 64));
    assert_eq!(
        keyframes(&encode(&mut encoder, clip(64, 64, 101))),
        [0, 50, 100]
    );
    // Frames half a second apart: every fourth.
    let slow = clip(64, 64, 9)
        .into_iter()
        .enumerate()
        .map(|(index, mut frame)| {
            frame.set_pts(Timestamp::mpeg(900_000 + 45_000 * index as i64));
            frame
        });
    let mut encoder = open(&settings(64, 64));
    assert_eq!(keyframes(&encode(&mut encoder, slow)), [0, 4, 8]);
}

#[test]
fn time_that_jumps_back_starts_with_a_keyframe() {
    let mut frames = clip(64, 64, 6);
    frames[3].set_pts(Timestamp::mpeg(-90_000));
    frames[4].set_pts(Timestamp::mpeg(-86_400));
    frames[5].set_pts(Timestamp::mpeg(-82_800));
    assert_eq!(
        keyframes(&encode(&mut open(&settings(64, 64)), frames)),
        [0, 3]
    );
}

#[test]
fn a_keyframe_comes_when_asked_for_and_starts_the_interval_anew() {
    let mut encoder = open(&settings(64, 64));
    let mut frames = clip(64, 64, 60).into_iter();
    assert_eq!(
        keyframes(&encode(&mut encoder, frames.by_ref().take(5))),
        [0]
    );
    encoder.force_keyframe();
    assert_eq!(keyframes(&encode(&mut encoder, frames)), [0, 50]);
}

#[test]
fn a_frame_of_another_size_is_refused_and_the_next_is_encoded() {
    let mut encoder = open(&settings(320, 180));
    let [small] = <[VideoFrame; 1]>::try_from(clip(64, 64, 1)).unwrap();
    let error = encoder.push(small).unwrap_err();
    assert!(matches!(error, CodecError::Frame(_)), "{error}");
    assert!(error.to_string().contains("64×64"), "{error}");
    assert_eq!(encode(&mut encoder, clip(320, 180, 2)).len(), 2);
}

#[test]
fn odd_sides_gain_a_copy_of_the_last_column_and_row() {
    let units = encode(&mut open(&settings(161, 91)), clip(161, 91, 2));
    let sps = sps(&units[0]);
    assert_eq!((sps.width, sps.height), (162, 92));
    assert_eq!((sps.coded_width, sps.coded_height), (176, 96));
}

#[test]
fn layouts_of_the_same_picture_give_the_same_bytes() {
    let frames = clip(64, 48, 3);
    let interleaved = frames.iter().map(|frame| {
        let from = planes(frame);
        let mut image = PlanarImage::new(PixelFormat::Nv12, 64, 48, &frame.pool().bytes).unwrap();
        let [luma, chroma, _] = image.planes_mut();
        luma.copy_from_slice(from.plane(0));
        let pairs = from.plane(1).iter().zip(from.plane(2));
        for (to, (u, v)) in chroma.chunks_exact_mut(2).zip(pairs) {
            to.copy_from_slice(&[*u, *v]);
        }
        frame.clone().replace_image(Image::Planar(image))
    });
    let interleaved = encode(&mut open(&settings(64, 48)), interleaved);
    let planar = encode(&mut open(&settings(64, 48)), frames.clone());
    for (one, other) in planar.iter().zip(&interleaved) {
        assert_eq!(one.data, other.data);
    }
}

#[test]
fn tensors_are_encoded_in_the_settings_colour() {
    let gray = Tensor::from_vec(48, 64, 3, vec![0.5; 48 * 64 * 3]).unwrap();
    let frame = clip(64, 48, 1).remove(0).replace_tensor(gray);
    let units = encode(&mut open(&settings(64, 48)), [frame]);
    let params = sps(&units[0]).video_params();
    let mut decoder = H264Decoder::<OpenH264>::open(&params, &FramePool::new()).unwrap();
    decoder.push(&units[0]).unwrap();
    let decoded = decoder.pull().unwrap();
    // 16 + 219 / 2 of luma, and no colour.
    assert!(
        planes(&decoded)
            .plane(0)
            .iter()
            .all(|y| y.abs_diff(126) <= 2)
    );
    assert!(
        planes(&decoded)
            .plane(1)
            .iter()
            .all(|u| u.abs_diff(128) <= 1)
    );
}

#[test]
fn the_same_frames_give_the_same_bytes_however_busy_the_machine_is() {
    let encoded = |threads| {
        let settings = VideoEncoderSettings {
            threads,
            // High enough for four slices.
            ..settings(160, 704)
        };
        encode(&mut open(&settings), clip(160, 704, 20))
            .into_iter()
            .map(|unit| unit.data)
            .collect::<Vec<_>>()
    };
    for threads in [1, 2, 4] {
        let alone = encoded(threads);
        // More encoders than cores, all at once.
        let crowded = std::thread::scope(|scope| {
            let encoders: Vec<_> = (0..8).map(|_| scope.spawn(|| encoded(threads))).collect();
            let results = encoders.into_iter().map(|encoder| encoder.join().unwrap());
            results.collect::<Vec<_>>()
        });
        for units in crowded {
            assert!(units == alone, "{threads} threads");
        }
    }
}

#[test]
fn the_number_of_cores_does_not_change_the_bytes() {
    for slices in [1, 2, 4] {
        let settings = VideoEncoderSettings {
            threads: slices,
            ..settings(160, 704)
        };
        let encoded = |threads| {
            let mut encoder = H264Encoder::open_with(&settings, threads).unwrap();
            let units = encode(&mut encoder, clip(160, 704, 10));
            units.into_iter().map(|unit| unit.data).collect::<Vec<_>>()
        };
        let on_four = encoded(4);
        for cores in [1, 2, 3] {
            assert!(encoded(cores) == on_four, "{slices} slices, {cores} cores");
        }
    }
}

#[test]
fn a_picture_has_a_slice_for_each_thread_as_far_as_it_is_high_enough() {
    let slices = |height, threads| {
        let settings = VideoEncoderSettings {
            threads,
            ..settings(64, height)
        };
        let units = encode(&mut open(&settings), clip(64, height as usize, 1));
        let nals = nal_units(&units[0].data);
        nals.filter(|nal| nal.kind().is_slice()).count()
    };
    assert_eq!([1, 2, 4].map(|threads| slices(720, threads)), [1, 2, 4]);
    let of_four_threads = [180, 360, 540, 720, 1080].map(|height| slices(height, 4));
    assert_eq!(of_four_threads, [1, 2, 3, 4, 4]);
}

#[test]
fn the_bit_rate_is_kept() {
    // Four seconds of a scene that would take more.
    for bitrate in [60_000, 100_000] {
        let settings = VideoEncoderSettings {
            bitrate,
            ..settings(320, 180)
        };
        let units = encode(&mut open(&settings), clip(320, 180, 100));
        let bytes: usize = units.iter().map(|unit| unit.data.len()).sum();
        let rate = 2.0 * bytes as f64 / f64::from(bitrate);
        assert!((0.8..1.2).contains(&rate), "{rate:.2} of {bitrate} bit/s");
    }
}

#[test]
fn settings_that_cannot_be_encoded_are_refused_with_what_and_why() {
    let refused = |change: fn(&mut VideoEncoderSettings)| {
        let mut settings = settings(320, 180);
        change(&mut settings);
        match H264Encoder::open(&settings) {
            Ok(_) => panic!("{settings:?} was taken"),
            Err(unsupported) => unsupported.to_string(),
        }
    };
    assert!(refused(|settings| settings.width = 15).contains("15×180"));
    assert!(refused(|settings| settings.height = 0).contains("320×0"));
    assert!(refused(|settings| (settings.width, settings.height) = (8192, 8192)).contains("8192"));
    assert!(refused(|settings| settings.bitrate = 0).contains("0 bit/s"));
    assert!(refused(|settings| settings.bitrate = u32::MAX).contains("bit/s"));
}

#[test]
fn every_small_size_opens() {
    for (width, height) in [
        (16, 16),
        (17, 16),
        (48, 32),
        (128, 96),
        (16, 720),
        (1280, 16),
    ] {
        let settings = VideoEncoderSettings {
            threads: 4,
            ..settings(width, height)
        };
        let frames = clip(width as usize, height as usize, 2);
        assert_eq!(
            encode(&mut open(&settings), frames).len(),
            2,
            "{width}×{height}"
        );
    }
}
