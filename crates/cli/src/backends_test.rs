//! What the names of backends stand for.

use super::*;

#[test]
fn names_of_backends_are_read() {
    let device = |choice| Ok(Choice::Device(choice));
    assert_eq!("auto".parse(), device(trickle_gpu::Choice::Auto));
    assert_eq!("cuda:1".parse(), device(trickle_gpu::Choice::Cuda(Some(1))));
    let error = "vaapi".parse::<Choice>().unwrap_err();
    assert!(error.contains("ffmpeg"), "{error}");
    match "ffmpeg".parse::<Choice>() {
        Ok(choice) => assert!(cfg!(feature = "ffmpeg") && choice == Choice::Ffmpeg),
        Err(error) => assert!(error.contains("--features ffmpeg"), "{error}"),
    }
}

#[test]
fn the_table_has_ffmpeg_where_it_is_asked_for() {
    let cpu = Choice::Device(trickle_gpu::Choice::Cpu);
    let names = |decode, encode| -> Vec<String> {
        let backends = open(decode, encode).unwrap();
        backends.describe().into_iter().map(|b| b.name).collect()
    };
    assert_eq!(names(cpu, cpu), ["cpu"]);
    if cfg!(feature = "ffmpeg") {
        assert_eq!(names(Choice::Ffmpeg, Choice::Ffmpeg), ["ffmpeg", "cpu"]);
        assert_eq!(names(cpu, Choice::Ffmpeg), ["cpu", "ffmpeg"]);
    }
}
