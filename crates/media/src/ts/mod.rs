//! MPEG transport streams (ISO/IEC 13818-1): demuxer, muxer, segmenter.
//!
//! Bytes go into a [`Demuxer`] in pieces of any size; access units come out. Access units go into
//! a [`Segmenter`], or a [`Muxer`] where no segments are wanted; packets come out.

mod assembler;
mod audio;
mod clock;
mod coding;
pub mod crc;
mod demux;
mod display;
mod fault;
mod mux;
mod mux_stream;
mod output;
pub mod packet;
pub mod pes;
pub mod psi;
mod segmenter;
mod sync;
mod tables;
#[cfg(test)]
mod testing;
mod timing;
mod track;
mod unnamed;
mod video;
mod whole;

pub use demux::{DemuxEvent, DemuxOptions, Demuxer};
pub use fault::{FaultCounts, FaultKind, TsFault};
pub use mux::{MuxError, MuxOptions, Muxer};
pub use output::{TransportReport, TsStats};
pub use packet::Pid;
pub use segmenter::{Placed, Segmenter, SegmenterOptions};
pub use sync::looks_like_packets;
