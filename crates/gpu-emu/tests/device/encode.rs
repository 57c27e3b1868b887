//! NVENC, emulated: frames of every kind in, H.264 out, and the whole way on the device.

use std::sync::Arc;
use std::time::Duration;

use trickle_gpu::{CudaBackend, CudaImage};
use trickle_media::backend::{Backend, Backends};
use trickle_media::codec::CpuBackend;
use trickle_media::coder::{RateControl, VideoEncoder, VideoEncoderSettings};
use trickle_media::frame::{FramePool, Image, PixelFormat, PlanarImage, Pool, Tensor};
use trickle_media::h264::sps::Sps;
use trickle_media::h264::{NalKind, annexb};
use trickle_media::stream::Rational;
use trickle_media::{
    AccessUnit, Codec, CodecError, ColorDescription, FrameError, Timestamp, VideoFrame,
};

use crate::decode::{facts, video};
use crate::emulated::{MACHINE, Machine, current_context};

const SIZE: (usize, usize) = (320, 180);

pub(crate) fn settings() -> VideoEncoderSettings {
    VideoEncoderSettings {
        codec: Codec::H264,
        width: SIZE.0 as u32,
        height: SIZE.1 as u32,
        bitrate: 1_500_000,
        rate_control: RateControl::Constant,
        frame_rate: Rational::new(30, 1).unwrap(),
        gop: Duration::from_secs(2),
        color: ColorDescription::BT709,
        threads: 1,
    }
}

/// A slope that moves with `number`.
pub(crate) fn picture(number: usize) -> PlanarImage {
    let mut image = PlanarImage::new(PixelFormat::Nv12, SIZE.0, SIZE.1, &Pool::new()).unwrap();
    let [luma, chroma, _] = image.planes_mut();
    for (at, sample) in luma.iter_mut().enumerate() {
        *sample = 40 + ((at % SIZE.0 + at / SIZE.0 + 8 * number) / 4 % 160) as u8;
    }
    chroma.fill(120);
    image
}

pub(crate) fn frame(image: Image, number: usize) -> VideoFrame {
    let pts = Timestamp::mpeg(3000 * number as i64);
    VideoFrame::new(image, pts, ColorDescription::BT709, FramePool::new())
}

pub(crate) fn encoder(backend: &CudaBackend) -> VideoEncoder {
    backend.open_encoder(&settings()).unwrap()
}

pub(crate) fn encode(encoder: &mut VideoEncoder, frame: VideoFrame) -> AccessUnit {
    encoder.push(frame).unwrap();
    let unit = encoder.pull().unwrap();
    assert!(encoder.pull().is_none(), "one unit a frame");
    unit
}

fn kinds(unit: &AccessUnit) -> Vec<NalKind> {
    annexb::nal_units(&unit.data)
        .map(|nal| nal.kind())
        .collect()
}

/// Mean distance of two pictures' luma.
pub(crate) fn distance(one: &[u8], other: &[u8]) -> f64 {
    assert_eq!(one.len(), other.len());
    let sum: u64 = one
        .iter()
        .zip(other)
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    sum as f64 / one.len() as f64
}

/// Luma of the units' pictures.
pub(crate) fn decoded(units: &[AccessUnit]) -> Vec<Vec<u8>> {
    let params = annexb::nal_units(&units[0].data)
        .find(|nal| nal.kind() == NalKind::SPS)
        .map(|nal| Sps::parse(nal.bytes).unwrap().video_params())
        .unwrap();
    let mut decoder = CpuBackend::new()
        .open_decoder(&params, &FramePool::new())
        .unwrap();
    let mut pictures = Vec::new();
    for unit in units {
        decoder.push(unit).unwrap();
        let (_, width, height, samples) = facts(&decoder.pull().unwrap());
        pictures.push(samples[..width * height].to_vec());
    }
    pictures
}

#[test]
fn frames_of_every_kind_become_the_same_picture() {
    MACHINE.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        let stream = backend.gpu().stream().unwrap();
        let image = picture(3);
        let on_device = stream.upload(&image).unwrap();
        let rgb = stream.to_rgb(&on_device, ColorDescription::BT709).unwrap();
        let host_rgb = frame(Image::Planar(image.clone()), 0).tensor().unwrap();
        let kinds = [
            Image::Planar(image.clone()),
            Image::Tensor(host_rgb),
            Image::Device(Arc::new(on_device)),
            Image::Device(Arc::new(rgb)),
        ];
        for kind in kinds {
            let mut encoder = encoder(&backend);
            let unit = encode(&mut encoder, frame(kind, 0));
            let far = distance(&decoded(&[unit])[0], image.plane(0));
            assert!(far < 3.0, "{far}");
        }
    });
}

#[test]
fn each_frame_gives_its_unit_at_once_with_its_time() {
    MACHINE.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        let mut encoder = encoder(&backend);
        let units: Vec<AccessUnit> = (0..10)
            .map(|number| encode(&mut encoder, frame(Image::Planar(picture(number)), number)))
            .collect();
        for (number, unit) in units.iter().enumerate() {
            let pts = Timestamp::mpeg(3000 * number as i64);
            assert_eq!((unit.pts, unit.dts, unit.keyframe), (pts, pts, number == 0));
        }
        // Pictures keep step with their frames: none is a neighbour's.
        for (number, luma) in decoded(&units).iter().enumerate() {
            let far = distance(luma, picture(number).plane(0));
            assert!(far < 3.0, "picture {number}: {far}");
        }
    });
}

#[test]
fn keyframes_come_by_time_and_when_asked_for_with_their_headers() {
    MACHINE.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        let mut encoder = encoder(&backend);
        let mut keyframes = Vec::new();
        // 3 frames a second: the 2 s are over with every sixth.
        for number in 0..14 {
            if number == 8 {
                encoder.force_keyframe();
            }
            if number == 10 {
                encoder.flush().unwrap();
            }
            let mut frame = frame(Image::Planar(picture(number)), 0);
            frame.set_pts(Timestamp::mpeg(30_000 * number as i64));
            let unit = encode(&mut encoder, frame);
            let kinds = kinds(&unit);
            assert_eq!(kinds.contains(&NalKind::IDR), unit.keyframe);
            assert_eq!(kinds.contains(&NalKind::SPS), unit.keyframe);
            assert_eq!(kinds.contains(&NalKind::PPS), unit.keyframe);
            if unit.keyframe {
                keyframes.push(number);
            }
        }
        assert_eq!(keyframes, [0, 6, 8, 10]);
    });
}

#[test]
fn the_streams_headers_say_colour_and_size() {
    MACHINE.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        for (full_range, color) in [
            (true, ColorDescription::BT601),
            (false, ColorDescription::BT709),
        ] {
            let color = ColorDescription {
                full_range,
                ..color
            };
            let settings = VideoEncoderSettings {
                color,
                ..settings()
            };
            let mut encoder = backend.open_encoder(&settings).unwrap();
            let unit = encode(&mut encoder, frame(Image::Planar(picture(0)), 0));
            let sps = annexb::nal_units(&unit.data)
                .find(|nal| nal.kind() == NalKind::SPS)
                .unwrap();
            let params = Sps::parse(sps.bytes).unwrap().video_params();
            assert_eq!(
                (params.color, params.width, params.height),
                (color, 320, 180)
            );
        }
    });
}

#[test]
fn the_whole_way_on_the_device_is_the_way_on_the_cpu() {
    MACHINE.run(|| {
        let gpu = CudaBackend::open(0).unwrap();
        let (params, units) = video("ptswrap_180p30.ts", 12);
        let color = params.color;
        let pool = FramePool::new();
        let mut decoder = gpu.open_decoder(&params, &pool).unwrap();
        let stream = gpu.gpu().stream().unwrap();
        let settings = VideoEncoderSettings {
            width: params.width,
            height: params.height,
            color,
            bitrate: 3_000_000,
            ..settings()
        };
        let mut on_gpu = gpu.open_encoder(&settings).unwrap();
        let cpu = CpuBackend::new();
        let mut cpu_decoder = cpu.open_decoder(&params, &pool).unwrap();
        let mut on_cpu = cpu.open_encoder(&settings).unwrap();

        let (mut got, mut expected) = (Vec::new(), Vec::new());
        for unit in &units {
            decoder.push(unit).unwrap();
            let frame = decoder.pull().unwrap();
            // Decoded, to RGB, back, coded: nothing of it on the host.
            let image = CudaImage::of_frame(&frame).unwrap();
            let rgb = stream.to_rgb(image, color).unwrap();
            on_gpu
                .push(frame.replace_image(Image::Device(Arc::new(rgb))))
                .unwrap();
            got.extend(on_gpu.pull());

            cpu_decoder.push(unit).unwrap();
            let frame = cpu_decoder.pull().unwrap();
            let tensor = frame.tensor().unwrap();
            on_cpu.push(frame.replace_tensor(tensor)).unwrap();
            expected.extend(on_cpu.pull());
        }
        let times =
            |units: &[AccessUnit]| -> Vec<_> { units.iter().map(|unit| unit.pts).collect() };
        assert_eq!(times(&got), times(&units));
        assert_eq!(times(&expected), times(&units));
        // Both encoders are OpenH264, told a little differently: the same pictures, not bytes.
        for (one, other) in decoded(&got).iter().zip(decoded(&expected)) {
            let far = distance(one, &other);
            assert!(far < 2.0, "{far}");
        }
    });
}

#[test]
fn a_frame_of_another_size_is_refused_and_the_encoder_goes_on() {
    MACHINE.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        let mut encoder = encoder(&backend);
        let small = Tensor::from_vec(16, 16, 3, vec![0.5; 768]).unwrap();
        let error = encoder.push(frame(Image::Tensor(small), 0)).unwrap_err();
        assert!(
            matches!(
                error,
                CodecError::Frame(FrameError::OtherSize { width: 16, .. })
            ),
            "{error}"
        );
        assert!(encode(&mut encoder, frame(Image::Planar(picture(0)), 0)).keyframe);
    });
}

#[test]
fn what_the_device_does_not_encode_is_refused_with_a_reason() {
    MACHINE.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        let refused = |settings: VideoEncoderSettings| {
            backend.open_encoder(&settings).err().unwrap().to_string()
        };
        let reason = refused(VideoEncoderSettings {
            width: 321,
            ..settings()
        });
        assert_eq!(reason, "h264 is not supported: 321×180 has an odd side");
        let reason = refused(VideoEncoderSettings {
            width: 64,
            ..settings()
        });
        assert!(
            reason.contains("64×180 is outside of what the device encodes, 145×49"),
            "{reason}"
        );
        let reason = refused(VideoEncoderSettings {
            bitrate: 0,
            ..settings()
        });
        assert!(reason.contains("the bit rate is 0 bit/s"), "{reason}");
    });
}

#[test]
fn when_all_sessions_are_taken_the_cpu_encodes() {
    MACHINE.run(|| {
        let gpu = CudaBackend::open(0).unwrap();
        let backends = Backends::new(vec![Arc::new(gpu), Arc::new(CpuBackend::new())]);
        let open = || backends.open_encoder(&settings()).unwrap();
        let held: Vec<_> = (0..3).map(|_| open()).collect();
        assert!(held.iter().all(|chosen| chosen.backend == "cuda:0"));
        let mut fourth = open();
        assert_eq!(fourth.backend, "cpu");
        let reason = fourth.passed_over[0].1.to_string();
        assert!(reason.contains("sessions may be taken"), "{reason}");
        encode(&mut fourth.codec, frame(Image::Planar(picture(0)), 0));
        drop(held);
        assert_eq!(
            open().backend,
            "cuda:0",
            "a session that was closed is free again"
        );
    });
}

#[test]
fn newer_drivers_say_that_all_sessions_are_taken_in_other_words() {
    let machine = Machine {
        settings: "one-session,new-driver",
        ..MACHINE
    };
    machine.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        let held = encoder(&backend);
        let reason = backend.open_encoder(&settings()).err().unwrap().to_string();
        assert!(
            reason.contains("NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY")
                && reason.contains("sessions may be taken"),
            "{reason}"
        );
        drop(held);
    });
}

#[test]
fn a_card_without_encoder_leaves_encoding_to_the_cpu() {
    let machine = Machine {
        settings: "no-encoder",
        ..MACHINE
    };
    machine.run(|| {
        let gpu = CudaBackend::open(0).unwrap();
        let description = gpu.describe();
        assert!(description.encoder.starts_with("the device has no encoder"));
        assert_eq!(description.decoder, "NVDEC (h264, hevc)");
        let backends = Backends::new(vec![Arc::new(gpu), Arc::new(CpuBackend::new())]);
        assert_eq!(backends.open_encoder(&settings()).unwrap().backend, "cpu");
    });
}

#[test]
fn when_the_device_dies_the_encoder_says_so_and_lets_go() {
    let machine = Machine {
        settings: "kernels-fail",
        abandons: true,
        ..MACHINE
    };
    machine.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        let mut encoder = encoder(&backend);
        encode(&mut encoder, frame(Image::Planar(picture(0)), 0));
        // A tensor needs a kernel.
        let tensor = frame(Image::Planar(picture(1)), 1).tensor().unwrap();
        let error = encoder.push(frame(Image::Tensor(tensor), 1)).unwrap_err();
        assert!(
            matches!(
                error,
                CodecError::Broken {
                    backend: "nvenc",
                    ..
                }
            ),
            "{error}"
        );
        assert!(backend.open_encoder(&settings()).is_err());
        drop((encoder, backend));
        assert_eq!(current_context(), 0);
    });
}

#[test]
fn hevc_is_asked_for_with_headers_and_keyframes() {
    // The emulator codes no HEVC: it checks what it is told, and says which picture it was.
    MACHINE.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        let settings = VideoEncoderSettings {
            codec: Codec::Hevc,
            ..settings()
        };
        let mut encoder = backend.open_encoder(&settings).unwrap();
        for number in 0..5 {
            if number == 3 {
                encoder.force_keyframe();
            }
            let unit = encode(&mut encoder, frame(Image::Planar(picture(number)), number));
            let kinds: Vec<u8> = annexb::nal_units(&unit.data)
                .map(|nal| nal.bytes[0] >> 1)
                .collect();
            let keyframe = number == 0 || number == 3;
            assert_eq!((unit.codec, unit.keyframe), (Codec::Hevc, keyframe));
            assert_eq!(
                kinds,
                if keyframe {
                    vec![32, 33, 34, 19]
                } else {
                    vec![1]
                }
            );
        }
    });
}

#[test]
fn the_bit_rate_may_be_kept_on_average() {
    MACHINE.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        for rate_control in [RateControl::Constant, RateControl::Variable] {
            let settings = VideoEncoderSettings {
                rate_control,
                ..settings()
            };
            let mut encoder = backend.open_encoder(&settings).unwrap();
            assert!(encode(&mut encoder, frame(Image::Planar(picture(0)), 0)).keyframe);
        }
    });
}

/// A picture of another size: one colour.
fn plain(width: usize, height: usize, luma: u8) -> PlanarImage {
    let mut image = PlanarImage::new(PixelFormat::Nv12, width, height, &Pool::new()).unwrap();
    let [y, chroma, _] = image.planes_mut();
    y.fill(luma);
    chroma.fill(128);
    image
}

#[test]
fn size_and_rate_change_without_a_new_encoder_and_with_a_keyframe() {
    MACHINE.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        let mut encoder = encoder(&backend);
        assert!(encode(&mut encoder, frame(Image::Planar(picture(0)), 0)).keyframe);
        assert!(!encode(&mut encoder, frame(Image::Planar(picture(1)), 1)).keyframe);
        // Larger, smaller, and another rate: a buffer of the old size would overflow, or be refused.
        let sizes = [(640, 360), (160, 90), (160, 90)];
        for (number, (width, height)) in sizes.into_iter().enumerate() {
            let settings = VideoEncoderSettings {
                width,
                height,
                bitrate: 500_000 + 100_000 * number as u32,
                ..settings()
            };
            encoder.reconfigure(&settings).unwrap();
            let image = plain(width as usize, height as usize, 60 + 40 * number as u8);
            let unit = encode(&mut encoder, frame(Image::Planar(image), 2 + number));
            assert!(unit.keyframe && kinds(&unit).contains(&NalKind::SPS));
            let shown = &decoded(&[unit])[0];
            assert_eq!(shown.len(), (width * height) as usize);
            assert!(
                shown
                    .iter()
                    .all(|luma| luma.abs_diff(60 + 40 * number as u8) < 3)
            );
        }
    });
}

#[test]
fn what_cannot_be_changed_is_left_and_the_encoder_goes_on() {
    MACHINE.run(|| {
        let backend = CudaBackend::open(0).unwrap();
        let mut encoder = encoder(&backend);
        encode(&mut encoder, frame(Image::Planar(picture(0)), 0));
        let refused = |change: fn(&mut VideoEncoderSettings)| {
            let mut wanted = settings();
            change(&mut wanted);
            wanted
        };
        for wanted in [
            refused(|settings| settings.codec = Codec::Hevc),
            refused(|settings| settings.color = ColorDescription::BT601),
            refused(|settings| settings.width = 2560),
        ] {
            assert!(encoder.reconfigure(&wanted).is_err(), "{wanted:?}");
            assert!(!encode(&mut encoder, frame(Image::Planar(picture(1)), 1)).keyframe);
        }
    });
}
