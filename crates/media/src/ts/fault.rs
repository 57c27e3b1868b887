//! What can be wrong with a transport stream, each fault with its place.

use serde::Serialize;
use thiserror::Error;

use super::packet::{PacketError, Pid};
use super::pes::PesError;
use super::psi::PsiError;
use crate::audio::adts::AdtsError;
use crate::audio::latm::LatmError;
use crate::audio::opus::OpusError;
use crate::h264::ParameterSetError;

/// Something wrong in a transport stream. The demuxer goes on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}at byte {offset}: {kind}", .pid.map(|pid| format!("PID {pid}, ")).unwrap_or_default())]
pub struct TsFault {
    /// PID it was found on, where it belongs to one.
    pub pid: Option<Pid>,
    /// Where in the stream it was found: the first byte of the packet, counted from the first
    /// byte pushed.
    pub offset: u64,
    /// What is wrong.
    pub kind: FaultKind,
}

/// Kinds of faults.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// Bytes that are no packets: the sync byte was missing.
    #[error("{skipped} bytes are no transport packets")]
    LostSync {
        /// Bytes passed over.
        skipped: u64,
    },
    /// A packet that cannot be used.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// Packets are missing.
    #[error("continuity counter {got} follows {last}: packets are missing")]
    Continuity {
        /// Counter of the packet before.
        last: u8,
        /// Counter of this one.
        got: u8,
    },
    /// The payload is scrambled. Reported once until it is clear again.
    #[error("the payload is scrambled")]
    Scrambled,
    /// A table that cannot be used.
    #[error(transparent)]
    Psi(#[from] PsiError),
    /// The whole stream went by without a program.
    #[error("no program was found: PAT or PMT is missing")]
    NoProgram,
    /// The program asked for is not in the stream.
    #[error("there is no program {wanted}; the stream holds {}", list(.found))]
    OtherPrograms {
        /// `program_number` asked for.
        wanted: u16,
        /// Those of the PAT.
        found: Vec<u16>,
    },
    /// Continuity counters are wrong again and again although no packets are missing. Reported
    /// once; missing packets cannot be noticed from there on.
    #[error("the continuity counters make no sense: whether packets are missing cannot be told")]
    Counters,
    /// A PES packet goes on behind the length that it states. Reported once; the lengths of this
    /// stream are not believed from there on.
    #[error("a PES packet is longer than it states: its lengths are not believed")]
    PesLength,
    /// A PES header that cannot be used; the PES packet is passed over.
    #[error(transparent)]
    Pes(#[from] PesError),
    /// The next PES packet began before this one was complete.
    #[error("a PES packet ends {missing} bytes before the length that it states")]
    PesCut {
        /// Bytes that never came.
        missing: usize,
    },
    /// A unit is larger than the demuxer keeps; its end is left out.
    #[error("an access unit is larger than {limit} bytes")]
    Oversized {
        /// The bound.
        limit: usize,
    },
    /// A PES packet states no presentation time; one was derived from the unit before.
    #[error("a PES packet states no timestamp")]
    NoTimestamp,
    /// The clock jumped back, or by more than 10 s.
    #[error("decoding time jumps from {from} to {to} (90 kHz)")]
    Jump {
        /// Decoding time of the unit before, in ticks of 90 kHz.
        from: i64,
        /// Decoding time of this one.
        to: i64,
    },
    /// A parameter set that cannot be used.
    #[error(transparent)]
    ParameterSet(#[from] ParameterSetError),
    /// Bytes that are no AAC frame; they are passed over.
    #[error(transparent)]
    Adts(#[from] AdtsError),
    /// Bytes that are no AAC in LATM, or of a kind that is not read; they are passed over.
    #[error(transparent)]
    Latm(#[from] LatmError),
    /// Bytes that are no Opus packet; the rest of the PES packet is passed over.
    #[error(transparent)]
    Opus(#[from] OpusError),
}

fn list(programs: &[u16]) -> String {
    let numbers: Vec<String> = programs.iter().map(u16::to_string).collect();
    match numbers.as_slice() {
        [] => "none".into(),
        numbers => numbers.join(", "),
    }
}

/// How often each kind of fault was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FaultCounts {
    /// Sync was lost.
    pub lost_sync: u64,
    /// Packets that could not be used.
    pub packets: u64,
    /// Gaps in continuity counters, and counters that make no sense.
    pub continuity: u64,
    /// Packets with a scrambled payload.
    pub scrambled: u64,
    /// Tables that could not be used, or were missing.
    pub tables: u64,
    /// PES packets with a damaged header, or cut short.
    pub pes: u64,
    /// Units larger than the bound.
    pub oversized: u64,
    /// PES packets without a timestamp.
    pub no_timestamp: u64,
    /// Jumps of the clock.
    pub jumps: u64,
    /// Parameter sets, AAC frames and Opus packets that could not be read.
    pub elementary: u64,
}

impl FaultCounts {
    pub(super) fn count(&mut self, kind: &FaultKind) {
        let counter = match kind {
            FaultKind::LostSync { .. } => &mut self.lost_sync,
            FaultKind::Packet(_) => &mut self.packets,
            FaultKind::Continuity { .. } | FaultKind::Counters => &mut self.continuity,
            FaultKind::Scrambled => &mut self.scrambled,
            FaultKind::Psi(_) | FaultKind::NoProgram | FaultKind::OtherPrograms { .. } => {
                &mut self.tables
            }
            FaultKind::Pes(_) | FaultKind::PesCut { .. } | FaultKind::PesLength => &mut self.pes,
            FaultKind::Oversized { .. } => &mut self.oversized,
            FaultKind::NoTimestamp => &mut self.no_timestamp,
            FaultKind::Jump { .. } => &mut self.jumps,
            FaultKind::ParameterSet(_)
            | FaultKind::Adts(_)
            | FaultKind::Latm(_)
            | FaultKind::Opus(_) => &mut self.elementary,
        };
        *counter += 1;
    }

    /// All faults together.
    pub fn total(&self) -> u64 {
        self.lost_sync
            + self.packets
            + self.continuity
            + self.scrambled
            + self.tables
            + self.pes
            + self.oversized
            + self.no_timestamp
            + self.jumps
            + self.elementary
    }
}
