//! Access units of a media file, MP4 or MPEG-TS, told apart by their first bytes.

use std::io::{self, Read, Seek, SeekFrom};

use thiserror::Error;
use trickle_media::mp4::{self, Mp4Error};
use trickle_media::ts::{
    DemuxEvent, DemuxOptions, Demuxer, TransportReport, TsFault, looks_like_packets,
};
use trickle_media::{AccessUnit, StreamInfo};

/// Bytes read at once.
const CHUNK: usize = 64 << 10;
/// Bytes in which a container must show itself.
const PROBE: u64 = 4 << 10;
/// Boxes that MP4 files begin with (ISO/IEC 14496-12).
const MP4_BOXES: [&[u8]; 7] = [
    b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide",
];

/// How a file is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// `program_number` of a transport stream to read; `None` reads the first one listed.
    pub program: Option<u16>,
}

/// Something found in a file.
#[derive(Clone, Debug)]
pub enum MediaEvent {
    /// What streams there are; again when that changes.
    Streams(Vec<StreamInfo>),
    /// A unit, in the order of the file.
    Unit(AccessUnit),
    /// Something is wrong with the file; reading goes on.
    Fault(MediaFault),
}

/// Something wrong in a file that is no reason to stop reading it.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum MediaFault {
    /// In a transport stream.
    #[error(transparent)]
    Ts(#[from] TsFault),
    /// A sample of an MP4 file that is missing or damaged.
    #[error("{0}")]
    Sample(String),
}

/// A file cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The system could not read it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is of no kind that is known.
    #[error("it is neither MPEG-TS nor MP4")]
    UnknownFormat,
    /// It holds nothing.
    #[error("it is empty")]
    Empty,
    /// MP4 has its index anywhere, and so needs a file that can be sought in.
    #[error("MP4 cannot be read from a pipe: name the file instead")]
    Mp4FromPipe,
    /// It is no MP4 that can be read.
    #[error(transparent)]
    Mp4(#[from] Mp4Error),
}

/// Reads a media file unit by unit. Its methods block while they read.
pub struct MediaReader {
    options: ReadOptions,
    format: Format,
    /// Opens the file again; `None` for a pipe.
    reopen: Option<Opener>,
}

type Opener = Box<dyn FnMut() -> io::Result<Box<dyn File>> + Send>;

enum Format {
    Ts(Box<TsReader>),
    Mp4(Box<Mp4Reader>),
}

impl MediaReader {
    /// Opens a file, MPEG-TS or MP4. `open` is called again to start over.
    ///
    /// # Errors
    /// [`ReadError`] when it cannot be read or is of no kind that is known.
    pub fn open<F>(
        options: ReadOptions,
        mut open: impl FnMut() -> io::Result<F> + Send + 'static,
    ) -> Result<Self, ReadError>
    where
        F: Read + Seek + Send + 'static,
    {
        let mut reopen: Opener = Box::new(move || Ok(Box::new(open()?)));
        let format = Format::of(reopen()?, options)?;
        Ok(Self {
            options,
            format,
            reopen: Some(reopen),
        })
    }

    /// Reads what can be read only once, such as a pipe: MPEG-TS.
    ///
    /// # Errors
    /// [`ReadError`] when it cannot be read or is no MPEG-TS.
    pub fn pipe(options: ReadOptions, pipe: impl Read + Send + 'static) -> Result<Self, ReadError> {
        let format = Format::of(Box::new(Pipe(pipe)), options)?;
        Ok(Self {
            options,
            format,
            reopen: None,
        })
    }

    /// Whether [`rewind`](Self::rewind) can work.
    pub fn can_rewind(&self) -> bool {
        self.reopen.is_some()
    }

    /// Goes back to the beginning: all events come again.
    ///
    /// # Errors
    /// When the file cannot be opened again, or is a pipe.
    pub fn rewind(&mut self) -> Result<(), ReadError> {
        let reopen = self.reopen.as_mut().ok_or_else(unseekable)?;
        self.format = Format::of(reopen()?, self.options)?;
        Ok(())
    }

    /// Bytes of the file that were read since its beginning; of MP4 those of samples, and at its
    /// end all.
    pub fn bytes_read(&self) -> u64 {
        match &self.format {
            Format::Ts(reader) => reader.demuxer.stats().bytes,
            Format::Mp4(reader) => reader.read,
        }
    }

    /// What is known of a transport stream as a whole; `None` for MP4.
    pub fn transport(&self) -> Option<TransportReport> {
        match &self.format {
            Format::Ts(reader) => Some(reader.demuxer.report()),
            Format::Mp4(_) => None,
        }
    }

    /// The next event; `None` at the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read any further.
    pub fn next_event(&mut self) -> Result<Option<MediaEvent>, ReadError> {
        match &mut self.format {
            Format::Ts(reader) => reader.next_event(),
            Format::Mp4(reader) => reader.next_event(),
        }
    }
}

impl Format {
    fn of(mut file: Box<dyn File>, options: ReadOptions) -> Result<Self, ReadError> {
        let mut head = Vec::new();
        file.by_ref().take(PROBE).read_to_end(&mut head)?;
        Ok(match Container::of(&head)? {
            Container::Ts => Self::Ts(Box::new(TsReader::new(file, head, options))),
            Container::Mp4 => Self::Mp4(Box::new(Mp4Reader::open(file)?)),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Ts,
    Mp4,
}

impl Container {
    fn of(head: &[u8]) -> Result<Self, ReadError> {
        if head.is_empty() {
            return Err(ReadError::Empty);
        }
        if head.get(4..8).is_some_and(|kind| MP4_BOXES.contains(&kind)) {
            return Ok(Self::Mp4);
        }
        if looks_like_packets(head) {
            Ok(Self::Ts)
        } else {
            Err(ReadError::UnknownFormat)
        }
    }
}

struct TsReader {
    file: Box<dyn File>,
    demuxer: Demuxer,
    /// What was read to recognise the container.
    head: Vec<u8>,
    buffer: Vec<u8>,
    ended: bool,
}

impl TsReader {
    fn new(file: Box<dyn File>, head: Vec<u8>, options: ReadOptions) -> Self {
        Self {
            file,
            demuxer: Demuxer::new(DemuxOptions {
                program: options.program,
                ..DemuxOptions::default()
            }),
            head,
            buffer: vec![0; CHUNK],
            ended: false,
        }
    }

    fn next_event(&mut self) -> Result<Option<MediaEvent>, ReadError> {
        loop {
            if let Some(event) = self.demuxer.next_event() {
                return Ok(Some(match event {
                    DemuxEvent::Streams(streams) => MediaEvent::Streams(streams),
                    DemuxEvent::Unit(unit) => MediaEvent::Unit(unit),
                    DemuxEvent::Fault(fault) => MediaEvent::Fault(fault.into()),
                }));
            }
            if self.ended {
                return Ok(None);
            }
            if !self.head.is_empty() {
                self.demuxer.push(&std::mem::take(&mut self.head), None);
                continue;
            }
            match self.file.read(&mut self.buffer) {
                Ok(0) => {
                    self.demuxer.finish();
                    self.ended = true;
                }
                Ok(length) => {
                    let chunk = self.buffer.get(..length).unwrap_or_default();
                    self.demuxer.push(chunk, None);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

struct Mp4Reader {
    reader: mp4::Reader<Box<dyn File>>,
    size: u64,
    /// Bytes of the samples given so far.
    read: u64,
    /// The streams were told.
    told: bool,
}

impl Mp4Reader {
    fn open(mut file: Box<dyn File>) -> Result<Self, ReadError> {
        let size = file
            .seek(SeekFrom::End(0))
            .map_err(|error| match error.kind() {
                io::ErrorKind::Unsupported => ReadError::Mp4FromPipe,
                _ => error.into(),
            })?;
        file.rewind()?;
        Ok(Self {
            reader: mp4::Reader::open(file, size)?,
            size,
            read: 0,
            told: false,
        })
    }

    fn next_event(&mut self) -> Result<Option<MediaEvent>, ReadError> {
        if !std::mem::replace(&mut self.told, true) {
            return Ok(Some(MediaEvent::Streams(self.reader.streams().to_vec())));
        }
        match self.reader.next_unit() {
            Ok(Some(unit)) => {
                self.read = self.size.min(self.read + unit.data.len() as u64);
                Ok(Some(MediaEvent::Unit(unit)))
            }
            Ok(None) => {
                self.read = self.size;
                Ok(None)
            }
            Err(error @ Mp4Error::Sample { .. }) => Ok(Some(MediaEvent::Fault(
                MediaFault::Sample(error.to_string()),
            ))),
            Err(error) => Err(error.into()),
        }
    }
}

/// A file that can be sought in, whatever it is.
trait File: Read + Seek + Send {}
impl<T: Read + Seek + Send> File for T {}

/// What cannot be sought in, as a file that refuses to.
struct Pipe<R>(R);

impl<R: Read> Read for Pipe<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R> Seek for Pipe<R> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(unseekable())
    }
}

fn unseekable() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

#[cfg(test)]
#[path = "reader_test.rs"]
mod tests;
