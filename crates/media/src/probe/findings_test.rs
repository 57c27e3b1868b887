//! What is said of streams: of each clip what is so, of a plain one nothing.

use super::*;
use crate::ts::{DemuxEvent, DemuxOptions, Demuxer};

fn findings(stream: &[u8]) -> Vec<Finding> {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(stream, None);
    demuxer.finish();
    let mut probe = Probe::new();
    while let Some(event) = demuxer.next_event() {
        match event {
            DemuxEvent::Streams(streams) => probe.streams(&streams),
            DemuxEvent::Unit(unit) => probe.unit(&unit),
            DemuxEvent::Fault(_) => {}
        }
    }
    probe.findings(Some(&demuxer.report()), &Backends::default())
}

fn of_clip(name: &str) -> Vec<Finding> {
    findings(&trickle_testkit::clip_bytes(name))
}

#[track_caller]
fn assert_said(found: &[Finding], weight: Weight, words: &str) {
    let said = found
        .iter()
        .any(|finding| finding.weight == weight && finding.what.contains(words));
    assert!(said, "nothing of {words:?} in {found:#?}");
}

#[test]
fn nothing_is_said_of_what_a_gateway_sends() {
    assert_eq!(of_clip("live_720p25_baseline_opus.ts"), []);
}

#[test]
fn what_cannot_be_decoded_is_a_problem_with_its_reason() {
    let found = of_clip("hevc_240p25.ts");
    assert_said(&found, Weight::Problem, "nothing here can decode it");
    assert!(found[0].advice.contains("hevc"), "{found:?}");
}

#[test]
fn what_is_converted_is_told() {
    assert_said(&of_clip("interlaced_576i.ts"), Weight::Note, "interlaced");
    let found = of_clip("h264_high422_10_interlaced.ts");
    assert_said(&found, Weight::Note, "more than 8 bits");
    assert_said(&found, Weight::Note, "4:2:0");
    assert_said(
        &of_clip("bframes_360p30_high_aac.ts"),
        Weight::Note,
        "B-frames",
    );
    let found = of_clip("reschange_360p_to_240p.ts");
    assert_said(&found, Weight::Note, "parameters change");
}

#[test]
fn damage_is_a_problem() {
    let found = of_clip("damaged_lost_packets.ts");
    assert_said(&found, Weight::Problem, "packets are missing");
    assert_said(&found, Weight::Problem, "lack bytes");
    let found = of_clip("damaged_garbage_inside.ts");
    assert_said(&found, Weight::Problem, "bytes that are no packets");
}

#[test]
fn problems_come_first() {
    let found = of_clip("damaged_bitflips.ts");
    assert!(
        found.is_sorted_by_key(|finding| finding.weight),
        "{found:#?}"
    );
}

#[test]
fn packets_of_192_bytes_are_told() {
    let stream = trickle_testkit::clip_bytes("ptswrap_180p30.ts");
    let spaced: Vec<u8> = stream
        .chunks(188)
        .flat_map(|packet| [&[0; 4][..], packet].concat())
        .collect();
    assert_said(&findings(&spaced), Weight::Note, "192 bytes");
}

#[test]
fn sound_that_stops_is_told() {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(
        &trickle_testkit::clip_bytes("live_720p25_baseline_opus.ts"),
        None,
    );
    demuxer.finish();
    let mut probe = Probe::new();
    let mut packets = 0;
    while let Some(event) = demuxer.next_event() {
        match event {
            DemuxEvent::Streams(streams) => probe.streams(&streams),
            DemuxEvent::Unit(unit) => {
                packets += usize::from(unit.codec == Codec::Opus);
                if unit.codec == Codec::H264 || packets < 100 {
                    probe.unit(&unit);
                }
            }
            DemuxEvent::Fault(_) => {}
        }
    }
    let found = probe.findings(None, &Backends::default());
    assert_said(&found, Weight::Problem, "sound ends 3.");
}
