//! What every decoder of H.264 does, whichever backend it is of: `crate::backend()`.

use std::time::Duration;

use proptest::prelude::*;
use trickle_media::AccessUnit;
use trickle_media::error::CodecError;
use trickle_media::h264::annexb::{has_idr, nal_units};

use crate::support::{Clip, SMALL, Shown, cut, decode, figures, keyframes};

/// Pictures and times equal ffmpeg's, and each picture comes out at the push of its unit.
fn assert_exact(name: &str) {
    let clip = Clip::read(name);
    let decoded = decode(&mut clip.open().unwrap(), &clip.units);
    assert!(decoded.errors.is_empty(), "{name}: {:?}", decoded.errors);
    assert_eq!(decoded.lag, 0, "{name}");
    let shown: Vec<_> = decoded.shown.into_iter().map(Shown::wrapped).collect();
    let expected = figures(name);
    assert_eq!(shown.len(), expected.len(), "{name}");
    for (index, (shown, expected)) in shown.iter().zip(&expected).enumerate() {
        assert_eq!(shown, expected, "{name}: picture {index}");
    }
}

#[test]
fn main_profile_is_exact_and_without_delay() {
    assert_exact("bunny_720p25_main_aac51.ts");
}

#[test]
fn what_a_gateway_sends_is_exact_and_without_delay() {
    assert_exact("live_720p25_baseline_opus.ts");
}

#[test]
fn cropping_portrait_and_variable_rate_are_exact() {
    assert_exact("crop_854x482_videoonly.ts");
    assert_exact("portrait_360x640_aac44k_mono.ts");
    assert_exact("vfr_240p.ts");
    assert_exact("ptswrap_180p30.ts");
}

#[test]
fn a_change_of_size_changes_the_frames() {
    assert_exact("reschange_360p_to_240p.ts");
    let shown = Clip::read("reschange_360p_to_240p.ts").decode();
    assert_eq!(shown.first().unwrap().size, (640, 360));
    assert_eq!(shown.last().unwrap().size, (320, 240));
}

/// OpenH264 filters the edges of some blocks of B pictures differently: those pictures are known, each
/// at 76 dB or more against ffmpeg's (`psnr` in the file), and every other picture is exact.
#[test]
fn b_pictures_come_in_display_order_and_close_to_exact() {
    let name = "bframes_360p30_high_aac.ts";
    let clip = Clip::read(name);
    let decoded = decode(&mut clip.open().unwrap(), &clip.units);
    assert!(decoded.errors.is_empty(), "{:?}", decoded.errors);
    assert_eq!(decoded.lag, 2, "max_num_reorder_frames");
    let known = figures("bframes_360p30_high_aac.openh264");
    let expected = figures(name);
    assert_eq!(decoded.shown.len(), expected.len());
    for (shown, expected) in decoded.shown.into_iter().zip(expected) {
        let shown = (shown.pts, shown.md5);
        assert!(
            shown == expected || known.contains(&shown),
            "{shown:?}, {expected:?}"
        );
    }
}

/// Muxers that write no decoding times, or wrong ones: the order is learned from the pictures that
/// come too late, which are lost once.
#[test]
fn b_pictures_without_decoding_times_are_put_in_order_after_the_first_few() {
    let mut clip = Clip::read("bframes_360p30_high_aac.ts");
    let intact = clip.decode();
    for unit in &mut clip.units {
        unit.dts = unit.pts;
    }
    let decoded = decode(&mut clip.open().unwrap(), &clip.units);
    assert!(decoded.errors.len() <= 3, "{:?}", decoded.errors);
    assert_eq!(decoded.shown.len(), intact.len() - decoded.errors.len());
    let times: Vec<i64> = decoded.shown.iter().map(|shown| shown.pts).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(decoded.shown.iter().all(|shown| intact.contains(shown)));
}

/// A recorder that begins in the middle of an open group of pictures: its first pictures refer to
/// what is missing, and are left out. All others are FFmpeg's, up to the next IDR picture, where
/// OpenH264 takes over.
#[test]
fn open_groups_of_pictures_can_be_joined() {
    let name = "h264_open_gop.ts";
    let clip = Clip::read(name);
    let whole = clip.decode();
    let joins = keyframes(&clip.units).into_iter();
    let joins = joins.filter(|&at| !has_idr(&clip.units[at].data));
    let mut joined = 0;
    for join in joins {
        let units = &clip.units[join..];
        let decoded = decode(&mut clip.open().unwrap(), units);
        let from = units[0].pts.ticks;
        let leading = units.iter().filter(|unit| unit.pts.ticks < from).count();
        assert_eq!(decoded.errors.len(), leading, "unit {join}");
        let next = units.iter().find(|unit| has_idr(&unit.data));
        let until = next.map_or(i64::MAX, |unit| unit.pts.ticks);
        let expected: Vec<_> = figures(name)
            .into_iter()
            .filter(|(pts, _)| *pts >= from)
            .collect();
        assert_eq!(decoded.shown.len(), expected.len(), "unit {join}");
        for (shown, expected) in decoded.shown.into_iter().zip(expected) {
            let later = shown.pts >= until && whole.contains(&shown);
            let at = shown.pts;
            assert!(later || shown.wrapped() == expected, "unit {join}, {at}");
        }
        joined += 1;
    }
    assert!(joined > 1);
}

/// Damage after such a start is like any other: pictures go on at the next keyframe, of any kind.
#[test]
fn damage_in_an_open_group_of_pictures_lasts_to_the_next_keyframe() {
    let mut clip = Clip::read("h264_open_gop.ts");
    let points = keyframes(&clip.units);
    let at = points
        .windows(2)
        .position(|pair| pair.iter().all(|&at| !has_idr(&clip.units[at].data)));
    let (join, next) = at.map(|at| (points[at], points[at + 1])).unwrap();
    let intact = decode(&mut clip.open().unwrap(), &clip.units[join..]);
    let broken = (join + 1..next)
        .find(|&at| clip.units[at].pts > clip.units[join].pts)
        .unwrap();
    clip.units.remove(broken);
    let decoded = decode(&mut clip.open().unwrap(), &clip.units[join..]);
    let resumed = clip.units[next - 1].pts.ticks;
    let after = |shown: &[Shown]| -> Vec<Shown> {
        shown
            .iter()
            .filter(|shown| shown.pts >= resumed)
            .cloned()
            .collect()
    };
    assert!(clip.units[next - 1].keyframe);
    assert_eq!(after(&decoded.shown), after(&intact.shown));
    for shown in &decoded.shown {
        assert!(intact.shown.contains(shown), "{}", shown.pts);
    }
}

#[test]
fn damage_in_an_interlaced_stream_stops_pictures_until_the_next_keyframe() {
    let mut clip = Clip::read("h264_mbaff_bframes.ts");
    let intact = clip.decode();
    let next = keyframes(&clip.units)[1];
    clip.units[4] = cut(&clip.units[4]);
    clip.units[4].flags.damaged = true;
    let decoded = decode(&mut clip.open().unwrap(), &clip.units);
    assert!(!decoded.errors.is_empty());
    let resumed = clip.units[next].pts.ticks;
    for shown in &decoded.shown {
        assert!(intact.contains(shown), "{}", shown.pts);
    }
    let after = |shown: &[Shown]| shown.iter().filter(|shown| shown.pts >= resumed).count();
    assert_eq!(after(&decoded.shown), after(&intact));
}

/// rust_h264 makes up what is missing, so that the gap is found before it is asked.
#[test]
fn a_lost_unit_of_an_interlaced_stream_is_noticed() {
    for name in ["interlaced_576i.ts", "h264_paff.ts"] {
        let mut clip = Clip::read(name);
        let intact = clip.decode();
        // A reference picture, so that others can refer to it.
        let lost = (1..).find(|&at| is_reference(&clip.units[at])).unwrap();
        clip.units.remove(lost);
        let decoded = decode(&mut clip.open().unwrap(), &clip.units);
        assert!(!decoded.errors.is_empty(), "{name}");
        for shown in &decoded.shown {
            assert!(intact.contains(shown), "{name}, {}", shown.pts);
        }
        assert!(decoded.shown.len() < intact.len() - 1, "{name}");
    }
}

fn is_reference(unit: &AccessUnit) -> bool {
    let mut slices = nal_units(&unit.data).filter(|nal| nal.kind().is_slice());
    slices.next().is_some_and(|slice| slice.ref_idc() != 0)
}

/// Where damage can be noticed it costs pictures, and never shows a wrong one.
#[test]
fn lost_packets_and_garbage_show_intact_pictures_only() {
    let intact = figures("live_720p25_baseline_opus.ts");
    for shown in decode_damaged("damaged_garbage_inside.ts") {
        let shown = (shown.pts, shown.md5);
        assert!(intact.contains(&shown), "{shown:?}");
    }
}

/// Every keyframe of this clip lacks packets. Two seconds are waited for an intact one; then the
/// stream is seen as it is, as players show it, and nothing of it is left out any more.
#[test]
fn a_stream_without_an_intact_keyframe_is_shown_damaged_after_two_seconds() {
    let clip = Clip::read("damaged_lost_packets.ts");
    let decoded = decode(&mut clip.open().unwrap(), &clip.units);
    let start = clip.units[0].dts;
    let from = clip
        .units
        .iter()
        .position(|unit| unit.keyframe && unit.dts.since(start) >= Some(Duration::from_secs(2)))
        .unwrap();
    assert_eq!(decoded.errors.len(), from);
    assert_eq!(decoded.shown.len(), clip.units.len() - from);
}

/// A flipped bit can leave a valid stream of another picture; the rest is noticed.
#[test]
fn flipped_bits_are_survived() {
    assert!(!decode_damaged("damaged_bitflips.ts").is_empty());
}

fn decode_damaged(name: &str) -> Vec<Shown> {
    let clip = Clip::read(name);
    let decoded = decode(&mut clip.open().unwrap(), &clip.units);
    assert!(!decoded.errors.is_empty(), "{name}");
    let out = decoded.shown.len() + decoded.errors.len();
    assert_eq!(
        out,
        clip.units.len(),
        "{name}: a picture or an error for each unit"
    );
    decoded.shown
}

#[test]
fn pictures_stop_at_damage_and_resume_at_the_next_keyframe() {
    let mut clip = Clip::read(SMALL);
    let intact = clip.decode();
    let broken = 10;
    let next = keyframes(&clip.units)
        .into_iter()
        .find(|&at| at > broken)
        .unwrap();
    clip.units[broken] = cut(&clip.units[broken]);
    let decoded = decode(&mut clip.open().unwrap(), &clip.units);
    assert_eq!(decoded.shown, [&intact[..broken], &intact[next..]].concat());
    let errors: Vec<_> = decoded.errors.iter().map(|(index, _)| *index).collect();
    assert!(errors.iter().copied().eq(broken..next), "{errors:?}");
    let damaged = decoded
        .errors
        .iter()
        .all(|(_, error)| matches!(error, CodecError::Damaged { .. }));
    assert!(damaged, "{:?}", decoded.errors);
}

#[test]
fn a_lost_unit_is_noticed() {
    let mut clip = Clip::read(SMALL);
    let intact = clip.decode();
    let next = keyframes(&clip.units)
        .into_iter()
        .find(|&at| at > 10)
        .unwrap();
    clip.units.remove(10);
    let decoded = decode(&mut clip.open().unwrap(), &clip.units);
    assert_eq!(decoded.shown, [&intact[..10], &intact[next..]].concat());
}

#[test]
fn a_unit_that_lost_packets_is_not_shown_even_where_it_could_be_decoded() {
    let mut clip = Clip::read(SMALL);
    clip.units[10].flags.damaged = true;
    let decoded = decode(&mut clip.open().unwrap(), &clip.units);
    assert_eq!(decoded.errors.first().map(|(index, _)| *index), Some(10));
}

#[test]
fn a_unit_that_came_in_two_parts_costs_nothing() {
    let clip = Clip::read(SMALL);
    let intact = clip.decode();
    for at in [0, 1, 10, keyframes(&clip.units)[1]] {
        let mut units = clip.units.clone();
        units[at].flags.replaces_previous = true;
        units.insert(at, cut(&clip.units[at]));
        let decoded = decode(&mut clip.open().unwrap(), &units);
        assert!(decoded.shown == intact, "unit {at}");
        assert_eq!(decoded.errors.len(), 1, "unit {at}: {:?}", decoded.errors);
    }
}

#[test]
fn a_picture_that_was_whole_already_is_not_shown_twice() {
    let clip = Clip::read(SMALL);
    let mut units = clip.units.clone();
    let mut again = units[10].clone();
    again.flags.replaces_previous = true;
    units.insert(11, again);
    let decoded = decode(&mut clip.open().unwrap(), &units);
    assert!(decoded.errors.is_empty(), "{:?}", decoded.errors);
    assert!(decoded.shown == clip.decode());
}

#[test]
fn after_a_flush_decoding_starts_again_at_a_keyframe() {
    let clip = Clip::read(SMALL);
    let mut decoder = clip.open().unwrap();
    let once = decode(&mut decoder, &clip.units).shown;
    assert!(decode(&mut decoder, &clip.units).shown == once);
}

#[test]
fn parameter_sets_that_came_once_serve_every_keyframe() {
    let mut clip = Clip::read(SMALL);
    let intact = clip.decode();
    let second = keyframes(&clip.units)[1];
    let unit = &mut clip.units[second];
    let slice = trickle_media::h264::annexb::nal_units(&unit.data)
        .find(|nal| nal.kind().is_slice())
        .unwrap();
    unit.data = unit.data.slice(slice.offset..);
    clip.units[10] = cut(&clip.units[10]);
    let decoded = decode(&mut clip.open().unwrap(), &clip.units);
    assert_eq!(decoded.shown, [&intact[..10], &intact[second..]].concat());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever happens to a stream's bytes, the decoder goes on, gives at most one picture for
    /// each unit, and recovers.
    #[test]
    fn any_damage_is_survived(
        damage in prop::collection::vec((0usize..40, any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cuts in prop::collection::vec((0usize..40, any::<prop::sample::Index>()), 0..4),
    ) {
        let clip = Clip::read(SMALL);
        let mut units = clip.units.clone();
        for (unit, at, mask) in damage {
            let mut bytes = units[unit].data.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
            units[unit].data = bytes.into();
        }
        for (unit, at) in cuts {
            let len = at.index(units[unit].data.len());
            units[unit].data.truncate(len);
        }
        // As far as two pictures after the first keyframe behind the damage.
        let recovered = keyframes(&clip.units).into_iter().find(|&at| at >= 40).unwrap();
        units.truncate(recovered + 2);
        let mut decoded = decode(&mut clip.open().unwrap(), &units);
        prop_assert!(decoded.shown.len() + decoded.errors.len() <= units.len());
        let tail = decoded.shown.split_off(decoded.shown.len().saturating_sub(2));
        let tail: Vec<_> = tail.into_iter().map(Shown::wrapped).collect();
        prop_assert_eq!(&tail, &figures(SMALL)[recovered..recovered + 2]);
    }
}
