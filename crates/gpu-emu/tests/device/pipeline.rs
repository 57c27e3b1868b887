//! The session's stages, from a file to a file, on the emulated device and on the CPU: the same
//! pictures at the same times, wherever each stage is.

use std::io::Cursor;
use std::sync::{Arc, Mutex};

use serde_json::json;
use trickle_example_cuda_kernel::Vignette;
use trickle_gpu::{Choice, CudaBackend};
use trickle_media::backend::{Backend, BackendDescription, Backends};
use trickle_media::codec::CpuBackend;
use trickle_media::coder::{
    Encoder, RateControl, VideoDecoder, VideoEncoder, VideoEncoderSettings,
};
use trickle_media::convert;
use trickle_media::frame::{FramePool, Image, PixelFormat};
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};
use trickle_media::{
    AccessUnit, Codec, CodecError, ColorDescription, Timestamp, Unsupported, VideoFrame,
    VideoParams,
};
use trickle_processor::builtin::{Grayscale, Invert, Passthrough, Tint};
use trickle_processor::{Params, ProcessorError, SharedModel, erase};
use trickle_session::EndReason;
use trickle_session::feed::{MediaReader, ReadOptions};
use trickle_session::offline::{self, OfflineConfig, OfflineError, OfflineSummary};
use trickle_testkit::clip_bytes;

use crate::emulated::{MACHINE, Machine};

const CLIP: &str = "ptswrap_180p30.ts";
/// Frames of the clip that are compared, where the way through the stages is what is tested.
const FRAMES: usize = 30;
/// Frames that are enough to compare what is done to each.
const FEW: usize = 8;
/// Bytes of a transport stream's packet.
const PACKET: usize = 188;

fn reader(stream: Vec<u8>) -> MediaReader {
    let open = move || Ok(Cursor::new(stream.clone()));
    MediaReader::open(ReadOptions::default(), open).unwrap()
}

/// A picture that reached the encoder.
#[derive(Clone)]
struct Seen {
    pts: Timestamp,
    on_device: bool,
    size: (usize, usize),
    /// NV12.
    samples: Vec<u8>,
}

/// A backend that remembers what its encoders were given.
#[derive(Clone)]
struct Recorder {
    inner: Arc<dyn Backend>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl Recorder {
    fn new(inner: impl Backend + 'static) -> Self {
        Self {
            inner: Arc::new(inner),
            seen: Arc::default(),
        }
    }
}

impl Backend for Recorder {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn describe(&self) -> BackendDescription {
        self.inner.describe()
    }

    fn open_decoder(
        &self,
        params: &VideoParams,
        pool: &FramePool,
    ) -> Result<VideoDecoder, Unsupported> {
        self.inner.open_decoder(params, pool)
    }

    fn open_encoder(&self, settings: &VideoEncoderSettings) -> Result<VideoEncoder, Unsupported> {
        Ok(Box::new(Recording {
            inner: self.inner.open_encoder(settings)?,
            color: settings.color,
            seen: Arc::clone(&self.seen),
        }))
    }
}

struct Recording {
    inner: VideoEncoder,
    color: ColorDescription,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Encoder for Recording {
    type Frame = VideoFrame;

    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn push(&mut self, frame: VideoFrame) -> Result<(), CodecError> {
        // The encoder first: a download waits for work that the encoder must wait for by itself.
        self.inner.push(frame.clone())?;
        self.seen.lock().unwrap().push(seen(frame, self.color));
        Ok(())
    }

    fn pull(&mut self) -> Option<AccessUnit> {
        self.inner.pull()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        self.inner.flush()
    }

    fn force_keyframe(&mut self) {
        self.inner.force_keyframe();
    }
}

fn seen(frame: VideoFrame, color: ColorDescription) -> Seen {
    let (on_device, pts) = (frame.device().is_some(), frame.pts());
    let frame = frame.to_host().unwrap();
    let image = match frame.image() {
        Image::Planar(image) => image.clone(),
        Image::Tensor(tensor) => {
            convert::tensor_to_planar(tensor, PixelFormat::Nv12, color, frame.pool()).unwrap()
        }
        Image::Device(_) => panic!("still on the device"),
    };
    Seen {
        pts,
        on_device,
        size: (frame.width(), frame.height()),
        samples: crate::decode::samples(&image),
    }
}

fn is_picture(event: &DemuxEvent) -> bool {
    matches!(event, DemuxEvent::Unit(unit) if unit.codec == Codec::H264)
}

/// The clip up to its picture number `count`, in whole packets.
fn clip(count: usize) -> Vec<u8> {
    let bytes = clip_bytes(CLIP);
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    let mut pictures = 0;
    for (number, packet) in bytes.chunks(PACKET).enumerate() {
        demuxer.push(packet, None);
        while let Some(event) = demuxer.next_event() {
            pictures += usize::from(is_picture(&event));
        }
        if pictures == count {
            return bytes[..(number + 1) * PACKET].to_vec();
        }
    }
    bytes
}

fn process(
    backends: &Backends,
    model: &SharedModel,
    params: &serde_json::Value,
    count: usize,
) -> Result<(Vec<u8>, OfflineSummary), OfflineError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let config = OfflineConfig {
        params: Params(params.as_object().unwrap().clone()),
        ..OfflineConfig::default()
    };
    let source = reader(clip(count));
    let mut output = Vec::new();
    let summary = offline::process(
        &config,
        model,
        backends,
        runtime.handle(),
        source,
        &mut output,
        |_| {},
    )?;
    Ok((output, summary))
}

/// Presentation times of a transport stream's pictures.
fn times(stream: &[u8]) -> Vec<i64> {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(stream, None);
    demuxer.finish();
    let mut times = Vec::new();
    while let Some(event) = demuxer.next_event() {
        match event {
            DemuxEvent::Unit(unit) if unit.codec == Codec::H264 => times.push(unit.pts.ticks),
            _ => {}
        }
    }
    times
}

/// A processor that knows of the host only.
fn halve() -> SharedModel {
    erase(
        |frame: VideoFrame| -> Result<Option<VideoFrame>, ProcessorError> {
            assert!(frame.device().is_none());
            let frame = frame.map_tensor(|values, _| values.iter_mut().for_each(|v| *v *= 0.5))?;
            Ok(Some(frame))
        },
    )
}

/// Where the two sides of a session are.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Cpu,
    Gpu,
}

/// Runs the clip both ways and compares what the encoders saw and what came out.
fn same_as_cpu(
    model: &SharedModel,
    params: &serde_json::Value,
    (decode, encode): (At, At),
    count: usize,
    farthest: u8,
) -> Vec<Seen> {
    let on_cpu = Recorder::new(CpuBackend::new());
    let cpu_table = Backends::new(vec![Arc::new(on_cpu.clone())]);
    let (expected, _) = process(&cpu_table, model, params, count).unwrap();

    let gpu = Recorder::new(CudaBackend::open(0).unwrap());
    let cpu = Recorder {
        inner: Arc::new(CpuBackend::new()),
        seen: Arc::clone(&gpu.seen),
    };
    let table = |at| -> Vec<Arc<dyn Backend>> {
        match at {
            At::Cpu => vec![Arc::new(cpu.clone())],
            At::Gpu => vec![Arc::new(gpu.clone()), Arc::new(cpu.clone())],
        }
    };
    let backends = Backends::split(table(decode), table(encode));
    let (got, summary) = process(&backends, model, params, count).unwrap();
    let name = |at| match at {
        At::Cpu => "cpu",
        At::Gpu => "cuda:0",
    };
    assert_eq!(summary.decoder.unwrap().backend, name(decode));
    assert_eq!(summary.encoder.unwrap().backend, name(encode));
    assert_eq!(
        (summary.frames.out, summary.frames.dropped.total()),
        (count as u64, 0)
    );

    assert_eq!(times(&got), times(&expected));
    let got = gpu.seen.lock().unwrap().clone();
    let expected = on_cpu.seen.lock().unwrap();
    assert_eq!((got.len(), expected.len()), (count, count));
    for (at, (got, expected)) in got.iter().zip(expected.iter()).enumerate() {
        assert_eq!(
            (got.pts, got.size),
            (expected.pts, expected.size),
            "frame {at}"
        );
        let pairs = got.samples.iter().zip(&expected.samples);
        let far = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(far <= farthest, "frame {at} is off by {far}");
    }
    got
}

#[test]
fn a_stream_that_nobody_touches_stays_on_the_device_bit_for_bit() {
    MACHINE.run(|| {
        let model = erase(Passthrough);
        let seen = same_as_cpu(&model, &json!({}), (At::Gpu, At::Gpu), FRAMES, 0);
        assert!(seen.iter().all(|seen| seen.on_device));
    });
}

#[test]
fn built_in_processors_work_on_the_device_as_on_the_cpu() {
    MACHINE.run(|| {
        let tint = json!({"color": [0.1, 0.9, 0.4], "strength": 0.6});
        for (model, params, count) in [
            (erase(Grayscale), json!({}), FRAMES),
            (erase(Invert), json!({}), FEW),
            (erase(Tint::default()), tint, FEW),
        ] {
            let seen = same_as_cpu(&model, &params, (At::Gpu, At::Gpu), count, 1);
            assert!(seen.iter().all(|seen| seen.on_device));
        }
    });
}

#[test]
fn a_processor_with_a_kernel_of_its_own_works_on_the_device_as_on_the_host() {
    MACHINE.run(|| {
        let model = erase(Vignette::default());
        let params = json!({"strength": 0.8});
        let seen = same_as_cpu(&model, &params, (At::Gpu, At::Gpu), FEW, 1);
        assert!(seen.iter().all(|seen| seen.on_device));
        // The model keeps no code: each session's processor has its own, which has gone with it.
        let (width, height) = seen[0].size;
        let luma = |x: usize, y: usize| u32::from(seen[0].samples[y * width + x]);
        let around = |x: usize, y: usize| luma(x, y) + luma(x + 1, y) + luma(x, y + 1);
        assert!(around(0, 0) < around(width / 2, height / 2));
    });
}

#[test]
fn frames_are_scaled_on_the_device() {
    MACHINE.run(|| {
        let params = json!({"width": 192, "height": 144});
        let seen = same_as_cpu(&erase(Passthrough), &params, (At::Gpu, At::Gpu), FEW, 1);
        assert!(
            seen.iter()
                .all(|seen| seen.on_device && seen.size == (192, 144))
        );
    });
}

#[test]
fn a_processor_of_the_host_gets_its_frames_there() {
    MACHINE.run(|| {
        let seen = same_as_cpu(&halve(), &json!({}), (At::Gpu, At::Gpu), FEW, 1);
        assert!(seen.iter().all(|seen| !seen.on_device));
    });
}

#[test]
fn a_card_that_only_decodes_works_with_the_cpus_encoder() {
    let machine = Machine {
        settings: "no-encoder",
        ..MACHINE
    };
    machine.run(|| {
        let seen = same_as_cpu(&erase(Grayscale), &json!({}), (At::Gpu, At::Cpu), FEW, 1);
        assert!(seen.iter().all(|seen| seen.on_device));
    });
}

#[test]
fn a_stream_decoded_on_the_cpu_can_be_encoded_on_the_device() {
    MACHINE.run(|| {
        same_as_cpu(&erase(Grayscale), &json!({}), (At::Cpu, At::Gpu), FEW, 0);
    });
}

#[test]
fn when_the_device_dies_the_session_goes_on_with_the_cpu_at_its_next_keyframe() {
    let machine = Machine {
        settings: "dies-at-tenth-picture",
        abandons: true,
        ..MACHINE
    };
    machine.run(|| {
        let backends = trickle_gpu::backends(Choice::Auto, Choice::Auto).unwrap();
        let (output, summary) =
            process(&backends, &erase(Grayscale), &json!({}), usize::MAX).unwrap();
        let (decoder, encoder) = (summary.decoder.unwrap(), summary.encoder.unwrap());
        assert_eq!(
            (decoder.backend.as_str(), encoder.backend.as_str()),
            ("cpu", "cpu")
        );
        let reason = "cuda:0 is unusable until the process ends";
        assert!(decoder.passed_over[0].contains(reason), "{decoder:?}");
        assert!(encoder.passed_over[0].contains(reason), "{encoder:?}");
        assert_eq!(summary.faults.decoder_restarts, 1);
        // What was on the device is gone, and all that needed a decoder until the keyframe.
        let frames = summary.frames;
        assert_eq!(frames.received, frames.out + frames.dropped.total());
        let (_, units) = crate::decode::video(CLIP, usize::MAX);
        let next = units[1..].iter().position(|unit| unit.keyframe).unwrap() + 1;
        let after = (units.len() - next) as u64;
        assert!(frames.out >= after && frames.out <= after + 9, "{frames:?}");
        // That the encoder was given when it found out.
        assert!(frames.dropped.encoder_error <= 1, "{frames:?}");
        let times = times(&output);
        assert!(times.is_sorted_by(|one, other| one < other));
    });
}

#[test]
fn kernels_that_fail_cost_the_device_and_not_the_session() {
    let machine = Machine {
        settings: "kernels-fail",
        abandons: true,
        ..MACHINE
    };
    machine.run(|| {
        let backends = trickle_gpu::backends(Choice::Auto, Choice::Auto).unwrap();
        let (_, summary) = process(&backends, &erase(Grayscale), &json!({}), usize::MAX).unwrap();
        assert_eq!(summary.decoder.unwrap().backend, "cpu");
        assert!(summary.frames.out > 0);
        let frames = summary.frames;
        // That the encoder was given when it found out.
        assert!(frames.dropped.encoder_error <= 1, "{frames:?}");
        assert_eq!(frames.received, frames.out + frames.dropped.total());
    });
}

/// Why `backends` do not decode the clip.
fn refusal(backends: &Backends, clip: &str) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let result = offline::process(
        &OfflineConfig::default(),
        &erase(Passthrough),
        backends,
        runtime.handle(),
        reader(clip_bytes(clip)),
        std::io::sink(),
        |_| {},
    );
    match result {
        Err(OfflineError::Ended(EndReason::VideoRefused(reason))) => reason,
        result => panic!("{result:?}"),
    }
}

#[test]
fn a_stream_that_nobody_can_decode_says_what_every_backend_said() {
    MACHINE.run(|| {
        let backends = trickle_gpu::backends(Choice::Cuda(Some(0)), Choice::Auto).unwrap();
        // The CPU decodes 10 bits of H.264, and nothing of H.265.
        let reason = refusal(&backends, "hevc_main10.ts");
        assert!(
            reason.contains("cuda:0: hevc is not supported: 10 bits per sample"),
            "{reason}"
        );
        assert!(reason.contains("cpu: "), "{reason}");
    });
}

#[test]
fn hevc_is_offered_to_the_device_which_the_cpu_could_not_decode() {
    MACHINE.run(|| {
        let backends = trickle_gpu::backends(Choice::Auto, Choice::Auto).unwrap();
        let reason = refusal(&backends, "hevc_240p25.ts");
        // The emulator parses no HEVC: that it was asked to is what is seen here.
        assert!(
            reason.contains("cuda:0: hevc is not supported: cuvidCreateVideoParser"),
            "{reason}"
        );
    });
}

#[test]
fn a_session_encodes_hevc_where_the_device_does() {
    MACHINE.run(|| {
        let backends = trickle_gpu::backends(Choice::Auto, Choice::Auto).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut config = OfflineConfig::default();
        config.encode.codec = Codec::Hevc;
        config.encode.rate_control = RateControl::Variable;
        let mut output = Vec::new();
        let summary = offline::process(
            &config,
            &erase(Passthrough),
            &backends,
            runtime.handle(),
            reader(clip(FEW)),
            &mut output,
            |_| {},
        )
        .unwrap();
        assert_eq!(summary.frames.out, FEW as u64);
        let mut demuxer = Demuxer::new(DemuxOptions::default());
        demuxer.push(&output, None);
        demuxer.finish();
        let mut keyframes = Vec::new();
        while let Some(event) = demuxer.next_event() {
            match event {
                DemuxEvent::Unit(unit) if unit.codec == Codec::Hevc => {
                    keyframes.push(unit.keyframe);
                }
                _ => {}
            }
        }
        assert_eq!(keyframes.len(), FEW);
        assert!(keyframes[0] && !keyframes[1]);
    });
}
