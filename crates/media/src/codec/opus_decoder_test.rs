//! Opus decoding: channel order, gain, refusals, damaged packets.

use bytes::Bytes;
use opus_pure::{Application, OpusHead, OpusMSEncoder};
use proptest::prelude::*;

use super::*;
use crate::access_unit::{TrackId, UnitFlags};
use crate::audio::tone::{amplitude, joined, sine};
use crate::time::Timestamp;

fn params(channels: u8, config: Vec<u8>) -> AudioParams {
    AudioParams {
        codec: Codec::Opus,
        sample_rate: 48_000,
        channels,
        config: config.into(),
    }
}

fn open(channels: u8, config: Vec<u8>) -> Result<OpusDecoder, Unsupported> {
    OpusDecoder::new(&params(channels, config), &FramePool::new())
}

fn unit(data: impl Into<Bytes>) -> AccessUnit {
    AccessUnit {
        track: TrackId(1),
        codec: Codec::Opus,
        data: data.into(),
        pts: Timestamp::mpeg(900),
        dts: Timestamp::mpeg(900),
        keyframe: true,
        flags: UnitFlags::default(),
        received: None,
    }
}

/// OpusHead without its magic.
fn head(channels: u8, family: u8, table: &[u8], gain: i16) -> Vec<u8> {
    let [low, high] = gain.to_le_bytes();
    let mut head = vec![1, channels, 0x38, 1, 0x80, 0xbb, 0, 0, low, high, family];
    head.extend_from_slice(table);
    head
}

fn hertz(channel: usize) -> f64 {
    300.0 + 400.0 * channel as f64
}

/// 30 packets of 20 ms with a tone of its own in each channel, in Vorbis order.
fn packets(channels: usize) -> Vec<Vec<u8>> {
    let mut encoder = OpusMSEncoder::new(48_000, channels, 1, Application::Audio).unwrap();
    encoder.set_bitrate(96_000 * channels as i32);
    let tones: Vec<_> = (0..channels)
        .map(|c| sine(hertz(c), 0.3, 48_000, 0, 30 * 960))
        .collect();
    (0..30)
        .map(|n| {
            let input: Vec<f32> = (n * 960..(n + 1) * 960)
                .flat_map(|at| tones.iter().map(move |tone| tone[at]))
                .collect();
            let mut packet = vec![0; 20_000];
            let length = encoder.encode(&input, 960, &mut packet).unwrap();
            packet.truncate(length);
            packet
        })
        .collect()
}

#[test]
fn channels_come_in_the_frames_order() {
    // Place of each frame channel in Vorbis order, written out by name.
    let orders: [(&[&str], &[&str]); 8] = [
        (&["M"], &["M"]),
        (&["L", "R"], &["L", "R"]),
        (&["L", "C", "R"], &["L", "R", "C"]),
        (&["L", "R", "Ls", "Rs"], &["L", "R", "Ls", "Rs"]),
        (&["L", "C", "R", "Ls", "Rs"], &["L", "R", "C", "Ls", "Rs"]),
        (
            &["L", "C", "R", "Ls", "Rs", "LFE"],
            &["L", "R", "C", "LFE", "Ls", "Rs"],
        ),
        (
            &["L", "C", "R", "Ls", "Rs", "Cs", "LFE"],
            &["L", "R", "C", "LFE", "Cs", "Ls", "Rs"],
        ),
        (
            &["L", "C", "R", "Ls", "Rs", "Lb", "Rb", "LFE"],
            &["L", "R", "C", "LFE", "Lb", "Rb", "Ls", "Rs"],
        ),
    ];
    for (vorbis, ours) in orders {
        let mut decoder = open(ours.len() as u8, Vec::new()).unwrap();
        let mut frames = Vec::new();
        for packet in packets(ours.len()) {
            decoder.push(&unit(packet)).unwrap();
            frames.extend(decoder.pull());
        }
        for (index, name) in ours.iter().enumerate() {
            let signal = joined(&frames, index);
            let loudest = (0..vorbis.len())
                .max_by(|a, b| {
                    let level = |c: usize| amplitude(&signal[4800..], hertz(c), 48_000);
                    level(*a).total_cmp(&level(*b))
                })
                .unwrap();
            assert_eq!(vorbis[loudest], *name, "channel {index} of {}", ours.len());
        }
    }
}

#[test]
fn a_frame_has_its_packets_time_and_length() {
    let mut decoder = open(2, Vec::new()).unwrap();
    decoder.push(&unit(packets(2).remove(0))).unwrap();
    let frame = decoder.pull().unwrap();
    assert_eq!((frame.channels(), frame.samples()), (2, 960));
    assert_eq!(frame.sample_rate(), 48_000);
    assert_eq!(frame.pts(), Timestamp::mpeg(900));
    assert!(decoder.pull().is_none());
}

#[test]
fn the_header_that_the_library_writes_is_understood() {
    for channels in 1..=8 {
        let encoder = OpusMSEncoder::new(48_000, channels, 1, Application::Audio).unwrap();
        let head = OpusHead::for_ms_encoder(&encoder, 48_000);
        let mut table = vec![encoder.nb_streams() as u8];
        table.push(encoder.layout().nb_coupled_streams as u8);
        table.extend(&encoder.layout().mapping);
        let config = self::head(channels as u8, head.mapping_family, &table, 0);
        assert!(open(channels as u8, config).is_ok(), "{channels} channels");
    }
}

#[test]
fn the_output_gain_is_applied() {
    let level = |gain| {
        let mut decoder = open(1, head(1, 0, &[], gain)).unwrap();
        let mut frames = Vec::new();
        for packet in packets(1) {
            decoder.push(&unit(packet)).unwrap();
            frames.extend(decoder.pull());
        }
        amplitude(&joined(&frames, 0)[4800..], hertz(0), 48_000)
    };
    // −6 dB in 1/256 dB.
    let ratio = level(-6 * 256) / level(0);
    assert!((ratio - 0.501).abs() < 0.005, "{ratio}");
}

#[test]
fn mappings_that_cannot_be_decoded_are_named() {
    let reason = |channels, config| open(channels, config).err().unwrap().reason;
    assert!(reason(0, Vec::new()).contains("0 channels"));
    assert!(reason(9, Vec::new()).contains("9 channels"));
    assert!(reason(2, vec![1, 2]).contains("OpusHead has 2 bytes"));
    assert!(reason(2, head(6, 0, &[], 0)).contains("states 6 channels, its container 2"));
    // Two mono streams instead of one coupled one, an ambisonic stream.
    assert!(reason(2, head(2, 1, &[2, 0, 0, 1], 0)).contains("family 1"));
    assert!(reason(4, head(4, 2, &[4, 0, 0, 1, 2, 3], 0)).contains("family 2"));
}

#[test]
fn decoding_goes_on_after_a_bad_packet() {
    let mut decoder = open(2, Vec::new()).unwrap();
    // Code 3 without its count of frames.
    for bad in [&[][..], &[0xff], &[0xff, 0xff]] {
        let error = decoder.push(&unit(bad.to_vec())).unwrap_err();
        assert!(matches!(error, CodecError::Damaged { .. }), "{error}");
        assert!(decoder.pull().is_none());
    }
    decoder.push(&unit(packets(2).remove(0))).unwrap();
    assert!(decoder.pull().is_some());
    decoder.flush().unwrap();
    decoder.push(&unit(packets(2).remove(0))).unwrap();
    assert!(decoder.pull().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_packets_never_panic_and_give_bounded_frames(
        channels in prop::sample::select(vec![1u8, 2, 6]),
        packet in 0usize..30,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
        cut_it in any::<bool>(),
    ) {
        let mut data = packets_once(channels)[packet].clone();
        for (at, value) in flips {
            let at = at.index(data.len());
            data[at] ^= value;
        }
        if cut_it {
            data.truncate(cut.index(data.len()) + 1);
        }
        let mut decoder = open(channels, Vec::new()).unwrap();
        if decoder.push(&unit(data)).is_ok() {
            let frame = decoder.pull().unwrap();
            prop_assert!((1..=MAX_PACKET_SAMPLES).contains(&frame.samples()));
        }
    }

    #[test]
    fn noise_never_panics(data in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut decoder = open(6, Vec::new()).unwrap();
        let _ = decoder.push(&unit(data));
    }
}

/// [`packets`], made once for all cases of a property.
fn packets_once(channels: u8) -> &'static [Vec<u8>] {
    use std::sync::OnceLock;
    static MADE: [OnceLock<Vec<Vec<u8>>>; 8] = [const { OnceLock::new() }; 8];
    MADE[usize::from(channels) - 1].get_or_init(|| packets(channels.into()))
}
