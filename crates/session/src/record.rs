//! A live stream into an MP4 file that plays up to wherever it was cut.

use std::io::{self, Write};

use bytes::BytesMut;
use trickle_media::StreamInfo;
use trickle_media::access_unit::{MediaKind, TrackId};
use trickle_media::mp4;
use trickle_media::ts::{DemuxEvent, DemuxOptions, Demuxer};

use crate::feed::ReadOptions;
use crate::selection::{Selected, Selection};

/// Takes the bytes of a transport stream and writes a fragmented MP4 file of its first video and
/// its first audio stream: H.264, AAC, Opus.
///
/// A fragment goes to the file when its group of pictures is complete, so a recording that is cut
/// lacks no more than the last one. Jumps of the stream's clock leave no gap. Call
/// [`finish`](Self::finish) at the end.
pub struct Mp4Recorder<W> {
    demuxer: Demuxer,
    selection: Selection,
    /// Those of the stream when the recording began.
    streams: Vec<StreamInfo>,
    /// Sound that is not what its track says, which was told.
    left_out: Vec<TrackId>,
    /// `None` until the streams are known.
    writer: Option<mp4::Writer>,
    fragment: BytesMut,
    /// Something was written.
    begun: bool,
    /// Why streams were left out.
    refused: Option<mp4::Mp4WriteError>,
    file: W,
}

impl<W: Write> Mp4Recorder<W> {
    /// A recorder into `file`, which is only ever appended to.
    pub fn new(file: W, options: ReadOptions) -> Self {
        Self {
            demuxer: Demuxer::new(DemuxOptions {
                program: options.program,
                ..DemuxOptions::default()
            }),
            selection: Selection::new(),
            streams: Vec::new(),
            left_out: Vec::new(),
            writer: None,
            fragment: BytesMut::new(),
            begun: false,
            refused: None,
            file,
        }
    }

    /// Writes what is left, and gives the file back.
    ///
    /// # Errors
    /// When the file cannot be written, or nothing came that MP4 can hold.
    pub fn finish(mut self) -> io::Result<W> {
        self.demuxer.finish();
        self.demuxed()?;
        self.selection.finish();
        self.selected()?;
        if let Some(writer) = &mut self.writer {
            writer.finish(&mut self.fragment);
        }
        self.store()?;
        if !self.begun {
            let reason = self.refused.map_or_else(
                || "no keyframe and no sound came".into(),
                |error| error.to_string(),
            );
            return Err(nothing(&reason));
        }
        self.file.flush()?;
        Ok(self.file)
    }

    fn demuxed(&mut self) -> io::Result<()> {
        while let Some(event) = self.demuxer.next_event() {
            match event {
                DemuxEvent::Streams(streams) => self.selection.streams(streams),
                DemuxEvent::Unit(unit) => self.selection.unit(unit),
                DemuxEvent::Fault(fault) => tracing::warn!(%fault, "in the stream recorded"),
            }
            self.selected()?;
        }
        Ok(())
    }

    fn selected(&mut self) -> io::Result<()> {
        while let Some(selected) = self.selection.pop() {
            let unit = match selected {
                Selected::Streams(streams) => {
                    self.begin(&streams)?;
                    continue;
                }
                Selected::Unit(unit) if self.left_out.contains(&unit.track) => continue,
                Selected::Unit(unit) => unit,
            };
            let Some(writer) = &mut self.writer else {
                continue;
            };
            match writer.write(&unit, &mut self.fragment) {
                // Of a stream that was left out, which was told.
                Ok(()) | Err(mp4::Mp4WriteError::UnknownTrack(_)) => {}
                Err(error) => tracing::warn!(%error, "a unit was left out of the recording"),
            }
            self.store()?;
        }
        Ok(())
    }

    /// Opens the file for the streams that it can hold. Its tracks are fixed then. Pictures that it
    /// cannot hold are no recording without them.
    fn begin(&mut self, streams: &[StreamInfo]) -> io::Result<()> {
        if self.writer.is_some() {
            if changed(&self.streams, streams) {
                tracing::warn!(
                    "the stream changes; the recording goes on with the tracks that it has"
                );
            }
            // Players would take it for what the track says it is.
            self.left_out = streams
                .iter()
                .filter(|stream| stream.codec.kind() == MediaKind::Audio)
                .filter(|stream| !lasts(stream, &self.streams))
                .map(|stream| stream.track)
                .collect();
            return Ok(());
        }
        let mut held: Vec<StreamInfo> = Vec::new();
        for stream in streams {
            held.push(stream.clone());
            if let Err(error) = mp4::Writer::new(&held) {
                if stream.codec.kind() == MediaKind::Video {
                    return Err(nothing(&error.to_string()));
                }
                tracing::warn!(%error, "a stream is left out of the recording");
                self.refused = Some(error);
                held.pop();
            }
        }
        if !held.is_empty() {
            self.writer = mp4::Writer::new(&held).ok();
            self.streams = streams.to_vec();
        }
        Ok(())
    }

    fn store(&mut self) -> io::Result<()> {
        if self.fragment.is_empty() {
            return Ok(());
        }
        self.begun = true;
        self.file.write_all(&self.fragment)?;
        self.fragment.clear();
        Ok(())
    }
}

fn nothing(reason: &str) -> io::Error {
    let message = format!("nothing could be recorded: {reason}");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Whether a track comes, or goes on as another.
fn changed(before: &[StreamInfo], after: &[StreamInfo]) -> bool {
    !after.iter().all(|stream| lasts(stream, before))
}

/// Whether a stream is one of these: pictures bring what changes of them along.
fn lasts(stream: &StreamInfo, before: &[StreamInfo]) -> bool {
    before.iter().any(|other| {
        (other.track, other.codec) == (stream.track, stream.codec)
            && (other.params == stream.params || stream.codec.kind() == MediaKind::Video)
    })
}

impl<W: Write> Write for Mp4Recorder<W> {
    /// Takes bytes of a transport stream.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.demuxer.push(bytes, None);
        self.demuxed()?;
        Ok(bytes.len())
    }

    /// Flushes the file; the group of pictures that is being gathered stays in memory.
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
#[path = "record_test.rs"]
mod tests;
