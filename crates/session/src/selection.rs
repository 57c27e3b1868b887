//! What one output carries of a file: its first video and its first audio stream, on one clock.

use std::collections::VecDeque;

use trickle_media::access_unit::{Codec, MediaKind};
use trickle_media::stream::StreamParams;
use trickle_media::{AccessUnit, StreamInfo};

use crate::timeline::Timeline;

/// Units that wait until all streams are known; a stream of which nothing is known by then is
/// left out.
const MAX_WAITING: usize = 512;

/// What the output is told.
#[derive(Debug)]
pub(crate) enum Selected {
    /// It carries these streams from here on.
    Streams(Vec<StreamInfo>),
    /// A unit of one of them, on the output's clock.
    Unit(AccessUnit),
}

/// Chooses streams, waits until their parameters are known, and puts their units on one clock.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    timeline: Timeline,
    found: Vec<StreamInfo>,
    /// `None` until the streams are known.
    carried: Option<Vec<StreamInfo>>,
    waiting: Vec<AccessUnit>,
    ready: VecDeque<Selected>,
}

impl Selection {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The input holds these streams from here on.
    pub(crate) fn streams(&mut self, found: Vec<StreamInfo>) {
        self.found = found;
        self.choose(false);
    }

    /// The next unit of the input.
    pub(crate) fn unit(&mut self, unit: AccessUnit) {
        if self.carried.is_some() {
            return self.select(unit);
        }
        self.waiting.push(unit);
        if self.waiting.len() >= MAX_WAITING {
            self.choose(true);
        }
    }

    /// There is no more: what waited is let out.
    pub(crate) fn finish(&mut self) {
        if self.carried.is_none() {
            self.choose(true);
        }
    }

    /// Takes what comes next.
    pub(crate) fn pop(&mut self) -> Option<Selected> {
        self.ready.pop_front()
    }

    /// Streams that nothing is known of are waited for, or with `give_up` left out.
    fn choose(&mut self, give_up: bool) {
        let mut streams = first_of_each_kind(&self.found);
        // Nothing more will be known of what is not read here.
        let known = |stream: &StreamInfo| {
            stream.params != StreamParams::Unknown || !may_be_used(stream.codec)
        };
        if give_up {
            streams.retain(known);
        } else if !streams.iter().all(known) {
            return;
        }
        if self.carried.as_ref() == Some(&streams) {
            return;
        }
        self.carried = Some(streams.clone());
        self.ready.push_back(Selected::Streams(streams));
        for unit in std::mem::take(&mut self.waiting) {
            self.select(unit);
        }
    }

    fn select(&mut self, mut unit: AccessUnit) {
        let carried = self.carried.as_deref().unwrap_or_default();
        if carried.iter().any(|stream| stream.track == unit.track) {
            self.timeline.map(&mut unit);
            self.ready.push_back(Selected::Unit(unit));
        }
    }
}

/// Sound that is not read here is left out where there are pictures; else it is there to be refused
/// by name, as pictures always are.
fn first_of_each_kind(streams: &[StreamInfo]) -> Vec<StreamInfo> {
    let first = |kind: MediaKind| StreamInfo::choose(streams, kind, None);
    let video = first(MediaKind::Video);
    let audio = first(MediaKind::Audio);
    let audio = audio.filter(|audio| video.is_none() || may_be_used(audio.codec));
    video.into_iter().chain(audio).cloned().collect()
}

fn may_be_used(codec: Codec) -> bool {
    codec.is_used() || codec == Codec::UNDETERMINED_AUDIO
}
