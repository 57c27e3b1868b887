//! When the first byte of each video frame arrives, told from the packets' headers alone.

use trickle_media::ts::packet::{PACKET_LEN, Packet, SYNC_BYTE};
use trickle_media::ts::pes::{PesHeader, StreamId};

/// Finds the video frames that begin in a segment's bytes. A demuxer would tell of a frame only
/// when all of it is there.
#[derive(Debug, Default)]
pub struct FirstBytes {
    partial: Vec<u8>,
}

/// `stream_id`s of video (ISO/IEC 13818-1, table 2-22).
const VIDEO_IDS: std::ops::RangeInclusive<u8> = StreamId::VIDEO.0..=0xef;

impl FirstBytes {
    /// A segment begins: it begins with a packet.
    pub fn segment(&mut self) {
        self.partial.clear();
    }

    /// Calls `found` with the presentation time, 33 bits of 90 kHz, of each frame that begins in
    /// the packets that `bytes` complete.
    pub fn push(&mut self, mut bytes: &[u8], mut found: impl FnMut(i64)) {
        if !self.partial.is_empty() {
            let missing = (PACKET_LEN - self.partial.len()).min(bytes.len());
            let (head, rest) = bytes.split_at(missing);
            self.partial.extend_from_slice(head);
            bytes = rest;
            if let Ok(packet) = <&[u8; PACKET_LEN]>::try_from(self.partial.as_slice()) {
                begins(packet).into_iter().for_each(&mut found);
                self.partial.clear();
            }
        }
        let (packets, rest) = bytes.as_chunks::<PACKET_LEN>();
        packets.iter().filter_map(begins).for_each(found);
        self.partial.extend_from_slice(rest);
    }
}

fn begins(packet: &[u8; PACKET_LEN]) -> Option<i64> {
    if packet.first() != Some(&SYNC_BYTE) {
        return None;
    }
    let packet = Packet::parse(packet).ok()?;
    let payload = packet.payload.filter(|_| packet.unit_start)?;
    let header = PesHeader::parse(payload).ok()??;
    if !VIDEO_IDS.contains(&header.stream_id.0) {
        return None;
    }
    i64::try_from(header.pts?).ok()
}

#[cfg(test)]
#[path = "first_bytes_test.rs"]
mod tests;
