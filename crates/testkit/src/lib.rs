//! Test data and helpers shared by the crates' tests. Not published, never in a release build.

#![forbid(unsafe_code)]

mod figures;

use std::path::PathBuf;

pub use figures::{Figures, FrameFigures, StreamFigures, figures};

/// Path of a clip in `testdata/media`.
pub fn clip(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/media")
        .join(name)
}

/// Bytes of a clip in `testdata/media`.
///
/// # Panics
/// When there is no such clip: the checkout is incomplete.
pub fn clip_bytes(name: &str) -> Vec<u8> {
    let path = clip(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
