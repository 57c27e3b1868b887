//! FFmpeg's decoder in the tests that every decoder of H.264 passes.
#![cfg(feature = "ffmpeg")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests may, like tests.

#[path = "../../media/tests/decode/every_backend.rs"]
mod every_backend;
#[path = "../../media/tests/decode/support.rs"]
mod support;

use trickle_ffmpeg::FfmpegBackend;

/// The backend under test.
fn backend() -> FfmpegBackend {
    FfmpegBackend::new().unwrap()
}
