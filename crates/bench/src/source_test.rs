//! An endless stream made of a clip.

use super::*;
use trickle_session::feed::ReadOptions;
use trickle_testkit::clip_bytes;

fn open(name: &str) -> MediaReader {
    let bytes = clip_bytes(name);
    MediaReader::open(ReadOptions::default(), move || {
        Ok(std::io::Cursor::new(bytes.clone()))
    })
    .unwrap()
}

fn clip() -> Clip {
    Clip::read(open("ptswrap_180p30.ts"), false).unwrap()
}

#[test]
fn times_go_on_over_repetitions() {
    let clip = clip();
    assert!((clip.fps() - 30.0).abs() < 0.01, "{}", clip.fps());
    let mut player = clip.play().unwrap();
    let pieces: Vec<Piece> = (0..3 * clip.frames)
        .map(|_| player.next_piece().unwrap())
        .collect();
    for pair in pieces.windows(2) {
        let step = pair[1].due - pair[0].due;
        assert!(
            step > Duration::from_millis(33) && step < Duration::from_millis(34),
            "{step:?}"
        );
        assert!(pair[1].frame > pair[0].frame);
    }
}

#[test]
fn segments_begin_with_tables_and_the_stream_with_a_segment() {
    let clip = clip();
    let mut player = clip.play().unwrap();
    let first = player.next_piece().unwrap();
    assert!(first.new_segment);
    for _ in 0..2 * clip.frames {
        let piece = player.next_piece().unwrap();
        let tables = piece.bytes.starts_with(&[0x47, 0x40, 0]);
        assert_eq!(piece.new_segment, tables);
    }
}

#[test]
fn a_clip_without_video_is_refused() {
    let refused = Clip::read(open("audioonly_opus.ts"), true);
    assert!(matches!(refused, Err(ClipError::Frames(0))), "{refused:?}");
}
