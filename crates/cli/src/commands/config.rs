//! `trickle config`: what the layers of settings come to.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, Subcommand};
use toml_edit::{Array, Value};
use trickle_processor::Registry;

use crate::args;
use crate::config::file::ConfigFile;
use crate::config::{CONFIGURABLE, flags};
use crate::error::CliError;
use crate::output;

/// Show what settings come to: defaults, then a TOML file, then the environment, then flags
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    Show(ShowArgs),
}

/// Print every setting of serve and relay, or of one of them, and where it comes from
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
struct ShowArgs {
    /// A command, and flags of it that count too
    #[arg(
        value_name = "COMMAND [FLAGS]",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  trickle config show
  trickle --config worker.toml config show serve --capacity 4
  trickle config show relay > trickle.toml           what is printed is a file that can be used

A file is trickle.toml in the working directory, or what --config or TRICKLE_CONFIG names. Its
tables are commands, its keys their flags:

  log-format = \"json\"

  [serve]
  addr = \"0.0.0.0:8000\"
  processor = \"grayscale\"
  capacity = 4

  [relay]
  autocreate = true";

/// What stands in place of a secret.
const HIDDEN: &str = "(hidden)";

pub(crate) fn run(
    args: ConfigArgs,
    registry: &Registry,
    file: Option<&ConfigFile>,
) -> Result<(), CliError> {
    let ConfigCommand::Show(args) = args.command;
    let command = args::command(registry, file)?;
    let (names, rest) = match args.command.split_first() {
        None => (CONFIGURABLE.to_vec(), Vec::new()),
        Some((name, rest)) => {
            let known = CONFIGURABLE.into_iter().find(|known| name == known);
            let name = known.ok_or_else(|| {
                CliError::usage(format!(
                    "{} has no settings to show; known: {}",
                    name.display(),
                    CONFIGURABLE.join(", ")
                ))
            })?;
            (vec![name], rest.to_vec())
        }
    };
    let mut first = true;
    for name in names {
        let arguments = ["trickle", name].map(OsString::from).into_iter();
        let matches = command
            .clone()
            .try_get_matches_from(arguments.chain(rest.clone()))
            .map_err(|error| CliError::usage(error.to_string().trim_start_matches("error: ")))?;
        let Some((_, own)) = matches.subcommand() else {
            continue;
        };
        if std::mem::take(&mut first) {
            section(&command, None, &matches, file)?;
        }
        output::line(&format!("\n[{name}]"))?;
        section(&command, Some(name), own, file)?;
    }
    Ok(())
}

fn section(
    command: &Command,
    name: Option<&str>,
    matches: &ArgMatches,
    file: Option<&ConfigFile>,
) -> Result<(), CliError> {
    for (key, flag) in flags(command, name) {
        let id = flag.get_id().as_str();
        let values = matches.get_raw(id).into_iter().flatten();
        let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
        let source = matches.value_source(id);
        let origin = match source {
            Some(ValueSource::CommandLine) => "flag".to_owned(),
            Some(ValueSource::EnvVariable) => match flag.get_env() {
                Some(variable) => format!("environment: {}", variable.display()),
                None => "environment".to_owned(),
            },
            _ => file
                .and_then(|file| {
                    let mut settings = file.settings.iter();
                    let own = settings.rfind(|setting| {
                        setting.section.as_deref() == name && setting.key == key
                    })?;
                    Some(file.place(own.line))
                })
                .unwrap_or_else(|| "default".to_owned()),
        };
        let secret = flag.is_hide_env_values_set();
        let line = match values.as_slice() {
            // What is not set has no value that TOML could express.
            [] => format!("# {key} ="),
            _ if secret => format!("# {key} = {HIDDEN:?}"),
            [one] if !matches!(flag.get_action(), clap::ArgAction::Append) => {
                format!("{key} = {}", literal(one))
            }
            many => format!(
                "{key} = {}",
                many.iter().map(|value| literal(value)).collect::<Array>()
            ),
        };
        output::line(&format!("{line:<44} # {origin}"))?;
    }
    Ok(())
}

/// A value as TOML; numbers and flags stay such.
fn literal(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>() {
        number.into()
    } else if let Ok(flag) = text.parse::<bool>() {
        flag.into()
    } else {
        text.into()
    }
}
