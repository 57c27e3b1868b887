//! PAT and PMT as they arrive: which program is read, and when its streams change.

use super::fault::FaultKind;
use super::output::Output;
use super::packet::{Packet, Pid};
use super::psi::{self, Pmt, Program, PsiError, SectionAssembler};

/// Follows the tables of one program.
#[derive(Debug)]
pub(super) struct Tables {
    /// `program_number` asked for; `None`: the first one listed.
    wanted: Option<u16>,
    program: Option<Program>,
    pat: TableReader,
    pmt: TableReader,
}

#[derive(Debug, Default)]
struct TableReader {
    sections: SectionAssembler,
    continuity: Option<u8>,
    // The section in force: the same one again changes nothing.
    current: Vec<u8>,
}

impl TableReader {
    /// Calls `section` with a section that differs from the one before.
    fn packet(
        &mut self,
        packet: &Packet<'_>,
        out: &mut Output,
        mut section: impl FnMut(&[u8], &mut Output) -> bool,
    ) {
        let Some(payload) = packet.payload else {
            return;
        };
        let expected = self.continuity.replace(packet.continuity);
        if expected.is_some_and(|last| packet.continuity != (last + 1) & 0x0f) {
            self.sections.reset();
        }
        let current = &mut self.current;
        self.sections.push(
            packet.unit_start,
            payload,
            |read: Result<&[u8], PsiError>| match read {
                Ok(bytes) if bytes == current => {}
                Ok(bytes) => {
                    if section(bytes, out) {
                        bytes.clone_into(current);
                    }
                }
                Err(error) => out.fault(packet.pid, error),
            },
        );
    }
}

impl Tables {
    pub(super) fn new(wanted: Option<u16>) -> Self {
        Self {
            wanted,
            program: None,
            pat: TableReader::default(),
            pmt: TableReader::default(),
        }
    }

    /// PID of the program's PMT, once it is known.
    pub(super) fn pmt_pid(&self) -> Option<Pid> {
        self.program.map(|program| program.pmt)
    }

    /// Number of the program that is read, once it is known.
    pub(super) fn program(&self) -> Option<u16> {
        self.program.map(|program| program.number)
    }

    /// Takes a packet of the PAT. Returns whether the PMT is now another one.
    pub(super) fn pat_packet(&mut self, packet: &Packet<'_>, out: &mut Output) -> bool {
        let (wanted, before) = (self.wanted, self.program);
        let program = &mut self.program;
        self.pat.packet(packet, out, |section, out| {
            let Some(programs) = psi::parse_pat(section) else {
                return false;
            };
            out.programs = programs.iter().map(|program| program.number).collect();
            let chosen = match wanted {
                Some(number) => programs.iter().find(|known| known.number == number),
                None => programs
                    .iter()
                    .find(|known| program.is_some_and(|program| program.number == known.number))
                    .or(programs.first()),
            };
            // A section without programs is one of several, or says that there is nothing yet.
            if let Some(chosen) = chosen {
                *program = Some(*chosen);
            } else if let Some(wanted) = wanted
                && psi::is_only_section(section)
                && !programs.is_empty()
            {
                let found = out.programs.clone();
                out.fault(packet.pid, FaultKind::OtherPrograms { wanted, found });
            }
            true
        });
        let changed = self.program != before;
        if changed {
            self.pmt = TableReader::default();
        }
        changed
    }

    /// Takes a packet of the PMT. Returns the table when it is new.
    pub(super) fn pmt_packet(&mut self, packet: &Packet<'_>, out: &mut Output) -> Option<Pmt> {
        let number = self.program?.number;
        let mut new = None;
        self.pmt.packet(packet, out, |section, _| {
            // Several programs may share the PID.
            let pmt = psi::parse_pmt(section).filter(|pmt| pmt.program == number);
            let found = pmt.is_some();
            new = pmt.or(new.take());
            found
        });
        new
    }
}
