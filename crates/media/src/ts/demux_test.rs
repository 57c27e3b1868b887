//! The demuxer on made-up streams: when units end, late bytes, units laid over PES packets in
//! every way, tables that change, times that are missing, damage of every kind.

use std::collections::BTreeMap;

use bytes::BytesMut;
use proptest::prelude::*;

use super::super::packet::MAX_PAYLOAD;
use super::super::pes::{StreamId, write_header};
use super::super::testing::{
    AUDIO, VIDEO, assert_same, demux, mux_each, picture, sound, take, video, video_of, video_writer,
};
use super::*;
use crate::h264::fixtures::{self, Field, Slice, annexb};
use crate::stream::StreamParams;

const MS: Duration = Duration::from_millis(1);

/// A demuxer, and a clock in milliseconds.
struct Live {
    demuxer: Demuxer,
    zero: Instant,
}

impl Live {
    fn new() -> Self {
        Self {
            demuxer: Demuxer::new(DemuxOptions::default()),
            zero: Instant::now(),
        }
    }

    fn at(&self, ms: u32) -> Instant {
        self.zero + MS * ms
    }

    fn push(&mut self, ms: u32, bytes: &[u8]) -> Vec<AccessUnit> {
        self.demuxer.push(bytes, Some(self.at(ms)));
        take(&mut self.demuxer).units
    }

    fn quiet(&mut self, ms: u32) -> Vec<AccessUnit> {
        self.demuxer.flush_quiet(self.at(ms));
        take(&mut self.demuxer).units
    }

    /// Milliseconds until the deadline, from the clock's zero.
    fn deadline(&self) -> Option<u128> {
        let deadline = self.demuxer.deadline()?;
        Some((deadline - self.zero).as_millis())
    }
}

#[test]
fn a_unit_is_out_as_soon_as_its_last_packet_is_in() {
    let units: Vec<_> = (0..20)
        .map(|at| video(at * 3_000, at == 0, 1_000))
        .collect();
    let mut live = Live::new();
    for (at, (stream, unit)) in mux_each(&units).iter().zip(&units).enumerate() {
        let got = live.push(at as u32 * 33, stream);
        assert_same(&got, std::slice::from_ref(unit));
        assert_eq!(got[0].received, Some(live.at(at as u32 * 33)));
        assert_eq!(live.deadline(), None);
    }
}

#[test]
fn without_stuffing_and_length_silence_ends_a_unit() {
    let mut writer = video_writer();
    // With its header of 14 bytes it fills two packets exactly.
    let unit = video(90_000, true, 0);
    let size = 2 * MAX_PAYLOAD - 14;
    let filler = size - unit.data.len() - 6;
    let mut nals = picture(90_000, true, 0);
    nals.push([vec![12], vec![0xff; filler]].concat());
    let unit = video_of([nals, vec![vec![12]]].concat(), 90_000, true);
    let data = unit.data.slice(..size);
    writer.pes(VIDEO, Some(90_000), &data);
    let mut live = Live::new();
    assert!(live.push(0, &writer.out).is_empty());
    assert_eq!(live.deadline(), Some(5));
    assert!(live.quiet(4).is_empty());
    let got = live.quiet(5);
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].data, data);
    assert!(!got[0].flags.damaged && !got[0].flags.replaces_previous);
    // Acted on once.
    assert_eq!(live.deadline(), None);
}

#[test]
fn bytes_that_come_after_the_silence_replace_the_unit_and_draw_the_silence_out() {
    let units: Vec<_> = (0..4)
        .map(|at| video(at * 3_000, at == 0, 70_000))
        .collect();
    let streams = mux_each(&units);
    let mut live = Live::new();
    assert_eq!(live.push(0, &streams[0]).len(), 1);
    assert_eq!(live.push(33, &streams[1]).len(), 1);
    let (head, tail) = streams[2].split_at(188 * 100);
    assert!(live.push(66, head).is_empty());
    assert_eq!(live.deadline(), Some(71));
    let early = live.quiet(71);
    assert_eq!(early.len(), 1);
    assert!(early[0].data.len() < units[2].data.len());
    let late = live.push(86, tail);
    assert_eq!(late[0].data, units[2].data);
    assert!(late[0].flags.replaces_previous && !late[0].flags.damaged);
    assert_eq!(late[0].pts, early[0].pts);
    assert_eq!(late.len(), 1);
    // A pause of 20 ms was seen inside a unit: silence now lasts longer than that, but less than
    // the time between units.
    live.push(99, &streams[3][..188 * 100]);
    let wait = live.deadline().unwrap() - 99;
    assert!((21..=34).contains(&wait), "{wait} ms");
    assert_eq!(live.demuxer.stats().replacements, 1);
}

#[test]
fn audio_that_is_incomplete_by_its_length_waits_however_long_it_takes() {
    let stream = mux_each(&[sound(0, 400)]).concat();
    let (head, tail) = stream.split_at(188 * 4);
    let mut live = Live::new();
    assert!(live.push(0, head).is_empty());
    assert_eq!(live.deadline(), None);
    assert!(live.quiet(10_000).is_empty());
    assert_same(&live.push(10_000, tail), &[sound(0, 400)]);
}

#[test]
fn stuffing_in_the_middle_of_units_is_soon_not_trusted() {
    // Each unit in three packets, the second of which is filled up as well.
    let mut writer = video_writer();
    let mut units = Vec::new();
    for at in 0..12 {
        let unit = video(at * 3_000, at == 0, 400);
        let mut bytes = BytesMut::new();
        write_header(
            StreamId::VIDEO,
            (at * 3_000, at * 3_000),
            100_000,
            0,
            &mut bytes,
        );
        bytes.extend_from_slice(&unit.data);
        writer.packet(VIDEO, true, &bytes[..184]);
        writer.packet(VIDEO, false, &bytes[184..300]);
        for part in bytes[300..].chunks(MAX_PAYLOAD) {
            writer.packet(VIDEO, false, part);
        }
        units.push(unit);
    }
    let found = demux(&writer.out);
    assert_eq!(found.faults, []);
    let (early, whole): (Vec<_>, Vec<_>) = (0..found.units.len()).partition(|&at| {
        let next = found.units.get(at + 1);
        next.is_some_and(|next| next.flags.replaces_previous)
    });
    assert_eq!(early.len(), 3);
    let whole: Vec<_> = whole.iter().map(|&at| found.units[at].clone()).collect();
    assert_same(&whole, &units);
}

#[test]
fn several_units_in_one_pes_packet_are_split_and_timed_by_the_frame_rate() {
    let units: Vec<_> = (0..3).map(|at| video(at * 3_000, at == 0, 300)).collect();
    let mut writer = video_writer();
    writer.pes(
        VIDEO,
        Some(0),
        &units
            .iter()
            .flat_map(|unit| unit.data.to_vec())
            .collect::<Vec<_>>(),
    );
    let next: Vec<_> = (3..6).map(|at| video(at * 3_000, false, 300)).collect();
    writer.pes(
        VIDEO,
        Some(9_000),
        &next
            .iter()
            .flat_map(|unit| unit.data.to_vec())
            .collect::<Vec<_>>(),
    );
    let found = demux(&writer.out);
    assert_same(&found.units, &[units, next].concat());
}

#[test]
fn a_unit_over_several_pes_packets_is_joined() {
    let mut writer = video_writer();
    let mut units = Vec::new();
    for at in 0..10 {
        let time = at * 3_000;
        let mut nals = picture(time, at == 0, 300);
        // A second slice of the same picture, in a PES packet of its own.
        let slice = Slice {
            idr: at == 0,
            first_mb: 40,
            frame_num: at as u32,
            order: at as u32,
            ..Slice::default()
        };
        nals.push(slice.nal());
        let second = annexb(nals.split_off(nals.len() - 1));
        let first = annexb(&nals);
        writer.pes(VIDEO, Some(time), &first);
        writer.pes(VIDEO, Some(time), &second);
        let mut unit = video(time, at == 0, 0);
        unit.data = [first, second].concat().into();
        units.push(unit);
    }
    let found = demux(&writer.out);
    assert_eq!(found.faults, []);
    let replaced = found
        .units
        .iter()
        .filter(|unit| unit.flags.replaces_previous);
    // So often the end of a PES packet was taken for the end of a unit; then never again.
    assert_eq!(replaced.count(), 3);
    let mut last = BTreeMap::new();
    for unit in found.units {
        last.insert(unit.dts.ticks, unit);
    }
    assert_same(&last.into_values().collect::<Vec<_>>(), &units);
}

#[test]
fn streams_without_delimiters_are_cut_by_their_slice_headers() {
    let mut writer = video_writer();
    let mut units = Vec::new();
    for at in 0..5 {
        let mut nals = picture(at * 3_000, at == 0, 300);
        nals.remove(0);
        let unit = video_of(nals, at * 3_000, at == 0);
        writer.pes(VIDEO, Some(at * 3_000), &unit.data);
        units.push(unit);
    }
    let found = demux(&writer.out);
    assert_same(&found.units, &units);
    assert!(found.units.iter().all(|unit| !unit.flags.replaces_previous));
}

#[test]
fn the_second_field_belongs_to_the_unit_of_the_first() {
    let field = |at: u32, field: Field| Slice {
        frame_num: at,
        order: 2 * at,
        field: Some(field),
        ..Slice::default()
    };
    let mut writer = video_writer();
    let mut lengths = Vec::new();
    for at in 0..4 {
        let mut top = vec![fixtures::AUD.to_vec()];
        if at == 0 {
            top.extend([fixtures::sps(0, 20, true), fixtures::pps(0, 0)]);
        }
        top.push(field(at, Field::Top).nal());
        let bottom = annexb([&fixtures::AUD[..], &field(at, Field::Bottom).nal()]);
        let top = annexb(top);
        lengths.push(top.len() + bottom.len());
        writer.pes(VIDEO, Some(i64::from(at) * 3_000), &top);
        writer.pes(VIDEO, Some(i64::from(at) * 3_000 + 1_500), &bottom);
    }
    let found = demux(&writer.out);
    let got: Vec<_> = found.units.iter().map(|unit| unit.data.len()).collect();
    assert_eq!(got, lengths);
    let times: Vec<_> = found.units.iter().map(|unit| unit.pts.ticks).collect();
    assert_eq!(times, [0, 3_000, 6_000, 9_000]);
}

/// A delimiter behind a field opens a unit or not, as what follows tells; meanwhile the unit before
/// the field is handed out, because there is no more room.
#[test]
fn what_follows_a_field_keeps_its_place_when_units_before_it_go() {
    let slice = |at: u32, field: Field| {
        let slice = Slice {
            frame_num: at,
            order: 2 * at,
            field: Some(field),
            ..Slice::default()
        };
        [slice.nal(), vec![0xaa; 400]].concat()
    };
    let delimiter = fixtures::AUD.to_vec();
    let (sps, pps) = (fixtures::sps(0, 20, true), fixtures::pps(0, 0));
    let frame = annexb([delimiter.clone(), sps, pps, slice(0, Field::Frame)]);
    let field = annexb([delimiter.clone(), slice(1, Field::Top)]);
    let other = annexb([delimiter, slice(2, Field::Top)]);
    let units = [frame, field, other];
    let mut writer = video_writer();
    writer.pes(VIDEO, Some(0), &units.concat());
    let mut demuxer = Demuxer::new(DemuxOptions {
        max_unit: units[0].len() + units[1].len() + 200,
        ..DemuxOptions::default()
    });
    demuxer.push(&writer.out, None);
    demuxer.finish();
    let found = take(&mut demuxer).units;
    let lengths: Vec<_> = found.iter().map(|unit| unit.data.len()).collect();
    assert_eq!(lengths, units.map(|unit| unit.len()));
}

#[test]
fn streams_that_appear_later_are_announced_and_those_that_stay_lose_nothing() {
    let mut writer = video_writer();
    writer.pes(VIDEO, Some(0), &video(0, true, 500).data);
    writer.pes(VIDEO, Some(3_000), &video(3_000, false, 500).data);
    writer.tables(&[(VIDEO, StreamType::H264), (AUDIO, StreamType::MPEG1_AUDIO)]);
    writer.pes(VIDEO, Some(6_000), &video(6_000, false, 500).data);
    writer.pes(AUDIO, Some(6_000), &[0xff, 0xfd, 1, 2, 3]);
    writer.tables(&[(AUDIO, StreamType::MPEG1_AUDIO)]);
    writer.pes(VIDEO, Some(9_000), &video(9_000, false, 500).data);
    let found = demux(&writer.out);
    assert_eq!(found.faults, []);
    let units: Vec<_> = found
        .units
        .iter()
        .map(|unit| (unit.codec, unit.pts.ticks))
        .collect();
    assert_eq!(
        units,
        [
            (Codec::H264, 0),
            (Codec::H264, 3_000),
            (Codec::H264, 6_000),
            (Codec::Mpeg, 6_000)
        ]
    );
    assert_eq!(found.streams.len(), 1);
}

#[test]
fn the_parameters_are_announced_before_the_first_unit() {
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(&mux_each(&[video(0, true, 100)]).concat(), None);
    let mut known = false;
    while let Some(event) = demuxer.next_event() {
        match event {
            DemuxEvent::Streams(streams) => {
                known =
                    matches!(&streams[0].params, StreamParams::Video(video) if video.width == 320);
            }
            DemuxEvent::Unit(_) => assert!(known),
            DemuxEvent::Fault(fault) => panic!("{fault}"),
        }
    }
    assert!(known);
}

#[test]
fn missing_times_are_counted_on_and_equal_ones_kept() {
    let mut writer = video_writer();
    for (at, time) in [Some(0), Some(3_000), None, Some(9_000), Some(9_000)]
        .into_iter()
        .enumerate()
    {
        writer.pes(VIDEO, time, &video(at as i64 * 3_000, at == 0, 100).data);
    }
    let found = demux(&writer.out);
    let times: Vec<_> = found.units.iter().map(|unit| unit.pts.ticks).collect();
    assert_eq!(times, [0, 3_000, 6_000, 9_000, 9_000]);
    let kinds: Vec<_> = found
        .faults
        .iter()
        .map(|fault| (fault.pid, fault.kind.clone()))
        .collect();
    assert_eq!(kinds, [(Some(VIDEO), FaultKind::NoTimestamp)]);
}

#[test]
fn jumps_of_the_clock_are_flagged_both_ways() {
    let times = [0, 3_000, 1_000_000_000, 1_000_003_000, 6_000];
    let units: Vec<_> = times
        .iter()
        .map(|&time| video(time, time == 0, 100))
        .collect();
    let mut writer = video_writer();
    for unit in &units {
        writer.pes(VIDEO, Some(unit.pts.ticks), &unit.data);
    }
    let found = demux(&writer.out);
    assert_same(&found.units, &units);
    let jumps: Vec<_> = found
        .units
        .iter()
        .map(|unit| unit.flags.discontinuity)
        .collect();
    assert_eq!(jumps, [false, false, true, false, true]);
    assert_eq!(found.faults.len(), 2);
}

#[test]
fn a_packet_that_comes_twice_counts_once() {
    let stream = mux_each(&[video(0, true, 400), video(3_000, false, 400)]).concat();
    let twice: Vec<u8> = stream
        .chunks(188)
        .flat_map(|packet| [packet, packet].concat())
        .collect();
    let found = demux(&twice);
    assert_eq!(found.faults, []);
    assert_same(&found.units, &demux(&stream).units);
}

#[test]
fn a_lost_packet_damages_its_unit_and_no_other() {
    let units: Vec<_> = (0..4).map(|at| video(at * 3_000, at == 0, 1_000)).collect();
    let streams = mux_each(&units);
    // Of the second unit each packet in turn.
    for lost in 0..streams[1].len() / 188 {
        let mut stream = streams.concat();
        let at = streams[0].len() + lost * 188;
        stream.drain(at..at + 188);
        let found = demux(&stream);
        let gaps = found.faults.iter();
        let gaps = gaps.filter(|fault| matches!(fault.kind, FaultKind::Continuity { .. }));
        assert_eq!(gaps.count(), 1, "packet {lost}");
        let sound: Vec<_> = found
            .units
            .iter()
            .filter(|unit| !unit.flags.damaged)
            .cloned()
            .collect();
        let others = [&units[..1], &units[2..]].concat();
        assert_same(&sound, &others);
        assert!(found.units.len() - sound.len() <= 1, "packet {lost}");
    }
}

#[test]
fn scrambled_packets_are_reported_once_and_counted() {
    let mut stream = mux_each(&[video(0, true, 1_000), video(3_000, false, 1_000)]).concat();
    for packet in stream.chunks_mut(188).skip(2) {
        packet[3] |= 0x80;
    }
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    demuxer.push(&stream, None);
    let found = take(&mut demuxer);
    assert_eq!(found.faults.len(), 1);
    assert_eq!(found.faults[0].kind, FaultKind::Scrambled);
    assert_eq!(
        demuxer.stats().faults.scrambled,
        stream.len() as u64 / 188 - 2
    );
    assert!(found.units.is_empty());
}

#[test]
fn a_unit_larger_than_the_bound_is_cut_and_flagged() {
    let mut demuxer = Demuxer::new(DemuxOptions {
        max_unit: 10_000,
        ..DemuxOptions::default()
    });
    demuxer.push(
        &mux_each(&[video(0, true, 100_000), video(3_000, false, 500)]).concat(),
        None,
    );
    let found = take(&mut demuxer);
    assert!(matches!(
        found.faults[0].kind,
        FaultKind::Oversized { limit: 10_000 }
    ));
    assert_eq!(found.units.len(), 2);
    assert!(found.units[0].flags.damaged && found.units[0].data.len() <= 10_000);
    assert!(!found.units[1].flags.damaged);
}

#[test]
fn after_finish_the_next_stream_goes_on_without_faults() {
    // Segments of a publisher that counts each from zero.
    let mut demuxer = Demuxer::new(DemuxOptions::default());
    let mut units = 0;
    for segment in 0..3 {
        let frame = |at: i64| video((segment * 10 + at) * 3_000, at == 0, 900);
        demuxer.push(
            &mux_each(&(0..10).map(frame).collect::<Vec<_>>()).concat(),
            None,
        );
        demuxer.finish();
        let found = take(&mut demuxer);
        assert_eq!(found.faults, []);
        units += found.units.len();
    }
    assert_eq!(units, 30);
}

#[test]
fn the_program_asked_for_is_read() {
    let mut demuxer = Demuxer::new(DemuxOptions {
        program: Some(7),
        ..DemuxOptions::default()
    });
    demuxer.push(&mux_each(&[video(0, true, 100)]).concat(), None);
    demuxer.finish();
    let faults = take(&mut demuxer).faults;
    let (wanted, found) = (7, vec![1]);
    assert_eq!(faults[0].kind, FaultKind::OtherPrograms { wanted, found });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_damage_is_survived(
        kinds in prop::collection::vec((any::<bool>(), 50usize..2_000), 1..30),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 1usize..300), 0..6),
    ) {
        let units: Vec<_> = kinds.iter().enumerate().map(|(at, &(is_video, size))| {
            let time = at as i64 * 3_000;
            if is_video { video(time, at % 10 == 0, size) } else { sound(time, size) }
        }).collect();
        let mut stream = mux_each(&units).concat();
        for (index, byte) in damage {
            let at = index.index(stream.len());
            stream[at] = byte;
        }
        for (index, length) in cuts {
            let at = index.index(stream.len());
            let end = (at + length).min(stream.len());
            stream.drain(at..end);
            if stream.is_empty() {
                return Ok(());
            }
        }
        let mut demuxer = Demuxer::new(DemuxOptions::default());
        demuxer.push(&stream, None);
        demuxer.finish();
        let found = take(&mut demuxer);
        let stats = demuxer.stats();
        prop_assert_eq!(stats.units, found.units.len() as u64);
        prop_assert!(stats.faults.total() >= found.faults.len() as u64);
        // A damaged stream, then a sound one: nothing of the damage is left.
        let sound: Vec<_> = (0..5).map(|at| video(at * 3_000, at == 0, 300)).collect();
        demuxer.push(&mux_each(&sound).concat(), None);
        let after = take(&mut demuxer).units;
        let keyframe = after.iter().rposition(|unit| unit.keyframe).unwrap();
        prop_assert_eq!(&after[keyframe].data, &sound[0].data);
        prop_assert_eq!(after.len() - keyframe, 5);
    }

    #[test]
    fn pieces_and_silence_never_change_what_a_unit_finally_is(
        sizes in prop::collection::vec(50usize..3_000, 1..20),
        cuts in prop::collection::vec((1usize..2_000, 0u32..20), 1..60),
    ) {
        let units: Vec<_> = sizes.iter().enumerate()
            .map(|(at, &size)| video(at as i64 * 3_000, at == 0, size)).collect();
        let stream = mux_each(&units).concat();
        let mut live = Live::new();
        let (mut rest, mut cuts, mut now) = (&stream[..], cuts.iter().cycle(), 0);
        let mut got: Vec<AccessUnit> = Vec::new();
        while !rest.is_empty() {
            let &(size, pause) = cuts.next().unwrap();
            let (piece, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            let mut events = live.push(now, piece);
            now += pause;
            events.extend(live.quiet(now));
            for unit in events {
                if unit.flags.replaces_previous {
                    got.pop();
                }
                got.push(unit);
            }
        }
        assert_same(&got, &units);
    }
}
