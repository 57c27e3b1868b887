//! MP4 files (ISO/IEC 14496-12): reading what people record, upload and convert, and writing
//! recordings.
//!
//! [`Reader`] gives the access units of all tracks in decode order, as a demuxer of a live stream
//! does. Files with their `moov` at the end, fragments, edit lists and B-frames are read; what a
//! file says about itself is checked before it is believed, so that no file makes the reader
//! panic, loop or take memory without bound. [`Writer`] writes fragments, so that a recording
//! plays up to wherever it was cut.

mod avc;
mod boxes;
mod error;
mod fragment;
mod reader;
mod sample_entry;
mod sample_table;
mod track;
mod write_boxes;
mod writer;

pub use boxes::FourCc;
pub use error::Mp4Error;
pub use reader::Reader;
pub use writer::{Mp4WriteError, Writer};
