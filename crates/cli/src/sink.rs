//! Where a command writes media: a file or stdout, MPEG-TS as it comes, or MP4 by the file's name.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use trickle_session::record::Mp4Recorder;

use crate::error::CliError;
use crate::input::ReadFlags;

/// Whether a file of this name is written as MP4.
pub(crate) fn is_mp4(path: &Path) -> bool {
    path.extension()
        .is_some_and(|name| name.eq_ignore_ascii_case("mp4"))
}

/// Takes the bytes of a transport stream.
pub(crate) enum Sink {
    /// Writes them as they come.
    Plain(Box<dyn Write + Send>),
    /// Makes MP4 of them.
    Mp4(Box<Mp4Recorder<File>>),
}

impl Sink {
    /// A new file, in place of one of that name; `-` is stdout.
    /// `read` says what of a transport stream an MP4 is made of.
    pub(crate) fn create(path: &Path, read: ReadFlags) -> Result<Self, CliError> {
        if path == Path::new("-") {
            return Ok(Self::Plain(Box::new(io::stdout())));
        }
        let file = File::create(path).map_err(|error| {
            CliError::caused(format!("cannot create {}", path.display()), &error)
        })?;
        Ok(if is_mp4(path) {
            // Fragments are written whole: a buffer would only hold them back.
            Self::Mp4(Box::new(Mp4Recorder::new(file, read.options())))
        } else {
            Self::Plain(Box::new(BufWriter::new(file)))
        })
    }

    /// Writes what is left.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut file) => file.flush(),
            Self::Mp4(recorder) => recorder.finish().map(drop),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Mp4(recorder) => recorder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Mp4(recorder) => recorder.flush(),
        }
    }
}
