//! Cuts a byte stream into packets, and finds them again after garbage.

use memchr::memchr;

use super::packet::{PACKET_LEN, SYNC_BYTE};

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
}

impl Framer {
    /// Takes the next piece of the stream.
    pub(super) fn push(&mut self, mut data: &[u8], mut found: impl FnMut(Framed<'_>)) {
        while !self.held.is_empty() {
            // Enough to finish a packet, or to look for sync in all there is.
            let wanted = if self.lost.is_some() {
                data.len()
            } else {
                PACKET_LEN.saturating_sub(self.held.len()).min(data.len())
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
        let begin = self.lost.take().unwrap_or(self.offset);
        self.offset += rest;
        self.held.clear();
        let count = self.offset - begin;
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
            let Some(since) = self.lost else {
                match rest.split_first_chunk::<PACKET_LEN>() {
                    Some((packet, after)) if packet[0] == SYNC_BYTE => {
                        found(Framed::Packet {
                            bytes: packet,
                            offset: self.offset,
                        });
                        self.offset += PACKET_LEN as u64;
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
                Some(true) => {
                    self.lost = None;
                    found(Framed::Skipped {
                        offset: since,
                        count: self.offset - since,
                    });
                }
                Some(false) => {
                    self.offset += 1;
                    rest = rest.get(1..).unwrap_or_default();
                }
                None => break,
            }
        }
        bytes.len() - rest.len()
    }
}

/// Whether the sync byte at the start of `bytes` begins a packet; `None` when more bytes are
/// needed to tell.
fn confirm(bytes: &[u8], last: bool) -> Option<bool> {
    for packet in 1..=CONFIRMATIONS {
        match bytes.get(packet * PACKET_LEN) {
            Some(&SYNC_BYTE) => {}
            Some(_) => return Some(false),
            None if last && bytes.len() >= PACKET_LEN => return Some(true),
            None => return None,
        }
    }
    Some(true)
}

#[cfg(test)]
#[path = "sync_test.rs"]
mod tests;
