//! Display order: no delay without reordering, the stream's own delay with it.

use super::*;
use crate::frame::{FramePool, Image, PixelFormat, PlanarImage};
use crate::stream::ColorDescription;

fn frame(pts: i64) -> VideoFrame {
    let pool = FramePool::new();
    let image = PlanarImage::new(PixelFormat::I420, 2, 2, &pool.bytes).unwrap();
    VideoFrame::new(
        Image::Planar(image),
        Timestamp::mpeg(pts),
        ColorDescription::UNSPECIFIED,
        pool,
    )
}

/// Pushes `(dts, pts)` pairs; for each, the times that came out at once.
fn run(reorder: &mut Reorder, units: &[(i64, i64)]) -> Vec<Result<Vec<i64>, TooLate>> {
    let mut out = VecDeque::new();
    units
        .iter()
        .map(|&(dts, pts)| {
            reorder.push(frame(pts), Timestamp::mpeg(dts), &mut out)?;
            Ok(out.drain(..).map(|frame| frame.pts().ticks).collect())
        })
        .collect()
}

#[test]
fn without_reordering_every_picture_comes_out_at_once() {
    let mut reorder = Reorder::new(None);
    let out = run(&mut reorder, &[(0, 0), (1, 1), (2, 2)]);
    assert_eq!(out, [Ok(vec![0]), Ok(vec![1]), Ok(vec![2])]);
}

#[test]
fn pictures_come_out_when_their_decoding_time_has_come() {
    // I P B B P B B, shown one picture after it is decoded at the earliest.
    let mut reorder = Reorder::new(None);
    let units = [(0, 1), (1, 4), (2, 2), (3, 3), (4, 7), (5, 5), (6, 6)];
    let out = run(&mut reorder, &units);
    let expected = [vec![], vec![1], vec![2], vec![3], vec![4], vec![5], vec![6]];
    assert_eq!(out, expected.map(Ok));
    let mut rest = VecDeque::new();
    reorder.drain(&mut rest);
    assert_eq!(rest.iter().map(|f| f.pts().ticks).collect::<Vec<_>>(), [7]);
}

#[test]
fn no_more_is_held_than_the_stream_states() {
    // Presentation lags far behind decoding, but nothing is reordered.
    let mut reorder = Reorder::new(Some(0));
    let out = run(&mut reorder, &[(0, 90_000), (1, 90_001)]);
    assert_eq!(out, [Ok(vec![90_000]), Ok(vec![90_001])]);
}

#[test]
fn wrong_decoding_times_cost_one_picture_and_are_learned_from() {
    // B pictures, but each unit claims to be decoded when it is shown.
    let mut reorder = Reorder::new(None);
    let units = [(0, 0), (2, 2), (1, 1), (4, 4), (3, 3), (6, 6), (5, 5)];
    let out = run(&mut reorder, &units);
    assert_eq!(out[2], Err(TooLate));
    let shown: Vec<i64> = out.into_iter().filter_map(Result::ok).flatten().collect();
    assert_eq!(shown, [0, 2, 3, 4, 5]);
}

#[test]
fn what_a_stream_states_is_held_where_decoding_times_tell_nothing() {
    // I P B B P B B without decoding times, as they are shown; then with times that lag.
    let shown = [0, 3, 1, 2, 6, 4, 5];
    for lag in [0, 2] {
        let mut reorder = Reorder::new(Some(2));
        let units = shown.map(|pts| (pts + lag, pts));
        let out = run(&mut reorder, &units);
        let shown: Vec<i64> = out.into_iter().flat_map(Result::unwrap).collect();
        assert_eq!(shown, [0, 1, 2, 3, 4]);
    }
}

#[test]
fn what_a_stream_states_for_nothing_is_not_held_for_long() {
    let mut reorder = Reorder::new(Some(2));
    let units: Vec<(i64, i64)> = (0..i64::from(CALM) + 2).map(|at| (at, at)).collect();
    let out = run(&mut reorder, &units);
    let counts: Vec<usize> = out.into_iter().map(|out| out.unwrap().len()).collect();
    assert_eq!(counts[..3], [0, 0, 1]);
    // What was held comes out, and from then on each at once.
    assert_eq!(counts[counts.len() - 4..], [1, 3, 1, 1]);
}

#[test]
fn one_inversion_does_not_delay_a_stream_for_good() {
    let mut reorder = Reorder::new(Some(2));
    let mut units: Vec<(i64, i64)> = (0..i64::from(CALM_AGAIN) + 9).map(|at| (at, at)).collect();
    units.swap(4, 5);
    let out = run(&mut reorder, &units);
    let counts: Vec<usize> = out.into_iter().map(|out| out.unwrap().len()).collect();
    assert_eq!(counts[CALM as usize + 9], 1);
    assert_eq!(counts.iter().sum::<usize>(), units.len());
}

#[test]
fn what_is_held_is_bounded() {
    let mut reorder = Reorder::new(None);
    let units: Vec<(i64, i64)> = (0..100).map(|at| (0, 1000 + at)).collect();
    let shown: usize = run(&mut reorder, &units)
        .into_iter()
        .filter_map(Result::ok)
        .map(|times| times.len())
        .sum();
    assert_eq!(shown, 100 - MAX_DEPTH);
}

#[test]
fn draining_starts_time_anew() {
    let mut reorder = Reorder::new(None);
    run(&mut reorder, &[(900, 900)]);
    reorder.drain(&mut VecDeque::new());
    assert_eq!(run(&mut reorder, &[(5, 5)]), [Ok(vec![5])]);
}
