//! Ranges and names of the configuration.

use super::*;

#[test]
fn the_default_is_valid() {
    assert_eq!(EncodeConfig::default().validate(), Ok(()));
}

#[test]
fn a_value_out_of_range_is_named() {
    let config = |change: fn(&mut EncodeConfig)| {
        let mut config = EncodeConfig::default();
        change(&mut config);
        config.validate().unwrap_err().field
    };
    assert_eq!(config(|c| c.bitrate = Some(0)), "bitrate");
    assert_eq!(config(|c| c.gop = Duration::ZERO), "gop");
    assert_eq!(config(|c| c.threads = 0), "threads");
}

#[test]
fn names_are_those_of_the_command_line() {
    assert_eq!("copy".parse(), Ok(AudioMode::Copy));
    assert_eq!("freeze".parse(), Ok(OnError::Freeze));
    let error = "mp3".parse::<AudioMode>().unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"audio: must be opus, aac, copy or none, got "mp3""#
    );
}
