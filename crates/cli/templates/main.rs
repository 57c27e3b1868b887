//! Every subcommand of trickle, with this project's processor: `cargo run -- serve`.

use std::process::ExitCode;

use trickle_processor::Registry;

mod processor;

/// The processor's name on the command line and in trickle.toml.
const NAME: &str = env!("CARGO_PKG_NAME");

fn main() -> ExitCode {
    let registry = Registry::default().with(NAME, "this project's processor", processor::new());
    trickle_cli::run(registry)
}
