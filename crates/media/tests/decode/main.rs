//! The CPU's H.264 decoder on the clips: pictures and times as ffmpeg gives them (figures in
//! `testdata/figures`), and what becomes of damage.

#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests may, like tests.

mod every_backend;
mod support;

use support::{Clip, Shown, decode, figures};
use trickle_media::codec::CpuBackend;

/// The backend under test.
fn backend() -> CpuBackend {
    CpuBackend::new()
}

/// Of these, OpenH264 decodes none. That their pictures are FFmpeg's before they become 8-bit 4:2:0
/// frames, `codec/rust_h264` tests.
#[test]
fn interlaced_ten_bit_422_and_monochrome_come_with_their_times_and_sizes() {
    for (name, size, lag) in [
        ("interlaced_576i.ts", (720, 576), 2),
        ("h264_mbaff_bframes.ts", (320, 192), 2),
        ("h264_high10_240p25.ts", (320, 240), 2),
        ("h264_high422_8.ts", (256, 144), 2),
        ("h264_high422_10_interlaced.ts", (320, 192), 2),
        ("h264_monochrome.ts", (256, 144), 2),
        ("h264_paff.ts", (96, 64), 2),
    ] {
        let clip = Clip::read(name);
        let mut decoder = clip.open().unwrap();
        assert_eq!(decoder.name(), "rust_h264", "{name}");
        let decoded = decode(&mut decoder, &clip.units);
        assert!(decoded.errors.is_empty(), "{name}: {:?}", decoded.errors);
        assert_eq!(decoded.lag, lag, "{name}");
        let times: Vec<i64> = decoded.shown.iter().map(|shown| shown.pts).collect();
        let expected: Vec<i64> = figures(name).into_iter().map(|(pts, _)| pts).collect();
        assert_eq!(times, expected, "{name}");
        assert!(
            decoded.shown.iter().all(|shown| shown.size == size),
            "{name}"
        );
        if name == "h264_monochrome.ts" {
            let shown: Vec<_> = decoded.shown.into_iter().map(Shown::wrapped).collect();
            assert_eq!(shown, figures(name), "nothing of it needs conversion");
        }
    }
}

#[test]
fn what_nobody_decodes_is_refused_with_every_reason() {
    let mut clip = Clip::read("h264_monochrome.ts");
    clip.params.bit_depth = 14;
    let error = clip.open().err().unwrap().to_string();
    assert!(
        error.contains("OpenH264") && error.contains("rust_h264"),
        "{error}"
    );
}
