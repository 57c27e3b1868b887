//! A processor with a CUDA kernel of its own.

mod vignette;

pub use vignette::Vignette;
