//! Media for live streams: everything between a byte of MPEG-TS and a frame, without I/O.
//!
//! ```text
//! bytes → ts::Demuxer → AccessUnit → Decoder → VideoFrame / AudioFrame
//!                                                    │  tensor() on demand
//! bytes ← ts::Muxer   ← AccessUnit ← Encoder ← VideoFrame / AudioFrame
//! ```
//!
//! The crate opens no file and no socket, and starts no task. What it holds:
//!
//! | module | what for |
//! |---|---|
//! | [`time`] | [`Timestamp`] and [`TimeBase`]: exact times in their source's units |
//! | [`access_unit`] | [`AccessUnit`]: one coded picture or audio packet |
//! | [`stream`] | what is known of a stream before a frame of it is decoded |
//! | [`frame`] | [`VideoFrame`], [`AudioFrame`], [`Tensor`], the buffer [`Pool`](frame::Pool) |
//! | [`coder`] | the [`Decoder`] and [`Encoder`] traits |
//! | [`backend`] | the ordered table of codec backends |
//! | [`hardware`] | what devices a machine has, and their load |
//! | [`ts`] | MPEG transport streams: demuxer, muxer, segmenter |
//! | [`h264`] | Annex B byte streams, NAL units, parameter sets |
//! | [`hevc`] | parameter sets of H.265 |
//! | [`audio`] | ADTS, Opus packets, resampling and mixing down |
//! | [`overlay`] | the loading overlay, drawn into YUV planes |
//! | [`convert`] | YUV ↔ RGB f32 and scaling |
//! | [`codec`] | the CPU codecs |
//! | [`mp4`] | reading and writing MP4 files |
//! | [`probe`] | what a stream is, and what is wrong with it |

#![deny(unsafe_code)]

pub mod access_unit;
mod arena;
pub mod audio;
pub mod backend;
mod bits;
pub mod codec;
pub mod coder;
pub mod convert;
pub mod error;
pub mod frame;
pub mod h264;
pub mod hardware;
pub mod hevc;
pub mod mp4;
pub mod overlay;
pub mod probe;
pub mod stream;
pub mod time;
pub mod ts;
mod vui;

pub use access_unit::{AccessUnit, Codec, MediaKind, TrackId};
pub use backend::{Backend, Backends};
pub use coder::{Decoder, Encoder};
pub use error::{CodecError, FrameError, Unsupported};
pub use frame::{AudioFrame, Tensor, VideoFrame};
pub use overlay::Overlay;
pub use stream::{AudioParams, ColorDescription, Orientation, StreamInfo, VideoParams};
pub use time::{TimeBase, Timestamp};
