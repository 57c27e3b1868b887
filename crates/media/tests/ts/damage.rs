//! Damaged clips: nothing panics, faults are named and counted, units go on.

use trickle_media::ts::FaultKind;
use trickle_testkit::{clip_bytes, figures};

use crate::support::{Demuxed, demux};

/// Demuxes a damaged clip; as many video units come out as FFmpeg finds, and audio goes on.
fn check(clip: &str) -> Demuxed {
    let found = demux(&clip_bytes(clip));
    let expected = figures(clip);
    for stream in &expected.streams {
        let units = found.track(stream.id());
        assert_eq!(units.len(), stream.pts.len(), "{clip} {}", stream.codec);
    }
    assert_eq!(
        found.stats.faults.total(),
        found.faults.len() as u64,
        "{clip}"
    );
    assert_eq!(found.stats.units, found.units.len() as u64, "{clip}");
    found
}

fn count(found: &Demuxed, is: impl Fn(&FaultKind) -> bool) -> usize {
    let faults = found.faults.iter();
    faults.filter(|fault| is(&fault.kind)).count()
}

#[test]
fn lost_packets_show_in_counters_and_in_flags() {
    let found = check("damaged_lost_packets.ts");
    let gaps = count(&found, |kind| matches!(kind, FaultKind::Continuity { .. }));
    assert_eq!(gaps, 61);
    let damaged = found.units.iter().filter(|unit| unit.flags.damaged);
    assert_eq!(found.stats.damaged_units, damaged.count() as u64);
    // Now and then a unit loses two packets, or a gap is between units.
    assert!((gaps / 2..=gaps).contains(&(found.stats.damaged_units as usize)));
    // A unit of which nothing but slices is left has a time all the same.
    let video = found.track(0x100);
    for pair in video.windows(2) {
        assert_eq!(pair[1].dts.ticks - pair[0].dts.ticks, 3_600);
    }
}

#[test]
fn garbage_between_packets_is_skipped_and_its_place_named() {
    let found = check("damaged_garbage_inside.ts");
    let places: Vec<_> = found
        .faults
        .iter()
        .map(|fault| (fault.offset, &fault.kind))
        .collect();
    assert_eq!(
        places,
        [
            (56_400, &FaultKind::LostSync { skipped: 777 }),
            // The file ends inside a packet.
            (282_401, &FaultKind::LostSync { skipped: 99 }),
        ]
    );
    assert_eq!(found.stats.skipped_bytes, 876);
}

#[test]
fn wrong_bits_in_the_payload_pass_and_those_in_a_header_are_noticed() {
    let found = check("damaged_bitflips.ts");
    assert_eq!(
        count(&found, |kind| matches!(kind, FaultKind::Continuity { .. })),
        1
    );
    assert_eq!(found.stats.damaged_units, 1);
}

#[test]
fn what_is_no_transport_stream_gives_one_clear_fault_and_no_unit() {
    let found = demux(&[0x42; 10_000]);
    let kinds: Vec<_> = found
        .faults
        .iter()
        .map(|fault| fault.kind.clone())
        .collect();
    assert_eq!(
        kinds,
        [
            FaultKind::LostSync { skipped: 10_000 },
            FaultKind::NoProgram
        ]
    );
    assert!(found.units.is_empty() && found.streams.is_empty());
}
