//! A clip that starts over goes on: one clock, complete segments, nothing lost.

use std::io::Cursor;

use trickle_media::access_unit::MediaKind;
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};
use trickle_media::{TimeBase, Timestamp};
use trickle_testkit::clip_bytes;

use super::*;
use crate::feed::{MediaReader, ReadOptions};

/// What comes out when a clip is played so many times.
fn played(name: &str, times: usize) -> Vec<Packet> {
    let bytes = clip_bytes(name);
    let mut reader = MediaReader::open(ReadOptions::default(), move || {
        Ok(Cursor::new(bytes.clone()))
    })
    .unwrap();
    let mut packager = Packager::new();
    let mut packets = Vec::new();
    for _ in 0..times {
        while let Some(event) = reader.next_event().unwrap() {
            packager.push(event);
            packets.extend(std::iter::from_fn(|| packager.pop()));
        }
        reader.rewind().unwrap();
    }
    packager.finish();
    packets.extend(std::iter::from_fn(|| packager.pop()));
    assert_eq!(packager.refused(), None);
    packets
}

fn of_kind(packets: &[Packet], kind: MediaKind) -> Vec<&AccessUnit> {
    let units = packets.iter().map(|packet| &packet.unit);
    units.filter(|unit| unit.codec.kind() == kind).collect()
}

/// Units found when the bytes are read again.
fn demuxed<'a>(packets: impl Iterator<Item = &'a Packet>) -> Vec<AccessUnit> {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    for packet in packets {
        demuxer.push(&packet.bytes, None);
    }
    demuxer.finish();
    let mut units = Vec::new();
    while let Some(event) = demuxer.next_event() {
        match event {
            DemuxEvent::Unit(unit) => units.push(unit),
            DemuxEvent::Fault(fault) => panic!("{fault}"),
            DemuxEvent::Streams(_) => {}
        }
    }
    units
}

#[test]
fn a_loop_goes_on_where_it_ended() {
    for name in [
        "bunny_720p25_main_aac51.mp4",
        "live_720p25_baseline_opus.ts",
    ] {
        let once = played(name, 1);
        let twice = played(name, 2);
        for kind in [MediaKind::Video, MediaKind::Audio] {
            let units = of_kind(&twice, kind);
            assert_eq!(
                units.len(),
                2 * of_kind(&once, kind).len(),
                "{name} {kind:?}"
            );
            let longest = units.windows(2).map(|pair| {
                let step = pair[1].dts.since(pair[0].dts);
                step.unwrap_or_else(|| panic!("{name}: {} after {}", pair[1].dts, pair[0].dts))
            });
            // Audio and video end apart by no more than this.
            assert!(longest.max().unwrap().as_millis() < 200, "{name} {kind:?}");
        }
    }
}

#[test]
fn every_segment_can_be_played_alone() {
    let packets = played("bframes_360p30_high_aac.ts", 1);
    let begins: Vec<usize> = (0..packets.len())
        .filter(|index| packets[*index].new_segment)
        .collect();
    assert!(begins.len() > 1 && begins[0] == 0, "{begins:?}");
    for (index, begin) in begins.iter().enumerate() {
        let end = begins.get(index + 1).copied().unwrap_or(packets.len());
        let units = demuxed(packets[*begin..end].iter());
        assert_eq!(units.len(), end - begin);
        let first = units
            .iter()
            .find(|unit| unit.codec.kind() == MediaKind::Video);
        assert!(first.unwrap().keyframe);
    }
}

#[test]
fn what_is_read_again_has_the_same_times() {
    let packets = played("bunny_720p25_main_aac51.mp4", 1);
    let units = demuxed(packets.iter());
    let times = |units: Vec<&AccessUnit>| -> Vec<(i64, i64)> {
        let ticks = |time: Timestamp| time.in_base(TimeBase::MPEG);
        units
            .iter()
            .map(|unit| (ticks(unit.pts), ticks(unit.dts)))
            .collect()
    };
    let read: Vec<&AccessUnit> = units
        .iter()
        .filter(|unit| unit.codec.kind() == MediaKind::Video)
        .collect();
    assert_eq!(times(read), times(of_kind(&packets, MediaKind::Video)));
}

#[test]
fn sound_alone_is_cut_too() {
    let packets = played("audioonly_opus.ts", 1);
    let segments = packets.iter().filter(|packet| packet.new_segment);
    assert!(segments.count() > 1);
}

/// The pictures need not wait until it is certain that nothing will be known of the sound.
#[test]
fn sound_that_is_not_read_is_left_out_at_once_and_pictures_are_refused() {
    let file = std::fs::read(trickle_testkit::testdata().join("mp4/bframes.mp4")).unwrap();
    let renamed = |from: &[u8; 4], to: &[u8; 4]| {
        let mut file = file.clone();
        let at = file.windows(4).rposition(|found| found == from).unwrap();
        file[at..at + 4].copy_from_slice(to);
        MediaReader::open(ReadOptions::default(), move || {
            Ok(Cursor::new(file.clone()))
        })
        .unwrap()
    };
    let first = |mut reader: MediaReader| {
        let mut packager = Packager::new();
        let mut events = 0;
        while let Some(event) = reader.next_event().unwrap() {
            packager.push(event);
            events += 1;
            if packager.pop().is_some() {
                break;
            }
        }
        (events, packager.refused().map(ToString::to_string))
    };
    // The streams, then the first picture.
    assert_eq!(first(renamed(b"mp4a", b"alac")), (2, None));
    let (_, refused) = first(renamed(b"avc1", b"vp09"));
    assert!(refused.is_some_and(|reason| reason.contains("vp9")));
}
