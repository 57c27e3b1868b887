//! Names: the built-in ones, unknown ones, replaced ones.

use trickle_media::VideoFrame;

use super::*;

#[test]
fn the_built_in_processors_are_there_with_a_line_each() {
    let registry = Registry::default();
    let names: Vec<&str> = registry.list().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["delay", "grayscale", "invert", "passthrough", "tint"]
    );
    assert!(registry.list().all(|(_, summary)| !summary.is_empty()));
    assert!(names.iter().all(|name| registry.get(name).is_ok()));
}

#[test]
fn an_unknown_name_is_answered_with_those_that_exist() {
    let registry = Registry::empty()
        .with("a", "first", |frame: VideoFrame| Ok(Some(frame)))
        .with("b", "second", builtin::Passthrough);
    let error = registry.get("c").err().unwrap();
    assert_eq!(
        error.to_string(),
        "there is no processor \"c\"; known: a, b"
    );
}

#[test]
fn a_second_processor_of_a_name_takes_its_place() {
    let registry = Registry::default().with("tint", "mine", builtin::Passthrough);
    let summary = registry.list().find(|(name, _)| *name == "tint");
    assert_eq!(summary, Some(("tint", "mine")));
}
