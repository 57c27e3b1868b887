//! The configuration file: TOML whose tables are commands and whose keys are their flags.

use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, Table, Value};

use crate::error::CliError;
use crate::input;

/// Read when no other file is named, where it exists.
const DEFAULT_FILE: &str = "trickle.toml";

/// A file's settings, in order; nothing is checked but their form.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    pub(crate) settings: Vec<Setting>,
}

/// One value and its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Name of the table, which is a command's; `None` above all tables.
    pub(crate) section: Option<String>,
    /// Name of the flag, without dashes before it.
    pub(crate) key: String,
    /// As they would stand on the command line; one, unless the value is an array.
    pub(crate) values: Vec<String>,
    /// Counted from 1.
    pub(crate) line: usize,
}

impl ConfigFile {
    /// The file named, or the one in the working directory, if there is one.
    pub(crate) fn find(named: Option<&Path>) -> Result<Option<Self>, CliError> {
        let path = match named {
            Some(path) => path,
            None if Path::new(DEFAULT_FILE).is_file() => Path::new(DEFAULT_FILE),
            None => return Ok(None),
        };
        let text = String::from_utf8(input::bytes(path)?)
            .map_err(|_| CliError::usage(format!("{}: not UTF-8", path.display())))?;
        Self::parse(path, text).map(Some)
    }

    pub(crate) fn parse(path: &Path, text: String) -> Result<Self, CliError> {
        let mut file = Self {
            path: path.to_owned(),
            settings: Vec::new(),
        };
        let document = Document::parse(text.as_str()).map_err(|error| {
            let line = line(&text, error.span().map_or(0, |span| span.start));
            file.error(line, error.message())
        })?;
        file.read(&text, None, document.as_table())?;
        Ok(file)
    }

    fn read(&mut self, text: &str, section: Option<&str>, table: &Table) -> Result<(), CliError> {
        for (key, item) in table.iter() {
            let place = table
                .key(key)
                .and_then(toml_edit::Key::span)
                .or_else(|| item.span())
                .map_or(0, |span| span.start);
            let line = line(text, place);
            let wrong = |found: &str| self.error(line, &format!("{key} cannot be {found}"));
            match item {
                Item::Table(table) if section.is_none() => self.read(text, Some(key), table)?,
                Item::Value(value) => {
                    let values = match value {
                        Value::Array(items) => items.iter().map(plain).collect(),
                        single => plain(single).map(|text| vec![text]),
                    };
                    let values = values.ok_or_else(|| wrong(value.type_name()))?;
                    self.settings.push(Setting {
                        section: section.map(str::to_owned),
                        // Both spellings are common in TOML; flags have one.
                        key: key.replace('_', "-"),
                        values,
                        line,
                    });
                }
                other => return Err(wrong(other.type_name())),
            }
        }
        Ok(())
    }

    /// `trickle.toml:7`
    pub(crate) fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    pub(crate) fn error(&self, line: usize, message: &str) -> CliError {
        CliError::usage(format!("{}: {message}", self.place(line)))
    }
}

/// A value as it would stand on the command line.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Float(number) => Some(number.value().to_string()),
        Value::Boolean(flag) => Some(flag.value().to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::InlineTable(_) => None,
    }
}

/// The line that holds the byte at `place`, counted from 1.
fn line(text: &str, place: usize) -> usize {
    let before = text.as_bytes().iter().take(place);
    before.filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
#[path = "file_test.rs"]
mod tests;
