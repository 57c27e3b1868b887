//! The command line as a library.
#![forbid(unsafe_code)]
