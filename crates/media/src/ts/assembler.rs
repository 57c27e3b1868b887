//! What becomes of the payload of an elementary stream, by its coding.

use std::time::Instant;

use super::audio::AudioAssembler;
use super::output::Output;
use super::track::{End, PesTimes};
use super::unnamed::{Named, Unnamed};
use super::video::VideoAssembler;
use super::whole::WholeAssembler;
use crate::access_unit::{Codec, TrackId};

/// How a stream is coded, as the tables say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coding {
    pub(super) codec: Codec,
    /// AAC comes in LATM rather than ADTS.
    pub(super) latm: bool,
    /// Nothing names it, so its packets may.
    pub(super) unnamed: bool,
}

impl Coding {
    pub(super) fn assembler(self, track: TrackId) -> Assembler {
        match self.codec {
            _ if self.unnamed => Assembler::Unnamed(Unnamed::default()),
            Codec::H264 => Assembler::H264(Box::new(VideoAssembler::new(track))),
            Codec::Aac if self.latm => Assembler::Audio(AudioAssembler::latm(track)),
            Codec::Aac => Assembler::Audio(AudioAssembler::adts(track)),
            Codec::Opus => Assembler::Audio(AudioAssembler::opus(track)),
            codec => Assembler::Whole(WholeAssembler::new(track, codec)),
        }
    }
}

/// Turns the payload of PES packets into access units.
#[derive(Debug)]
pub(super) enum Assembler {
    H264(Box<VideoAssembler>),
    Audio(AudioAssembler),
    Whole(WholeAssembler),
    /// Its first packets will tell what it is.
    Unnamed(Unnamed),
}

impl Assembler {
    pub(super) fn begin(&mut self, times: PesTimes) {
        match self {
            Self::H264(video) => video.begin(times),
            Self::Audio(audio) => audio.begin(times),
            Self::Whole(whole) => whole.begin(times),
            Self::Unnamed(unnamed) => unnamed.begin(times),
        }
    }

    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8], out: &mut Output) {
        match self {
            Self::H264(video) => video.append(bytes, out),
            Self::Audio(audio) => audio.append(bytes, out),
            Self::Whole(whole) => whole.append(bytes, out),
            Self::Unnamed(unnamed) => unnamed.append(bytes),
        }
    }

    pub(super) fn damage(&mut self) {
        match self {
            Self::H264(video) => video.damage(),
            Self::Audio(audio) => audio.damage(),
            Self::Whole(whole) => whole.damage(),
            Self::Unnamed(unnamed) => unnamed.damage(),
        }
    }

    /// No bytes of the PES packet that is being read were missing after all. Sound loses less than
    /// is worth undoing.
    pub(super) fn undo_damage(&mut self) {
        match self {
            Self::H264(video) => video.undo_damage(),
            Self::Whole(whole) => whole.undo_damage(),
            Self::Audio(_) | Self::Unnamed(_) => {}
        }
    }

    /// Hands on what is complete. Of a stream that nothing names: what it is, once that is known.
    pub(super) fn end(
        &mut self,
        end: End,
        received: Option<Instant>,
        out: &mut Output,
    ) -> Option<Named> {
        match self {
            Self::H264(video) => video.end(end, received, out),
            Self::Audio(audio) => audio.end(end, received, out),
            Self::Whole(whole) => whole.end(end, received, out),
            Self::Unnamed(unnamed) => return unnamed.end(received, end == End::Stream),
        }
        None
    }
}
