//! Cuts a byte stream into packets, and finds them again after garbage.
//!
//! Some recorders put a time in front of each packet, which makes 192 bytes of it (BDAV, `.m2ts`),
//! and some receivers leave its 16 bytes of Reed-Solomon code behind it, which makes 204: those
//! bytes are passed over.

use memchr::memchr;

use super::packet::{PACKET_LEN, SYNC_BYTE};

/// Bytes from one packet to the next: plain, with a time in front, with a code behind. The
/// shortest comes first, so that what is found does not depend on how much is there to look at.
const STRIDES: [usize; 3] = [PACKET_LEN, 192, 204];

/// Packets that must stand behind one another before a sync byte is believed again.
const CONFIRMATIONS: usize = 2;

/// What the framer finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framed<'a> {
    /// A packet.
    Packet {
        /// Its bytes, the first of which is a sync byte.
        bytes: &'a [u8; PACKET_LEN],
        /// Where it begins in the stream.
        offset: u64,
    },
    /// Bytes that are no packets were passed over.
    Skipped {
        /// Where they begin in the stream.
        offset: u64,
        /// How many they are.
        count: u64,
    },
}

/// Packets of a stream that arrives in pieces of any size. Whole packets are read where they
/// lie; at most [`CONFIRMATIONS`] + 1 packets are held between pieces. What is found never
/// depends on how the stream was cut.
#[derive(Debug, Default)]
pub(super) struct Framer {
    // Bytes of the stream that are not used yet; `offset` is where they begin.
    held: Vec<u8>,
    offset: u64,
    // Sync is lost since here.
    lost: Option<u64>,
    // Bytes between packets, and how many of them are still to come before the next one.
    between: usize,
    owed: usize,
}

/// How a stream of packets looks from its first bytes: whether it is one at all.
///
/// A stream may begin within a packet, or with damage.
pub fn looks_like_packets(head: &[u8]) -> bool {
    STRIDES.iter().any(|&stride| {
        let packets = (head.len() / stride).min(1 + CONFIRMATIONS);
        let in_step = |start: usize| {
            let syncs = head.iter().skip(start).step_by(stride).take(packets);
            packets > 0 && syncs.filter(|byte| **byte == SYNC_BYTE).count() == packets
        };
        (0..stride).any(in_step)
    })
}

impl Framer {
    /// Takes the next piece of the stream.
    pub(super) fn push(&mut self, mut data: &[u8], mut found: impl FnMut(Framed<'_>)) {
        while !self.held.is_empty() {
            // Enough to finish a packet, or to look for sync in all there is.
            let wanted = if self.lost.is_some() {
                data.len()
            } else {
                let whole = self.owed + PACKET_LEN;
                whole.saturating_sub(self.held.len()).min(data.len())
            };
            let (head, rest) = data.split_at(wanted);
            self.held.extend_from_slice(head);
            data = rest;
            if !self.drain_held(false, &mut found) || data.is_empty() {
                break;
            }
        }
        if data.is_empty() {
            return;
        }
        let used = self.scan(data, false, &mut found);
        self.held
            .extend_from_slice(data.get(used..).unwrap_or_default());
    }

    /// Ends the stream: what is held is a packet, or garbage.
    pub(super) fn finish(&mut self, mut found: impl FnMut(Framed<'_>)) {
        self.drain_held(true, &mut found);
        let rest = self.held.len() as u64;
        let begin = self.lost.take().unwrap_or(self.offset + self.owed as u64);
        self.offset += rest;
        self.held.clear();
        self.owed = 0;
        let count = self.offset.saturating_sub(begin);
        if count > 0 {
            found(Framed::Skipped {
                offset: begin,
                count,
            });
        }
    }

    /// Bytes passed over since sync was lost, before they are reported.
    pub(super) fn skipping(&self) -> u64 {
        self.lost.map_or(0, |since| self.offset - since)
    }

    /// Bytes from one packet to the next: 188, 192 or 204.
    pub(super) fn stride(&self) -> usize {
        PACKET_LEN + self.between
    }

    /// Reads on in what is held; returns whether anything of it was used.
    fn drain_held(&mut self, last: bool, found: &mut impl FnMut(Framed<'_>)) -> bool {
        let held = std::mem::take(&mut self.held);
        let used = self.scan(&held, last, found);
        self.held = held;
        self.held.drain(..used);
        used > 0
    }

    /// Reads packets in `bytes`, which begin at `self.offset`. Returns how many bytes are used.
    fn scan(&mut self, bytes: &[u8], last: bool, found: &mut impl FnMut(Framed<'_>)) -> usize {
        let mut rest = bytes;
        loop {
            if self.owed > 0 && self.lost.is_none() {
                let passed = self.owed.min(rest.len());
                rest = rest.get(passed..).unwrap_or_default();
                self.owed -= passed;
                self.offset += passed as u64;
            }
            let Some(since) = self.lost else {
                match rest.split_first_chunk::<PACKET_LEN>() {
                    Some((packet, after)) if packet[0] == SYNC_BYTE => {
                        found(Framed::Packet {
                            bytes: packet,
                            offset: self.offset,
                        });
                        self.offset += PACKET_LEN as u64;
                        self.owed = self.between;
                        rest = after;
                        continue;
                    }
                    Some(_) => {
                        self.lost = Some(self.offset);
                        continue;
                    }
                    None => break,
                }
            };
            let next = memchr(SYNC_BYTE, rest).unwrap_or(rest.len());
            self.offset += next as u64;
            rest = rest.get(next..).unwrap_or_default();
            match confirm(rest, last) {
                Some(Some(stride)) => {
                    self.lost = None;
                    let count = self.offset - since;
                    // The first packet of a stream tells nothing of what is between packets.
                    let explained = stride - PACKET_LEN != self.between
                        && count as usize == stride - PACKET_LEN
                        && since <= STRIDES[0] as u64;
                    self.between = stride - PACKET_LEN;
                    self.owed = 0;
                    if !explained {
                        found(Framed::Skipped {
                            offset: since,
                            count,
                        });
                    }
                }
                Some(None) => {
                    self.offset += 1;
                    rest = rest.get(1..).unwrap_or_default();
                }
                None => break,
            }
        }
        bytes.len() - rest.len()
    }
}

/// The stride with which packets follow the sync byte at the start of `bytes`, if any; the outer
/// `None` when more bytes are needed to tell.
fn confirm(bytes: &[u8], last: bool) -> Option<Option<usize>> {
    for stride in STRIDES {
        if follows(bytes, stride, last)? {
            return Some(Some(stride));
        }
    }
    Some(None)
}

fn follows(bytes: &[u8], stride: usize, last: bool) -> Option<bool> {
    for packet in 1..=CONFIRMATIONS {
        match bytes.get(packet * stride) {
            Some(&SYNC_BYTE) => {}
            Some(_) => return Some(false),
            // At the end of a stream, plain packets are believed.
            None if last && stride > PACKET_LEN => return Some(false),
            None if last && bytes.len() >= PACKET_LEN => return Some(true),
            None => return None,
        }
    }
    Some(true)
}

#[cfg(test)]
#[path = "sync_test.rs"]
mod tests;
