//! From what is found in a file to the bytes of a live stream, in segments.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use trickle_media::ts::{MuxError, Placed, Segmenter, SegmenterOptions};
use trickle_media::{AccessUnit, Orientation, StreamInfo};

use super::MediaEvent;
use crate::selection::{Selected, Selection};

/// A unit on the output's clock, and its bytes.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) unit: AccessUnit,
    /// A segment begins with it.
    pub(super) new_segment: bool,
    pub(super) bytes: Bytes,
}

/// Turns events into packets.
pub(super) struct Packager {
    selection: Selection,
    output: Option<Output>,
    ready: VecDeque<Packet>,
    /// Why streams, or units, were left out.
    refused: Option<MuxError>,
    /// It was said that pictures are published as they lie.
    told_of_lying: bool,
}

struct Output {
    segmenter: Segmenter,
    buffer: BytesMut,
}

impl Packager {
    pub(super) fn new() -> Self {
        Self {
            selection: Selection::new(),
            output: None,
            ready: VecDeque::new(),
            refused: None,
            told_of_lying: false,
        }
    }

    /// Takes an event; packets may be ready then.
    pub(super) fn push(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Streams(streams) => self.selection.streams(streams),
            MediaEvent::Unit(unit) => self.selection.unit(unit),
            MediaEvent::Fault(fault) => tracing::warn!(%fault, "input"),
        }
        self.mux_selected();
    }

    /// There is no more: what waited is let out.
    pub(super) fn finish(&mut self) {
        self.selection.finish();
        self.mux_selected();
    }

    /// Takes the next packet.
    pub(super) fn pop(&mut self) -> Option<Packet> {
        self.ready.pop_front()
    }

    /// Why nothing, or not everything, comes out.
    pub(super) fn refused(&self) -> Option<&MuxError> {
        self.refused.as_ref()
    }

    fn mux_selected(&mut self) {
        while let Some(selected) = self.selection.pop() {
            match selected {
                Selected::Streams(streams) => self.configure(&streams),
                Selected::Unit(unit) => self.mux(unit),
            }
        }
    }

    /// Opens the output for these streams, or changes it to them.
    fn configure(&mut self, streams: &[StreamInfo]) {
        let lies = |stream: &StreamInfo| stream.orientation() != Orientation::UPRIGHT;
        if streams.iter().any(lies) && !std::mem::replace(&mut self.told_of_lying, true) {
            tracing::warn!(
                "pictures are published as they lie, as a transport stream cannot say how to turn \
                 them: `trickle process` makes a file in which they are upright"
            );
        }
        let configured = match &mut self.output {
            Some(output) => output.segmenter.set_streams(streams),
            None => Segmenter::new(streams, &SegmenterOptions::default()).map(|segmenter| {
                self.output = Some(Output {
                    segmenter,
                    buffer: BytesMut::new(),
                });
            }),
        };
        if let Err(error) = configured {
            tracing::warn!(%error, "input");
            self.refused = Some(error);
        }
    }

    fn mux(&mut self, unit: AccessUnit) {
        let Some(output) = &mut self.output else {
            return;
        };
        match output.segmenter.write(&unit, &mut output.buffer) {
            // Pictures ahead of the first keyframe.
            Ok(Placed::BeforeKeyframe) => {}
            Ok(placed) => self.ready.push_back(Packet {
                unit,
                new_segment: placed == Placed::NewSegment,
                bytes: output.buffer.split().freeze(),
            }),
            Err(error) => {
                tracing::warn!(%error, pts = %unit.pts, "a unit was left out");
                self.refused = Some(error);
            }
        }
    }
}

#[cfg(test)]
#[path = "packager_test.rs"]
mod tests;
