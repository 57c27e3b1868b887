//! The grammar is sound, and knows the processors of its registry.

use super::*;

fn parse_line(line: &str) -> Result<Cli, clap::Error> {
    let arguments = line.split(' ').map(OsString::from);
    match parse(&Registry::default(), arguments) {
        Ok(parsed) => Ok(parsed.cli),
        Err(ArgsError::Clap(error)) => Err(error),
        Err(ArgsError::File(error)) => panic!("{error}"),
    }
}

#[test]
fn the_grammar_is_sound() {
    command(&Registry::default(), None).unwrap().debug_assert();
}

#[test]
fn every_command_has_help_with_an_example() {
    let mut command = command(&Registry::default(), None).unwrap();
    for subcommand in command.get_subcommands_mut() {
        let name = subcommand.get_name().to_owned();
        let help = subcommand.render_long_help().to_string();
        assert!(help.contains("Example"), "{name}:\n{help}");
    }
}

#[test]
fn an_unknown_processor_is_answered_with_the_known_ones() {
    let error = parse_line("trickle serve --processor nope").unwrap_err();
    assert!(error.to_string().contains("passthrough"), "{error}");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn quiet_and_verbose_exclude_each_other() {
    assert!(parse_line("trickle -q -v devices").is_err());
    assert_eq!(parse_line("trickle devices -vv").unwrap().global.verbose, 2);
}
