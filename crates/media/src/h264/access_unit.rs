//! Where access units begin in a sequence of NAL units (ITU-T H.264, 7.4.1.2.3 and 7.4.1.2.4).

use super::sei;
use super::slice::SliceHeader;
use super::{NalKind, NalUnit, ParameterSetError, ParameterSets};

/// `slice_type` of an I slice.
const INTRA: u8 = 2;

/// What an access unit holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitFacts {
    /// An IDR picture.
    pub idr: bool,
    /// A recovery point SEI message that says that pictures are right from this one on (D.2.8).
    pub recovery_point: bool,
    /// A sequence parameter set.
    pub sps: bool,
    /// A picture parameter set.
    pub pps: bool,
    /// An access unit delimiter.
    pub aud: bool,
    /// Slices, whether their headers could be read or not.
    pub slices: u32,
    /// Slices, of the first field where there are two, that are no I slices or whose headers could
    /// not be read.
    pub inter_slices: u32,
    /// Header of the first slice that could be read.
    pub first_slice: Option<SliceHeader>,
    /// The unit holds one field, and a second one may still come.
    pub single_field: bool,
}

impl UnitFacts {
    /// A decoder can start here: an IDR picture, or an I picture that is a recovery point, as in
    /// open groups of pictures; or one that brings its parameter sets, by which encoders that write
    /// no such message mark it.
    pub fn is_random_access(&self) -> bool {
        let intra = self.slices > 0 && self.inter_slices == 0;
        self.idr || intra && (self.recovery_point || self.sps && self.pps)
    }

    fn note(&mut self, nal: NalUnit<'_>) {
        match nal.kind() {
            NalKind::SEI => self.recovery_point |= sei::recovery_frames(nal) == Some(0),
            NalKind::SPS => self.sps = true,
            NalKind::PPS => self.pps = true,
            NalKind::AUD => self.aud = true,
            NalKind::IDR => {
                self.idr = true;
                self.slices += 1;
            }
            kind if kind.is_slice() => self.slices += 1,
            _ => {}
        }
    }
}

/// The end of one access unit and the start of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// Where the next unit begins: the offset of its first NAL unit, as that unit stated it.
    pub offset: usize,
    /// What the unit that ended holds.
    pub ended: UnitFacts,
}

/// Finds access units in a sequence of NAL units, with or without delimiters between them.
///
/// The two fields of a frame count as one unit, although the standard calls each a unit of its
/// own: decoders turn both into one frame.
#[derive(Clone, Debug, Default)]
pub struct AccessUnitDetector {
    sets: ParameterSets,
    unit: UnitFacts,
    // The latest slice whose header could be read, of the unit's latest picture.
    slice: Option<SliceHeader>,
    // NAL units after a single field which open a unit unless a second field follows them: where
    // they begin, and what they are.
    pending: Option<(usize, UnitFacts)>,
}

impl AccessUnitDetector {
    /// A detector at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next NAL unit. Returns where a new access unit begins, if this unit shows it:
    /// at the unit itself, or at an earlier one that stands before it.
    ///
    /// # Errors
    /// [`ParameterSetError`] when the unit is a damaged parameter set. The detector goes on as if
    /// it were a sound one of no consequence; no boundary is lost, it is in the second part.
    pub fn push(&mut self, nal: NalUnit<'_>) -> (Option<Boundary>, Result<(), ParameterSetError>) {
        let kind = nal.kind();
        if kind.is_slice() {
            return (self.push_slice(nal), Ok(()));
        }
        let boundary = if kind.opens_access_unit() && self.unit.slices > 0 {
            self.push_opening(nal)
        } else {
            None
        };
        match &mut self.pending {
            Some((_, next)) => next.note(nal),
            None => self.unit.note(nal),
        }
        (boundary, self.sets.insert(nal).map(|_| ()))
    }

    fn push_opening(&mut self, nal: NalUnit<'_>) -> Option<Boundary> {
        if self.unit.single_field {
            self.pending
                .get_or_insert((nal.offset, UnitFacts::default()));
            return None;
        }
        Some(self.start_unit(nal.offset, UnitFacts::default()))
    }

    fn push_slice(&mut self, nal: NalUnit<'_>) -> Option<Boundary> {
        let header = SliceHeader::parse(nal, &self.sets).ok();
        let boundary = match (&header, &self.slice) {
            // A slice that cannot be read stays with the unit it stands in.
            (None, _) | (_, None) => None,
            (Some(header), Some(earlier)) if header.same_picture(earlier) => None,
            (Some(header), Some(earlier))
                if self.unit.single_field && header.completes_frame(earlier) =>
            {
                self.unit.single_field = false;
                if let Some((_, next)) = self.pending.take() {
                    self.unit.sps |= next.sps;
                    self.unit.pps |= next.pps;
                    self.unit.recovery_point |= next.recovery_point;
                }
                self.slice = Some(*header);
                None
            }
            _ => {
                let (offset, facts) = self
                    .pending
                    .take()
                    .unwrap_or((nal.offset, UnitFacts::default()));
                Some(self.start_unit(offset, facts))
            }
        };
        if let (Some(header), None) = (header, self.slice) {
            self.unit.single_field = header.is_field();
            self.unit.first_slice = Some(header);
            self.slice = Some(header);
        }
        self.unit.note(nal);
        let first = self.unit.first_slice;
        // The second field of a frame may refer to the first.
        let second_field = header.is_some_and(|header| {
            header.is_field() && first.is_some_and(|first| !header.same_picture(&first))
        });
        let intra = header.is_some_and(|header| header.slice_type == INTRA);
        self.unit.inter_slices += u32::from(!intra && !second_field);
        boundary
    }

    fn start_unit(&mut self, offset: usize, facts: UnitFacts) -> Boundary {
        self.slice = None;
        self.pending = None;
        Boundary {
            offset,
            ended: std::mem::replace(&mut self.unit, facts),
        }
    }

    /// What the unit that is being read holds so far.
    pub fn unit(&self) -> &UnitFacts {
        &self.unit
    }

    /// The parameter sets seen so far.
    pub fn parameter_sets(&self) -> &ParameterSets {
        &self.sets
    }

    /// The first `length` of the bytes that NAL units state their offsets in are gone: those that
    /// come are counted from there.
    pub fn advance(&mut self, length: usize) {
        if let Some((offset, _)) = &mut self.pending {
            *offset = offset.saturating_sub(length);
        }
    }

    /// Forgets the unit that is being read, but not the parameter sets: its NAL units will come
    /// again, or are lost.
    pub fn restart_unit(&mut self) {
        self.unit = UnitFacts::default();
        self.slice = None;
        self.pending = None;
    }
}

#[cfg(test)]
#[path = "access_unit_test.rs"]
mod tests;
