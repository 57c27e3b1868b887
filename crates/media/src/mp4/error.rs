//! Errors of MP4 files.

use std::io;

use thiserror::Error;

use super::FourCc;
use crate::access_unit::TrackId;

/// An MP4 file, or one sample of it, cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Mp4Error {
    /// The source failed.
    #[error("cannot read the file at byte {at}: {source}")]
    Io {
        /// Where in the file.
        at: u64,
        /// What the source said.
        source: io::Error,
    },
    /// The file is none, or only a part of one.
    #[error("not a playable MP4 file: {0}")]
    NotPlayable(&'static str),
    /// A box is malformed.
    #[error("box '{kind}' is malformed: {detail}")]
    Box {
        /// Type of the box.
        kind: FourCc,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// Something has a size that no honest file has.
    #[error("{what} of {size} is beyond the limit of {max}")]
    TooLarge {
        /// What has the size, and its unit.
        what: &'static str,
        /// The size.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// One sample is missing or damaged. Reading goes on with the next.
    #[error("track {track}, sample {index}: {detail}")]
    Sample {
        /// Its track.
        track: TrackId,
        /// Its number in the track, from 0.
        index: usize,
        /// What is wrong with it.
        detail: &'static str,
    },
}

impl Mp4Error {
    pub(super) fn malformed(kind: FourCc, detail: &'static str) -> Self {
        Self::Box { kind, detail }
    }
}
