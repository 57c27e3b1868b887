//! Files that hold what is not read here, or hold it strangely.

use trickle_media::access_unit::Codec;
use trickle_media::{StreamInfo, TimeBase};
use trickle_session::offline::{OfflineConfig, OfflineError};
use trickle_session::{AudioMode, AudioRoute, EndReason};
use trickle_testkit::{clip_bytes, testdata};

use crate::common::read;
use crate::{run_file, run_with};

fn mp4(name: &str) -> Vec<u8> {
    std::fs::read(testdata().join("mp4").join(name)).expect("a file of the checkout")
}

/// `file` with the last `from` in it, the entry of its `stsd` box, replaced.
fn renamed(mut file: Vec<u8>, from: &[u8; 4], to: &[u8; 4]) -> Vec<u8> {
    let at = file.windows(4).rposition(|found| found == from);
    let at = at.expect("the entry is there");
    file[at..at + 4].copy_from_slice(to);
    file
}

fn codecs(streams: &[StreamInfo]) -> Vec<Codec> {
    streams.iter().map(|stream| stream.codec).collect()
}

#[test]
fn pictures_that_are_not_read_are_an_error_that_names_them() {
    for (entry, name) in [
        (b"vp09", "vp9"),
        (b"mp4v", "mpeg4"),
        (b"xyz!", "unknown video"),
    ] {
        let file = renamed(mp4("bframes.mp4"), b"avc1", entry);
        let (output, result) = run_file(&OfflineConfig::default(), "passthrough", file);
        match result {
            Err(OfflineError::Ended(EndReason::VideoRefused(reason))) => {
                assert!(reason.starts_with(name), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        assert!(output.is_empty(), "sound alone is not what was asked for");
    }
}

#[test]
fn pictures_of_which_none_can_be_decoded_are_an_error() {
    let mut clip = clip_bytes("bframes_360p30_high_aac.ts");
    // No parameter sets: their NAL units are of a type that means nothing.
    for at in 0..clip.len() - 4 {
        if clip[at..at + 3] == [0, 0, 1] && matches!(clip[at + 3] & 0x1f, 7 | 8) {
            clip[at + 3] = 0x1e;
        }
    }
    let (_, result) = run_file(&OfflineConfig::default(), "passthrough", clip);
    assert!(
        matches!(result, Err(OfflineError::NoPictures(Codec::H264))),
        "{result:?}"
    );
}

#[test]
fn a_stream_that_is_scrambled_is_an_error() {
    let mut clip = clip_bytes("bframes_360p30_high_aac.ts");
    for packet in clip.chunks_exact_mut(188) {
        if matches!(
            u16::from_be_bytes([packet[1] & 0x1f, packet[2]]),
            0x100 | 0x101
        ) {
            packet[3] |= 0xc0;
        }
    }
    let (output, result) = run_file(&OfflineConfig::default(), "passthrough", clip);
    assert!(matches!(result, Err(OfflineError::Nothing)), "{result:?}");
    assert!(output.is_empty());
}

#[test]
fn sound_that_cannot_be_decoded_leaves_no_track() {
    let strange = renamed(mp4("bframes.mp4"), b"mp4a", b"alac");
    for (file, codec) in [(strange, "alac"), (clip_bytes("two_programs.ts"), "mp2")] {
        let (output, result) = run_file(&OfflineConfig::default(), "passthrough", file);
        let summary = result.expect("the pictures go through");
        assert_eq!(summary.audio.route, AudioRoute::None);
        let note = summary.audio.note.expect("it is told");
        assert!(note.starts_with(codec), "{note}");
        assert_eq!(codecs(&read(&output).streams), [Codec::H264]);
    }
}

#[test]
fn sound_that_is_announced_and_never_comes_leaves_no_track() {
    let clip = clip_bytes("bframes_360p30_high_aac.ts");
    let silent: Vec<u8> = clip
        .chunks_exact(188)
        .filter(|packet| u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) != 0x101)
        .flatten()
        .copied()
        .collect();
    let (output, result) = run_file(&OfflineConfig::default(), "passthrough", silent);
    assert_eq!(result.expect("it goes through").frames.out, 180);
    assert_eq!(codecs(&read(&output).streams), [Codec::H264]);
}

#[test]
fn sound_that_only_its_packets_name_is_there_from_the_start() {
    let clip = "aac_unnamed.m2ts";
    for (audio, codec) in [
        (AudioMode::Opus, Codec::Opus),
        (AudioMode::Copy, Codec::Aac),
    ] {
        let config = OfflineConfig {
            audio,
            ..OfflineConfig::default()
        };
        let (output, result) = run_with(&config, "passthrough", clip);
        result.expect("it goes through");
        let (before, after) = (read(&clip_bytes(clip)), read(&output));
        assert_eq!(codecs(&after.streams), [Codec::H264, codec]);
        let seconds = |units: &[trickle_media::AccessUnit]| {
            let at = |unit: &trickle_media::AccessUnit| unit.pts.in_base(TimeBase::MICROS);
            units.last().map_or(0, at) - units.first().map_or(0, at)
        };
        let (before, after) = (seconds(&before.audio), seconds(&after.audio));
        assert!(
            (before - after).abs() < 50_000,
            "{before} µs became {after}"
        );
    }
}

/// An edit list leaves out what is before a cut, which its decoder needs.
#[test]
fn pictures_and_sound_of_before_a_cut_are_not_shown() {
    let (output, result) = run_file(&OfflineConfig::default(), "passthrough", mp4("cut.mp4"));
    let summary = result.expect("it goes through");
    let after = read(&output);
    // What ffprobe calls discarded is missing.
    assert_eq!(after.video.len(), 20 - 8);
    assert_eq!(summary.frames.received, 20 - 8);
    let first = |units: &[trickle_media::AccessUnit]| units[0].pts.in_base(TimeBase::MICROS);
    let apart = first(&after.audio) - first(&after.video);
    assert!(apart.abs() < 30_000, "{apart} µs");
}

/// PMT packets of a stream, in which a version without the sound and one with it again stand.
fn without_sound(clip: &[u8], from: usize, until: usize) -> Vec<u8> {
    let crc = |bytes: &[u8]| trickle_media::ts::crc::crc32(bytes).to_be_bytes();
    let packets = clip.chunks_exact(188).enumerate();
    let mut out = Vec::new();
    for (number, packet) in packets {
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let gone = (from..until).contains(&number);
        let mut packet = packet.to_vec();
        if pid == 0x101 && gone {
            continue;
        }
        if pid == 0x1000 {
            // From the section on: head, then five bytes of the first stream.
            let section = &packet[5..];
            let length = 3 + usize::from(section[2]);
            let mut section = section[..length - 4].to_vec();
            section[5] = 0xc1 | u8::from(gone) << 1 | u8::from(number >= until) << 2;
            if gone {
                section.truncate(12 + 5 + usize::from(section[16]));
                section[2] = (section.len() + 1) as u8;
            }
            section.extend(crc(&section));
            packet[5..].fill(0xff);
            packet[5..5 + section.len()].copy_from_slice(&section);
        }
        out.extend(packet);
    }
    out
}

#[test]
fn sound_that_goes_and_comes_back_is_there_again_at_once() {
    let clip = clip_bytes("bframes_360p30_high_aac.ts");
    let packets = clip.len() / 188;
    let changing = without_sound(&clip, packets / 3, packets / 2);
    let (output, result) = run_file(&OfflineConfig::default(), "passthrough", changing.clone());
    let summary = result.expect("it goes through");
    let (before, after) = (read(&changing), read(&output));
    assert_eq!(summary.frames.dropped.total(), 0);
    let gap = |units: &[trickle_media::AccessUnit]| -> i64 {
        let at = |unit: &trickle_media::AccessUnit| unit.pts.in_base(TimeBase::MICROS);
        let steps = units.windows(2).map(|pair| at(&pair[1]) - at(&pair[0]));
        steps.max().unwrap_or(0)
    };
    let (before, after) = (gap(&before.audio), gap(&after.audio));
    assert!(before > 500_000, "there is a gap of {before} µs");
    // It does not wait for the next group of pictures, which begins 2 s apart.
    assert!(after < before + 150_000, "{before} µs became {after}");
}

#[test]
fn copied_sound_that_changes_its_layout_goes_on_with_the_next_picture() {
    let clips = [
        "bframes_360p30_high_aac.ts",
        "portrait_360x640_aac44k_mono.ts",
    ];
    let both = clips.map(clip_bytes).concat();
    let config = OfflineConfig {
        audio: AudioMode::Copy,
        ..OfflineConfig::default()
    };
    let (output, result) = run_file(&config, "passthrough", both.clone());
    result.expect("it goes through");
    let (before, after) = (read(&both).audio.len(), read(&output).audio.len());
    assert!(after + 6 >= before, "{after} of {before} frames");
}
