//! One live stream through its stages.
#![forbid(unsafe_code)]
