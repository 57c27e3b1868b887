//! Settings in layers: defaults, a TOML file, the environment, flags; the later wins.
//!
//! A file's settings become the defaults of the flags that they name, so that whatever a flag
//! takes, the file takes too, and the environment and the command line win over it.

pub(crate) mod file;

use std::ffi::OsString;

use clap::builder::{BoolishValueParser, OsStr};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};

use self::file::{ConfigFile, Setting};
use crate::error::CliError;

/// Commands that take settings from a file.
pub(crate) const CONFIGURABLE: [&str; 2] = ["serve", "relay"];
/// Flags for all commands that a file may set, above its tables; the second is in some builds only.
const GLOBAL: [&str; 2] = ["log-format", "otlp-endpoint"];
/// Least likeness of two names for one to be suggested in place of the other.
const ALIKE: f64 = 0.7;

/// `command` with flags that can be switched off again: what a file or the environment switches
/// on, `--flag=false` overrides.
pub(crate) fn with_switches(command: Command) -> Command {
    CONFIGURABLE.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |command| {
            command.mut_args(|flag| match flag.get_action() {
                ArgAction::SetTrue => flag
                    .action(ArgAction::Set)
                    .num_args(0..=1)
                    .require_equals(true)
                    .value_name("BOOL")
                    .value_parser(BoolishValueParser::new())
                    .default_value("false")
                    .default_missing_value("true")
                    .hide_default_value(true)
                    .hide_possible_values(true),
                _ => flag,
            })
        })
    })
}

/// `command` with the file's settings as defaults.
///
/// # Errors
/// A setting that is unknown or has a value that its flag does not take, with its line.
pub(crate) fn with_file(command: Command, file: &ConfigFile) -> Result<Command, CliError> {
    let mut configured = command.clone();
    for setting in &file.settings {
        let id = known(&command, file, setting)?;
        check(&command, file, setting)?;
        let values: Vec<OsStr> = setting.values.iter().map(OsStr::from).collect();
        // Not `mut_arg`, which changes the order.
        let set = |flag: Arg| match flag.get_id() == id.as_str() {
            true => flag.default_values(values.clone()),
            false => flag,
        };
        configured = match &setting.section {
            Some(section) => configured.mut_subcommand(section, |command| command.mut_args(set)),
            None => configured.mut_args(set),
        };
    }
    Ok(configured)
}

/// The flags of a section that a file may set, with their names.
pub(crate) fn flags<'a>(
    command: &'a Command,
    section: Option<&str>,
) -> impl Iterator<Item = (&'a str, &'a Arg)> {
    let command = match section {
        Some(name) => command.find_subcommand(name),
        None => Some(command),
    };
    let global = section.is_none();
    let flags = command.into_iter().flat_map(Command::get_arguments);
    flags
        .filter_map(|flag| Some((flag.get_long()?, flag)))
        .filter(move |(name, flag)| match flag.get_action() {
            ArgAction::Set | ArgAction::Append => !global || GLOBAL.contains(name),
            _ => false,
        })
}

/// The flag that a setting names.
fn known(command: &Command, file: &ConfigFile, setting: &Setting) -> Result<String, CliError> {
    let section = setting.section.as_deref();
    if let Some(name) = section.filter(|name| !CONFIGURABLE.contains(name)) {
        let message = format!("there is no table [{name}]");
        return Err(suggest(
            file.error(setting.line, &message),
            name,
            CONFIGURABLE,
        ));
    }
    let mut flags = flags(command, section);
    if let Some((_, flag)) = flags.find(|(name, _)| *name == setting.key) {
        return Ok(flag.get_id().to_string());
    }
    let place = section.map_or("above the tables".to_owned(), |name| format!("in [{name}]"));
    let message = format!("there is no setting {:?} {place}", setting.key);
    let error = file.error(setting.line, &message);
    let names = self::flags(command, section).map(|(name, _)| name);
    Err(suggest(error, &setting.key, names))
}

fn suggest<'a>(error: CliError, wrong: &str, names: impl IntoIterator<Item = &'a str>) -> CliError {
    let alike = names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match alike {
        Some((_, name)) => error.hint(format!("did you mean {name:?}?")),
        None => error,
    }
}

/// Lets clap judge a setting's value, as if it stood on the command line alone.
fn check(command: &Command, file: &ConfigFile, setting: &Setting) -> Result<(), CliError> {
    let section = setting.section.as_deref();
    let single = flags(command, section)
        .any(|(name, flag)| name == setting.key && matches!(flag.get_action(), ArgAction::Set));
    if single && setting.values.len() != 1 {
        return Err(file.error(setting.line, &format!("{} takes one value", setting.key)));
    }
    let values = setting.values.iter();
    let arguments = ["trickle", section.unwrap_or(CONFIGURABLE[0])]
        .into_iter()
        .map(OsString::from)
        .chain(values.map(|value| format!("--{}={value}", setting.key).into()));
    match command.clone().try_get_matches_from(arguments) {
        // The environment counts too; what is wrong there is told when the command is parsed.
        Err(error) if concerns(&error, &setting.key) => {
            let text = error.to_string();
            let reason = text.trim_start_matches("error: ");
            let end = reason.find("\n\nFor more").unwrap_or(reason.len());
            let words: Vec<_> = reason[..end].split_whitespace().collect();
            Err(file.error(setting.line, &words.join(" ")))
        }
        _ => Ok(()),
    }
}

fn concerns(error: &clap::Error, key: &str) -> bool {
    let flag = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(flag)) => flag.strip_prefix("--"),
        _ => None,
    };
    flag.is_some_and(|flag| flag.split([' ', '=', '[']).next() == Some(key))
}
