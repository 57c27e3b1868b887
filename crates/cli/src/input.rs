//! Media named on the command line: a file, stdin, or the clip that comes with the demo.

use std::fs::File;
use std::io::{self, BufReader, Cursor};
use std::path::Path;

use clap::Args;
use trickle_session::feed::{MediaReader, ReadOptions};

use crate::error::CliError;

/// What of a file is read.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct ReadFlags {
    /// Program of a transport stream that holds several, by its number [default: the first]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) program: Option<u16>,
}

impl ReadFlags {
    pub(crate) fn options(self) -> ReadOptions {
        ReadOptions {
            program: self.program,
        }
    }
}

/// A file opened for reading, unit by unit; `-` is stdin, which cannot be rewound.
pub(crate) fn open(path: &Path, flags: ReadFlags) -> Result<MediaReader, CliError> {
    let failed = |error: &dyn std::error::Error| {
        CliError::caused(format!("cannot read {}", name(path)), error)
    };
    if path == Path::new("-") {
        return MediaReader::pipe(flags.options(), io::stdin()).map_err(|error| failed(&error));
    }
    let owned = path.to_owned();
    MediaReader::open(flags.options(), move || {
        File::open(&owned).map(BufReader::new)
    })
    .map_err(|error| failed(&error))
}

/// Media that is part of the program.
pub(crate) fn embedded(bytes: &'static [u8]) -> Result<MediaReader, CliError> {
    MediaReader::open(ReadOptions::default(), move || Ok(Cursor::new(bytes)))
        .map_err(|error| CliError::caused("cannot read the clip in this program", &error))
}

/// The whole of a small file.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path)
        .map_err(|error| CliError::caused(format!("cannot read {}", path.display()), &error))
}

/// What a person calls it.
pub(crate) fn name(path: &Path) -> String {
    if path == Path::new("-") {
        "stdin".into()
    } else {
        path.display().to_string()
    }
}
