//! The `trickle` binary: the command line with the built-in processors.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use trickle_processor::Registry;

fn main() -> ExitCode {
    trickle_cli::run(Registry::default())
}
