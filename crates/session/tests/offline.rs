//! Files through the stages of a session: every clip, nothing lost, the same bytes every time.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;
mod unusual;

use std::io::Cursor;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use common::{audio_codec, decode, model, plane, psnr, read, times_from_first};
use serde_json::json;
use tokio::runtime::Runtime;
use trickle_media::access_unit::Codec;
use trickle_media::codec::open_audio_decoder;
use trickle_media::frame::FramePool;
use trickle_media::stream::StreamParams;
use trickle_media::{AudioFrame, Backends, VideoFrame};
use trickle_processor::{FrameProcessor, ProcessorError, erase};
use trickle_session::feed::{MediaReader, ReadOptions};
use trickle_session::offline::{OfflineConfig, OfflineError, OfflineSummary, process};
use trickle_session::{AudioMode, AudioRoute, EndReason};
use trickle_testkit::clip_bytes;

fn source(file: Vec<u8>) -> MediaReader {
    let open = move || Ok(Cursor::new(file.clone()));
    MediaReader::open(ReadOptions::default(), open).expect("a readable clip")
}

fn run_with(
    config: &OfflineConfig,
    processor: &str,
    clip: &str,
) -> (Vec<u8>, Result<OfflineSummary, OfflineError>) {
    run_file(config, processor, clip_bytes(clip))
}

fn run_file(
    config: &OfflineConfig,
    processor: &str,
    file: Vec<u8>,
) -> (Vec<u8>, Result<OfflineSummary, OfflineError>) {
    let runtime = Runtime::new().expect("a runtime");
    let mut output = Vec::new();
    let source = source(file);
    let result = process(
        config,
        &model(processor),
        &Backends::default(),
        runtime.handle(),
        source,
        &mut output,
        |_| {},
    );
    (output, result)
}

fn run(clip: &str) -> (Vec<u8>, OfflineSummary) {
    let (output, result) = run_with(&OfflineConfig::default(), "passthrough", clip);
    (
        output,
        result.unwrap_or_else(|error| panic!("{clip}: {error}")),
    )
}

/// Every picture of the input is in the output, at its time, and looks the same.
fn check_whole(clip: &str, least_psnr: f64) -> (Vec<u8>, OfflineSummary) {
    let (output, summary) = run(clip);
    let (before, after) = (read(&clip_bytes(clip)), read(&output));
    assert_eq!(after.faults, Vec::<String>::new(), "{clip}");
    assert_eq!(after.video.len(), before.video.len(), "{clip}");
    assert_eq!(
        times_from_first(&after.video),
        times_from_first(&before.video),
        "{clip}"
    );
    assert_eq!(summary.frames.dropped.total(), 0, "{clip}");
    let (before, after) = (decode(&before.video), decode(&after.video));
    assert_eq!(after.len(), before.len(), "{clip}");
    for (number, (before, after)) in before.iter().zip(&after).enumerate() {
        assert_eq!(
            (before.width(), before.height()),
            (after.width(), after.height()),
            "{clip}, picture {number}"
        );
        let quality = psnr(plane(before, 0), plane(after, 0));
        assert!(
            quality >= least_psnr,
            "{clip}, picture {number}: {quality:.1} dB"
        );
    }
    (output, summary)
}

#[test]
fn pictures_that_are_shown_in_another_order_than_coded() {
    let (output, summary) = check_whole("bframes_360p30_high_aac.ts", 28.0);
    assert_eq!(summary.audio.route, AudioRoute::Transcoded);
    assert_eq!(audio_codec(&read(&output)), Some(Codec::Opus));
}

#[test]
fn odd_sizes_without_sound() {
    let (_, summary) = check_whole("crop_854x482_videoonly.ts", 28.0);
    assert_eq!(summary.audio.route, AudioRoute::None);
}

#[test]
fn portrait_with_mono_sound_of_44_khz() {
    let (output, _) = check_whole("portrait_360x640_aac44k_mono.ts", 28.0);
    let sound = read(&output).audio;
    // 20 ms each, without a gap.
    let times = times_from_first(&sound);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 1800));
}

/// Of sound that comes long after its pictures nothing is known when the output begins.
#[test]
fn mono_sound_that_comes_late_is_whole() {
    let clip = "late_mono_aac.ts";
    let (output, _) = run(clip);
    let (before, after) = (read(&clip_bytes(clip)), read(&output));
    let begins = |read: &common::Read| {
        let micros = |pts: trickle_media::Timestamp| pts.in_base(trickle_media::TimeBase::MICROS);
        micros(read.audio[0].pts) - micros(read.video[0].pts)
    };
    assert!((begins(&after) - begins(&before)).abs() < 50_000);
    let before = before.audio.len() as f64 * 1_024.0 / 24_000.0;
    let after = after.audio.len() as f64 * 0.02;
    assert!((after - before).abs() < 0.1, "{before} s became {after} s");
}

#[test]
fn timestamps_that_wrap() {
    check_whole("ptswrap_180p30.ts", 28.0);
}

#[test]
fn a_variable_frame_rate() {
    check_whole("vfr_240p.ts", 28.0);
}

#[test]
fn a_change_of_size() {
    let (_, summary) = check_whole("reschange_360p_to_240p.ts", 28.0);
    assert_eq!(summary.encoder.map(|encoder| encoder.opened), Some(2));
}

#[test]
fn sound_alone() {
    let clip = "audioonly_opus.ts";
    let (output, _) = run(clip);
    let (before, after) = (read(&clip_bytes(clip)), read(&output));
    assert!(after.video.is_empty());
    let bytes = |read: &common::Read| -> Vec<_> {
        read.audio.iter().map(|unit| unit.data.clone()).collect()
    };
    assert_eq!(bytes(&after), bytes(&before));
    assert_eq!(
        times_from_first(&after.audio),
        times_from_first(&before.audio)
    );
}

#[test]
fn sound_that_nobody_here_decodes_is_copied_untouched() {
    let config = OfflineConfig {
        audio: AudioMode::Copy,
        ..OfflineConfig::default()
    };
    for (clip, codec) in [
        ("mp2_mono.ts", Codec::Mpeg),
        ("ac3_51.ts", Codec::Ac3),
        ("aac_latm.ts", Codec::Aac),
    ] {
        let (output, result) = run_with(&config, "passthrough", clip);
        assert_eq!(
            result.expect("it goes through").audio.route,
            AudioRoute::Copied
        );
        let (before, after) = (read(&clip_bytes(clip)), read(&output));
        assert_eq!(audio_codec(&after), Some(codec));
        let bytes = |read: &common::Read| -> Vec<u8> {
            let units = read.audio.iter().map(|unit| unit.data.to_vec());
            units.collect::<Vec<_>>().concat()
        };
        assert_eq!(bytes(&after), bytes(&before), "{clip}");
        assert_eq!(
            times_from_first(&after.audio),
            times_from_first(&before.audio),
            "{clip}"
        );
    }
}

#[test]
fn sound_becomes_aac_where_that_is_asked_for() {
    let config = OfflineConfig {
        audio: AudioMode::Aac,
        ..OfflineConfig::default()
    };
    let (output, result) = run_with(&config, "passthrough", "audioonly_opus.ts");
    assert_eq!(
        result.expect("it goes through").audio.route,
        AudioRoute::Transcoded
    );
    assert_eq!(audio_codec(&read(&output)), Some(Codec::Aac));
    let ratio = loudness(&output) / loudness(&clip_bytes("audioonly_opus.ts"));
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
}

#[test]
fn damage_is_counted_and_the_rest_goes_through() {
    for clip in [
        "damaged_bitflips.ts",
        // Every keyframe of it lacks packets: one of them is made do with.
        "damaged_lost_packets.ts",
        "damaged_garbage_inside.ts",
    ] {
        let (output, summary) = run(clip);
        let after = read(&output);
        assert_eq!(after.faults, Vec::<String>::new(), "{clip}");
        assert!(!after.video.is_empty(), "{clip}");
        assert!(!after.audio.is_empty(), "{clip}");
        assert_eq!(after.video.len() as u64, summary.frames.out, "{clip}");
        assert!(
            summary.faults.transport + summary.faults.damaged_pictures > 0,
            "{clip}"
        );
        assert_eq!(
            summary.frames.received,
            summary.frames.out + summary.frames.dropped.total(),
            "{clip}: every picture is accounted for"
        );
    }
}

#[test]
fn what_cannot_be_decoded_is_refused_with_the_reason() {
    let (_, result) = run_with(&OfflineConfig::default(), "passthrough", "hevc_240p25.ts");
    match result {
        Err(OfflineError::Ended(EndReason::VideoRefused(reason))) => {
            assert!(reason.contains("hevc"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn interlaced_and_ten_bit_pictures_go_through() {
    for clip in ["interlaced_576i.ts", "h264_high10_240p25.ts"] {
        let (output, summary) = check_whole(clip, 28.0);
        assert!(!read(&output).video.is_empty());
        assert_eq!(
            summary.decoder.map(|decoder| decoder.name),
            Some("rust_h264".into()),
            "{clip}"
        );
    }
}

#[test]
fn what_is_no_media_is_refused() {
    let runtime = Runtime::new().expect("a runtime");
    let result = process(
        &OfflineConfig::default(),
        &model("passthrough"),
        &Backends::default(),
        runtime.handle(),
        // Packets of a PID that no table speaks of.
        source(
            [0x47u8, 1]
                .into_iter()
                .chain([0x11; 186])
                .cycle()
                .take(18_800)
                .collect(),
        ),
        Vec::new(),
        |_| {},
    );
    assert!(matches!(
        result,
        Err(OfflineError::Ended(EndReason::NoStreams(_)))
    ));
}

/// The same bytes, whatever else the machine does meanwhile.
#[test]
fn the_output_is_the_same_under_load() {
    let clip = "bframes_360p30_high_aac.ts";
    let (quiet, _) = run(clip);
    let stop = AtomicBool::new(false);
    let busy = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let (busy, _) = run(clip);
        stop.store(true, Ordering::Relaxed);
        busy
    });
    assert!(quiet == busy, "{} and {} bytes", quiet.len(), busy.len());
}

#[test]
fn an_mp4_file_gives_what_its_transport_stream_gives() {
    let (output, summary) = run("bunny_720p25_main_aac51.mp4");
    let after = read(&output);
    let before = read(&clip_bytes("bunny_720p25_main_aac51.ts"));
    assert_eq!(
        times_from_first(&after.video),
        times_from_first(&before.video)
    );
    assert_eq!(summary.frames.dropped.total(), 0);
    assert_eq!(audio_codec(&after), Some(Codec::Opus));
    // Sound and pictures end together, within a packet or two.
    let end = |units: &[trickle_media::AccessUnit]| units.last().map_or(0, |unit| unit.pts.ticks);
    assert!((end(&after.video) - end(&after.audio)).abs() < 90 * 100);
}

#[test]
fn a_lower_frame_rate_and_another_size() {
    let config = OfflineConfig {
        params: serde_json::from_value(json!({"max_framerate": 10, "width": 160, "height": 160}))
            .expect("an object"),
        audio: AudioMode::None,
        ..OfflineConfig::default()
    };
    let (output, result) = run_with(&config, "passthrough", "ptswrap_180p30.ts");
    let summary = result.expect("it goes through");
    let before = read(&clip_bytes("ptswrap_180p30.ts")).video.len();
    let after = read(&output);
    assert_eq!(after.video.len(), before.div_ceil(3));
    assert!(after.audio.is_empty());
    let times = times_from_first(&after.video);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 9000));
    assert_eq!(
        (summary.output.width, summary.output.height),
        (Some(160), Some(160))
    );
}

/// Halves the sound.
#[derive(Clone)]
struct Quieter;

impl FrameProcessor for Quieter {
    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        Ok(Some(frame))
    }

    fn takes_audio(&self) -> bool {
        true
    }

    async fn process_audio(
        &mut self,
        mut frame: AudioFrame,
    ) -> Result<Option<Vec<AudioFrame>>, ProcessorError> {
        frame
            .data_mut()
            .iter_mut()
            .for_each(|sample| *sample *= 0.5);
        Ok(Some(vec![frame]))
    }
}

#[test]
fn sound_that_the_processor_takes_is_decoded_and_encoded_again() {
    let runtime = Runtime::new().expect("a runtime");
    let clip = clip_bytes("audioonly_opus.ts");
    let mut output = Vec::new();
    let summary = process(
        &OfflineConfig::default(),
        &erase(Quieter),
        &Backends::default(),
        runtime.handle(),
        source(clip.clone()),
        &mut output,
        |_| {},
    )
    .expect("it goes through");
    assert_eq!(summary.audio.route, AudioRoute::Processed);
    let (before, after) = (loudness(&clip), loudness(&output));
    let ratio = after / before;
    assert!((0.45..0.55).contains(&ratio), "{before} became {after}");
}

/// Root mean square of all samples of a stream's sound.
fn loudness(stream: &[u8]) -> f64 {
    let read = read(stream);
    let params = read
        .streams
        .iter()
        .find_map(|stream| match &stream.params {
            StreamParams::Audio(params) => Some(params.clone()),
            _ => None,
        })
        .expect("a stream of sound");
    let mut decoder = open_audio_decoder(&params, &FramePool::new()).expect("a decoder");
    let (mut sum, mut count) = (0.0, 0);
    for unit in &read.audio {
        decoder.push(unit).expect("a whole packet");
        while let Some(frame) = decoder.pull() {
            sum += frame.data().iter().map(|s| f64::from(s * s)).sum::<f64>();
            count += frame.data().len();
        }
    }
    (sum / f64::from(u32::try_from(count).expect("a short clip"))).sqrt()
}

/// Tensors that a session with this processor made and that wait in its pool for reuse.
fn tensors_made(ask: bool) -> usize {
    let runtime = Runtime::new().expect("a runtime");
    let pool = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&pool);
    let processor = erase(move |frame: VideoFrame| {
        *kept.lock().expect("no panic under it") = Some(frame.pool().clone());
        if ask {
            frame.tensor()?;
        }
        Ok(Some(frame))
    });
    let config = OfflineConfig {
        // Sound comes from the same pool.
        audio: AudioMode::None,
        ..OfflineConfig::default()
    };
    let summary = process(
        &config,
        &processor,
        &Backends::default(),
        runtime.handle(),
        source(clip_bytes("ptswrap_180p30.ts")),
        std::io::sink(),
        |_| {},
    );
    assert_eq!(summary.expect("it goes through").frames.out, 150);
    let pool: Option<FramePool> = pool.lock().expect("no panic under it").take();
    pool.expect("frames came").floats.idle()
}

#[test]
fn a_processor_that_asks_for_no_tensor_causes_no_conversion() {
    assert_eq!(tensors_made(false), 0);
    assert_eq!(tensors_made(true), 1);
}

#[test]
fn progress_is_told_for_every_picture() {
    let runtime = Runtime::new().expect("a runtime");
    let mut told = Vec::new();
    let source = source(clip_bytes("ptswrap_180p30.ts"));
    let summary = process(
        &OfflineConfig::default(),
        &model("passthrough"),
        &Backends::default(),
        runtime.handle(),
        source,
        std::io::sink(),
        |progress| told.push(progress.frames_out),
    )
    .expect("it goes through");
    assert_eq!(told, (1..=summary.frames.out).collect::<Vec<_>>());
}
