//! Streams that the tables do not name, such as the AAC of FFmpeg's `.m2ts`: what they are shows in
//! their first packets.

use std::time::Instant;

use bytes::BytesMut;

use super::track::PesTimes;
use crate::access_unit::Codec;
use crate::audio::adts::AdtsHeader;
use crate::audio::{frame_header, latm};

/// Frames that must follow one another before they are believed.
const FRAMES: usize = 3;
/// PES packets that are looked at, and their bytes, at most.
const MAX_PACKETS: usize = 8;
const MAX_BYTES: usize = 64 << 10;
/// Bytes that are held at most; the rest is left out.
const MAX_HELD: usize = 1 << 20;

/// Holds the first PES packets of a stream until they tell what it is.
#[derive(Debug, Default)]
pub(super) struct Unnamed {
    packets: Vec<Held>,
    bytes: usize,
}

/// A PES packet that waits.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) times: PesTimes,
    pub(super) data: BytesMut,
    pub(super) received: Option<Instant>,
    /// Whether bytes are missing at its end.
    pub(super) damaged: bool,
}

/// What a stream turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// Its coding; `None`: it is not told by its packets.
    pub(super) codec: Option<Codec>,
    /// AAC comes in LATM rather than ADTS.
    pub(super) latm: bool,
}

impl Unnamed {
    pub(super) fn begin(&mut self, times: PesTimes) {
        self.packets.push(Held {
            times,
            data: BytesMut::new(),
            received: None,
            damaged: false,
        });
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        if let Some(held) = self.packets.last_mut() {
            let fits = self.bytes + bytes.len() <= MAX_HELD;
            held.damaged |= !fits;
            if fits {
                held.data.extend_from_slice(bytes);
                self.bytes += bytes.len();
            }
        }
    }

    pub(super) fn damage(&mut self) {
        if let Some(held) = self.packets.last_mut() {
            held.damaged = true;
        }
    }

    /// A PES packet is complete; `last`: no other follows. Tells what the stream is as soon as that
    /// is certain, or will not be.
    pub(super) fn end(&mut self, received: Option<Instant>, last: bool) -> Option<Named> {
        if let Some(held) = self.packets.last_mut() {
            held.received = received;
        }
        let all: Vec<u8> = self
            .packets
            .iter()
            .flat_map(|held| held.data.iter().copied())
            .collect();
        let wanted = if last { 1 } else { FRAMES };
        let full = self.packets.len() >= MAX_PACKETS || self.bytes >= MAX_BYTES;
        match recognise(&all, wanted) {
            named @ Named { codec: Some(_), .. } => Some(named),
            none => (last || full).then_some(none),
        }
    }

    /// What was held, in its order.
    pub(super) fn into_held(self) -> Vec<Held> {
        self.packets
    }
}

/// The coding whose frames stand in `bytes` without a gap, so many of them at least.
fn recognise(bytes: &[u8], frames: usize) -> Named {
    let adts = |bytes: &[u8]| Some(AdtsHeader::parse(bytes).ok()?.frame_len);
    let latm = |bytes: &[u8]| latm::element_len(bytes).ok();
    let plain = |codec| {
        (
            chain(bytes, |rest| frame_header::length(codec, rest)),
            codec,
            false,
        )
    };
    let found = [
        (chain(bytes, adts), Codec::Aac, false),
        (chain(bytes, latm), Codec::Aac, true),
        plain(Codec::Ac3),
        plain(Codec::Eac3),
        plain(Codec::OtherAudio("dts")),
        plain(Codec::Mpeg),
    ]
    .into_iter()
    .find(|(chained, ..)| *chained >= frames);
    Named {
        codec: found.map(|(_, codec, _)| codec),
        latm: found.is_some_and(|(.., latm)| latm),
    }
}

/// How many whole frames follow one another from the start of `bytes` on; none where something
/// else comes between or behind them.
fn chain(bytes: &[u8], length: impl Fn(&[u8]) -> Option<usize>) -> usize {
    /// Bytes that every header fits in.
    const LONGEST_HEADER: usize = 9;
    let (mut rest, mut frames) = (bytes, 0);
    while !rest.is_empty() {
        match length(rest) {
            Some(length) if length > 0 => match rest.get(length..) {
                Some(after) => {
                    frames += 1;
                    rest = after;
                }
                None => break,
            },
            None if rest.len() < LONGEST_HEADER => break,
            _ => return 0,
        }
    }
    frames
}

#[cfg(test)]
#[path = "unnamed_test.rs"]
mod tests;
