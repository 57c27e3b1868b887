//! Test data and helpers shared by the crates' tests. Not published, never in a release build.

#![forbid(unsafe_code)]

mod figures;

use std::path::PathBuf;

pub use figures::{Figures, FrameFigures, StreamFigures, figures};

/// The folder `testdata`: that of the checkout which the tests were built in, or what
/// `TRICKLE_TESTDATA` names, for tests that are run elsewhere.
pub fn testdata() -> PathBuf {
    std::env::var_os("TRICKLE_TESTDATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata"),
        PathBuf::from,
    )
}

/// Path of a clip in `testdata/media`.
pub fn clip(name: &str) -> PathBuf {
    testdata().join("media").join(name)
}

/// Bytes of a clip in `testdata/media`.
///
/// # Panics
/// When there is no such clip: the checkout is incomplete.
pub fn clip_bytes(name: &str) -> Vec<u8> {
    let path = clip(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
