//! From what is found in a file to the bytes of a live stream: one clock, one video and one audio
//! stream, segments.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use trickle_media::access_unit::MediaKind;
use trickle_media::stream::StreamParams;
use trickle_media::ts::{MuxError, Placed, Segmenter, SegmenterOptions};
use trickle_media::{AccessUnit, StreamInfo};

use super::MediaEvent;
use crate::timeline::Timeline;

/// Units that wait until all streams are known; a stream of which nothing is known by then is
/// left out.
const MAX_WAITING: usize = 512;

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
    timeline: Timeline,
    streams: Vec<StreamInfo>,
    output: Option<Output>,
    waiting: Vec<AccessUnit>,
    ready: VecDeque<Packet>,
    /// Why streams, or units, were left out.
    refused: Option<MuxError>,
}

struct Output {
    streams: Vec<StreamInfo>,
    segmenter: Segmenter,
    buffer: BytesMut,
}

impl Packager {
    pub(super) fn new() -> Self {
        Self {
            timeline: Timeline::new(),
            streams: Vec::new(),
            output: None,
            waiting: Vec::new(),
            ready: VecDeque::new(),
            refused: None,
        }
    }

    /// Takes an event; packets may be ready then.
    pub(super) fn push(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Streams(streams) => {
                self.streams = streams;
                self.configure(false);
            }
            MediaEvent::Unit(unit) if self.output.is_some() => self.mux(unit),
            MediaEvent::Unit(unit) => {
                self.waiting.push(unit);
                if self.waiting.len() >= MAX_WAITING {
                    self.configure(true);
                }
            }
            MediaEvent::Fault(fault) => tracing::warn!(%fault, "input"),
        }
    }

    /// There is no more: what waited is let out.
    pub(super) fn finish(&mut self) {
        if self.output.is_none() {
            self.configure(true);
        }
    }

    /// Takes the next packet.
    pub(super) fn pop(&mut self) -> Option<Packet> {
        self.ready.pop_front()
    }

    /// Why nothing, or not everything, comes out.
    pub(super) fn refused(&self) -> Option<&MuxError> {
        self.refused.as_ref()
    }

    /// Opens the output for the streams known now, or changes it to them. Streams that nothing is
    /// known of are waited for, or with `give_up` left out.
    fn configure(&mut self, give_up: bool) {
        let mut streams = chosen(&self.streams);
        let known = |stream: &StreamInfo| stream.params != StreamParams::Unknown;
        if give_up {
            streams.retain(known);
        } else if !streams.iter().all(known) {
            return;
        }
        let configured = match &mut self.output {
            Some(output) if output.streams == streams => return,
            Some(output) => output
                .segmenter
                .set_streams(&streams)
                .map(|()| output.streams = streams),
            None => Segmenter::new(&streams, &SegmenterOptions::default()).map(|segmenter| {
                self.output = Some(Output {
                    streams,
                    segmenter,
                    buffer: BytesMut::new(),
                });
            }),
        };
        if let Err(error) = configured {
            tracing::warn!(%error, "input");
            self.refused = Some(error);
        }
        for unit in std::mem::take(&mut self.waiting) {
            self.mux(unit);
        }
    }

    fn mux(&mut self, mut unit: AccessUnit) {
        let Some(output) = &mut self.output else {
            return;
        };
        if !output
            .streams
            .iter()
            .any(|stream| stream.track == unit.track)
        {
            return;
        }
        self.timeline.map(&mut unit);
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

/// The first video and the first audio stream.
fn chosen(streams: &[StreamInfo]) -> Vec<StreamInfo> {
    [MediaKind::Video, MediaKind::Audio]
        .into_iter()
        .filter_map(|kind| streams.iter().find(|stream| stream.codec.kind() == kind))
        .cloned()
        .collect()
}

#[cfg(test)]
#[path = "packager_test.rs"]
mod tests;
