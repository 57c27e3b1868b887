//! The H.264 bitstream (ITU-T H.264): Annex B byte streams, NAL units, parameter sets, and where
//! access units begin.

mod access_unit;
pub mod annexb;
#[cfg(test)]
pub(crate) mod fixtures;
mod frame_numbers;
mod nal;
mod parameter_sets;
mod pic_order;
pub mod pps;
mod sei;
pub mod slice;
pub mod sps;
mod vui;

pub use crate::bits::BitError;
pub use access_unit::{AccessUnitDetector, Boundary, UnitFacts};
pub use frame_numbers::FrameNumbers;
pub use nal::{NalKind, NalUnit};
pub use parameter_sets::{ParameterSetError, ParameterSets};
pub use pic_order::PicOrderCount;
pub use vui::Vui;
