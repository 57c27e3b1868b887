//! The parameter sets of a stream: those that came last, by id.

use bytes::Bytes;
use thiserror::Error;

use super::annexb::START_CODE;
use super::pps::Pps;
use super::slice::SliceHeader;
use super::sps::Sps;
use super::{NalKind, NalUnit};
use crate::bits::BitError;

/// Why bytes are not a parameter set that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParameterSetError {
    /// The NAL unit is of another kind.
    #[error("a NAL unit of type {} was read as one of type {}", .got.0, .wanted.0)]
    Kind {
        /// The kind that was asked for.
        wanted: NalKind,
        /// The kind that it is.
        got: NalKind,
    },
    /// It is cut short, or its codes are damaged.
    #[error("parameter set: {0}")]
    Bits(#[from] BitError),
    /// A field holds a number that the standard does not allow.
    #[error("parameter set: {field} is {value}, at most {max} is allowed")]
    Range {
        /// Name of the syntax element.
        field: &'static str,
        /// What it holds.
        value: u32,
        /// The largest number allowed.
        max: u32,
    },
    /// A side is empty or beyond [`MAX_SIDE`](crate::frame::MAX_SIDE).
    #[error("sequence parameter set: a picture of {width}×{height} cannot be")]
    Size {
        /// Columns, cropping applied.
        width: u64,
        /// Rows, cropping applied.
        height: u64,
    },
}

impl ParameterSetError {
    pub(super) fn expect_kind(header: u8, wanted: NalKind) -> Result<(), Self> {
        let got = NalKind(header & 0x1f);
        if got == wanted {
            Ok(())
        } else {
            Err(Self::Kind { wanted, got })
        }
    }
}

/// Keeps the last sequence and picture parameter set of each id, parsed and as bytes.
///
/// At most 32 + 256 sets are held (7.4.2.1.1, 7.4.2.2); a set equal to the one held costs a
/// comparison.
#[derive(Clone, Debug, Default)]
pub struct ParameterSets {
    sps: Vec<Held<Sps>>,
    pps: Vec<Held<Pps>>,
}

#[derive(Clone, Debug)]
struct Held<T> {
    set: T,
    nal: Bytes,
}

impl ParameterSets {
    /// No sets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a NAL unit if it is a parameter set. Returns whether a set is new or changed.
    ///
    /// # Errors
    /// [`ParameterSetError`]; the sets held before stay.
    pub fn insert(&mut self, nal: NalUnit<'_>) -> Result<bool, ParameterSetError> {
        match nal.kind() {
            NalKind::SPS => insert(&mut self.sps, nal.bytes, Sps::parse, |sps| {
                u32::from(sps.id)
            }),
            NalKind::PPS => insert(&mut self.pps, nal.bytes, Pps::parse, |pps| {
                u32::from(pps.id)
            }),
            _ => Ok(false),
        }
    }

    /// The sequence parameter set with this id.
    pub fn sps(&self, id: u8) -> Option<&Sps> {
        self.sps
            .iter()
            .map(|held| &held.set)
            .find(|set| set.id == id)
    }

    /// The picture parameter set with this id.
    pub fn pps(&self, id: u8) -> Option<&Pps> {
        self.pps
            .iter()
            .map(|held| &held.set)
            .find(|set| set.id == id)
    }

    /// Both sets that a slice refers to through its picture parameter set.
    pub fn of_slice(&self, pps_id: u8) -> Option<(&Sps, &Pps)> {
        let pps = self.pps(pps_id)?;
        Some((self.sps(pps.sps_id)?, pps))
    }

    /// The sequence parameter set of the picture that a slice belongs to.
    pub fn active_sps(&self, slice: &SliceHeader) -> Option<&Sps> {
        self.of_slice(slice.pps_id).map(|(sps, _)| sps)
    }

    /// Nothing that a decoder could start with is held.
    pub fn is_empty(&self) -> bool {
        self.sps.is_empty() || self.pps.is_empty()
    }

    /// All sets as an Annex B byte stream: sequence parameter sets first.
    pub fn to_annexb(&self) -> Vec<u8> {
        let sps = self.sps.iter().map(|held| &held.nal);
        let pps = self.pps.iter().map(|held| &held.nal);
        let mut stream = Vec::new();
        for nal in sps.chain(pps) {
            stream.extend_from_slice(&START_CODE);
            stream.extend_from_slice(nal);
        }
        stream
    }
}

fn insert<T>(
    sets: &mut Vec<Held<T>>,
    nal: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, ParameterSetError>,
    id: impl Fn(&T) -> u32,
) -> Result<bool, ParameterSetError> {
    if sets.iter().any(|held| held.nal == nal) {
        return Ok(false);
    }
    let held = Held {
        set: parse(nal)?,
        nal: Bytes::copy_from_slice(nal),
    };
    match sets.iter_mut().find(|old| id(&old.set) == id(&held.set)) {
        Some(old) => *old = held,
        None => sets.push(held),
    }
    Ok(true)
}

#[cfg(test)]
#[path = "parameter_sets_test.rs"]
mod tests;
