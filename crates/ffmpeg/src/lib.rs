//! FFmpeg's codecs as a [`Backend`](trickle_media::Backend): H.264 and HEVC through the system's
//! libavcodec.
//!
//! It is empty unless the feature `ffmpeg` is on, which links FFmpeg: what to install and what that
//! means for the licence of the program is in `docs/ffmpeg.md`.
//!
//! | file | what for |
//! |---|---|
//! | `backend` | the row in the table |
//! | `decoder` | access units to frames |
//! | `encoder` | frames to access units |

#![cfg(feature = "ffmpeg")]
#![forbid(unsafe_code)]

mod backend;
mod decoder;
mod encoder;

pub use backend::FfmpegBackend;
