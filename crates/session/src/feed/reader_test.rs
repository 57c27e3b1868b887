//! Which container a file is, and that reading gives its units, again after a rewind.

use std::io::Cursor;

use trickle_media::access_unit::MediaKind;
use trickle_testkit::clip_bytes as clip;

use super::*;

/// Pictures and audio packets up to the end of the file.
fn count(reader: &mut MediaReader) -> (usize, usize) {
    let (mut video, mut audio) = (0, 0);
    while let Some(event) = reader.next_event().unwrap() {
        match event {
            MediaEvent::Unit(unit) if unit.codec.kind() == MediaKind::Video => video += 1,
            MediaEvent::Unit(unit) if unit.codec.kind() == MediaKind::Audio => audio += 1,
            _ => {}
        }
    }
    (video, audio)
}

#[test]
fn mp4_and_ts_of_one_clip_hold_the_same_pictures() {
    let [mp4, ts] = ["bunny_720p25_main_aac51.mp4", "bunny_720p25_main_aac51.ts"].map(|name| {
        let bytes = clip(name);
        let mut reader = MediaReader::open(ReadOptions::default(), move || {
            Ok(Cursor::new(bytes.clone()))
        })
        .unwrap();
        let first = count(&mut reader);
        reader.rewind().unwrap();
        assert_eq!(count(&mut reader), first);
        first
    });
    assert!(ts.0 > 100, "{ts:?}");
    assert_eq!(mp4.0, ts.0);
}

#[test]
fn a_pipe_gives_ts_and_no_mp4() {
    let mut reader = MediaReader::pipe(
        ReadOptions::default(),
        Cursor::new(clip("live_720p25_baseline_opus.ts")),
    )
    .unwrap();
    assert!(!reader.can_rewind());
    let (video, audio) = count(&mut reader);
    assert!(video > 100 && audio > 100, "{video} {audio}");
    assert!(reader.rewind().is_err());
    let mp4 = MediaReader::pipe(
        ReadOptions::default(),
        Cursor::new(clip("bunny_720p25_main_aac51.mp4")),
    );
    assert!(matches!(mp4.err(), Some(ReadError::Mp4FromPipe)));
}

#[test]
fn a_stream_that_begins_within_a_packet_is_recognised() {
    let bytes = clip("live_720p25_baseline_opus.ts").split_off(100);
    let mut reader = MediaReader::pipe(ReadOptions::default(), Cursor::new(bytes)).unwrap();
    assert!(count(&mut reader).0 > 100);
}

#[test]
fn anything_else_is_refused() {
    let open =
        |bytes: &'static [u8]| MediaReader::pipe(ReadOptions::default(), Cursor::new(bytes)).err();
    assert!(matches!(open(b""), Some(ReadError::Empty)));
    assert!(matches!(open(b"GG"), Some(ReadError::UnknownFormat)));
    assert!(matches!(
        open(b"plain text, and a lot of it"),
        Some(ReadError::UnknownFormat)
    ));
}
