//! Results, on stdout.

use std::io::{self, Write};

use serde::Serialize;

use crate::error::CliError;

/// Writes one line, or several.
pub(crate) fn line(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        // Whoever read it has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(CliError::caused("cannot write to stdout", &error)),
        Ok(()) => Ok(()),
    }
}

/// Writes a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::caused("cannot write the result as JSON", &error))?;
    line(&text)
}
